import dataclasses
import json
import os
import subprocess
import sys

import pytest

from cs3d_ros.cli import main
from cs3d_ros.network import checkpoint, names
from cs3d_ros.recordings import open_recording, write_recording
from recordings_data import recording_path

FAST = ["--window-ms", "400", "--hop-ms", "400"]


def test_complexity_as_json(capsys):
    assert main(["complexity", "--json"]) == 0
    rows = {row["network"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == list(names())
    assert rows["c3d"]["macs"] == 21_291_466_752
    assert rows["c3d+factorized"]["macs"] == 4_255_309_824
    assert rows["cs3d"]["macs"] < rows["c3d"]["macs"] / 4
    assert all(row["parameters"] > 0 for row in rows.values())


def test_complexity_as_text(capsys):
    assert main(["complexity"]) == 0
    out = capsys.readouterr().out
    assert "21,291,466,752" in out
    assert "4.68" in out


def test_recognize_as_json(capsys):
    path = str(recording_path("evt3"))
    plain = ["--min-confidence", "0", "--smoothing-ms", "0", "--keep-confidence", "1"]
    assert main(["recognize", path, "--checkpoint", "untrained", "--json", *plain, *FAST]) == 0
    captured = capsys.readouterr()
    rows = [json.loads(line) for line in captured.out.splitlines()]
    assert len(rows) == 3
    for row in rows:
        assert row["expression"] == max(row["probabilities"], key=row["probabilities"].get)
        assert row["confidence"] == max(row["probabilities"].values())
        assert isinstance(row["stamp_ns"], int)
        assert row["event_count"] > 0
        assert row["inference_ms"] > 0
        assert "untrained" in row["model"]
    assert "3 windows recognised" in captured.err


def test_recognize_as_text(capsys):
    path = str(recording_path("evt3"))
    assert main(["recognize", path, "--checkpoint", "untrained", *FAST]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all("untrained" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["/no/such/bag"], "/no/such/bag"),
        (["BAG", "--checkpoint", ""], "`shipped`"),
        (["BAG", "--checkpoint", "/no/such/model"], "/no/such/model"),
        (["BAG", "--checkpoint", "untrained", "--device", "cuda:99"], "cuda:99"),
        (["BAG", "--checkpoint", "untrained", "--window-ms", "-3"], "windows of"),
        (["BAG", "--checkpoint", "untrained", "--window-ms", "1e9"], "whole window"),
        (["BAG", "--checkpoint", "untrained", "--roi", "0,0,5000,5000"], "5000x5000"),
        (["BAG", "--checkpoint", "untrained", "--refractory-us", "-5"], "refractory_us is -5"),
        (
            ["BAG", "--checkpoint", "untrained", "--background-activity-us", "-1"],
            "expected 0 (off)",
        ),
        (["BAG", "--checkpoint", "untrained", "--topic", "/nope"], "/nope"),
    ],
)
def test_bad_input_is_one_line_and_status_1(capsys, drawn_face, arguments, reason):
    arguments = [str(drawn_face) if a == "BAG" else a for a in arguments]
    assert main(["recognize", *arguments]) == 1
    err = capsys.readouterr().err
    assert reason in err.splitlines()[-1]
    assert "Traceback" not in err


def test_following_the_activity_without_noise(capsys, drawn_face):
    options = ["--roi", "activity", "--background-activity-us", "20000", "--json", *FAST]
    assert main(["recognize", str(drawn_face), "--checkpoint", "untrained", *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    regions = [row["roi"] for row in rows]
    assert any(roi != {"x": 40, "y": 0, "width": 240, "height": 240} for roi in regions)
    assert 0 < sum(row["event_count"] for row in rows) < 80_000


def test_what_is_improbable_is_reported_as_neutral(capsys, drawn_face):
    options = ["--checkpoint", "untrained", "--min-confidence", "0.99", "--json", *FAST]
    assert main(["recognize", str(drawn_face), *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["expression"] for row in rows} == {"neutral"}
    assert all(row["confidence"] == row["probabilities"]["neutral"] for row in rows)


def test_the_background_activity_filter_is_the_networks_unless_told(capsys, drawn_face, tmp_path):
    network, card = checkpoint.untrained("rnn")
    card = dataclasses.replace(card, background_activity_us=20_000)
    checkpoint.save(tmp_path / "rnn.safetensors", network, card)

    def events(*options):
        arguments = ["--checkpoint", str(tmp_path / "rnn.safetensors"), "--json", *FAST, *options]
        assert main(["recognize", str(drawn_face), *arguments]) == 0
        return sum(json.loads(row)["event_count"] for row in capsys.readouterr().out.splitlines())

    counts = [events("--background-activity-us", us) for us in ("0", "5000", "20000")]
    assert sorted(set(counts)) == counts[1:2] + counts[2:] + counts[:1]
    assert events() == counts[2]
    assert events("--refractory-us", "1") <= counts[2]


@pytest.mark.parametrize(
    ("damage", "reason"), [({"encoding": "evt99"}, "evt99"), ({"width": 4, "height": 4}, "4x4")]
)
def test_a_bad_packet_among_good_ones_is_a_remark(capsys, drawn_face, tmp_path, damage, reason):
    with open_recording(drawn_face) as recording:
        rows = [row for _, row in zip(range(300), recording, strict=False)]
    log_ns, packet = rows[100]
    rows[100] = (log_ns, dataclasses.replace(packet, **damage))
    write_recording(tmp_path / "bag", rows)
    assert main(["recognize", str(tmp_path / "bag"), "--checkpoint", "untrained"]) == 0
    captured = capsys.readouterr()
    assert captured.out
    assert "1 packets could not be decoded" in captured.err
    assert reason in captured.err


@pytest.mark.parametrize("arguments", [[], ["recognize"], ["recognize", "x", "--roi", "1,2"]])
def test_wrong_usage_is_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as error:
        main(arguments)
    assert error.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_importing_the_package_imports_neither_torch_nor_rclpy():
    code = "import cs3d_ros, cs3d_ros.cli, sys; print({'torch', 'rclpy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


def test_a_reader_that_has_seen_enough_is_no_error(drawn_face):
    command = [sys.executable, "-m", "cs3d_ros.cli", "recognize", str(drawn_face)]
    process = subprocess.Popen(
        [*command, "--checkpoint", "untrained", "--hop-ms", "200", "--window-ms", "300"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert "Traceback" not in process.stderr.read()
