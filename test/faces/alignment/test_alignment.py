import math

import numpy as np
import pytest

from cs3d_ros.faces.alignment.alignment import AlignSettings, plan_alignment
from cs3d_ros.faces.alignment.tracking import Track
from cs3d_ros.faces.errors import FaceError

STILL = (100.0, 80.0, 60.0, 0.1)


def track(rows, rate=100.0, times=None, width=200, height=160):
    rows = np.array(rows, float)
    times = np.arange(len(rows)) / rate if times is None else np.array(times)
    return Track(times, rows, 0, width, height)


def still(n, jitter=0.0, seed=0):
    noise = np.random.default_rng(seed).normal(size=(n, 4))
    return np.array(STILL) + jitter * noise * [1, 1, 1, 1 / 60]


def nodding(times):
    """A head that moves as heads do, at up to 0.7 Hz."""
    t = np.asarray(times)
    return np.column_stack(
        [
            100 + 15 * np.sin(2 * np.pi * 0.5 * t),
            80 + 8 * np.sin(2 * np.pi * 0.7 * t + 1),
            60 * (1 + 0.1 * np.sin(2 * np.pi * 0.3 * t)),
            0.2 * np.sin(2 * np.pi * 0.5 * t + 2),
        ]
    )


class TestSmoothing:
    def test_a_shaking_still_face_comes_to_rest(self):
        rows = still(300, jitter=0.5)
        place = plan_alignment(track(rows)).place
        assert np.abs(np.diff(rows[:, 0])).mean() / np.abs(np.diff(place[:, 0])).mean() > 15
        assert place[:, 0] == pytest.approx(100, abs=0.8)

    @pytest.mark.parametrize("rate", [25.0, 100.0, 200.0])
    def test_a_moving_head_is_followed_closely(self, rate):
        t = np.arange(int(4 * rate)) / rate
        place = plan_alignment(track(nodding(t), rate)).place
        assert np.abs(place - nodding(t)).max(axis=0) == pytest.approx([0, 0, 0, 0], abs=0.1)

    def test_it_has_no_delay(self):
        t = np.arange(400) / 100
        place = plan_alignment(track(nodding(t)), AlignSettings(smoothing_s=0.3)).place
        backwards = plan_alignment(track(nodding(t)[::-1]), AlignSettings(smoothing_s=0.3)).place
        assert place == pytest.approx(backwards[::-1], abs=1e-4)

    def test_steady_motion_stays_as_it_is_up_to_the_ends(self):
        rows = np.array([[10 + 0.5 * i, 20 - 0.1 * i, 60, 0.01 * i] for i in range(50)])
        assert plan_alignment(track(rows)).place == pytest.approx(rows, abs=1e-9)

    def test_frames_of_varying_times_are_weighted_by_time(self):
        times = np.cumsum(np.random.default_rng(1).uniform(0.005, 0.06, 200))
        place = plan_alignment(track(nodding(times), times=times)).place
        assert np.abs(place - nodding(times)).max(axis=0) == pytest.approx([0, 0, 0, 0], abs=0.4)

    def test_none_leaves_every_frame_as_found(self):
        rows = still(20, jitter=0.2)
        assert plan_alignment(track(rows), AlignSettings(smoothing_s=0)).place == pytest.approx(
            rows
        )

    def test_an_infinite_one_holds_the_median(self):
        rows = still(21, jitter=0.2)
        place = plan_alignment(track(rows), AlignSettings(smoothing_s=math.inf)).place
        assert np.ptp(place, axis=0).tolist() == [0, 0, 0, 0]
        assert place[0, 0] == pytest.approx(np.median(rows[:, 0]))

    def test_a_head_that_turns_over_is_followed_through_half_a_turn(self):
        roll = np.linspace(3.0, 3.4, 60)
        rows = np.column_stack([np.full((60, 2), 80.0), np.full(60, 50.0), roll])
        rows[:, 3] = (rows[:, 3] + np.pi) % (2 * np.pi) - np.pi
        assert np.diff(plan_alignment(track(rows)).place[:, 3]) == pytest.approx(0.4 / 59, abs=1e-6)

    @pytest.mark.parametrize("n", [1, 2, 3])
    def test_few_frames_are_enough(self, n):
        alignment = plan_alignment(track(still(n)))
        assert alignment.place == pytest.approx(still(n))
        assert bool([r for r in alignment.remarks() if "single frame" in r]) == (n == 1)


class TestOutliers:
    def test_a_jump_of_one_frame_is_left_out(self):
        rows = still(100, jitter=0.1)
        rows[50] = (130, 60, 90, 0.8)
        alignment = plan_alignment(track(rows))
        assert alignment.rejected == 1
        assert alignment.found == 99
        assert alignment.place[50] == pytest.approx(STILL, abs=0.3)

    def test_one_at_the_very_end_is_left_out_too(self):
        rows = still(100, jitter=0.1)
        rows[-1, 0] = 150
        assert plan_alignment(track(rows)).place[-1, 0] == pytest.approx(100, abs=0.5)

    def test_quick_motion_is_not_taken_for_one(self):
        t = np.arange(200) / 100
        rows = still(200)
        rows[:, 0] += 25 * np.sin(2 * np.pi * 2.0 * t)
        assert plan_alignment(track(rows)).rejected == 0

    def test_a_face_that_moves_to_another_place_is_not_taken_for_one(self):
        rows = still(100)
        rows[50:, 0] += 20
        assert plan_alignment(track(rows)).rejected == 0

    @pytest.mark.parametrize("n", [5, 100])
    def test_a_face_that_jumps_in_every_frame_is_an_error(self, n):
        """Each number jumps in a fourth of the frames only, but some number in each."""
        rows = still(n)
        for column, jump in enumerate((10.0, 10.0, 10.0, 0.3)):
            rows[column::4, column] += jump
        with pytest.raises(FaceError, match="jumps in every frame"):
            plan_alignment(track(rows), cut=True)


class TestGaps:
    def test_a_short_one_is_bridged(self):
        t = np.arange(200) / 100
        rows = nodding(t)
        rows[80:110] = np.nan
        alignment = plan_alignment(track(rows))
        assert alignment.longest_gap_s == pytest.approx(0.31)
        assert alignment.found == 170
        assert alignment.place[:, 0] == pytest.approx(nodding(t)[:, 0], abs=2.5)
        assert "no face in 30 of 200 frames, at most for 0.31 s" in alignment.remarks()[0]

    def test_a_long_one_is_an_error_that_says_where(self):
        rows = still(200)
        rows[50:120] = np.nan
        with pytest.raises(FaceError, match=r"lost from 0\.49 to 1\.20 s; at most 0\.5 s"):
            plan_alignment(track(rows))

    def test_the_longest_stretch_is_cut_out_where_asked_for(self):
        rows = still(300)
        rows[50:120] = np.nan
        rows[200:260] = np.nan
        alignment = plan_alignment(track(rows), cut=True)
        assert alignment.first == 120
        assert alignment.time_s == pytest.approx(np.arange(120, 200) / 100)
        assert alignment.remarks()[0] == "220 of 300 frames left out: no face there"

    def test_more_than_one_are_counted(self):
        rows = still(300)
        rows[50:120] = np.nan
        rows[200:260] = np.nan
        with pytest.raises(FaceError, match="and in 1 more such gap"):
            plan_alignment(track(rows))

    def test_a_face_that_comes_late_or_leaves_early_is_held_for_as_long(self):
        rows = still(200)
        rows[:40] = np.nan
        rows[-40:] = np.nan
        alignment = plan_alignment(track(rows))
        assert len(alignment) == 200
        assert alignment.longest_gap_s == pytest.approx(0.40)
        assert alignment.place == pytest.approx(still(200))

    @pytest.mark.parametrize("lost", [slice(0, 60), slice(-60, None)])
    def test_one_that_comes_too_late_or_leaves_too_early_is_an_error(self, lost):
        rows = still(200)
        rows[lost] = np.nan
        with pytest.raises(FaceError, match="is lost from"):
            plan_alignment(track(rows))
        assert len(plan_alignment(track(rows), cut=True)) == 140

    def test_a_slow_video_has_no_gaps(self):
        assert len(plan_alignment(track(still(10), rate=1.0))) == 10


def test_a_cut_beyond_the_border_is_remarked_upon():
    alignment = plan_alignment(track(still(10), width=120, height=160))
    assert alignment.outside == 1
    assert any("beyond the picture in 100% of the frames" in r for r in alignment.remarks())


def test_a_small_face_is_remarked_upon():
    rows = still(9) * [1, 1, 0.5, 1]
    assert plan_alignment(track(rows)).remarks() == ["the face is only 30 pixels wide: enlarged"]


def test_nothing_to_say_of_a_good_video():
    assert plan_alignment(track(still(20))).remarks() == []


@pytest.mark.parametrize(
    "bad",
    [
        {"size": 8},
        {"size": 4096},
        {"face_share": 0.0},
        {"face_share": 1.5},
        {"smoothing_s": -1.0},
        {"smoothing_s": 61.0},
        {"smoothing_s": math.nan},
        {"max_gap_s": -0.1},
        {"max_gap_s": math.nan},
    ],
)
def test_settings_out_of_range_are_refused(bad):
    with pytest.raises(FaceError, match=f"{next(iter(bad))} is"):
        AlignSettings(**bad)
