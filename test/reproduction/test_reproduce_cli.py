import argparse
import json
import subprocess
import sys

import pytest

from cs3d_ros import reproduce_cli
from cs3d_ros.errors import Cs3dError
from cs3d_ros.reproduction import runs
from cs3d_ros.training.errors import TrainingError
from training_helpers import make_data

FEW = ["--protocol", "quick", "--epochs", "1", "--clips", "8", "--batch", "4", "--threads", "1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("sets"))


def run(*arguments):
    parser = argparse.ArgumentParser(prog="cs3d")
    reproduce_cli.add_commands(parser.add_subparsers())
    parsed = parser.parse_args(["reproduce", *map(str, arguments)])
    return parsed.run(parsed)


def test_a_network_is_trained_tested_and_told_and_not_again(data, tmp_path, capsys):
    out = tmp_path / "out"
    given = ["table2", "--data", data, "--out", out, "--seeds", "0,1", "--only", "rnn", *FEW]
    assert run(*given) == 0
    table, told = capsys.readouterr()
    assert "run 1 of 2: some, rnn, seed 0" in told
    assert "| RNN" in table
    assert "(n = 2)" in table
    assert "not finished (0 of 2 seeds)" in table
    assert (out / "table2.md").read_text() == table
    assert {path.name for path in out.iterdir()} == {
        "reproduction.json", "some", "table2.md", "table2.json", "table2.png",
    }  # fmt: skip
    content = json.loads((out / "table2.json").read_text())
    stored = json.loads((out / "some/rnn-seed0/evaluation.json").read_text())
    row = content["data"][0]["rows"][0]
    assert row["runs"][0]["accuracy"] == stored["measured"]["accuracy"]
    assert (row["runs"][0]["clips"], stored["run"]["part"]) == (4, "test")
    assert (row["settings"]["epochs"], row["settings"]["clips"]) == (1, 8)
    weights = (out / "some/rnn-seed0/checkpoint.safetensors").stat().st_mtime_ns
    assert run(*given, "--json") == 0
    again, told = capsys.readouterr()
    assert "run 1" not in told
    assert json.loads(again)["data"] == content["data"]
    assert (out / "some/rnn-seed0/checkpoint.safetensors").stat().st_mtime_ns == weights


def test_a_run_that_fails_is_told_at_the_end_and_the_table_is_there(
    data, tmp_path, capsys, monkeypatch
):
    def failing(*arguments, **named):
        raise TrainingError("the loss is no longer a number")

    monkeypatch.setattr(runs, "do", failing)
    with pytest.raises(Cs3dError, match=r"one run failed and .* without: some, rnn, seed 0: the"):
        run("table2", "--data", data, "--out", tmp_path / "o", "--only", "rnn", "--seeds", 0, *FEW)
    assert "Runs that failed" in capsys.readouterr().out
    assert (tmp_path / "o/table2.md").exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"--only": "c4d"}, "table2 has no row 'c4d'"),
        ({"--protocol": "fast"}, "unknown protocol 'fast'"),
        ({"--seeds": "1,1"}, "give 1 to 100 different ones"),
        ({"--seeds": "99999999999"}, "seed is 99999999999"),
        ({"--size": "20"}, "sizes from 32 to 224"),
        ({"--clips": "4"}, "4 clips to train on are less than a batch"),
        ({"--data": "/no/such/set"}, "no data set"),
        ({"--device": "cuda:99", "--only": "rnn"}, "cuda:99"),
    ],
)
def test_bad_input_is_one_line(data, tmp_path, changes, reason):
    given = {"table": "table2", "--data": data, "--out": tmp_path / "out", "--seeds": "0"}
    given |= {"--protocol": "quick", **changes}
    arguments = [part for name, value in list(given.items())[1:] for part in (name, value)]
    with pytest.raises(Cs3dError, match=reason) as error:
        run(given["table"], *arguments, "--batch", "8")
    assert "\n" not in str(error.value)


def test_an_unknown_table_is_wrong_usage_and_the_known_ones_are_named(capsys):
    with pytest.raises(SystemExit) as ended:
        run("table5", "--data", "x", "--out", "y")
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert "invalid choice: 'table5'" in told
    assert all(name in told for name in ("table1", "table2", "table3", "table4", "forks"))


@pytest.mark.parametrize("table", ["table2", "table3", "table4", "forks"])
def test_each_table_that_is_trained_tells_what_it_is_of(table, capsys):
    with pytest.raises(SystemExit) as ended:
        run(table, "--help")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert f"OUT/{table}.md" in told
    assert "--protocol" in told


@pytest.mark.parametrize("seeds", ["", "0,", "a", "-1", "0;1", "1.5"])
def test_malformed_seeds_are_wrong_usage(seeds, capsys):
    with pytest.raises(SystemExit) as ended:
        run("table2", "--data", "x", "--out", "y", f"--seeds={seeds}")
    assert ended.value.code == 2
    assert "are no seeds; expected whole numbers" in capsys.readouterr().err


def test_the_command_is_kept_without_the_folders_of_this_machine(monkeypatch):
    parser = argparse.ArgumentParser(prog="cs3d")
    reproduce_cli.add_commands(parser.add_subparsers())
    words = ["reproduce", "table2", "--data", "/home/ann/facekit-7", "--out", "/tmp/x/out"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/cs3d", *words])
    assert reproduce_cli._command(parser.parse_args(words)) == (
        "cs3d reproduce table2 --data facekit-7 --out out"
    )


def test_its_arguments_are_known_without_torch():
    code = (
        "import argparse, sys; from cs3d_ros import reproduce_cli; p = argparse.ArgumentParser()\n"
        "reproduce_cli.add_commands(p.add_subparsers())\n"
        "p.format_help(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
