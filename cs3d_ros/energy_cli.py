"""The commands `cs3d energy …`: what this machine draws, and what a command takes."""

from __future__ import annotations

import argparse
import csv
import json
import math
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from cs3d_ros.argument_types import path
from cs3d_ros.energy import (
    INTERVAL_MS_RANGE,
    SOURCE_NAMES,
    EnergyMeter,
    EnergySnapshot,
    EnergyWindow,
    PowerSourceError,
    above_idle,
    open_source,
)
from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER_EVERY = 20
_TERMINATION_S = 5.0

_MEASURE = """\
Run COMMAND and tell the energy that was drawn from its start to its end: by everything within the
scope of the power source (a Jetson module, a graphics board), not by the command alone. Before it
starts, the idle power is measured for a while: leave the machine alone meanwhile.

The exit status is that of the command. What is measured is told on stderr; with --json it is told
on stdout, and what the command prints goes to stderr."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `energy` to the commands of `cs3d`."""
    energy = commands.add_parser("energy", help="power and energy of this machine")
    kinds = energy.add_subparsers(required=True, metavar="COMMAND")

    watch = kinds.add_parser("watch", help="a line of power and energy every second")
    add_source(watch)
    watch.add_argument(
        "--every", type=_seconds, default=1.0, metavar="S", help="seconds a line (default: 1)"
    )
    watch.add_argument(
        "--duration", type=_seconds, metavar="S", help="end after S seconds (default: at Ctrl-C)"
    )
    watch.add_argument(
        "--csv", type=path, metavar="FILE", help="write the lines to FILE as well, as CSV"
    )
    watch.set_defaults(run=_watch)

    measure = kinds.add_parser(
        "measure",
        help="run a command and tell the energy it took",
        description=_MEASURE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="cs3d energy measure [options] -- COMMAND [ARGUMENT ...]",
    )
    add_source(measure)
    measure.add_argument(
        "--idle-s",
        type=_seconds,
        default=5.0,
        metavar="S",
        help="measure the idle power for S seconds before (default: 5)",
    )
    measure.add_argument("--json", action="store_true", help="print a JSON object on stdout")
    measure.add_argument("command", nargs="+", metavar="COMMAND", help="after --, with arguments")
    measure.set_defaults(run=_measure)


def add_source(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Add the choice of the power source; see `open_source`."""
    parser.add_argument(
        "--source",
        choices=SOURCE_NAMES,
        default="auto",
        help="where to read power (default: auto, the first that gives a reading)",
    )
    shortest, longest = INTERVAL_MS_RANGE
    parser.add_argument(
        "--interval-ms",
        type=int,
        default=100,
        metavar="T",
        help=f"time between two samples, {shortest} to {longest} ms (default: 100)",
    )
    parser.add_argument(
        "--gpu-index",
        type=int,
        default=0,
        metavar="N",
        help="which GPU, as nvidia-smi -L numbers them (default: 0)",
    )


def open_meter(arguments: argparse.Namespace) -> EnergyMeter:
    """A meter, not started, of the source that the arguments of `add_source` ask for.

    Raises:
        PowerSourceError: No source gives a reading.
    """
    return EnergyMeter(
        open_source(arguments.source, arguments.interval_ms, gpu_index=arguments.gpu_index)
    )


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def _watch(arguments: argparse.Namespace) -> int:
    with open_meter(arguments) as meter, _csv_file(arguments.csv) as file:
        source = meter.source
        print(
            f"power from {source.name} ({source.scope}), every {arguments.interval_ms} ms",
            flush=True,
        )
        began = time.monotonic()
        rails: tuple[str, ...] = ()
        lines = 0
        end = math.inf if arguments.duration is None else began + arguments.duration
        while time.monotonic() < end:
            # Due times that do not drift.
            due = min(began + (lines + 1) * arguments.every, end)
            time.sleep(max(0.0, due - time.monotonic()))
            snapshot = meter.snapshot()
            is_first = not rails and snapshot.reading is not None
            if snapshot.reading is not None and is_first:
                rails = snapshot.reading.rails
                if file is not None:
                    _write_row(file, ["time_s", "power_w", "energy_j", "state", *rails])
            if is_first or lines % _HEADER_EVERY == 0:
                print(_heading(rails))
            seconds = time.monotonic() - began
            print(_line(seconds, snapshot, rails), flush=True)
            if file is not None and rails:
                _write_row(file, _row(seconds, snapshot, rails))
            lines += 1
    return 0


@contextmanager
def _csv_file(path: Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    try:
        file = path.open("x", encoding="utf-8", newline="")
    except FileExistsError:
        raise Cs3dError(f"{path}: exists; choose another name") from None
    except OSError as error:
        raise Cs3dError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        yield file
    finally:
        # Closing tries once more to write what could not be written.
        try:
            file.close()
        except OSError as error:
            raise Cs3dError(f"{path}: cannot be written ({error.strerror})") from error


def _write_row(file: IO[str], row: list[object]) -> None:
    try:
        csv.writer(file, lineterminator="\n").writerow(row)
        file.flush()
    except OSError as error:
        raise Cs3dError(f"{file.name}: cannot be written ({error.strerror})") from error


def _heading(rails: tuple[str, ...]) -> str:
    names = "".join(f"  {rail:>8}" for rail in rails)
    return f"{'time s':>9}{'power W':>10}{'mean W':>10}{'energy J':>12}{names}"


def _line(seconds: float, snapshot: EnergySnapshot, rails: tuple[str, ...]) -> str:
    if snapshot.state != "running" or snapshot.reading is None:
        return f"{seconds:9.1f}  {snapshot.state}: {snapshot.error or 'no reading yet'}"
    power_w = dict(zip(snapshot.reading.rails, snapshot.reading.rail_power_w, strict=True))
    values = "".join(
        f"  {power_w[rail]:>{max(8, len(rail))}.3f}"
        if rail in power_w
        else " " * (2 + max(8, len(rail)))
        for rail in rails
    )
    mean_w = snapshot.energy_j / snapshot.covered_s if snapshot.covered_s else math.nan
    return (
        f"{seconds:9.1f}{snapshot.reading.power_w:10.3f}{mean_w:10.3f}{snapshot.energy_j:12.2f}"
        f"{values}"
    )


def _row(seconds: float, snapshot: EnergySnapshot, rails: tuple[str, ...]) -> list[object]:
    """A line as CSV has it; what is not known is empty."""
    if snapshot.state != "running" or snapshot.reading is None:
        return [
            f"{seconds:.3f}",
            "",
            f"{snapshot.energy_j:.6f}",
            snapshot.state,
            *("" for _ in rails),
        ]
    power_w = dict(zip(snapshot.reading.rails, snapshot.reading.rail_power_w, strict=True))
    return [
        f"{seconds:.3f}",
        snapshot.reading.power_w,
        f"{snapshot.energy_j:.6f}",
        snapshot.state,
        *(power_w.get(rail, "") for rail in rails),
    ]


def _measure(arguments: argparse.Namespace) -> int:
    program = arguments.command[0]
    if shutil.which(program) is None:
        raise Cs3dError(f"{program}: no such command; give one and its arguments after --")
    with open_meter(arguments) as meter:
        _tell(f"power from {meter.source.name}; idle for {arguments.idle_s:g} s …")
        begin = meter.begin()
        time.sleep(arguments.idle_s)
        idle = meter.end(begin)
        begin = meter.begin()
        status = _run(arguments.command, to_stderr=arguments.json)
        try:
            window = meter.end(begin)
        except PowerSourceError as error:
            raise Cs3dError(f"{error}. The command ended with exit status {status}") from error
        snapshot = meter.snapshot()
    result = _result(window, idle, snapshot, meter, arguments.command, status)
    if arguments.json:
        print(json.dumps(result, indent=1))
    else:
        _tell(_sentence(window, idle, meter))
    return status


def _run(command: list[str], *, to_stderr: bool) -> int:
    """Run a command to its end and return its exit status; 128 + N for an end by signal N."""
    with _without_ctrl_c():
        try:
            process = subprocess.Popen(command, stdout=sys.stderr if to_stderr else None)
        except OSError as error:
            raise Cs3dError(f"{command[0]}: cannot be run ({error.strerror})") from error
        try:
            status = process.wait()
            return status if status >= 0 else 128 - status
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_TERMINATION_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Leave Ctrl-C to the command, which it reaches as well: what it drew until its end is told.

    As an exception it could come when the command has just been waited for, and its exit status
    would be lost.
    """
    handler = signal.getsignal(signal.SIGINT)
    # Whoever ignores it, as in the background, hands that on to the command.
    if handler == signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _result(
    window: EnergyWindow,
    idle: EnergyWindow,
    snapshot: EnergySnapshot,
    meter: EnergyMeter,
    command: list[str],
    status: int,
) -> dict[str, object]:
    above_j, above_uncertainty_j = above_idle(window, idle)
    values: dict[str, object] = {
        "energy_j": window.energy_j,
        "energy_uncertainty_j": window.uncertainty_j,
        "energy_above_idle_j": above_j,
        "energy_above_idle_uncertainty_j": above_uncertainty_j,
        "mean_power_w": window.mean_power_w,
        "idle_power_w": idle.mean_power_w,
        "duration_s": window.duration_s,
        "samples": window.samples,
        "sample_period_s": snapshot.sample_period_s,
        "source": meter.source.name,
        "scope": meter.source.scope,
        "method": window.method,
        "power_is_sum": snapshot.reading is not None and snapshot.reading.estimated,
        "command": shlex.join(command),
        "exit_status": status,
    }
    # JSON has neither NaN nor infinity.
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in values.items()
    }


def _sentence(window: EnergyWindow, idle: EnergyWindow, meter: EnergyMeter) -> str:
    above_j, above_uncertainty_j = above_idle(window, idle)
    few = (
        f"\nOnly {window.samples} samples lie within: measure longer work, or take a shorter "
        "--interval-ms"
        if window.samples < 10
        else ""
    )
    return (
        f"{_joules(window.energy_j, window.uncertainty_j)} in {window.duration_s:.2f} s, "
        f"{window.mean_power_w:.2f} W in the mean\n"
        f"{_joules(above_j, above_uncertainty_j)} above idle, which is "
        f"{idle.mean_power_w:.2f} W\n"
        f"{meter.source.name} ({meter.source.scope}), {window.samples} samples, by "
        f"{window.method}{few}"
    )


def _joules(energy_j: float, uncertainty_j: float) -> str:
    if math.isnan(uncertainty_j):
        return f"{energy_j:.2f} J (of unknown uncertainty)"
    return f"{energy_j:.2f} ± {uncertainty_j:.2f} J"


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
