"""Table I measured: the networks take turns, so that whatever drifts hits all of them alike."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import torch

import cs3d_ros
from cs3d_ros.energy import EnergyMeter, EnergyWindow, PowerSourceError
from cs3d_ros.network.complexity import PAPER_GMACS, complexity
from cs3d_ros.network.precision import arithmetic
from cs3d_ros.reproduction.table1.networks import MeasuredNetwork
from cs3d_ros.reproduction.table1.numbers import scaled
from cs3d_ros.reproduction.table1.results import Operations, Power, Results, Row, Settings, Turn
from cs3d_ros.training.provenance import machine

ATTEMPTS = 3
"""How often a turn is tried in which the power source is lost."""

IDLE_SETTLING = 2
"""How many lead-ins long is waited before idling is measured."""

_MODEL = Path("/proc/device-tree/model")


class Subject(Protocol):
    """What takes turns; see `MeasuredNetwork`."""

    def prepare(self, batch: int) -> None:
        """Lay a batch ready."""

    def infer(self) -> None:
        """Put it through the network, and wait until it is done."""

    def synchronize(self) -> None:
        """Wait until the device has nothing to do."""

    def begin_memory(self) -> None:
        """Begin to watch the GPU's memory."""

    def peak_memory_bytes(self) -> int | None:
        """What was taken since."""

    def close(self) -> None:
        """Give everything back."""


MakeSubject = Callable[[str, torch.device, str, int, int], Subject]


@dataclass(frozen=True)
class _Work:
    """What is done for a while.

    Attributes:
        what: For people.
        begin: Is called once before it is measured.
        go: Does it for so many seconds; returns how many inferences that were.
        synchronize: Waits until it is done.
        settling: How many times the lead-in of the settings comes before.
    """

    what: str
    begin: Callable[[], None]
    go: Callable[[float], int]
    synchronize: Callable[[], None]
    settling: int = 1


def measure(
    settings: Settings,
    meter: EnergyMeter | None,
    *,
    no_power: str = "",
    interval_ms: int = 100,
    command: str = "",
    report: Callable[[str], None] = lambda line: None,
    after: Callable[[Results], None] = lambda results: None,
    make: MakeSubject = MeasuredNetwork,
) -> Results:
    """Measure all networks in all precisions and batches.

    In each repeat it is idled first, then each network has its turn: in the order of the settings
    and in the other by turns. Idling and each turn begin with a lead-in that is not measured.

    Args:
        settings: How.
        meter: Started, of a source that covers the device; None to measure times only.
        no_power: Why there is no meter.
        interval_ms: What its source was asked for, in milliseconds.
        command: What the user typed.
        report: Is told how it goes, line by line.
        after: Is given what there is after each repeat.
        make: Makes what takes turns; as `MeasuredNetwork`.

    Returns:
        Table I.

    Raises:
        PowerSourceError: The source was lost in a turn, and again in all further attempts at it.
        DeviceError: The device does not take a network or its batch.
        NetworkError: The number of CPU threads is negative.
    """
    results = _nothing_yet(settings, no_power, command)
    for precision in settings.precisions:
        with arithmetic(precision):
            subjects: dict[str, Subject] = {}
            try:
                for name in settings.networks:
                    subjects[name] = make(
                        name, torch.device(settings.device), precision, settings.size,
                        settings.threads,
                    )  # fmt: skip
                if not results.machine:
                    # Only now is the number of threads what it will be.
                    results = replace(results, machine=machine(torch.device(settings.device), 1))
                for batch in settings.batches:
                    results = _measure(
                        results, precision, batch, subjects, meter, interval_ms, report, after
                    )
            finally:
                for subject in subjects.values():
                    subject.close()
    return results


def _nothing_yet(settings: Settings, no_power: str, command: str) -> Results:
    operations = {}
    for name in settings.networks:
        counted = complexity(name)
        operations[name] = Operations(counted.macs, counted.parameters, PAPER_GMACS.get(name))
    versions = {
        "cs3d_ros": cs3d_ros.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    if settings.device != "cpu":
        versions["cuda"] = str(torch.version.cuda)
        versions["cudnn"] = str(torch.backends.cudnn.version())
    return Results(
        settings, "", _board(), versions, operations, None, no_power, (), command
    )  # fmt: skip


def _measure(
    results: Results,
    precision: str,
    batch: int,
    subjects: dict[str, Subject],
    meter: EnergyMeter | None,
    interval_ms: int,
    report: Callable[[str], None],
    after: Callable[[Results], None],
) -> Results:
    """All repeats in one precision and batch."""
    settings, done = results.settings, results.rows
    for subject in subjects.values():
        subject.prepare(batch)
    turns: dict[str, tuple[Turn, ...]] = dict.fromkeys(settings.networks, ())
    for repeat in range(settings.repeats):
        where = f"{precision}, batch {batch}, repeat {repeat + 1} of {settings.repeats}"
        idle = None
        if meter is not None:
            _, _, idle = _done(_idling(subjects), settings, meter, report)
            assert idle is not None
            report(f"{where}: idle {scaled([idle.mean_power_w], 1.0)} W")
        for name in settings.networks[:: -1 if repeat % 2 else 1]:
            subject = subjects[name]
            n, seconds, energy = _done(_inferring(name, subject), settings, meter, report)
            turn = Turn(n * batch, seconds, energy, idle, subject.peak_memory_bytes())
            turns[name] += (turn,)
            report(f"{where}: {name} {_told(turn)}")
        results = replace(
            results,
            power=_power(meter, interval_ms),
            rows=(*done, *(Row(name, precision, batch, turns[name]) for name in turns)),
        )
        after(results)
    return results


def _done(
    work: _Work, settings: Settings, meter: EnergyMeter | None, report: Callable[[str], None]
) -> tuple[int, float, EnergyWindow | None]:
    """Do it after its lead-in: how many inferences, for how many seconds, with what energy."""
    lead_in_s = work.settling * settings.lead_in_s
    if meter is None:
        work.go(lead_in_s)
        work.begin()
        started = time.perf_counter()
        n = work.go(settings.seconds)
        work.synchronize()
        return n, time.perf_counter() - started, None
    # A mean over the last second has to have forgotten what was before.
    lead_in_s = max(lead_in_s, 2 * meter.source.averaging_s)
    for attempt in range(1, ATTEMPTS + 1):
        work.go(lead_in_s)
        work.begin()
        try:
            begin = meter.begin(work.synchronize)
            n = work.go(settings.seconds)
            window = meter.end(begin, work.synchronize)
            if not math.isfinite(window.uncertainty_j):
                raise PowerSourceError(
                    "no reading came within it; measure for longer, or read more often"
                )
        except PowerSourceError as error:
            if attempt == ATTEMPTS:
                raise PowerSourceError(
                    f"{work.what} could not be measured in {ATTEMPTS} attempts; the last: {error}"
                ) from error
            report(f"{work.what} is measured again: {error}")
        else:
            return n, window.duration_s, window
    raise AssertionError("unreachable")


def _idling(subjects: dict[str, Subject]) -> _Work:
    def idle(seconds: float) -> int:
        time.sleep(seconds)
        return 0

    def synchronize() -> None:
        for subject in subjects.values():
            subject.synchronize()

    # A GPU leaves its highest clocks some seconds after its last work only.
    return _Work("idling", lambda: None, idle, synchronize, IDLE_SETTLING)


def _inferring(name: str, subject: Subject) -> _Work:
    def infer(seconds: float) -> int:
        n, until = 0, time.perf_counter() + seconds
        while not n or time.perf_counter() < until:
            subject.infer()
            n += 1
        return n

    return _Work(name, subject.begin_memory, infer, subject.synchronize)


def _power(meter: EnergyMeter | None, interval_ms: int) -> Power | None:
    if meter is None:
        return None
    source, known = meter.source, meter.snapshot()
    reading = known.reading
    return Power(
        source.name,
        source.scope,
        source.averaging_s,
        interval_ms,
        known.sample_period_s,
        reading is not None and reading.estimated,
        reading.rails if reading is not None else (),
    )


def _told(turn: Turn) -> str:
    energy = "" if turn.energy_j is None else f", {scaled([turn.energy_j], 1e3)} mJ above idle"
    return f"{scaled([turn.time_s], 1e3)} ms{energy}"


def _board() -> str:
    """As the firmware of a board such as a Jetson names it; empty on a PC."""
    try:
        return _MODEL.read_text(errors="replace").strip("\0 \n")
    except OSError:
        return ""
