import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.faces.acting.time_course import SHORTEST_S, Timing, draw_envelopes, draw_timing
from cs3d_ros.faces.errors import FaceError

SEEDS = st.integers(0, 2**32)
INTENSITIES = st.sampled_from(["full", "micro"])


class TestTiming:
    @given(SEEDS, INTENSITIES, st.floats(SHORTEST_S, 5.0))
    def test_parts_are_in_order_and_end_in_time(self, seed, intensity, longest):
        t = draw_timing(np.random.default_rng(seed), intensity, longest)
        assert 0 == t.onset_s < t.apex_s < t.release_s < t.offset_s <= longest * (1 + 1e-9)
        assert t.offset_s - t.release_s >= 1.09 * (t.apex_s - t.onset_s)

    def test_full_expressions_take_half_a_second_to_four(self):
        drawn = [draw_timing(np.random.default_rng(i), "full") for i in range(500)]
        total = np.array([t.offset_s for t in drawn])
        onset = np.array([t.apex_s for t in drawn])
        assert 0.5 <= total.min() < 1.0
        assert 2.8 < total.max() <= 4.0
        assert 0.19 < onset.min() < 0.25
        assert 0.6 < onset.max() < 0.7

    def test_micro_expressions_are_over_within_half_a_second(self):
        drawn = [draw_timing(np.random.default_rng(i), "micro") for i in range(500)]
        assert max(t.offset_s for t in drawn) <= 0.5
        assert min(t.offset_s for t in drawn) >= 0.2
        assert max(t.apex_s for t in drawn) < 0.26

    @pytest.mark.parametrize("longest", [0.0, -1.0, 0.19, float("nan")])
    def test_no_time_at_all_is_refused(self, longest):
        with pytest.raises(FaceError, match=r"expected at least 0\.2 s"):
            draw_timing(np.random.default_rng(0), "full", longest)

    def test_the_course_is_in_nanoseconds(self):
        course = Timing(0.5, 0.75, 1.0, 1.5).course(2.0)
        assert (course.onset_ns, course.apex_ns) == (500_000_000, 750_000_000)
        assert (course.release_ns, course.offset_ns) == (1_000_000_000, 1_500_000_000)

    def test_a_clip_that_ends_before_shows_a_part(self):
        course = Timing(0.5, 0.75, 1.0, 1.5).course(1.25)
        assert (course.release_ns, course.offset_ns) == (1_000_000_000, 1_250_000_000)
        course = Timing(0.5, 0.75, 1.0, 1.5).course(0.9)
        assert (course.release_ns, course.offset_ns) == (None, 900_000_000)


class TestEnvelopes:
    @settings(deadline=None)
    @given(SEEDS, INTENSITIES, st.integers(1, 8))
    def test_they_keep_what_the_timing_says(self, seed, intensity, units):
        rng = np.random.default_rng(seed)
        timing = draw_timing(rng, intensity).moved(0.3)
        time = np.linspace(0.0, 5.0, 5001)
        shares = draw_envelopes(time, rng, timing, units)
        assert shares.shape == (5001, units)
        assert shares.min() >= 0
        assert shares.max() <= 1
        assert (shares[time <= timing.onset_s] == 0).all()
        assert (shares[time >= timing.offset_s] == 0).all()
        assert (shares[(time >= timing.apex_s) & (time <= timing.release_s)] >= 0.92 - 1e-9).all()

    def test_the_first_unit_moves_at_the_onset_and_others_later(self):
        timing = Timing(0.0, 0.5, 1.5, 2.5)
        time = np.arange(0, 3, 0.001)
        shares = draw_envelopes(time, np.random.default_rng(4), timing, 5)
        begins = time[(shares > 0.001).argmax(axis=0)]
        assert begins[0] == begins.min()
        assert begins[0] < 0.06
        assert 0.02 < begins.max() - begins.min() < 0.12
        ends = time[len(time) - 1 - (shares > 1e-6)[::-1].argmax(axis=0)]
        assert ends.max() > 2.4
        assert ends.max() - ends.min() > 0.02

    def test_nothing_jumps(self):
        timing = Timing(0.1, 0.4, 1.0, 1.6)
        time = np.arange(0, 2, 0.001)
        for seed in range(50):
            shares = draw_envelopes(time, np.random.default_rng(seed), timing, 4)
            # Two steps within 0.3 s are the quickest there is.
            assert np.abs(np.diff(shares, axis=0)).max() < 0.04

    def test_some_rise_in_two_steps(self):
        timing = Timing(0.0, 0.6, 1.0, 2.0)
        time = np.arange(0.05, 0.55, 0.001)
        stepped = 0
        for seed in range(200):
            rise = draw_envelopes(time, np.random.default_rng(seed), timing, 1)[:, 0]
            held = (np.diff(rise) < 1e-9) & (rise[1:] > 0.25) & (rise[1:] < 0.75)
            stepped += held.sum() > 20
        assert 40 <= stepped <= 80

    def test_what_is_drawn_does_not_depend_on_the_times(self):
        timing = Timing(0.1, 0.4, 1.0, 1.6)
        slow = draw_envelopes(np.arange(100) / 50, np.random.default_rng(3), timing, 3)
        fast = draw_envelopes(np.arange(200) / 100, np.random.default_rng(3), timing, 3)
        np.testing.assert_allclose(fast[::2], slow, atol=1e-9)
