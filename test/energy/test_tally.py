"""Sums over readings of known curves, and windows that begin and end between two readings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.energy import EnergyWindow, Mark, PowerReading, PowerSourceError, above_idle
from cs3d_ros.energy.tally import Tally, window_between


def reading(second: float, power_w: float, energy_j: float | None = None) -> PowerReading:
    return PowerReading(round(second * 1e9), ("VDD_IN",), (power_w,), power_w, False, energy_j)


def window(
    readings: list[PowerReading], begin_s: float, end_s: float, averaging_s: float = 0.0
) -> EnergyWindow:
    """The window between two times, each of which is marked before the reading that follows it."""
    tally = Tally()
    marks = [Mark(round(second * 1e9), 0) for second in (begin_s, end_s)]
    waiting = list(marks)
    for one in readings:
        while waiting and waiting[0].t_ns <= one.t_ns:
            tally.marks.append(waiting.pop(0))
        tally.add(one, None)
    assert not tally.marks, "marks that are known are not kept"
    return window_between(*marks, step_j=tally.step_j, averaging_s=averaging_s)


@given(
    st.lists(st.tuples(st.floats(0.001, 3.0), st.floats(0.0, 100.0)), min_size=2, max_size=20),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
)
def test_power_that_changes_evenly_is_integrated_exactly(
    steps: list[tuple[float, float]], one: float, other: float
) -> None:
    times = np.cumsum([gap for gap, _ in steps])
    powers = np.array([power for _, power in steps])
    begin, end = (times[0] + share * (times[-1] - times[0]) for share in sorted((one, other)))
    result = window([reading(t, p) for t, p in zip(times, powers, strict=True)], begin, end)
    inside = (times > begin) & (times < end)
    t = np.concatenate([[begin], times[inside], [end]])
    p = np.interp(t, times, powers)
    expected_j = float(np.sum((p[1:] + p[:-1]) / 2 * np.diff(t)))
    assert result.energy_j == pytest.approx(expected_j, rel=1e-6, abs=1e-5)
    assert result.duration_s == pytest.approx(end - begin, abs=1e-8)
    assert result.method == "trapezoid"


def test_a_window_within_one_interval_has_its_share() -> None:
    result = window([reading(0, 10), reading(2, 20)], 0.5, 1.0)
    assert result.energy_j == pytest.approx(0.5 * (12.5 + 15) / 2)
    assert result.samples == 0
    assert math.isnan(result.uncertainty_j)
    assert result.mean_power_w == pytest.approx(13.75)


def test_constant_power_leaves_nothing_uncertain() -> None:
    result = window([reading(t / 10, 7.0) for t in range(50)], 0.33, 4.25)
    assert result.energy_j == pytest.approx(7 * 3.92)
    assert result.uncertainty_j == 0
    assert result.samples == 39


def test_the_uncertainty_is_as_large_as_the_errors_are() -> None:
    """Bursts of 20 ms, 30 W above 5 W, sampled every 50 to 150 ms, in windows of 5 s."""
    rng = np.random.default_rng(3)
    errors, uncertainties = [], []
    for _ in range(300):
        phase, period = rng.uniform(0, 0.05), rng.uniform(0.045, 0.055)
        t = np.cumsum(rng.uniform(0.05, 0.15, 90))

        def is_on(t: np.ndarray, phase: float = phase, period: float = period) -> np.ndarray:
            return (t + phase) % period < 0.02

        readings = [reading(s, 5 + 30 * on) for s, on in zip(t, is_on(t), strict=True)]
        result = window(readings, 0.4, 5.4)
        grid = np.arange(0.4, 5.4, 1e-4)
        truth_j = 5 * 5 + 30 * float(is_on(grid).mean()) * 5
        errors.append(result.energy_j - truth_j)
        uncertainties.append(result.uncertainty_j)
    rms_j = float(np.sqrt(np.mean(np.square(errors))))
    stated_j = float(np.sqrt(np.mean(np.square(uncertainties))))
    assert 0.7 < stated_j / rms_j < 1.4
    assert stated_j == pytest.approx(10.4, rel=0.1)


def test_the_mean_of_a_second_is_uncertain_at_both_ends() -> None:
    """Idle at 10 W, then work at 30 W which the source shows a second late."""
    shown = [reading(t / 10, float(np.interp(t / 10, [3, 4], [10, 30]))) for t in range(100)]
    prompt = window(shown, 3.0, 8.0)
    late = window(shown, 3.0, 8.0, averaging_s=1.0)
    assert late.energy_j == prompt.energy_j == pytest.approx(20 + 120)
    # Half a second of what the power differs from its mean, 28 W, at either end.
    assert late.uncertainty_j == pytest.approx(math.hypot(9.0, 1.0), rel=0.05)
    assert late.uncertainty_j > 150 - late.energy_j - 1
    assert prompt.uncertainty_j < 1


def test_the_counter_of_the_device_goes_before_the_power() -> None:
    readings = [reading(t, 1000.0, 50.0 + 5 * t) for t in range(10)]
    result = window(readings, 1.5, 8.0)
    assert result.method == "counter"
    assert result.energy_j == pytest.approx(5 * 6.5)
    assert result.uncertainty_j == pytest.approx(5 / math.sqrt(6))


def test_all_the_time_is_as_uncertain_as_its_intervals_together() -> None:
    tally = Tally()
    assert math.isnan(tally.idle_uncertainty_w)
    for second in range(11):
        tally.add(reading(second, second % 2 * 2.0), idle_since_ns=0 if second < 6 else None)
    # Ten steps of 2 W within a second each, five of them idle.
    assert tally.uncertainty_j == pytest.approx(math.sqrt(10 * 2**2 / 2))
    assert tally.idle_uncertainty_w == pytest.approx(math.sqrt(5 * 2**2 / 2) / 5)
    counting = Tally()
    for second in range(11):
        counting.add(reading(second, second % 2 * 2.0, 3.0 * second), idle_since_ns=0)
    assert counting.uncertainty_j == pytest.approx(3 / math.sqrt(6))
    assert counting.idle_uncertainty_w == pytest.approx(3 / math.sqrt(6) / 10)


def test_a_counter_that_begins_again_is_bridged_by_the_power() -> None:
    counts = [100.0, 105.0, 2.0, 7.0, 12.0]
    readings = [reading(t, 5.0, count) for t, count in enumerate(counts)]
    result = window(readings, 0.0, 4.0)
    assert result.energy_j == pytest.approx(20)
    assert result.method == "trapezoid"


def test_a_counter_that_stands_still_is_no_measurement() -> None:
    with pytest.raises(PowerSourceError, match=r"did not move within 2 s; measure for longer"):
        window([reading(t, 5.0, 70.0) for t in range(5)], 1.0, 3.0)


def test_a_loss_between_begin_and_end_is_no_measurement() -> None:
    tally = Tally()
    begin, end = Mark(round(0.5e9), 0), Mark(round(3.5e9), 1)
    tally.add(reading(0, 1), None)
    tally.marks.append(begin)
    tally.add(reading(1, 1), None)
    tally.lose("unplugged")
    tally.add(reading(3, 1), None)
    tally.marks.append(end)
    tally.add(reading(4, 1), None)
    assert begin.edge is not None
    assert end.edge is not None
    with pytest.raises(PowerSourceError, match="lost while energy was measured"):
        window_between(begin, end, step_j=0.0, averaging_s=0.0)


@pytest.mark.parametrize("how", ["lost", "stopped"])
def test_marks_that_wait_learn_why_they_wait_in_vain(how: str) -> None:
    tally = Tally()
    tally.add(reading(0, 1), None)
    mark = Mark(round(0.5e9), 0)
    tally.marks.append(mark)
    if how == "lost":
        tally.lose("unplugged")
    else:
        tally.stop()
    assert mark.edge is None
    assert not tally.marks
    with pytest.raises(PowerSourceError, match="unplugged" if how == "lost" else "was stopped"):
        window_between(mark, mark, step_j=0.0, averaging_s=0.0)


def test_energy_above_idle_takes_off_idle_power_for_as_long() -> None:
    work = EnergyWindow(100.0, 3.0, 10.0, 100, "trapezoid")
    idle = EnergyWindow(8.0, 0.8, 2.0, 20, "trapezoid")
    assert above_idle(work, idle) == (pytest.approx(60.0), pytest.approx(5.0))
