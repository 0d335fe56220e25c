"""Signs of turns, perspective, and what is behind each pixel."""

import math

import numpy as np
import pytest

from cs3d_ros.faces.rendering.camera import camera_rotation, head_rotation, look_through, project

FORWARD, UP, LEFT = np.eye(3)[2], np.eye(3)[1], np.eye(3)[0]
REST = camera_rotation((0, 0, 0))


def projected(points, turn=(0, 0, 0), distance=50.0, focal=100.0):
    result = np.empty((len(points), 3), np.float32)
    place = np.array(points, np.float32)
    project(place, camera_rotation(turn), distance, focal, 56.0, 40.0, result)
    return result


def seen(texture, turn=(0, 0, 0), zoom=1.0, right=0.0, down=0.0, size=16):
    """A background with one texel for each pixel, seen with a focal length of 100 pixels."""
    picture = np.empty((size, size), np.float32)
    middle = size / 2
    turned = camera_rotation(turn)
    look_through(
        texture, 1.0, turned, 100.0 * zoom, 100.0, middle, middle, right, down, 1.0, picture
    )
    return picture


TEXTURE = np.random.default_rng(0).uniform(0, 1, (64, 64)).astype(np.float32)


def test_yaw_turns_the_face_to_its_left_pitch_down_and_roll_to_its_left_shoulder():
    assert (head_rotation((0.1, 0, 0)) @ FORWARD)[0] > 0
    assert (head_rotation((0, 0.1, 0)) @ FORWARD)[1] < 0
    assert (head_rotation((0, 0, 0.1)) @ UP)[0] > 0


@pytest.mark.parametrize("angles", [(0.3, -0.2, 0.5), (2.0, 1.0, -3.0), (0, 0, 0)])
def test_turns_are_rotations(angles):
    for matrix in (head_rotation(angles), camera_rotation(angles)):
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(matrix) == pytest.approx(1, abs=1e-5)


def test_roll_comes_before_pitch_and_pitch_before_yaw():
    expected = head_rotation((0.3, 0, 0)) @ head_rotation((0, 0.2, 0)) @ head_rotation((0, 0, 0.1))
    np.testing.assert_allclose(head_rotation((0.3, 0.2, 0.1)), expected, atol=1e-6)


def test_perspective_puts_left_at_the_right_and_up_at_the_top():
    points = projected([[0, 0, 0], [5, 0, 0], [0, 5, 0], [5, 0, 25]])
    np.testing.assert_allclose(
        points, [[56, 40, 0.02], [66, 40, 0.02], [56, 30, 0.02], [76, 40, 0.04]], rtol=1e-5
    )


def test_what_is_behind_the_camera_has_no_nearness():
    assert (projected([[0, 0, 49.5], [0, 0, 50], [1, 2, 80]])[:, 2] == 0).all()


def test_the_picture_moves_against_the_camera():
    still = projected([[0, 0, 0]])[0]
    assert projected([[0, 0, 0]], (0.1, 0, 0))[0, 0] == pytest.approx(
        still[0] - 100 * math.tan(0.1), rel=1e-4
    )
    assert projected([[0, 0, 0]], (0, 0.1, 0))[0, 1] > still[1] + 9
    # Clockwise: what was on the right goes up.
    assert projected([[5, 0, 0]], (0, 0, 0.1))[0, 1] < still[1] - 0.9


def test_a_resting_camera_sees_the_middle_of_the_background_texel_by_pixel():
    np.testing.assert_allclose(seen(TEXTURE), TEXTURE[24:40, 24:40], atol=1e-4)


def test_background_shifts_right_and_down():
    shifted = seen(TEXTURE, right=3.0, down=2.0)
    np.testing.assert_allclose(shifted, TEXTURE[22:38, 21:37], atol=1e-4)


def test_background_and_face_move_alike_under_a_turned_camera():
    bright = np.zeros((64, 64), np.float32)
    bright[31:33, 31:33] = 1
    turn = (0.03, -0.02, 0.2)
    picture = seen(bright, turn)
    rows, columns = np.mgrid[:16, :16] + 0.5
    middle = [(picture * columns).sum(), (picture * rows).sum()] / picture.sum()
    face = projected([[0, 0, 0]], turn)[0, :2] - [56, 40] + 8
    np.testing.assert_allclose(middle, face, atol=0.05)


def test_zoom_widens_the_background():
    bright = np.zeros((64, 64), np.float32)
    bright[:, 36:] = 1
    assert seen(bright).sum() == 16 * 4
    # The edge, four pixels from the middle, is six from it now.
    np.testing.assert_allclose(seen(bright, zoom=1.5).sum(axis=1), 2, atol=0.5)


def test_the_background_is_mirrored_where_it_ends():
    far = seen(TEXTURE, right=63.0)
    np.testing.assert_allclose(far, TEXTURE[24:40, 24:40][:, ::-1], atol=1e-4)


@pytest.mark.parametrize("right", [1e6, -1e20, 1e38, 1e300, -1e300])
@pytest.mark.parametrize("zoom", [1.0, 1e-30, 1e30])
def test_the_farthest_shifts_and_zooms_still_show_the_background(right, zoom):
    picture = seen(TEXTURE, (1.7, 0.3, 9.0), zoom, right, -right)
    assert np.isfinite(picture).all()
    assert picture.min() >= 0
    assert picture.max() <= 1
