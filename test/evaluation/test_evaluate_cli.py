import argparse
import json
import sys

import pytest

from cs3d_ros import evaluate_cli
from cs3d_ros.errors import Cs3dError
from cs3d_ros.evaluation.saved import load
from cs3d_ros.network.classifier import Classifier
from evaluation_helpers import Reader, built, write_stream


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return built(tmp_path_factory.mktemp("built"))


@pytest.fixture
def reader(monkeypatch):
    reader = Reader()
    monkeypatch.setattr(Classifier, "from_checkpoint", lambda *_, **__: reader)
    return reader


def run(*arguments):
    parser = argparse.ArgumentParser(prog="cs3d")
    evaluate_cli.add_commands(parser.add_subparsers())
    parsed = parser.parse_args(["evaluate", *map(str, arguments)])
    return parsed.run(parsed)


def test_a_data_set_with_all_results(folder, reader, tmp_path, capsys):
    outputs = [
        part
        for name in ("json", "report", "predictions")
        for part in (f"--{name}", tmp_path / f"out.{name}")
    ]
    assert run("weights", folder, "--window-hop-ms", 250, "--hop-ms", 250, *outputs) == 0
    out, err = capsys.readouterr()
    assert "14 clips of 3 people: accuracy 100.0 %" in out
    assert "test-sufficient-0" in out
    assert "clips" not in err
    content = json.loads((tmp_path / "out.json").read_text())
    assert content["clips"]["accuracy"] == 1.0
    assert content["settings"]["hop_ms"] == 250
    assert "100.0 %" in (tmp_path / "out.report").read_text(encoding="utf-8")
    saved = load(tmp_path / "out.predictions")
    assert len(saved.clips) == 14
    assert list(saved.streams) == ["test-sufficient-0"]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_on_a_terminal_only(folder, reader, capsys, monkeypatch, is_terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    assert run("weights", folder, "--window-hop-ms", 250, "--hop-ms", 250) == 0
    assert ("clips: 100%" in capsys.readouterr().err) == is_terminal


def test_a_recording_by_a_rule(reader, tmp_path, capsys):
    write_stream(tmp_path / "bag")
    plain, late = tmp_path / "plain.json", tmp_path / "late.json"
    assert run("weights", tmp_path / "bag", "--json", plain) == 0
    assert run("weights", tmp_path / "bag", "--min-messages", 3, "--json", late) == 0
    delays = [
        json.loads(path.read_text())["pooled"]["totals"]["delay_median_s"] for path in (plain, late)
    ]
    assert delays[1] == pytest.approx(delays[0] + 0.2, abs=0.01)
    assert "reader on bag" in capsys.readouterr().out


def test_a_recording_with_a_file_of_labels(reader, tmp_path):
    write_stream(tmp_path / "bag", labels=None)
    (tmp_path / "labels.csv").write_text("start_s,end_s,expression\n2,3.5,happy\n")
    out = tmp_path / "out.json"
    arguments = ("--labels", tmp_path / "labels.csv", "--json", out)
    assert run("weights", tmp_path / "bag", *arguments) == 0
    totals = json.loads(out.read_text())["pooled"]["totals"]
    assert (totals["shown"], totals["found"], totals["false_alarms"]) == (1, 1, 1)


def test_results_that_could_not_be_written_are_told_first(folder, reader, tmp_path):
    with pytest.raises(Cs3dError, match="not a file in an existing folder"):
        run("weights", folder, "--json", tmp_path / "none" / "out.json")
    with pytest.raises(Cs3dError, match="not a file in an existing folder"):
        run("weights", folder, "--report", tmp_path)
    with pytest.raises(Cs3dError, match="two results of one name"):
        run("weights", folder, "--json", tmp_path / "a", "--report", tmp_path / "a")
    assert reader.windows == 0


def test_a_path_that_is_neither_is_told(reader, tmp_path):
    with pytest.raises(Cs3dError, match="no such file or folder"):
        run("weights", tmp_path / "none")


@pytest.mark.parametrize("arguments", [("--hop-ms", "0"), ("--hop-ms", "nan"), ("--batch", "x")])
def test_wrong_usage(folder, arguments, capsys):
    with pytest.raises(SystemExit) as end:
        run("weights", folder, *arguments)
    assert end.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("--min-confidence", 2), "a confidence of 2.0"),
        (("--keep-confidence", -1), "a confidence of -1.0"),
        (("--min-messages", 0), "0 messages"),
        (("--smoothing-ms", -1), "smoothing over -1.0 ms"),
        (("--part", "none"), "no part 'none'"),
        (("--no-clips", "--no-windows", "--no-streams"), "nothing to evaluate"),
        (("--seed", -1), "seed of -1"),
        (("--batch", 0), "batches of 0"),
    ],
)
def test_values_out_of_range_are_told_before_the_network_runs(folder, reader, arguments, reason):
    with pytest.raises(Cs3dError, match=reason):
        run("weights", folder, *arguments)
    assert reader.windows == 0
