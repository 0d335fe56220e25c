"""The child process of a source: its readings, its end, and that it never outlives its owner."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from cs3d_ros.energy import PowerSourceError
from cs3d_ros.energy.tegrastats import Tegrastats
from fake_tools import FakeTools, wait_until

STEADY = """
while True:
    say("RAM 775/7620MB VDD_IN 4761mW/4778mW")
    time.sleep(interval_s)
"""


def test_readings_are_new_each_time_and_stamped_on_arrival(tools: FakeTools) -> None:
    tools.install("tegrastats", STEADY)
    source = Tegrastats(10)
    source.start()
    try:
        before_ns = time.monotonic_ns()
        stamps = [source.read(5).t_ns for _ in range(5)]
        assert before_ns < stamps[0]
        assert stamps == sorted(set(stamps))
        assert stamps[-1] <= time.monotonic_ns()
        assert source.read(5).power_w == 4.761
    finally:
        source.stop()


def test_starting_and_stopping_twice_is_harmless(tools: FakeTools) -> None:
    tools.install("tegrastats", STEADY)
    source = Tegrastats(10)
    source.start()
    source.start()
    source.read(5)
    assert len(tools.pids()) == 1
    source.stop()
    source.stop()
    source.start()
    source.read(5)
    source.stop()
    assert len(tools.pids()) == 2


def test_reading_before_the_start_is_refused() -> None:
    with pytest.raises(PowerSourceError, match="tegrastats: not started"):
        Tegrastats(10).read(5)


def test_a_missing_tool_is_named(tools: FakeTools) -> None:
    with pytest.raises(PowerSourceError, match="tegrastats: not found on PATH"):
        Tegrastats(10).start()


def test_garbage_lines_are_passed_over(tools: FakeTools) -> None:
    tools.install(
        "tegrastats",
        r"""
os.write(1, b"\xff\xfe\x00 not a line of anybody\n" + b"x" * 100_000 + b"\n\n")
say("VDD_IN 4761mW/4778mW")
time.sleep(60)
""",
    )
    source = Tegrastats(10)
    source.start()
    try:
        assert source.read(5).power_w == 4.761
    finally:
        source.stop()


def test_a_line_cut_short_by_the_end_is_no_reading(tools: FakeTools) -> None:
    tools.install("tegrastats", 'sys.stdout.write("VDD_IN 4761mW/4")')
    source = Tegrastats(10)
    source.start()
    with pytest.raises(PowerSourceError, match="ended with exit status 0"):
        source.read(5)


def test_a_board_without_power_rails_is_explained(tools: FakeTools) -> None:
    tools.install("tegrastats", STEADY.replace(" VDD_IN 4761mW/4778mW", ""))
    source = Tegrastats(10)
    source.start()
    with pytest.raises(PowerSourceError, match=r"no power reading.*RAM 775.*TX1.*root"):
        source.read(0.5)


def test_a_stall_stops_the_child(tools: FakeTools) -> None:
    tools.install("tegrastats", 'say("VDD_IN 1/1")\ntime.sleep(60)')
    source = Tegrastats(10)
    source.start()
    source.read(5)
    with pytest.raises(PowerSourceError, match=r"no power reading within 0\.1 s"):
        source.read(0.1)
    assert not tools.living()


def test_the_end_of_the_child_is_noticed_at_once_with_its_last_words(tools: FakeTools) -> None:
    tools.install("tegrastats", 'say("cannot open the power monitor")\nsys.exit(3)')
    source = Tegrastats(10)
    source.start()
    began = time.monotonic()
    with pytest.raises(PowerSourceError, match=r"exit status 3.*cannot open the power monitor"):
        source.read(30)
    assert time.monotonic() - began < 5


def test_stopping_wakes_a_waiting_reader(tools: FakeTools) -> None:
    tools.install("tegrastats", "time.sleep(60)")
    source = Tegrastats(10)
    source.start()
    threading.Timer(0.2, source.stop).start()
    began = time.monotonic()
    with pytest.raises(PowerSourceError):
        source.read(30)
    assert time.monotonic() - began < 5


def test_children_that_ignore_sigterm_and_their_children_are_killed(tools: FakeTools) -> None:
    tools.install(
        "tegrastats",
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    with open(sys.argv[0].replace("tegrastats.py", "pids"), "a") as pids:
        print(os.getpid(), file=pids)
while True:
    say("VDD_IN 4761mW/4778mW")
    time.sleep(interval_s)
""",
    )
    source = Tegrastats(10)
    source.start()
    source.read(5)
    wait_until(lambda: len(tools.living()) == 2)
    began = time.monotonic()
    source.stop()
    assert time.monotonic() - began < 2
    wait_until(lambda: not tools.living())


@pytest.mark.parametrize(
    "end",
    ["sys.exit()", "raise RuntimeError", "os.kill(os.getpid(), signal.SIGKILL)"],
)
def test_no_child_outlives_the_interpreter(tools: FakeTools, end: str) -> None:
    tools.install("tegrastats", STEADY)
    program = f"""
        import os, signal, sys
        from cs3d_ros.energy import open_source
        open_source("tegrastats", 10)
        {end}
    """
    root = Path(__file__).parents[2]
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stderr=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )
    assert tools.pids()
    wait_until(lambda: not tools.living(), timeout_s=3)
