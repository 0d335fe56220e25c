"""Sample power for a long time from a tool that misbehaves, and watch what grows.

    python3 test/soak_energy.py [--seconds 600] [--hz 50]

The tool's power is a known curve. It stalls, prints garbage, dies and is started again. Prints a
line every half minute; ends with status 1 where something grows or a measured energy is wrong.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    # The tree that this file lies in, rather than an installed package.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cs3d_ros.energy import EnergyMeter, PowerSourceError, open_source
from fake_tools import FakeTools

PERIOD_S = 0.7
TOOL = f"""
import random
began = time.monotonic()
dies_after_s = random.uniform(3, 9)
while time.monotonic() - began < dies_after_s:
    t = time.monotonic()
    milliwatts = 10_000 + 4_000 * math.sin(2 * math.pi * t / {PERIOD_S})
    say(f"RAM 1/2MB (lfb 1x1MB) CPU [1%@729] VDD_IN {{milliwatts:.0f}}mW/1mW VDD_SOC 1mW/1mW")
    chance = random.random()
    if chance < 0.01:
        say("\\x00\\ufffd VDD_IN 12mW" * random.randrange(2000))
    elif chance < 0.012:
        time.sleep(1.5)
    elif chance < 0.013:
        subprocess.Popen(["/bin/sleep", "600"])
    time.sleep(interval_s - t % interval_s)
sys.exit(random.randrange(3))
"""
_WINDOW_S = 1.0
_MAX_GROWTH_BYTES = 4 << 20


class Violation(Exception):
    """Something that must not happen."""


@dataclass(frozen=True)
class Use:
    """What this process holds."""

    memory_bytes: int
    descriptors: int
    threads: int
    children: int

    @classmethod
    def now(cls, tools: FakeTools) -> Use:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return cls(
            pages * os.sysconf("SC_PAGESIZE"),
            sum(1 for _ in Path("/proc/self/fd").iterdir()),
            threading.active_count(),
            len(tools.living()),
        )

    def check(self, before: Use) -> None:
        """Raise where it is more than before, but for what one run of the tool more or less is."""
        if self.memory_bytes - before.memory_bytes > _MAX_GROWTH_BYTES:
            raise Violation(f"memory grew from {before.memory_bytes} to {self.memory_bytes} bytes")
        for name, slack in (("descriptors", 2), ("threads", 2), ("children", 0)):
            was, now = getattr(before, name), getattr(self, name)
            if now > max(was, 1) + slack:
                raise Violation(f"{name} grew from {was} to {now}")


def soak(seconds: float, hz: float, folder: Path, every_s: float = 30.0) -> tuple[int, int]:
    """Sample for a while; return the number of windows that were measured, and of those lost.

    Raises:
        Violation: Something grew, or an energy was wrong.
    """
    tools = FakeTools(folder)
    tools.install("tegrastats", TOOL)
    path, os.environ["PATH"] = os.environ["PATH"], str(folder)
    measured = lost = 0
    errors: list[float] = []
    try:
        source = open_source("tegrastats", round(1000 / hz))
        with EnergyMeter(source, timeout_s=1.0, backoff_s=0.1) as meter:
            began = told = time.monotonic()
            before: Use | None = None
            while time.monotonic() - began < seconds:
                try:
                    begin = meter.begin()
                    time.sleep(_WINDOW_S)
                    window = meter.end(begin)
                except PowerSourceError:
                    lost += 1
                else:
                    measured += 1
                    begin_s = begin.t_ns * 1e-9
                    expected_j = _expected_j(begin_s, begin_s + window.duration_s)
                    errors.append((window.energy_j - expected_j) / expected_j)
                    # A stall that is shorter than the time-out is part of what may happen, and a
                    # line that arrives a little late is part of the uncertainty.
                    wrong_j = abs(window.energy_j - expected_j)
                    allowed_j = 0.01 * expected_j + window.uncertainty_j
                    if wrong_j > allowed_j and window.samples > 0.9 * hz * window.duration_s:
                        raise Violation(f"{window} instead of {expected_j} J")
                    del errors[:-1000]
                # What every run allocates once is there after the first few.
                if before is None and time.monotonic() - began > 0.1 * seconds:
                    before = Use.now(tools)
                if time.monotonic() - told > every_s:
                    told = time.monotonic()
                    _tell(told - began, measured, lost, meter.snapshot().losses, Use.now(tools))
            if before is not None:
                Use.now(tools).check(before)
    finally:
        os.environ["PATH"] = path
    left = tools.living()
    if left:
        raise Violation(f"the processes {left} were left behind")
    if not measured:
        raise Violation("no window was measured")
    if abs(math.fsum(errors) / len(errors)) > 0.01:
        raise Violation(f"a mean error of {math.fsum(errors) / len(errors):.2%}")
    return measured, lost


def _expected_j(begin_s: float, end_s: float) -> float:
    omega = 2 * math.pi / PERIOD_S
    return 10 * (end_s - begin_s) + 4 / omega * (
        math.cos(omega * begin_s) - math.cos(omega * end_s)
    )


def _tell(seconds: float, measured: int, lost: int, losses: int, use: Use) -> None:
    print(
        f"{seconds:6.0f} s: {measured} windows measured, {lost} lost; source lost {losses} times; "
        f"{use.memory_bytes / 1e6:.1f} MB, {use.descriptors} descriptors, {use.threads} threads, "
        f"{use.children} children",
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--hz", type=float, default=50.0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            measured, lost = soak(arguments.seconds, arguments.hz, Path(folder))
        except Violation as violation:
            print(f"violation: {violation}", file=sys.stderr)
            return 1
    print(f"nothing grew: {measured} windows measured, {lost} lost with the source")
    return 0


if __name__ == "__main__":
    sys.exit(main())
