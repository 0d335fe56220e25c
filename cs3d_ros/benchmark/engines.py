"""All engines of this machine, in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from cs3d_ros.benchmark.peak_memory import peak_memory_bytes
from cs3d_ros.benchmark.subject import Subject, opened
from cs3d_ros.energy import EnergyMeter, PowerSourceError, above_idle
from cs3d_ros.network.engines.engine import Engine, EngineError
from cs3d_ros.network.errors import NetworkError

MIN_TURNS = 5
ENERGY_S = 2.0
"""How long each is measured for its energy, after half of that to settle."""
_WARM_UP = 2
PAUSE_S = 0.02
"""Before an inference that is measured: threads of some libraries wait actively for some
milliseconds after their work, and those of one engine would be in the way of the next."""


@dataclass(frozen=True)
class EngineRow:
    """One network in one engine.

    Attributes:
        network: Its name.
        engine: Its name.
        version: Of the library that executes.
        median_ms: Of the times of one window, in ms.
        p99_ms: 99th percentile of them, in ms; of few windows it is nearly the longest.
        windows: How many windows were measured.
        peak_mb: Memory during inference in MB (10⁶ bytes), see `peak_memory`; None if unknown.
        energy_mj: Energy of one window above idle, in mJ; None if not measured.
        energy_uncertainty_mj: Its standard uncertainty from the sampling, in mJ.
    """

    network: str
    engine: str
    version: str
    median_ms: float
    p99_ms: float
    windows: int
    peak_mb: float | None = None
    energy_mj: float | None = None
    energy_uncertainty_mj: float | None = None


@dataclass(frozen=True)
class Results:
    """What was measured.

    Attributes:
        rows: In the order in which they were asked for.
        absent: Networks, engines, and why they could not be measured.
        no_energy: Why no energy was measured; empty where it was.
    """

    rows: tuple[EngineRow, ...]
    absent: tuple[tuple[str, str, str], ...]
    no_energy: str = ""

    def best(self, network: str) -> EngineRow | None:
        """The fastest row of a network."""
        rows = [row for row in self.rows if row.network == network]
        return min(rows, key=lambda row: row.median_ms, default=None)


@dataclass
class _Running:
    subject: Subject
    engine: Engine
    window: np.ndarray
    times_s: list[float]

    def infer(self) -> None:
        self.engine.infer(self.window)


def measure(
    subjects: Sequence[Subject],
    seconds: float,
    meter: EnergyMeter | None = None,
    no_energy: str = "",
    memory: bool = True,
    report: Callable[[str], None] = lambda line: None,
) -> Results:
    """Measure one window at a time, all subjects in turns.

    Whatever else the machine does hits all of them alike, so that their ratios can be compared.

    Args:
        subjects: What to measure.
        seconds: How long to measure times, after everything is ready.
        meter: Started, of a source that covers the device; None to measure no energy.
        no_energy: Why there is no meter.
        memory: Whether to measure memory, in a process for each.
        report: Is told how it goes, line by line.

    Raises:
        NetworkError: There is no such network, engine, precision or number of threads.
        DeviceError: There is no such device.
    """
    running: list[_Running] = []
    absent: list[tuple[str, str, str]] = []
    peaks: list[int | None] = []
    try:
        for subject in subjects:
            report(f"{subject.network} in {subject.engine}")
            try:
                engine, window = opened(subject)
            except EngineError as error:
                absent.append((subject.network, subject.engine, _short(error, subject)))
                continue
            running.append(_Running(subject, engine, window, []))
            peaks.append(peak_memory_bytes(subject) if memory else None)
        report(f"{len(running)} in turns for {seconds:g} s")
        _time(running, seconds)
        rows = [_row(one, peak) for one, peak in zip(running, peaks, strict=True)]
        if meter is not None and rows:
            report(f"energy: {ENERGY_S * 1.5:g} s each")
            try:
                rows = _with_energy(running, rows, meter)
            except PowerSourceError as error:
                no_energy = str(error)
    finally:
        for one in running:
            one.engine.close()
    return Results(tuple(rows), tuple(absent), no_energy)


def _time(running: Sequence[_Running], seconds: float) -> None:
    for one in running:
        for _ in range(_WARM_UP):
            one.infer()
    until = time.perf_counter() + seconds
    turns = 0
    while running and (turns < MIN_TURNS or time.perf_counter() < until):
        for one in running:
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            one.infer()
            one.times_s.append(time.perf_counter() - began)
        turns += 1


def _row(one: _Running, peak: int | None) -> EngineRow:
    median, p99 = np.percentile(one.times_s, (50, 99)) * 1e3
    return EngineRow(
        one.subject.network,
        one.subject.engine,
        one.engine.version,
        float(median),
        float(p99),
        len(one.times_s),
        None if peak is None else peak / 1e6,
    )


def _with_energy(
    running: Sequence[_Running], rows: Sequence[EngineRow], meter: EnergyMeter
) -> list[EngineRow]:
    """The rows with energy.

    Raises:
        PowerSourceError: The source was lost.
    """
    settle_s = max(ENERGY_S / 2, 2 * meter.source.averaging_s)
    for one in running:
        one.engine.synchronize()
    time.sleep(settle_s)
    mark = meter.begin()
    time.sleep(ENERGY_S)
    idle = meter.end(mark)
    found = []
    for one, row in zip(running, rows, strict=True):
        _work(one, settle_s)
        mark = meter.begin(one.engine.synchronize)
        windows = _work(one, ENERGY_S)
        energy_j, uncertainty_j = above_idle(meter.end(mark, one.engine.synchronize), idle)
        found.append(
            replace(
                row,
                energy_mj=energy_j * 1e3 / windows,
                energy_uncertainty_mj=uncertainty_j * 1e3 / windows,
            )
        )
    return found


def _work(one: _Running, seconds: float) -> int:
    windows, until = 0, time.perf_counter() + seconds
    while not windows or time.perf_counter() < until:
        one.infer()
        windows += 1
    return windows


def _short(error: NetworkError, subject: Subject) -> str:
    """The reason alone, without what to do instead."""
    return str(error).removeprefix(f"engine {subject.engine}: ").partition("; choose another")[0]
