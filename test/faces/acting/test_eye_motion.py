import numpy as np
import pytest

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.eye_motion import draw_blinks, draw_gaze, gaze_weights
from cs3d_ros.faces.rendering.body import GAZE_DOWN, GAZE_OUT, GAZE_UP

LOOKS = [f"eyeLook{where}_{side}" for where in ("In", "Out", "Up", "Down") for side in "LR"]


def count(closed, above):
    return np.count_nonzero(np.diff((closed > above).astype(int)) == 1)


class TestBlinks:
    @pytest.mark.parametrize("per_minute", [10.0, 25.0])
    def test_they_come_at_their_rate(self, per_minute):
        time = np.arange(0, 3600, 0.02)
        closed = draw_blinks(time, np.random.default_rng(1), 3600.0, per_minute)
        assert count(closed, 0.2) == pytest.approx(60 * per_minute, rel=0.1)

    def test_some_are_partial_and_none_stays(self):
        time = np.arange(0, 1200, 0.002)
        closed = draw_blinks(time, np.random.default_rng(2), 1200.0, 20.0)
        assert closed.min() == 0
        assert closed.max() == 1
        assert 0.75 < count(closed, 0.9) / count(closed, 0.2) < 0.95
        assert 0.02 < (closed > 0.5).mean() < 0.08

    def test_lids_close_faster_than_they_open(self):
        time = np.arange(0, 600, 0.001)
        speed = np.diff(draw_blinks(time, np.random.default_rng(3), 600.0, 20.0)) / 0.001
        assert 1.4 < speed.max() / -speed.min() < 2.2
        assert speed.max() < 1.9 / 0.07


class TestGaze:
    def test_eyes_rest_most_of_the_time_and_jump_between(self):
        time = np.arange(0, 300, 0.001)
        eyes, head = draw_gaze(time, np.random.default_rng(4), 300.0)
        gaze = eyes + head
        moving = np.abs(np.diff(gaze, axis=0)).max(axis=1) > 1e-7
        assert 0.02 < moving.mean() < 0.12
        starts = np.count_nonzero(np.diff(moving.astype(int)) == 1)
        assert 0.8 < starts / 300.0 < 2.0
        assert np.degrees(np.abs(gaze)).max() <= 22.0 + 1e-9
        # Saccades of these sizes take 21 to some 100 ms.
        assert 0.02 < moving.sum() * 0.001 / starts < 0.06

    def test_the_head_goes_along_with_wide_ones_slowly(self):
        time = np.arange(0, 600, 0.01)
        _, head = draw_gaze(time, np.random.default_rng(5), 600.0)
        assert 1 < np.degrees(np.abs(head)).max() < 8
        assert np.degrees(np.abs(np.diff(head, axis=0))).max() / 0.01 < 60

    def test_weights_are_those_of_both_eyes_at_the_renderers_angles(self):
        left = gaze_weights(Blendshapes(LOOKS), np.array([[GAZE_OUT / 2, 0.0]]))[0]
        np.testing.assert_allclose(left, [0, 0.5, 0.5, 0, 0, 0, 0, 0])
        right_down = gaze_weights(Blendshapes(LOOKS), np.array([[-GAZE_OUT, GAZE_DOWN / 4]]))[0]
        np.testing.assert_allclose(right_down, [1, 0, 0, 1, 0, 0, 0.25, 0.25])
        up = gaze_weights(Blendshapes(LOOKS), np.array([[0.0, -2 * GAZE_UP]]))[0]
        np.testing.assert_allclose(up, [0, 0, 0, 0, 1, 1, 0, 0])
