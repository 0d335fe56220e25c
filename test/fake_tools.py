"""Fake vendor tools: real executables on PATH, so that spawning and killing are real too."""

import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from cs3d_ros.energy import PowerSourceError, open_source

PRELUDE = """
import math, os, re, signal, subprocess, sys, time

with open({pids!r}, "a") as pids:
    print(os.getpid(), file=pids)

interval_s = int(re.search(r"--(?:interval |loop-ms=)([0-9]+)", " ".join(sys.argv))[1]) / 1000

def say(line):
    print(line, flush=True)

"""


@cache
def own_source() -> str:
    """A power source of this machine that is no command on PATH; empty if it has none."""
    for name in ("ina3221", "jtop", "nvml", "rapl"):
        try:
            source = open_source(name)
        except PowerSourceError:
            continue
        source.stop()
        return name
    return ""


class FakeTools:
    """Executables in a folder that is all there is on PATH."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pids = folder / "pids"
        self._pids.touch()

    def install(self, name: str, body: str) -> None:
        """Make the command `name` run the Python `body`, which has `say` and `interval_s`."""
        script = self._folder / f"{name}.py"
        script.write_text(PRELUDE.format(pids=str(self._pids)) + body)
        tool = self._folder / name
        tool.write_text(f'#!/bin/sh\nexec {sys.executable} -IS {script} "$@"\n')
        tool.chmod(0o755)

    def pids(self) -> list[int]:
        """Every process that the tools have been, living or dead."""
        return [int(pid) for pid in self._pids.read_text().split()]

    def living(self) -> list[int]:
        return [pid for pid in self.pids() if is_alive(pid)]


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
