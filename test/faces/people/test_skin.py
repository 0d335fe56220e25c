import numpy as np
import pytest

from cs3d_ros.faces.people.cutout import MARGIN_PX
from cs3d_ros.faces.people.fitting import fit_face
from cs3d_ros.faces.people.photographs import load_photographs
from cs3d_ros.faces.people.skin import PhotographedSkin
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path, photographs_path


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


@pytest.fixture(scope="module")
def photographs():
    return {p.name: p for p in load_photographs(photographs_path())}


@pytest.fixture(scope="module")
def skins(kit, photographs):
    """Of a woman with open hair, a bald man and somebody with dark skin."""
    names = ("001", "021", "042", "064")
    fits = {name: fit_face(kit, photographs[name].landmarks) for name in names}
    return {n: PhotographedSkin(kit, photographs[n], fit) for n, fit in fits.items()}


def test_albedo_is_a_share_of_the_light(kit, skins):
    for skin in skins.values():
        outer = skin.albedo[: kit.head.stop]
        assert np.isfinite(outer).all()
        assert outer.min() > 0
        assert outer.max() < 0.95


def test_what_is_seen_of_the_face_has_the_brightness_of_the_photograph(kit, photographs, skins):
    """The order of the skins' tones is that of the photographs."""
    nose = kit.landmarks68[28]
    cheek = np.argmin(np.linalg.norm(kit.vertices - (4.0, -1.0, 9.0), axis=1))
    tones = {n: skin.albedo[[nose, cheek]].mean() for n, skin in skins.items()}
    grays = {}
    for name in skins:
        p = photographs[name]
        x, y = p.landmarks[28].astype(int)
        grays[name] = float(p.gray[y - 5 : y + 5, x - 5 : x + 5].mean())
    assert sorted(tones, key=tones.get) == sorted(grays, key=grays.get)


def lids(kit):
    """Vertices of the upper lids that lie before the eyes when these are closed."""
    closed = kit.posed(kit.vertices, kit.weights({"eyeBlink_L": 1.0, "eyeBlink_R": 1.0}))
    eyes = kit.vertices[kit.landmarks68[[37, 38, 40, 41, 43, 44, 46, 47]]]
    found = []
    for eye in (eyes[:4].mean(axis=0), eyes[4:].mean(axis=0)):
        near = np.linalg.norm((closed - eye)[:, :2] / (0.8, 0.3), axis=1) < 1
        near[kit.face.stop :] = False
        found.append(np.flatnonzero(near & (closed[:, 2] > eye[2] - 0.5)))
    return np.concatenate(found)


def test_closed_lids_have_the_tone_of_skin_not_of_eyes(kit, skins):
    for skin in skins.values():
        tone = np.median(skin.albedo[kit.face])
        on_lids = skin.albedo[lids(kit)]
        assert len(on_lids) > 20
        assert 0.35 * tone < np.median(on_lids) < 1.5 * tone
        # Neither an iris nor the white of the eye shows on them.
        assert (on_lids < 0.12 * tone).mean() < 0.1
        assert (on_lids > 2.0 * tone).mean() < 0.05


def test_the_light_of_the_studio_is_taken_out(kit, skins):
    """A bald head, bright in front and dark at its sides in the photograph, is about even."""
    skin = skins["021"]
    forehead = skin.albedo[np.linalg.norm(kit.vertices - (0, 9.0, 10.5), axis=1) < 2.0].mean()
    temple = skin.albedo[
        np.linalg.norm(np.abs(kit.vertices) - (7.2, 7.0, 4.0), axis=1) < 1.5
    ].mean()
    assert temple == pytest.approx(forehead, rel=0.5)


def test_the_background_is_nowhere_on_the_head(kit, photographs, skins):
    """Of the darkest person nothing is as bright as the studio behind."""
    dark = skins["042"]
    background = (np.median(photographs["042"].gray[:100, :20]) / 255) ** 2.2
    assert np.percentile(dark.albedo[: kit.head.stop], 99) < 0.6 * background


def test_the_person_is_cut_out(photographs, skins):
    for name, skin in skins.items():
        side = len(photographs[name].gray)
        assert skin.mask.shape == skin.light.shape == (side + MARGIN_PX, side + 2 * MARGIN_PX)
        x, y = photographs[name].landmarks[30].astype(int) + MARGIN_PX
        assert skin.mask[y, x] == pytest.approx(1)
        assert skin.mask[MARGIN_PX + 40 : MARGIN_PX + 200, MARGIN_PX + 2].mean() < 0.5


def test_irises_are_darker_than_the_white_of_the_eyes(photographs, skins):
    for name, skin in skins.items():
        iris, white = skin.eyes(photographs[name].landmarks)
        assert 0 < iris < 0.5 * white < white < 0.7
