"""`cs3d energy watch` and `cs3d energy measure` with a tegrastats whose power is known."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_tools import FakeTools, own_source, wait_until

# 4 W, and 9 W while the file "busy" is there.
SOURCE = """
busy = os.path.join(os.path.dirname(os.path.dirname({pids!r})), "busy")
while True:
    watts = 9 if os.path.exists(busy) else 4
    say(f"RAM 1/2MB (lfb 1x1MB) CPU [1%@729] VDD_IN {{watts}}000mW/1mW VDD_SOC 1500mW/1mW")
    time.sleep(interval_s)
"""
BUSY = """
import pathlib, time
busy = pathlib.Path('busy')
busy.touch()
began = time.monotonic()
time.sleep(1.0)
busy.unlink()
print('busy for', time.monotonic() - began)
"""


@pytest.fixture
def tools(tmp_path: Path) -> Iterator[FakeTools]:
    folder = tmp_path / "bin"
    folder.mkdir()
    fakes = FakeTools(folder)
    fakes.install("tegrastats", SOURCE.format(pids=str(folder / "pids")))
    yield fakes
    wait_until(lambda: not fakes.living(), 5.0)


def energy(tmp_path: Path, *arguments: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess:
    with start(tmp_path, *arguments) as process:
        out, err = process.communicate(timeout=timeout_s)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "cs3d_ros.cli", "energy", *arguments],
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )


def test_a_command_is_measured_above_idle(tmp_path: Path, tools: FakeTools) -> None:
    done = energy(
        tmp_path, "measure", "--idle-s", "0.5", "--interval-ms", "20", "--json", "--",
        sys.executable, "-c", BUSY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    busy_s = float(done.stderr.partition("busy for ")[2].split()[0])
    assert result["idle_power_w"] == pytest.approx(4)
    # 9 W for a second, 4 W while Python starts and ends.
    assert result["energy_above_idle_j"] == pytest.approx(5 * busy_s, abs=1.0)
    assert result["energy_j"] == pytest.approx(5 * busy_s + 4 * result["duration_s"], abs=1.0)
    assert result["mean_power_w"] == pytest.approx(result["energy_j"] / result["duration_s"])
    assert 0 < result["energy_uncertainty_j"] < 0.5
    assert result["samples"] > 20
    assert (result["source"], result["scope"]) == ("tegrastats", "module")
    assert result["method"] == "trapezoid"


def test_the_exit_status_is_that_of_the_command(tmp_path: Path, tools: FakeTools) -> None:
    done = energy(tmp_path, "measure", "--idle-s", "0.2", "--", "sh", "-c", "echo here; exit 7")
    assert done.returncode == 7
    assert done.stdout == "here\n"
    assert "above idle, which is 4.00 W" in done.stderr
    assert "take a shorter --interval-ms" in done.stderr


def test_a_command_that_nobody_looked_at_has_no_uncertainty(
    tmp_path: Path, tools: FakeTools
) -> None:
    done = energy(
        tmp_path, "measure", "--idle-s", "1.1", "--interval-ms", "1000", "--json", "--", "true"
    )
    result = json.loads(done.stdout)
    assert result["samples"] == 0
    assert result["energy_uncertainty_j"] is None
    assert "nan" not in done.stdout.lower()


def test_an_end_by_a_signal_is_told_as_a_shell_does(tmp_path: Path, tools: FakeTools) -> None:
    done = energy(tmp_path, "measure", "--idle-s", "0.2", "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == 137


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["measure", "--", "no-such-command"], 1, "no-such-command: no such command"),
        (["measure"], 2, "required: COMMAND"),
        (["measure", "--source", "nvidia-smi", "--", "true"], 1, "nvidia-smi: not found on PATH"),
        (["measure", "--interval-ms", "5", "--", "true"], 1, "expected 10 to 1000 ms"),
        (["measure", "--idle-s", "0", "--", "true"], 2, "no number of seconds above 0"),
        (["watch", "--every", "nan"], 2, "no number of seconds above 0"),
        (["watch", "--source", "abacus"], 2, "invalid choice: 'abacus'"),
        (["watch", "--csv", "/nowhere/there.csv"], 1, "cannot be written"),
    ],
)
def test_bad_arguments_are_told(
    tmp_path: Path, tools: FakeTools, arguments: list[str], status: int, message: str
) -> None:
    done = energy(tmp_path, *arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(bool(own_source()), reason="this machine has a power source")
def test_without_a_source_the_command_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    done = energy(tmp_path, "measure", "--", "touch", "ran")
    assert done.returncode == 1
    assert "no power source gives a reading" in done.stderr
    assert not (tmp_path / "ran").exists()


def test_ctrl_c_ends_the_command_and_still_tells_what_it_drew(
    tmp_path: Path, tools: FakeTools
) -> None:
    with start(
        tmp_path,
        "measure",
        "--idle-s",
        "0.2",
        "--json",
        "--",
        "sh",
        "-c",
        "touch on; exec sleep 60",
    ) as process:
        wait_until((tmp_path / "on").exists, 20.0)
        time.sleep(0.3)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        sleeping = [pid for pid in map(int, children) if pid not in tools.pids()]
        # As a terminal does it: to all of them, before any has ended.
        for pid in [process.pid, *sleeping]:
            os.kill(pid, signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGINT, err
    assert json.loads(out)["exit_status"] == 128 + signal.SIGINT


def test_sigterm_takes_the_command_along(tmp_path: Path, tools: FakeTools) -> None:
    with start(
        tmp_path, "measure", "--idle-s", "0.2", "--", "sh", "-c", "echo $$ > pid; exec sleep 60"
    ) as process:
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 20.0)
        pid = int((tmp_path / "pid").read_text())
        process.terminate()
        process.communicate(timeout=20)
    assert process.returncode == 128 + signal.SIGTERM
    wait_until(lambda: not Path(f"/proc/{pid}").exists())


def test_watching_prints_and_writes_a_line_each_time(tmp_path: Path, tools: FakeTools) -> None:
    done = energy(
        tmp_path, "watch", "--interval-ms", "20", "--every", "0.3", "--duration", "1", "--csv",
        "power.csv",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "power from tegrastats (module), every 20 ms"
    assert " ".join(lines[1].split()) == "time s power W mean W energy J VDD_IN VDD_SOC"
    assert len(lines) == 2 + 4
    assert lines[2].split()[1:3] == ["4.000", "4.000"]
    assert lines[2].split()[4:] == ["4.000", "1.500"]
    with (tmp_path / "power.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4
    assert [row["power_w"] for row in rows] == ["4.0"] * 4
    joules = [float(row["energy_j"]) for row in rows]
    seconds = [float(row["time_s"]) for row in rows]
    assert joules[-1] - joules[0] == pytest.approx(4 * (seconds[-1] - seconds[0]), abs=1.0)


def test_a_source_that_is_lost_is_told_and_watched_on(tmp_path: Path, tools: FakeTools) -> None:
    tools.install(
        "tegrastats",
        """
for _ in range(40):
    say("VDD_IN 1000mW/1mW")
    time.sleep(interval_s)
sys.exit(5)
""",
    )
    done = energy(
        tmp_path, "watch", "--interval-ms", "20", "--every", "0.1", "--duration", "4", "--csv",
        "power.csv",
    )  # fmt: skip
    assert "lost: tegrastats: ended with exit status 5" in done.stdout
    states = [row["state"] for row in csv.DictReader((tmp_path / "power.csv").open())]
    assert states[0] == "running"
    assert "running" in states[states.index("lost") :]


def test_a_watch_is_no_longer_than_its_duration(tmp_path: Path, tools: FakeTools) -> None:
    done = energy(tmp_path, "watch", "--every", "50", "--duration", "0.3", timeout_s=30)
    assert len(done.stdout.splitlines()) == 2 + 1


def test_a_full_disk_is_told_in_one_line(tmp_path: Path, tools: FakeTools) -> None:
    """A file may not grow beyond a block: what is written ends in an error, as on a full disk."""
    shell = f"ulimit -f 1; exec {sys.executable} -m cs3d_ros.cli energy watch --every 0.002"
    done = subprocess.run(
        ["bash", "-c", f"{shell} --interval-ms 10 --duration 30 --csv power.csv"],
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "cs3d: power.csv: cannot be written (File too large)\n"


def test_a_source_that_is_lost_meanwhile_does_not_hide_how_the_command_ended(
    tmp_path: Path, tools: FakeTools
) -> None:
    tools.install(
        "tegrastats", "for _ in range(50):\n    say('VDD_IN 1/1')\n    time.sleep(interval_s)\n"
    )
    done = energy(
        tmp_path, "measure", "--idle-s", "0.1", "--interval-ms", "20", "--", "sh", "-c",
        "sleep 2; exit 7",
    )  # fmt: skip
    assert done.returncode == 1
    assert "was lost while energy was measured: " in done.stderr
    assert "The command ended with exit status 7" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_interrupted_watch_ends_quietly(tmp_path: Path, tools: FakeTools) -> None:
    with start(tmp_path, "watch", "--every", "0.1") as process:
        assert process.stdout is not None
        assert "tegrastats" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == ""
