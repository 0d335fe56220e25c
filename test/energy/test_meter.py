"""Joules from readings whose integral is known."""

import math
import threading
import time
from collections.abc import Iterator

import pytest

from cs3d_ros.energy import EnergyMeter, PowerReading, PowerSourceError, open_source
from cs3d_ros.energy import meter as meter_module
from fake_tools import FakeTools, wait_until


class ScriptedSource:
    """Each start plays one run of (second, watt) readings and then fails; the last one waits."""

    name = "scripted"
    scope = "module"
    averaging_s = 0.0

    def __init__(self, *runs: list[tuple[float, float]]) -> None:
        self._runs = iter(runs)
        self._readings: Iterator[tuple[float, float]] = iter(())
        self._last = False
        self._stopped = threading.Event()
        self.epoch_ns = time.monotonic_ns()

    def start(self) -> None:
        self._stopped.clear()
        run = next(self._runs, None)
        self._last = run is None
        self._readings = iter(run or ())

    def read(self, timeout_s: float) -> PowerReading:
        sample = next(self._readings, None)
        if sample is None:
            if self._last:
                self._stopped.wait(timeout_s)
            raise PowerSourceError("the run is over")
        second, power_w = sample
        return PowerReading(
            self.epoch_ns + round(second * 1e9), ("VDD_IN",), (power_w,), power_w, False
        )

    def stop(self) -> None:
        self._stopped.set()


def test_intervals_of_any_length_count_by_the_trapezoidal_rule() -> None:
    with EnergyMeter(ScriptedSource([(0, 2), (1, 4), (1.5, 4), (3.5, 0)])) as meter:
        wait_until(lambda: meter.snapshot().state == "lost")
        snapshot = meter.snapshot()
    assert snapshot.energy_j == pytest.approx(3 + 2 + 4)
    assert snapshot.covered_s == pytest.approx(3.5)
    assert snapshot.samples == 4
    assert snapshot.sample_period_s == pytest.approx(3.5 / 3)
    assert snapshot.reading is not None
    assert snapshot.reading.power_w == 0


def test_a_loss_is_told_and_nothing_is_integrated_across_it() -> None:
    source = ScriptedSource([(0, 10), (1, 10)], [(60, 20), (61, 20)])
    with EnergyMeter(source, backoff_s=0.05) as meter:
        wait_until(lambda: meter.snapshot().losses == 1)
        lost = meter.snapshot()
        assert (lost.state, lost.error, lost.energy_j) == ("lost", "the run is over", 10)
        wait_until(lambda: meter.snapshot().samples == 4)
        snapshot = meter.snapshot()
    assert snapshot.energy_j == pytest.approx(10 + 20)
    assert snapshot.covered_s == pytest.approx(2)
    assert meter.snapshot().state == "stopped"
    assert meter.snapshot().error == ""
    assert meter.snapshot().energy_j == pytest.approx(30)


def test_unknown_numbers_are_nan_until_they_are_known() -> None:
    meter = EnergyMeter(ScriptedSource())
    assert meter.snapshot().state == "stopped"
    with meter:
        snapshot = meter.snapshot()
    assert snapshot.state == "starting"
    assert snapshot.reading is None
    assert snapshot.energy_j == 0
    assert math.isnan(snapshot.age_s)
    assert math.isnan(snapshot.sample_period_s)
    assert math.isnan(snapshot.idle_power_w)


def test_a_new_start_counts_from_zero() -> None:
    meter = EnergyMeter(ScriptedSource([(0, 1), (1, 1)], [(2, 5), (3, 5)]))
    for energy_j in (1, 5):
        with meter:
            wait_until(lambda: meter.snapshot().samples == 2)
        assert meter.snapshot().energy_j == pytest.approx(energy_j)


def test_idle_power_is_the_mean_over_the_time_marked_idle() -> None:
    # The readings' times are relative to now: those before it precede the mark.
    source = ScriptedSource([(-2, 50), (-1, 50), (1, 4), (2, 4), (4, 7)], [(5, 50), (6, 50)])
    meter = EnergyMeter(source, backoff_s=0.2)
    meter.mark_idle()
    with meter:
        wait_until(lambda: meter.snapshot().losses == 1)
        meter.mark_busy()
        assert meter.snapshot().idle_power_w == pytest.approx((4 + 11) / 3)
        wait_until(lambda: meter.snapshot().samples == 7)
        assert meter.snapshot().idle_power_w == pytest.approx((4 + 11) / 3)


def test_waiting_for_a_lost_source_costs_no_time() -> None:
    with EnergyMeter(ScriptedSource([]), backoff_s=30) as meter:
        wait_until(lambda: meter.snapshot().state == "lost")
        began = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - began < 0.1


def test_stopping_does_not_wait_for_the_back_off_nor_the_time_out() -> None:
    for source in (ScriptedSource([]), ScriptedSource()):
        meter = EnergyMeter(source, timeout_s=30, backoff_s=30)
        meter.start()
        time.sleep(0.05)
        began = time.monotonic()
        meter.stop()
        assert time.monotonic() - began < 2


WAVE = """
while True:
    t = time.monotonic()
    {line}
    time.sleep(interval_s - t % interval_s)
"""
# So long that a tool or a reader that gets its core 20 ms late is no error of one percent.
PERIOD_S = 0.8
OMEGA = 2 * math.pi / PERIOD_S
MILLIWATTS = f"10_000 + 4_000 * math.sin({OMEGA} * t)"


def expected_j(begin_s: float, end_s: float) -> float:
    return 10 * (end_s - begin_s) + 4 / OMEGA * (
        math.cos(OMEGA * begin_s) - math.cos(OMEGA * end_s)
    )


@pytest.mark.parametrize(
    ("tool", "line"),
    [
        ("tegrastats", f'say(f"VDD_IN {{{MILLIWATTS}:.0f}}mW/1mW VDD_SOC 1mW/1mW")'),
        ("nvidia-smi", f'say(f"0, {{({MILLIWATTS}) / 1000:.2f}}")'),
    ],
    ids=["tegrastats", "nvidia-smi"],
)
def test_the_energy_of_a_known_curve_is_right_to_one_percent(
    tools: FakeTools, tool: str, line: str
) -> None:
    tools.install(tool, WAVE.format(line=line))
    with EnergyMeter(open_source(tool, 10)) as meter:
        # Not a whole number of periods, so that the wave itself has to be integrated.
        wait_until(lambda: meter.snapshot().covered_s > 1.25 * PERIOD_S)
        first = meter.snapshot()
        wait_until(lambda: meter.snapshot().covered_s > 2.75 * PERIOD_S)
        snapshot = meter.snapshot()
    for part in (first, snapshot):
        assert part.reading is not None
        end_s = part.reading.t_ns * 1e-9
        expected = expected_j(end_s - part.covered_s, end_s)
        assert part.energy_j == pytest.approx(expected, rel=0.01)
    assert 0.009 < snapshot.sample_period_s < 0.05
    assert snapshot.age_s < 1


def test_a_window_of_a_known_curve_is_right_to_one_percent(tools: FakeTools) -> None:
    tools.install("tegrastats", WAVE.format(line=f'say(f"VDD_IN {{{MILLIWATTS}:.0f}}mW/1mW")'))
    calls = []
    with EnergyMeter(open_source("tegrastats", 10)) as meter:
        begin = meter.begin(lambda: calls.append("begin"))
        time.sleep(2.3 * PERIOD_S)
        window = meter.end(begin, lambda: calls.append("end"))
    assert calls == ["begin", "end"]
    begin_s = begin.t_ns * 1e-9
    expected = expected_j(begin_s, begin_s + window.duration_s)
    assert window.energy_j == pytest.approx(expected, rel=0.01)
    assert window.uncertainty_j < 0.02 * window.energy_j
    assert window.mean_power_w == pytest.approx(10, abs=2)


def test_bursts_between_garbage_and_missing_values_are_right_to_one_percent(
    tools: FakeTools,
) -> None:
    """10 W, and bursts of up to 40 W more: the upper halves of a sine."""
    tools.install(
        "nvidia-smi",
        WAVE.format(
            line=f"""
    watts = 10 + 40 * max(0.0, math.sin({OMEGA} * t))
    k = round(t / interval_s)
    say("0, [N/A]" if k % 7 == 0 else f"0, {{watts:.2f}}")
    if k % 5 == 0:
        say("1, 300.00")
        say("\\x00, Unknown Error")
"""
        ),
    )
    with EnergyMeter(open_source("nvidia-smi", 10)) as meter:
        begin = meter.begin()
        time.sleep(2.6 * PERIOD_S)
        window = meter.end(begin)

    def until_j(t: float) -> float:
        whole, rest = divmod(OMEGA * t, 2 * math.pi)
        return 10 * t + 40 / OMEGA * (2 * whole + 1 - math.cos(min(rest, math.pi)))

    begin_s = begin.t_ns * 1e-9
    expected = until_j(begin_s + window.duration_s) - until_j(begin_s)
    # Arrivals that are late by 20 ms at 50 W.
    assert window.energy_j == pytest.approx(expected, rel=0.01, abs=0.8)
    assert window.samples > 50


def test_a_window_whose_source_was_lost_is_none(tools: FakeTools) -> None:
    tools.install(
        "tegrastats",
        """
for _ in range(20):
    say("VDD_IN 1000mW/1000mW")
    time.sleep(interval_s)
""",
    )
    with EnergyMeter(open_source("tegrastats", 10), backoff_s=0.05) as meter:
        begin = meter.begin()
        wait_until(lambda: meter.snapshot().losses >= 1)
        wait_until(lambda: meter.snapshot().state == "running")
        with pytest.raises(PowerSourceError, match=r"was lost while energy was measured"):
            meter.end(begin)


def test_a_window_does_not_begin_without_a_reading() -> None:
    with (
        EnergyMeter(ScriptedSource([]), backoff_s=30) as meter,
        pytest.raises(PowerSourceError, match=r"to begin with: the run is over"),
    ):
        meter.begin(timeout_s=0.2)
    began = time.monotonic()
    with pytest.raises(PowerSourceError, match=r"the energy meter is stopped"):
        meter.begin(timeout_s=30.0)
    assert time.monotonic() - began < 10


def test_a_window_does_not_reach_from_one_start_into_the_next(tools: FakeTools) -> None:
    tools.install("tegrastats", WAVE.format(line='say("VDD_IN 1000mW/1mW")'))
    meter = EnergyMeter(open_source("tegrastats", 10))
    with meter:
        begin = meter.begin()
        meter.end(begin)
    with pytest.raises(PowerSourceError, match=r"the energy meter is stopped"):
        meter.end(begin)
    with meter:
        meter.begin()
        with pytest.raises(PowerSourceError, match=r"stopped since the begin"):
            meter.end(begin)


class HangingSource(ScriptedSource):
    """Gives one reading; then it hangs in its driver, and does not hear `stop`."""

    def __init__(self) -> None:
        super().__init__()
        self.comes_back = threading.Event()
        self.reads = 0

    def start(self) -> None:
        pass

    def read(self, timeout_s: float) -> PowerReading:
        self.reads += 1
        if self.reads > 1:
            self.comes_back.wait()
        return PowerReading(time.monotonic_ns(), ("VDD_IN",), (1.0,), 1.0, False)


def test_a_sensor_that_hangs_is_told_and_does_not_keep_the_meter_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(meter_module, "_GRACE_S", 0.1)
    source = HangingSource()
    meter = EnergyMeter(source, timeout_s=0.2)
    meter.start()
    meter.begin()
    wait_until(lambda: meter.snapshot().state == "lost")
    assert "scripted: no reading for" in meter.snapshot().error
    began = time.monotonic()
    meter.stop()
    assert time.monotonic() - began < 10
    assert meter.snapshot().state == "stopped"
    # Should it come back, nothing counts any more.
    source.comes_back.set()
    wait_until(lambda: not any(thread.name == "energy meter" for thread in threading.enumerate()))
    assert (meter.snapshot().state, meter.snapshot().samples) == ("stopped", 1)


class FadingSource(ScriptedSource):
    """Gives one reading, then none."""

    def __init__(self) -> None:
        super().__init__()
        self._has_read = False

    def start(self) -> None:
        pass

    def read(self, timeout_s: float) -> PowerReading:
        if self._has_read:
            time.sleep(0.05)
            raise PowerSourceError("it faded")
        self._has_read = True
        return PowerReading(time.monotonic_ns(), ("VDD_IN",), (1.0,), 1.0, False)


def test_a_window_that_waits_for_its_end_learns_that_the_source_is_lost() -> None:
    with EnergyMeter(FadingSource()) as meter:
        begin = meter.begin()
        with pytest.raises(PowerSourceError, match=r"it faded"):
            meter.end(begin)


def test_a_tool_that_keeps_dying_is_kept_running(tools: FakeTools) -> None:
    tools.install(
        "tegrastats",
        """
for _ in range(5):
    say("VDD_IN 1000mW/1000mW")
    time.sleep(interval_s)
sys.exit(4)
""",
    )
    with EnergyMeter(open_source("tegrastats", 10), backoff_s=0.1) as meter:
        wait_until(lambda: meter.snapshot().losses >= 1)
        assert "exit status 4" in meter.snapshot().error
        began = time.monotonic()
        wait_until(lambda: meter.snapshot().losses >= 3)
        elapsed_s = time.monotonic() - began
        snapshot = meter.snapshot()
    assert snapshot.energy_j == pytest.approx(snapshot.covered_s)
    assert snapshot.covered_s < elapsed_s
    assert not tools.living()
