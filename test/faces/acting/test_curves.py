import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.faces.acting.curves import (
    minimum_jerk,
    pulse,
    soft_limit,
    sway,
    swing,
    through_keys,
    united,
)

TIME = np.arange(0.0, 4.0, 0.001)


class TestMinimumJerk:
    def test_it_goes_from_0_to_1_and_starts_and_ends_at_rest(self):
        way = minimum_jerk(np.linspace(-0.5, 1.5, 2001))
        assert way[0] == 0
        assert way[-1] == 1
        assert way[1000] == 0.5
        assert way.max() == 1
        assert (np.diff(way) >= 0).all()
        speed = np.diff(way) * 1000
        assert speed.max() == pytest.approx(1.875, abs=1e-3)  # 15 / 8, in the middle
        assert abs(speed[500]) < 1e-4
        assert abs(speed[1499]) < 1e-4


class TestThroughKeys:
    def test_values_are_held_between_movements(self):
        values = through_keys(TIME, np.array([0.0, 1.0, 2.0]), np.full(3, 0.5), np.array([3, 5, 4]))
        assert (values[TIME < 1.0] == 3).all()
        assert (values[(TIME >= 1.5) & (TIME < 2.0)] == 5).all()
        assert (values[TIME >= 2.5] == 4).all()
        assert values[1250] == pytest.approx(4.0)

    def test_a_movement_that_has_no_time_is_quicker_and_nothing_jumps(self):
        start = np.array([0.0, 1.0, 1.1, 3.0])
        values = through_keys(TIME, start, np.full(4, 1.5), np.array([0.0, 1.0, 0.0, 1.0]))
        assert np.abs(np.diff(values)).max() < 1.9 * 0.001 / 0.1 * 1.01

    def test_rows_move_together(self):
        values = through_keys(
            TIME, np.array([0.0, 1.0]), np.array([0.1, 0.5]), np.array([[0.0, 1.0], [2.0, 0.0]])
        )
        assert values.shape == (len(TIME), 2)
        np.testing.assert_allclose(values[:, 0], 2 * (1 - values[:, 1]))

    def test_before_the_first_key_is_the_first_value(self):
        values = through_keys(
            TIME, np.array([1.0, 2.0]), np.array([0.5, 0.5]), np.array([7.0, 8.0])
        )
        assert (values[TIME < 2.0] == 7).all()


class TestPulse:
    def test_it_rises_holds_and_falls(self):
        where, height = pulse(TIME, 1.0, 0.2, 0.5, 0.3)
        assert TIME[where][0] == pytest.approx(1.0)
        assert TIME[where][-1] == pytest.approx(1.999, abs=0.0011)
        time = TIME[where]
        assert (height[(time > 1.201) & (time < 1.699)] == 1).all()
        assert height[0] < 1e-6
        assert height[-1] < 1e-3

    def test_one_outside_of_the_clip_covers_nothing(self):
        for start in (-3.0, 5.0):
            where, height = pulse(TIME, start, 0.2, 0.5, 0.3)
            assert len(height) == 0
            assert len(TIME[where]) == 0

    def test_one_that_began_before_is_cut(self):
        where, height = pulse(TIME, -0.35, 0.2, 0.5, 0.3)
        assert where.start == 0
        assert height[0] == 1

    def test_one_that_stays_ends_with_the_clip(self):
        where, height = pulse(TIME, 3.0, 0.5, np.inf, 1.0)
        assert where.stop == len(TIME)
        assert height[-1] == 1


class TestSwing:
    def test_it_has_the_cycles_and_the_frequency_asked_for(self):
        where, height = swing(TIME, 0.5, 2.0, 4.0)
        assert len(height) == 2000
        assert where.start == 500
        assert np.count_nonzero(np.diff(np.sign(height[1:]))) == 7
        assert 0.9 < np.abs(height).max() <= 1


class TestSway:
    def test_it_has_unit_deviation_and_stays_in_its_band(self):
        time = np.arange(0.0, 200.0, 0.01)
        values = sway(time, np.random.default_rng(1), 2.0, 6.0, 3)
        assert values.std(axis=0) == pytest.approx([1, 1, 1], abs=0.03)
        power = np.abs(np.fft.rfft(values[:, 0] * np.hanning(len(time)))) ** 2
        frequency = np.fft.rfftfreq(len(time), 0.01)
        inside = power[(frequency > 1.9) & (frequency < 6.1)].sum()
        assert inside / power.sum() > 0.999

    def test_the_same_motion_is_seen_at_any_rate(self):
        slow = sway(np.arange(100) / 50.0, np.random.default_rng(2), 0.5, 8.0, 2)
        fast = sway(np.arange(200) / 100.0, np.random.default_rng(2), 0.5, 8.0, 2)
        np.testing.assert_allclose(fast[::2], slow, atol=1e-9)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_united_weights_stay_within_0_and_1_and_are_at_least_the_greatest(weights):
    total = united(*(np.array([w]) for w in weights))
    assert -1e-12 <= total[0] <= 1 + 1e-12
    assert total[0] >= max(weights) - 1e-12


@given(st.floats(-1e6, 1e6), st.floats(0.1, 10))
def test_soft_limits_are_kept_and_small_values_hardly_changed(value, limit):
    limited = soft_limit(np.array([value]), limit)[0]
    assert abs(limited) <= limit
    assert abs(limited) <= abs(value) + 1e-12
    if abs(value) < 0.3 * limit:
        assert limited == pytest.approx(value, rel=0.03)
