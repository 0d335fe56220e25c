"""Rendered faces do what the motion says."""

import dataclasses

import numpy as np
import pytest

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.motion import Motion
from cs3d_ros.faces.person import Mesh
from cs3d_ros.faces.rendering.facekit import load_facekit
from cs3d_ros.faces.rendering.look import Look
from cs3d_ros.faces.rendering.renderer import Renderer
from faces_data import facekit_path, painted_person


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


@pytest.fixture(scope="module")
def person(kit):
    return painted_person(kit)


LOOK = Look(background="flat", background_level=0.2, skin_gloss=0.0, vignette=0.0)


@pytest.fixture(scope="module")
def renderer(kit, person):
    return Renderer(kit, person, LOOK)


def motion(kit, frames=1, weights=None, **changes):
    """A face at rest but for what is given for all frames."""
    still = Motion.still(np.arange(frames) / 100, len(kit.expression_names))
    if weights:
        changes["weights"] = kit.weights(weights)
    arrays = {
        name: np.broadcast_to(np.asarray(value, np.float32), getattr(still, name).shape)
        for name, value in changes.items()
    }
    return dataclasses.replace(still, **arrays)


def around(picture, points, reach=2):
    """The part of a picture around the middle of some landmarks."""
    column, row = np.round(np.mean(points, axis=0)).astype(int)
    return picture[row - reach : row + reach + 1, column - reach : column + reach + 1]


def test_frames_are_gray_levels_at_the_times_of_the_motion(kit, renderer):
    frames = list(renderer.frames(motion(kit, 3)))
    assert [t for t, _ in frames] == [0.0, 0.01, 0.02]
    for _, picture in frames:
        assert picture.shape == (112, 112)
        assert picture.dtype == np.float32
        assert picture.min() >= 0
        assert picture.max() <= 255


def test_the_same_input_gives_the_same_bytes(kit, person, renderer):
    moved = motion(kit, weights={"mouthSmile_L": 0.7}, rotation=(0.1, 0.05, 0), light=1.2)
    before = renderer.frame(moved, 0).tobytes()
    renderer.frame(motion(kit, weights={"jawOpen": 1.0, "eyeLookUp_L": 1.0}), 0)
    assert renderer.frame(moved, 0).tobytes() == before
    assert Renderer(kit, person, LOOK).frame(moved, 0).tobytes() == before


def test_the_face_fills_its_share_of_the_picture_and_has_its_gray_level(kit, person):
    for fill, right in ((0.6, 0.05), (0.9, -0.05)):
        look = dataclasses.replace(LOOK, fill=fill, right=right, gray=110.0)
        renderer = Renderer(kit, person, look)
        marks = renderer.landmarks(motion(kit), 0)
        across = marks[16, 0] - marks[0, 0]
        assert 0.75 * fill < across / 112 <= 1.02 * fill
        assert marks[27, 0] == pytest.approx(56 + right * 112, abs=1)
        cheeks = around(renderer.frame(motion(kit), 0), marks[[2, 31]], 3)
        # The skin is a little lighter than what a medium one is exposed for.
        assert 95 < cheeks.mean() < 150


def test_landmarks_lie_where_the_features_are(kit, renderer):
    marks, picture = renderer.landmarks(motion(kit), 0), renderer.frame(motion(kit), 0)
    assert marks.min() > 0
    assert marks.max() < 112
    for brow in (marks[18:21], marks[23:26]):
        skin = around(picture, brow - [0, 10])
        assert around(picture, brow, 1).mean() < 0.75 * skin.mean()


@pytest.mark.parametrize("sign", [1, -1])
def test_yaw_moves_the_nose_to_the_side_and_hides_a_cheek(kit, renderer, sign):
    rest = renderer.landmarks(motion(kit), 0)
    turned = renderer.landmarks(motion(kit, rotation=(sign * 0.3, 0, 0)), 0)
    assert sign * (turned[30, 0] - rest[30, 0]) > 8
    # The nose comes nearer to the edge of the face on that side.
    edge = 16 if sign > 0 else 0
    before, after = abs(rest[30] - rest[edge])[0], abs(turned[30] - turned[edge])[0]
    assert after < 0.6 * before


def test_pitch_moves_the_nose_down_and_roll_the_brow_to_the_left_shoulder(kit, renderer):
    rest = renderer.landmarks(motion(kit), 0)
    assert renderer.landmarks(motion(kit, rotation=(0, 0.2, 0)), 0)[30, 1] > rest[30, 1] + 5
    assert renderer.landmarks(motion(kit, rotation=(0, 0, 0.2)), 0)[27, 0] > rest[27, 0] + 2


def test_an_open_jaw_is_a_dark_mouth(kit, renderer):
    opened = motion(kit, weights={"jawOpen": 0.7})
    lips = renderer.landmarks(opened, 0)[60:68]
    closed = around(renderer.frame(motion(kit), 0), lips)
    assert around(renderer.frame(opened, 0), lips).mean() < 0.5 * closed.mean()


def test_bared_teeth_are_brighter_than_the_dark_of_the_mouth(kit, renderer):
    names = ["mouthUpperUp_L", "mouthUpperUp_R", "mouthLowerDown_L", "mouthLowerDown_R"]
    bared = motion(kit, weights={n: 1.0 for n in names} | {"jawOpen": 0.1})
    lips = renderer.landmarks(bared, 0)[60:68]
    dark = renderer.frame(motion(kit, weights={"jawOpen": 0.7}), 0)
    opened = renderer.landmarks(motion(kit, weights={"jawOpen": 0.7}), 0)[60:68]
    assert around(renderer.frame(bared, 0), lips).max() > 1.5 * around(dark, opened).max()


@pytest.mark.parametrize(("side", "eye"), [("R", slice(36, 42)), ("L", slice(42, 48))])
def test_a_blink_covers_iris_and_white_with_skin(kit, renderer, side, eye):
    still, blink = motion(kit), motion(kit, weights={f"eyeBlink_{side}": 1.0})
    marks = renderer.landmarks(still, 0)
    seen = around(renderer.frame(still, 0), marks[eye], 3)
    hidden = around(renderer.frame(blink, 0), marks[eye], 3)
    assert np.ptp(hidden) < 0.6 * np.ptp(seen)
    # The other eye stays as it was.
    other = slice(42, 48) if side == "R" else slice(36, 42)
    np.testing.assert_allclose(
        around(renderer.frame(still, 0), marks[other], 2),
        around(renderer.frame(blink, 0), marks[other], 2),
        atol=1.0,
    )


def test_highlights_on_eyes_are_small_and_as_bright_on_dark_skin_as_on_fair(kit, person):
    linear = dataclasses.replace(LOOK, gamma=1.0, black=0.0, gray=40.0, blur=0.3)
    most = []
    for albedo in (0.05, 0.35):
        face = np.where(np.arange(20198) < kit.head.stop, albedo, person.albedo)
        somebody = dataclasses.replace(person, albedo=face.astype(np.float32))
        mat, shiny = (
            Renderer(kit, somebody, dataclasses.replace(linear, eye_gloss=gloss), 224)
            for gloss in (0.0, 0.4)
        )
        added = shiny.frame(motion(kit), 0) - mat.frame(motion(kit), 0)
        most.append(added.max())
        # On the irises alone, which have radii of 0.6 cm.
        marks = mat.landmarks(motion(kit), 0)
        assert 0 < (added > 0.2 * most[-1]).sum() < 2 * 5**2
        rows, _ = np.nonzero(added > 0.2 * most[-1])
        assert (marks[36:48, 1].min() - 2 < rows).all()
        assert (rows < marks[36:48, 1].max() + 2).all()
    assert most[0] == pytest.approx(most[1], rel=0.15)


def test_irises_move_with_the_gaze(kit, renderer):
    def iris(weights):
        picture = renderer.frame(motion(kit, weights=weights), 0)
        marks = renderer.landmarks(motion(kit), 0)
        part = around(picture, marks[42:48], 4)
        dark = np.clip(part.mean() - part, 0, None)
        return (dark * np.arange(9)).sum() / dark.sum()

    assert iris({"eyeLookOut_L": 1.0}) > iris({}) + 0.5
    assert iris({"eyeLookIn_L": 1.0}) < iris({}) - 0.5


def test_light_makes_everything_brighter_and_never_beyond_white(kit, person, renderer):
    still = renderer.frame(motion(kit), 0)
    bright = renderer.frame(motion(kit, light=1.5), 0)
    assert (bright >= still).all()
    assert np.median(bright) > 1.1 * np.median(still)
    assert renderer.frame(motion(kit, light=3e38), 0).max() <= 255
    linear = Renderer(kit, person, dataclasses.replace(LOOK, gamma=1.0, black=0.0, gray=60.0))
    doubled = linear.frame(motion(kit, light=2.0), 0)
    below_knee = doubled < 0.7 * 255
    ratio = doubled[below_knee] / linear.frame(motion(kit), 0)[below_knee]
    np.testing.assert_allclose(ratio, 2, rtol=1e-3)


def test_the_camera_moves_face_and_background_alike(kit, person):
    look = dataclasses.replace(LOOK, background="shelf", background_seed=1)
    renderer = Renderer(kit, person, look)
    focal = np.ptp(renderer.landmarks(motion(kit, zoom=2.0), 0)[:, 0]) / np.ptp(
        renderer.landmarks(motion(kit), 0)[:, 0]
    )
    assert focal == pytest.approx(2, rel=1e-4)
    rest, still = renderer.landmarks(motion(kit), 0), renderer.frame(motion(kit), 0)
    pan = motion(kit, camera=(0.02, 0, 0))
    shift = (renderer.landmarks(pan, 0) - rest)[:, 0].mean()
    assert shift < -2
    # Shifted back by whole pixels the picture is about the same, in its corners, too.
    panned, whole = renderer.frame(pan, 0), round(-shift)
    back = np.abs(panned[:, : 112 - whole] - still[:, whole:])
    assert back.mean() < 0.25 * np.abs(panned - still).mean()


def test_the_background_moves_behind_the_face(kit, person):
    look = dataclasses.replace(LOOK, background="shelf", background_seed=1, background_level=1.0)
    renderer = Renderer(kit, person, look)
    shifted = renderer.frame(motion(kit, background=(0.1, 0)), 0)
    change = np.abs(shifted - renderer.frame(motion(kit), 0))
    marks = renderer.landmarks(motion(kit), 0)
    assert around(change, marks[[31, 35]], 12).max() == 0
    assert change[:10, :10].mean() > 2


def test_what_is_worn_hides_the_face_and_hides_behind_it(kit, person):
    square = np.array([[-6, 1, 0], [6, 1, 0], [6, 6, 0], [-6, 6, 0]], np.float32)
    corners = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    marks = Renderer(kit, person, LOOK).landmarks(motion(kit), 0)
    plain = Renderer(kit, person, LOOK).frame(motion(kit), 0)
    for depth, hidden in ((15.0, True), (-8.0, False)):
        for order in (corners, corners[:, ::-1]):
            worn = Mesh(square + np.float32([0, 0, depth]), order, np.zeros(4, np.float32))
            dressed = Renderer(kit, dataclasses.replace(person, worn=(worn,)), LOOK)
            part = around(dressed.frame(motion(kit), 0), marks[36:48], 4)
            if hidden:
                assert part.max() < 0.4 * around(plain, marks[36:48], 4).min()
            else:
                np.testing.assert_array_equal(part, around(plain, marks[36:48], 4))


@pytest.mark.parametrize("step", [(0.1, 0.0), (0.0, 0.1)])
def test_a_head_that_drifts_by_tenths_of_a_pixel_changes_the_picture_evenly(kit, person, step):
    bright = dataclasses.replace(person, albedo=np.full_like(person.albedo, 0.8))
    look = dataclasses.replace(LOOK, background_level=0.08, blur=0.35)
    renderer = Renderer(kit, bright, look)
    marks = renderer.landmarks(motion(kit, position=(1, 0, 0)), 0)
    pixels_per_cm = (marks - renderer.landmarks(motion(kit), 0))[27, 0]
    drift = np.zeros((40, 3), np.float32)
    drift[:, :2] = np.arange(40)[:, None] * step / pixels_per_cm
    logs = [np.log(p + 20) for _, p in renderer.frames(motion(kit, 40, position=drift))]
    change = np.abs(np.diff(logs, axis=0)).sum(axis=(1, 2))
    # One sample a pixel instead of five makes bursts of 1.21 and 1.26 times the mean.
    assert change.max() < 1.15 * change.mean()


def nowhere(kit):
    yield "far away", motion(kit, position=(0, 0, -1e30))
    yield "behind the camera", motion(kit, position=(0, 0, 500))
    yield "far left", motion(kit, position=(1e38, 0, 0))
    yield "looked away", motion(kit, camera=(np.pi, 0, 0))


def test_a_face_that_is_nowhere_leaves_the_background(kit, renderer):
    for name, moved in nowhere(kit):
        picture = renderer.frame(moved, 0)
        assert np.isfinite(picture).all(), name
        assert picture.max() < 100, name
    assert np.isnan(renderer.landmarks(motion(kit, position=(0, 0, 500)), 0)).all()


@pytest.mark.parametrize("distance", [20.0, 60.0, 69.0])
def test_a_face_at_the_lens_is_drawn_as_far_as_it_is_in_front(kit, renderer, distance):
    assert np.isfinite(renderer.frame(motion(kit, position=(0, 0, distance)), 0)).all()


def test_absurd_motion_gives_a_picture(kit, renderer):
    for changes in (
        {"zoom": 1e-30},
        {"zoom": 1e30},
        {"light": 1e-38},
        {"rotation": (1e10, -1e10, 1e10)},
        {"camera": (1e10, 3.0, -7.0)},
        {"background": (3e38, -3e38)},
    ):
        picture = renderer.frame(motion(kit, **changes), 0)
        assert np.isfinite(picture).all(), changes


def test_a_picture_of_another_size_shows_the_same(kit, person, renderer):
    large = Renderer(kit, person, LOOK, size=224).frame(motion(kit), 0)
    small = large.reshape(112, 2, 112, 2).mean(axis=(1, 3))
    assert np.abs(small - renderer.frame(motion(kit), 0)).mean() < 2


def test_impossible_sizes_and_motions_are_refused(kit, person, renderer):
    for size in (0, -1, 7, 100_000):
        with pytest.raises(FaceError, match="8 to 1024"):
            Renderer(kit, person, LOOK, size=size)
    with pytest.raises(FaceError, match="52 blendshapes"):
        next(renderer.frames(Motion.still(np.zeros(1), 52)))
    with pytest.raises(FaceError, match="no finite number"):
        motion(kit, position=(np.nan, 0, 0))
