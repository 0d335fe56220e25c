import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cs3d_ros import reproduce_cli, table1_cli
from cs3d_ros.errors import Cs3dError
from cs3d_ros.reproduction.table1.networks import MeasuredNetwork
from fake_tools import FakeTools, own_source, wait_until

QUICK = ["--device", "cpu", "--size", "32", "--seconds", "0.3", "--repeats", "2", "--threads", "1"]

WRITTEN = {"table1.md", "table1.json"}

# What the file "watts" says, or 2 W.
TEGRASTATS = """
watts = os.path.join(os.path.dirname({pids!r}), "watts")
while True:
    drawn = open(watts).read() if os.path.exists(watts) else "2"
    say(f"RAM 1/2MB (lfb 1x1MB) CPU [1%@729] VDD_IN {{drawn or 2}}000mW/1mW VDD_SOC 500mW/1mW")
    time.sleep(interval_s)
"""


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """A folder that is all there is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    fakes = FakeTools(folder)
    yield fakes
    wait_until(lambda: not fakes.living())


@pytest.fixture
def tegrastats(tools, tmp_path, monkeypatch):
    """A module that draws 2 W, 6 W while C3D runs, and 3 W while CS3D does."""
    tools.install("tegrastats", TEGRASTATS.format(pids=str(tmp_path / "bin/pids")))
    infer, wait = MeasuredNetwork.infer, MeasuredNetwork.synchronize
    shown = tmp_path / "bin/watts"

    def show(watts):
        (tmp_path / "bin/new").write_text(watts)
        (tmp_path / "bin/new").replace(shown)

    def infer_at_power(self):
        show("3" if "cs3d" in self.name else "6")
        infer(self)

    def wait_at_power(self):
        wait(self)
        # Within an inference it waits as well.
        if sys._getframe(1).f_code is not infer.__code__:
            show("2")

    monkeypatch.setattr(MeasuredNetwork, "infer", infer_at_power)
    monkeypatch.setattr(MeasuredNetwork, "synchronize", wait_at_power)


def run(*arguments):
    parser = argparse.ArgumentParser(prog="cs3d")
    reproduce_cli.add_commands(parser.add_subparsers())
    parsed = parser.parse_args(["reproduce", "table1", *map(str, arguments)])
    return parsed.run(parsed)


def test_energy_of_a_module_whose_power_is_known(tegrastats, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--out", out, *QUICK, "--source", "tegrastats", "--interval-ms", 10) == 0
    table, told = capsys.readouterr()
    assert (out / "table1.md").read_text() == table
    assert "float32, batch 1, repeat 2 of 2: cs3d" in told
    content = json.loads((out / "table1.json").read_text())
    assert content["finished"]
    for row, above_w in zip(content["rows"], (4.0, 1.0), strict=True):
        for turn in row["turns"]:
            assert turn["energy_j"] == pytest.approx(above_w * turn["time_s"], rel=0.25)
            assert turn["idle"]["energy_j"] == pytest.approx(
                2.0 * turn["idle"]["duration_s"], rel=0.1
            )
    assert content["power"]["source"] == "tegrastats"
    assert "scope module" in table
    assert {path.name for path in out.iterdir()} <= {"table1.md", "table1.json", "table1.png"}


@pytest.mark.skipif(bool(own_source()), reason="this machine has a power source")
def test_without_a_source_it_says_so_and_measures_times(tools, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--out", out, *QUICK, "--batch", "1,2", "--json") == 0
    printed, told = capsys.readouterr()
    content = json.loads(printed)
    assert content == json.loads((out / "table1.json").read_text())
    assert "cs3d: energy is not measured: no power source gives a reading" in told
    assert content["no_power"].startswith("no power source gives a reading. Tried: tegrastats: not")
    assert "\n" not in content["no_power"]
    assert [row["batch"] for row in content["rows"]] == [1, 1, 2, 2]
    assert all(row["time_s"]["mean"] > 0 for row in content["rows"])
    assert all(row["energy_j"] is None for row in content["rows"])


def test_a_source_that_was_asked_for_by_name_has_to_be_there(tools, tmp_path):
    with pytest.raises(Cs3dError, match="nvidia-smi: not found"):
        run("--out", tmp_path / "out", *QUICK, "--source", "tegrastats", "--source", "nvidia-smi")
    assert not (tmp_path / "out").exists()


def test_a_source_that_is_lost_for_good_leaves_what_was_measured(
    tools, tmp_path, capsys, monkeypatch
):
    tools.install(
        "tegrastats",
        """
once = os.path.join(os.path.dirname(sys.argv[0]), "once")
if os.path.exists(once):
    sys.exit(7)
while not os.path.exists(once):
    say("VDD_IN 2000mW/1mW")
    time.sleep(interval_s)
""",
    )
    out = tmp_path / "out"
    tell = table1_cli._tell

    def tell_and_lose(line):
        tell(line)
        if "repeat 1 of 2: cs3d" in line:
            (tmp_path / "bin/once").touch()

    monkeypatch.setattr(table1_cli, "_tell", tell_and_lose)
    monkeypatch.setattr("cs3d_ros.reproduction.table1.measure.ATTEMPTS", 1)
    with pytest.raises(Cs3dError, match=r"idling could not be measured.*exit status 7"):
        run("--out", out, *QUICK, "--source", "tegrastats", "--interval-ms", 10)
    assert f"what was measured so far is in {out}" in capsys.readouterr().err
    content = json.loads((out / "table1.json").read_text())
    assert not content["finished"]
    assert [len(row["turns"]) for row in content["rows"]] == [1, 1]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--precision", "float16"], "unknown precision 'float16'"),
        (["--precision", "float32,tf32"], "tf32 needs an NVIDIA GPU"),
        (["--precision", ","], "each precision is to be given once, and one at least"),
        (["--batch", "0"], "the batch is 0"),
        (["--size", "16"], "the size is 16"),
        (["--repeats", "0"], "the number of repeats is 0"),
        (["--seconds", "1e9"], "at most 3600"),
        (["--threads", "-1"], "-1 threads asked for"),
        (["--device", "cuda:99"], "'cuda:99' does not exist here"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(tools, tmp_path, given, reason):
    with pytest.raises(Cs3dError, match=reason) as error:
        run("--out", tmp_path / "out", *QUICK, *given)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (["--source", "wattmeter"], "invalid choice: 'wattmeter'"),
        (["--interval-ms", "9"], "'9' is no interval; expected 10 to 1000"),
        (["--interval-ms", "²"], "is no interval"),
        (["--batch", "1;2"], "are no batches"),
        (["--seconds", "0"], "is not a number above 0"),
        (["--data", "x"], "unrecognized arguments: --data x"),
    ],
)
def test_wrong_usage_says_what_is_expected(tmp_path, given, reason, capsys):
    with pytest.raises(SystemExit) as ended:
        run("--out", tmp_path / "out", *given)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tools, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/reproduction.json").write_text("{}")
    with pytest.raises(Cs3dError, match=r"holds reproduction.json already"):
        run("--out", tmp_path / "out", *QUICK)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["reproduction.json"]


def test_interrupted_it_leaves_whole_files_and_no_process(tools, tmp_path):
    tools.install("tegrastats", TEGRASTATS.format(pids=str(tmp_path / "bin/pids")))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "cs3d_ros.cli", "reproduce", "table1", "--out", str(out)]
    with subprocess.Popen(
        [*command, *QUICK, "--repeats", "100", "--interval-ms", "10"],
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    ) as process:
        # Written, and not being written.
        wait_until(lambda: out.exists() and {p.name for p in out.iterdir()} == WRITTEN, 60.0)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert f"what was measured so far is in {out}" in told
    assert not json.loads((out / "table1.json").read_text())["finished"]
    assert "**Not finished**" in (out / "table1.md").read_text()
    assert {path.name for path in out.iterdir()} == WRITTEN


def test_the_command_is_kept_without_the_folders_of_this_machine(monkeypatch):
    words = ["reproduce", "table1", "--out", "/home/ann/out", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/cs3d", *words])
    assert (
        table1_cli._command(Path("/home/ann/out")) == "cs3d reproduce table1 --out out --device cpu"
    )
