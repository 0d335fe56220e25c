import numpy as np
import pytest

from cs3d_ros.faces.people.hair_styles import dress_hair
from cs3d_ros.faces.people.painting import Tones
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path

TONES = Tones(skin=0.3, hair=0.02, cloth=0.2)


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


@pytest.fixture(scope="module")
def heads(kit):
    """Painted albedo and meshes of many heads."""
    found = []
    for seed in range(30):
        albedo = np.full(len(kit.vertices), TONES.skin)
        rng = np.random.default_rng(seed)
        found.append((albedo, dress_hair(kit, kit.vertices, albedo, TONES, rng)))
    return found


def near(kit, place, radius):
    away = np.linalg.norm(kit.vertices - np.array(place), axis=1)
    return (away < radius) & (np.arange(len(away)) < kit.head.stop)


def test_there_are_bald_shaved_short_and_long_hair(kit, heads):
    crown = near(kit, (0, 14, -2), 3)
    bald = [a for a, meshes in heads if not meshes and (a[crown] == TONES.skin).all()]
    shaved = [a for a, meshes in heads if not meshes and a[crown].mean() < 0.6 * TONES.skin]
    lowest = [min(m.vertices[:, 1].min() for m in meshes) for _, meshes in heads if meshes]
    assert bald
    assert shaved
    assert max(lowest) > -8
    assert min(lowest) < -9


def test_no_hair_grows_on_the_face(kit, heads):
    face = near(kit, (0, 0, 11), 4.5)
    for albedo, _ in heads:
        assert (albedo[face] == TONES.skin).all()


def test_no_hair_hangs_before_the_eyes(kit, heads):
    eyes = kit.vertices[kit.landmarks68[36:48]]
    for _, meshes in heads:
        for mesh in meshes:
            x, y, z = mesh.vertices.T
            before = (np.abs(x) < eyes[:, 0].max()) & (y < eyes[:, 1].max() + 0.8) & (z > 6)
            assert not before.any()


def test_hair_lies_outside_of_the_head(kit, heads):
    """Along the middle of the head the cap is above the skin."""
    skin = kit.vertices[: kit.head.stop]
    top = skin[np.abs(skin[:, 0]) < 1, 1].max()
    for _, meshes in heads:
        if meshes:
            cap = meshes[0].vertices
            assert top < cap[np.abs(cap[:, 0]) < 1.5, 1].max() < top + 5


def test_hair_has_strands(heads):
    for _, meshes in heads:
        for mesh in meshes:
            assert 0.1 < mesh.albedo.std() / mesh.albedo.mean() < 0.7
