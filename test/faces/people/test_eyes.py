import numpy as np
import pytest

from cs3d_ros.faces.people.eyes import closable, draw_eyes, lips_closed
from cs3d_ros.faces.people.surface import height_map
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path

BLINK = {"eyeBlink_L": 1.0, "eyeBlink_R": 1.0}


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


@pytest.fixture(scope="module")
def identities(kit):
    rng = np.random.default_rng(0)
    return [kit.identity(0.9 * rng.standard_normal(100)) for _ in range(6)]


def shown(kit, vertices, part, corner, size):
    """Share of a square seen from the front in which `part` is before the face."""
    points = vertices.astype(float) * (20, 20, 1) - (corner[0] * 20, corner[1] * 20, 0)
    side = int(size * 20)
    first = kit.triangles.min(axis=1)
    of_part = (first >= part.start) & (first < part.stop)
    front = kit.vertices[kit.triangles, 2].min(axis=1) > 5
    face = (kit.triangles < kit.face.stop).all(axis=1) & front
    part_heights = height_map(points, kit.triangles[of_part & front], side, side)
    return float((part_heights > height_map(points, kit.triangles[face], side, side)).mean())


def eyes_shown(kit, vertices):
    return shown(kit, vertices, kit.left_eye, (1.0, 1.5), 4.5)


def teeth_shown(kit, vertices):
    return shown(kit, vertices, kit.teeth, (-2.5, -6.0), 5.0)


def test_a_blink_hides_the_eyes(kit, identities):
    for neutral in identities:
        ready = closable(kit, neutral)
        assert eyes_shown(kit, ready) > 0.05
        assert eyes_shown(kit, kit.posed(ready, kit.weights(BLINK))) < 0.008


def test_wide_eyes_would_not_close_by_themselves(kit):
    wide = kit.posed(kit.vertices, kit.weights({"eyeWide_L": 1.0, "eyeWide_R": 1.0}))
    ready = closable(kit, wide)
    before = eyes_shown(kit, kit.posed(wide, kit.weights(BLINK)))
    after = eyes_shown(kit, kit.posed(ready, kit.weights(BLINK)))
    assert after < 0.5 * before
    assert eyes_shown(kit, ready) < eyes_shown(kit, wide)


def test_only_eyes_and_lids_change(kit, identities):
    ready = closable(kit, identities[0])
    below = kit.vertices[:, 1] < 0
    assert np.array_equal(ready[below], identities[0][below])
    assert np.abs(ready - identities[0]).max() < 0.6


def test_a_mouth_that_identity_opens_is_closed(kit):
    parted = kit.posed(
        kit.vertices, kit.weights({"mouthLowerDown_L": 0.3, "mouthLowerDown_R": 0.3})
    )
    closed = lips_closed(kit, parted)
    assert teeth_shown(kit, parted) > 0.005
    assert teeth_shown(kit, closed) < 0.2 * teeth_shown(kit, parted)


def test_a_neutral_mouth_shows_no_teeth_and_an_open_one_does(kit, identities):
    jaw = kit.weights({"jawOpen": 0.3, "mouthUpperUp_L": 0.5, "mouthUpperUp_R": 0.5})
    for neutral in identities:
        closed = lips_closed(kit, neutral)
        assert teeth_shown(kit, closed) < 0.002
        assert teeth_shown(kit, kit.posed(closed, jaw)) > 0.01


def test_dark_skin_goes_with_dark_eyes():
    def mean(skin, what):
        rng = np.random.default_rng(0)
        return np.mean([getattr(draw_eyes(rng, skin), what) for _ in range(200)])

    assert mean(0.05, "iris") < mean(0.35, "iris")
    assert mean(0.05, "sclera") < mean(0.35, "sclera")
