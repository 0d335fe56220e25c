import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.datasets.clip_windows import (
    cut_window,
    draw_window,
    grid_windows,
    rise_window,
    shows_movement,
    window_label,
)
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.expressions import Course
from dataset_helpers import SECOND_NS, some_clip

MS = 1_000_000
COURSE = Course(1000 * MS, 1300 * MS, 1800 * MS, 2200 * MS)
MICRO = Course(1000 * MS, 1060 * MS, None, 1200 * MS)


class TestLabel:
    @pytest.mark.parametrize(
        ("start_ms", "label", "why"),
        [
            (0, "neutral", "long before"),
            (500, "neutral", "up to the onset"),
            (550, "neutral", "a tenth of the window"),
            (600, None, "a fifth"),
            (740, None, "nearly half"),
            (750, "happy", "half"),
            (1000, "happy", "from the onset on"),
            (1250, "happy", "about the apex"),
            (1500, "happy", "apex held"),
            (1950, "happy", "half of it is left"),
            (2000, None, "less than half"),
            (2150, "neutral", "a tenth"),
            (2200, "neutral", "after it"),
            (9000, "neutral", "long after"),
        ],
    )
    def test_windows_of_half_a_second(self, start_ms, label, why):
        assert window_label(COURSE, "happy", start_ms * MS, (start_ms + 500) * MS) == label, why

    @pytest.mark.parametrize(
        ("start_ms", "label"),
        [(400, "neutral"), (510, "neutral"), (550, None), (560, "happy"), (1000, "happy"),
         (1100, "happy"), (1110, None), (1181, "neutral")],
    )  # fmt: skip
    def test_short_expressions_are_measured_by_themselves(self, start_ms, label):
        assert window_label(MICRO, "happy", start_ms * MS, (start_ms + 500) * MS) == label

    def test_clips_without_times_show_their_expression_throughout(self):
        assert window_label(None, "angry", 0, 1) == "angry"
        assert window_label(COURSE, "neutral", 0, 1) == "neutral"

    def test_an_expression_of_a_moment(self):
        moment = Course(5, 5, None, 5)
        assert window_label(moment, "sad", 0, 10) == "sad"
        assert window_label(moment, "sad", 6, 10) == "neutral"

    @given(start=st.integers(-4000, 4000), length=st.integers(1, 4000))
    def test_whole_expressions_are_always_shown(self, start, length):
        end = start + length
        label = window_label(Course(1000, 1300, 1800, 2200), "sad", start, end)
        if start <= 1000 and end >= 2200:
            assert label == "sad"
        if end <= 1000 or start >= 2200:
            assert label == "neutral"


class TestPlaces:
    def test_a_drawn_window_lies_anywhere_in_the_clip(self):
        rng = np.random.default_rng(0)
        starts = [draw_window(1000, rng, 400)[0] for _ in range(4000)]
        assert set(starts) == set(range(601))

    def test_a_short_clip_lies_anywhere_in_the_window(self):
        rng = np.random.default_rng(0)
        drawn = {draw_window(10, rng, 15) for _ in range(200)}
        assert drawn == {(start, start + 15) for start in range(-5, 1)}

    def test_the_same_generator_draws_the_same(self):
        first, second = (
            [draw_window(SECOND_NS, rng, 7) for _ in range(9)]
            for rng in (np.random.default_rng(3), np.random.default_rng(3))
        )
        assert first == second

    def test_a_grid(self):
        assert grid_windows(1000, 500, 200) == [(0, 500), (200, 700), (400, 900)]
        assert grid_windows(1000, 1000, 1) == [(0, 1000)]
        assert grid_windows(100, 300, 50) == [(-100, 200)]

    @pytest.mark.parametrize("length", [0, -5])
    def test_no_length(self, length):
        with pytest.raises(DatasetError, match="expected a positive length"):
            grid_windows(1000, length, 10)
        with pytest.raises(DatasetError, match="expected a positive length"):
            grid_windows(1000, 10, length)
        with pytest.raises(DatasetError, match="expected a positive length"):
            draw_window(1000, np.random.default_rng(0), length)


def test_a_window_holds_its_events_alone():
    clip = some_clip(n=1000)
    t = clip.events.t_ns
    start, end = int(t[100]), int(t[300])
    window = cut_window(clip, start, end)
    assert window.chunks[0].t_ns.tolist() == t[(t >= start) & (t < end)].tolist()
    assert (window.start_ns, window.end_ns, window.event_count) == (start, end, 200)
    assert cut_window(clip, -100, 0).event_count == 0
    assert cut_window(clip, 2 * SECOND_NS, 3 * SECOND_NS).event_count == 0


class TestMovement:
    @pytest.mark.parametrize(
        ("start_ms", "moves"),
        [
            (500, False),
            (574, False),
            (575, True),  # a quarter of the rise
            (1000, True),
            (1225, True),  # the last quarter of the rise
            (1230, False),
            (1250, False),  # held still
            (1399, False),
            (1400, True),  # a quarter of the release
            (2100, True),
            (2101, False),
        ],
    )
    def test_windows_of_half_a_second(self, start_ms, moves):
        assert shows_movement(COURSE, start_ms * MS, (start_ms + 500) * MS) is moves

    def test_without_a_release_there_is_only_the_rise(self):
        assert shows_movement(MICRO, 1000 * MS, 1500 * MS)
        assert not shows_movement(MICRO, 1100 * MS, 1600 * MS)


class TestRise:
    @pytest.mark.parametrize(
        ("duration_ms", "window_ms", "start_ms", "why"),
        [
            (3000, 500, 900, "about the middle of onset and apex"),
            (3000, 2400, 0, "not before the clip"),
            (1350, 500, 850, "not after the clip"),
            (2000, 2000, 0, "as long as the clip"),
            (2000, 2600, -300, "longer than the clip"),
        ],
    )
    def test_where_it_lies(self, duration_ms, window_ms, start_ms, why):
        window = rise_window(COURSE, duration_ms * MS, window_ms * MS)
        assert window == (start_ms * MS, (start_ms + window_ms) * MS), why

    def test_without_a_course_it_is_the_middle(self):
        assert rise_window(None, 2000 * MS, 500 * MS) == (750 * MS, 1250 * MS)

    def test_a_window_without_length_is_refused(self):
        with pytest.raises(DatasetError, match="positive length"):
            rise_window(COURSE, 2000 * MS, 0)
