import numpy as np
import pytest

from cs3d_ros.faces.people.glasses import draw_glasses
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


def drawn(kit, seed):
    return draw_glasses(kit, kit.vertices, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
def test_frames_stand_before_the_eyes_and_reach_the_ears(kit, seed):
    glasses = drawn(kit, seed)
    eyes = kit.vertices[kit.landmarks68[36:48]]
    front = glasses.vertices[glasses.vertices[:, 2] > eyes[:, 2].max()]
    assert len(front) > 200
    assert glasses.vertices[:, 2].min() < 1.0
    assert np.abs(glasses.vertices[:, 0]).max() < 9.5
    assert front[:, 1].max() > eyes[:, 1].max()
    assert front[:, 1].min() < eyes[:, 1].min()
    assert glasses.follows_head


@pytest.mark.parametrize("seed", range(8))
def test_the_eyes_are_seen_through_them(kit, seed):
    """No corner of a frame lies before a pupil."""
    glasses = drawn(kit, seed)
    for first in (36, 42):
        pupil = kit.vertices[kit.landmarks68[first : first + 6]].mean(axis=0)
        away = np.linalg.norm((glasses.vertices - pupil)[:, :2], axis=1)
        assert away[glasses.vertices[:, 2] > 8].min() > 0.8


def test_the_frame_of_a_lens_is_closed(kit):
    """All edges of the triangles of a ring belong to two of them; those of bars end somewhere."""
    glasses = drawn(kit, 0)
    ring = glasses.triangles[(glasses.triangles < 160).all(axis=1)]
    edges = np.sort(ring[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    counts = np.unique(edges, axis=0, return_counts=True)[1]
    assert len(ring) == 320
    assert (counts == 2).all()


def test_glasses_differ(kit):
    drawn_ = [drawn(kit, seed) for seed in range(12)]
    tones = {float(g.albedo[0]) for g in drawn_}
    heights = {float(np.ptp(g.vertices[:, 1])) for g in drawn_}
    assert len(tones) == len(heights) == 12
    assert min(tones) < 0.05 < 0.15 < max(tones)


def test_the_same_seed_draws_the_same_glasses(kit):
    assert drawn(kit, 3).vertices.tobytes() == drawn(kit, 3).vertices.tobytes()
