import cv2
import numpy as np
import pytest

from cs3d_ros.faces.people.cutout import MARGIN_PX
from cs3d_ros.faces.people.fitting import fit_face
from cs3d_ros.faces.people.hair import photographed_hair
from cs3d_ros.faces.people.photographs import load_photographs
from cs3d_ros.faces.people.skin import PhotographedSkin
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path, photographs_path


@pytest.fixture(scope="module")
def cases():
    """Fit, skin and hair of a woman with curls, a bald man and a man with much hair."""
    kit = load_facekit(facekit_path())
    found = {}
    for photograph in load_photographs(photographs_path()):
        if photograph.name in ("001", "021", "123"):
            fit = fit_face(kit, photograph.landmarks)
            skin = PhotographedSkin(kit, photograph, fit)
            found[photograph.name] = (fit, skin, photographed_hair(skin, fit))
    return found


def covered(fit, meshes, shape):
    """Pixels of the photograph that the meshes cover."""
    picture = np.zeros(shape, np.uint8)
    for mesh in meshes:
        at = fit.project(mesh.vertices.astype(float))[:, :2] + MARGIN_PX
        for triangle in np.round(at[mesh.triangles]).astype(np.int32):
            cv2.fillConvexPoly(picture, triangle, 1)
    return picture > 0


def test_hair_covers_what_the_photograph_shows_beside_the_head(cases):
    for fit, skin, hair in cases.values():
        beside = (skin.mask > 0.9) & ~np.isfinite(skin.heights)
        inner = cv2.erode(beside.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
        assert covered(fit, hair, skin.mask.shape)[inner].mean() > 0.98


def test_hair_covers_no_background(cases):
    for fit, skin, hair in cases.values():
        nobody = cv2.dilate((skin.mask > 0.1).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
        assert covered(fit, hair, skin.mask.shape)[nobody].mean() < 0.002


def test_hair_leaves_the_face_free(cases):
    for fit, skin, hair in cases.values():
        middle = fit.landmarks[27:60].mean(axis=0) + MARGIN_PX
        picture = covered(fit, hair, skin.mask.shape)
        x, y = middle.astype(int)
        assert not picture[y - 40 : y + 40, x - 40 : x + 40].any()


def test_what_is_below_the_chin_stays_with_the_shoulders(cases):
    turning = [m for _, _, hair in cases.values() for m in hair if m.follows_head]
    staying = [m for _, _, hair in cases.values() for m in hair if not m.follows_head]
    assert len(turning) == 3
    assert min(m.vertices[:, 1].min() for m in turning) > -12.5
    assert staying
    assert max(m.vertices[:, 1].max() for m in staying) < -10


def test_hair_lies_about_the_head(cases):
    for _, _, hair in cases.values():
        for mesh in hair:
            assert np.abs(mesh.vertices[:, 0]).max() < 20
            assert mesh.vertices[:, 1].max() < 21
            assert mesh.vertices[:, 2].min() > -15
            assert mesh.vertices[:, 2].max() < 13


def test_much_hair_is_wider_than_none(cases):
    width = {n: np.ptp(hair[0].vertices[:, 0]) for n, (_, _, hair) in cases.items()}
    assert width["021"] < width["123"] - 4


def test_hair_has_the_tone_of_the_photograph(cases):
    """Curls are darker than a bald head."""
    tones = {n: float(np.median(hair[0].albedo)) for n, (_, _, hair) in cases.items()}
    assert tones["123"] < 0.5 * tones["021"]
