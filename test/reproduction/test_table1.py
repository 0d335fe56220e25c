"""Joules of an inference from powers that are known."""

import itertools
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from cs3d_ros.energy import EnergyMeter, PowerReading, PowerSourceError
from cs3d_ros.energy.polled import PolledPowerSource
from cs3d_ros.reproduction.table1.measure import ATTEMPTS, measure
from cs3d_ros.reproduction.table1.settings import settings
from reproduction_helpers import energy_window, table1_of, turns

QUICK = settings(device="cpu", size=32, repeats=2, seconds=0.02, lead_in_s=0.0, threads=1)


class Load:
    """What the device draws, by what runs on it."""

    idle_w = 2.0
    busy_w = {"c3d": 6.0, "cs3d": 3.0}  # noqa: RUF012

    def __init__(self):
        self.power_w = self.idle_w
        self.calls = []
        self.closed = []

    def make(self, name, device, precision, size, threads):
        return Subject(self, name)


class Subject:
    """Draws its power from its first inference until it is waited for."""

    def __init__(self, load, name):
        self.load, self.name = load, name

    def prepare(self, batch):
        self.load.calls.append(("prepare", batch))

    def infer(self):
        self.load.power_w = self.load.busy_w[self.name]
        self.load.calls.append(self.name)
        time.sleep(0.005)

    def synchronize(self):
        self.load.power_w = self.load.idle_w

    def begin_memory(self):
        self.load.calls.append(f"begin {self.name}")

    def peak_memory_bytes(self):
        return None

    def close(self):
        self.load.closed.append(self.name)


class LoadSource(PolledPowerSource):
    """Reads the load."""

    name = "load"
    scope = "module"

    def __init__(self, load):
        super().__init__(5)
        self.load = load

    def open(self):
        pass

    def close(self):
        pass

    def sample(self):
        power_w = self.load.power_w
        return PowerReading(time.monotonic_ns(), ("VDD_IN",), (power_w,), power_w, False)


class ScriptedMeter:
    """Gives one window after another; an error is raised."""

    def __init__(self, *windows, averaging_s=0.0):
        self.windows = list(windows)
        self.source = SimpleNamespace(name="scripted", scope="gpu", averaging_s=averaging_s)

    def begin(self, synchronize):
        synchronize()

    def end(self, mark, synchronize):
        synchronize()
        window = self.windows.pop(0)
        if isinstance(window, Exception):
            raise window
        return window

    def snapshot(self):
        return SimpleNamespace(reading=None, sample_period_s=0.1)


def names(load):
    """Who had a turn, in order."""
    begun = [call for call in load.calls if isinstance(call, str) and call.startswith("begin")]
    return [call.removeprefix("begin ") for call in begun]


def test_joules_above_idle_of_a_known_power_are_found_by_the_real_meter():
    load = Load()
    with EnergyMeter(LoadSource(load)) as meter:
        results = measure(replace(QUICK, seconds=0.4), meter, make=load.make)
    assert results.is_finished
    for row, above_w in zip(results.rows, (4.0, 1.0), strict=True):
        for turn in row.turns:
            assert turn.energy_j == pytest.approx(above_w * turn.time_s, rel=0.1)
            assert turn.idle.mean_power_w == pytest.approx(2.0, rel=0.1)
    (ratio,) = results.ratios
    by_time = [one / other for one, other in zip(*(r.times_s for r in results.rows), strict=True)]
    for found, time_c3d_by_cs3d in zip(ratio.energies, by_time, strict=True):
        assert found == pytest.approx(0.25 / time_c3d_by_cs3d, rel=0.15)
    assert (results.power.source, results.power.scope) == ("load", "module")
    assert results.power.rails == ("VDD_IN",)
    assert results.power.sample_period_s > 0


def test_the_energy_of_an_inference_is_what_is_above_idle_by_how_many_there_were():
    idle, c3d, cs3d = energy_window(10.0, 5.0), energy_window(60.0), energy_window(30.0)
    load = Load()
    meter = ScriptedMeter(idle, c3d, cs3d)
    found = measure(replace(QUICK, repeats=1, batches=(4,)), meter, make=load.make)
    for row, above_j in zip(found.rows, (40.0, 10.0), strict=True):
        (turn,) = row.turns
        assert turn.inferences == 4 * (load.calls.count(row.network) - 1)  # one was the lead-in
        assert turn.energy_j == pytest.approx(above_j / turn.inferences)
        assert turn.time_s == pytest.approx(10.0 / turn.inferences)
        # Of 0.01 J in 10 s, and of 0.01 J in 5 s that stand for 10 s.
        assert turn.uncertainty_j == pytest.approx(0.01 * 5**0.5 / turn.inferences)


def test_the_networks_take_turns_in_either_order():
    load = Load()
    measure(replace(QUICK, repeats=3), None, make=load.make)
    assert names(load) == ["c3d", "cs3d", "cs3d", "c3d", "c3d", "cs3d"]


def test_without_a_meter_there_are_times_and_no_energy():
    load = Load()
    found = measure(QUICK, None, no_power="there is none", make=load.make)
    assert (found.power, found.no_power) == (None, "there is none")
    for row in found.rows:
        assert (row.energies_j, row.uncertainty_j, len(row.times_s)) == (None, None, 2)
        assert min(row.times_s) >= 0.005
    assert found.ratios[0].energies is None
    assert len(found.ratios[0].times) == 2


def test_each_batch_and_precision_is_a_row_of_each_network():
    load = Load()
    asked = replace(QUICK, repeats=1, seconds=0.001, batches=(1, 3), precisions=("float32", "tf32"))
    found = measure(asked, None, make=load.make)
    keys = [(row.network, row.precision, row.batch) for row in found.rows]
    assert keys == [
        (network, precision, batch)
        for precision, batch, network in itertools.product(
            ("float32", "tf32"), (1, 3), ("c3d", "cs3d")
        )
    ]
    assert found.is_finished
    assert len(found.ratios) == 4
    assert load.closed == ["c3d", "cs3d"] * 2


def test_a_turn_in_which_the_source_is_lost_is_measured_again():
    load, told = Load(), []
    lost = PowerSourceError("the tool ended")
    nothing_read = energy_window(60.0, uncertainty_j=float("nan"))
    windows = [energy_window(20.0), lost, nothing_read, energy_window(60.0), energy_window(30.0)]
    found = measure(
        replace(QUICK, repeats=1), ScriptedMeter(*windows), make=load.make, report=told.append
    )
    assert found.rows[0].turns[0].energy == windows[3]
    assert found.is_finished
    assert [line for line in told if "again" in line] == [
        "c3d is measured again: the tool ended",
        "c3d is measured again: no reading came within it; measure for longer, or read more often",
    ]


def test_a_source_that_is_lost_for_good_is_an_error_and_earlier_repeats_are_kept():
    load, kept = Load(), []
    good = [energy_window(joules) for joules in (20.0, 60.0, 30.0)]
    lost = [PowerSourceError("the tool ended")] * ATTEMPTS
    with pytest.raises(PowerSourceError, match=r"idling could not be .* 3 attempts.*tool ended"):
        measure(QUICK, ScriptedMeter(*good, *lost), make=load.make, after=kept.append)
    assert [len(row.turns) for row in kept[-1].rows] == [1, 1]
    assert not kept[-1].is_finished
    assert load.closed == ["c3d", "cs3d"]


def test_a_source_that_averages_is_given_time_to_forget():
    load = Load()
    windows = [energy_window(joules) for joules in (20.0, 60.0, 30.0)]
    began = time.monotonic()
    measure(replace(QUICK, repeats=1), ScriptedMeter(*windows, averaging_s=0.1), make=load.make)
    # Idling and two turns, each of 0.02 s after a lead-in of 0.2 s.
    assert time.monotonic() - began >= 3 * 0.2


def test_a_failure_to_make_a_network_closes_the_others():
    load = Load()

    def make(name, *arguments):
        if name == "cs3d":
            raise PowerSourceError("no")
        return load.make(name, *arguments)

    with pytest.raises(PowerSourceError):
        measure(QUICK, None, make=make)
    assert load.closed == ["c3d"]


def test_no_ratio_is_taken_of_energies_that_are_not_clearly_above_idle():
    clear = table1_of(
        {("c3d", "float32", 1): turns(60.0, 61.0), ("cs3d", "float32", 1): turns(28.0, 28.2)}
    )
    assert clear.ratios[0].energies == pytest.approx((0.2, 0.2))
    # Less than idle; within the uncertainty.
    for energies in ((28.0, 19.0), (28.0, 20.01)):
        rows = {("c3d", "float32", 1): turns(60.0, 61.0), ("cs3d", "float32", 1): turns(*energies)}
        (ratio,) = table1_of(rows).ratios
        assert ratio.energies is None
        assert not ratio.is_above_idle
        assert len(ratio.times) == 2


def test_rounding_is_no_energy_above_idle():
    rows = {
        (name, "float32", 1): turns(20.0 + 1e-9, 20.0 + 1e-9, uncertainty_j=0.0)
        for name in ("c3d", "cs3d")
    }
    assert table1_of(rows).ratios[0].energies is None
