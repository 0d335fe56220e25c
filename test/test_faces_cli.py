import sys

import cv2
import numpy as np
import pytest

from cs3d_ros.cli import main
from cs3d_ros.recordings import open_recording, read_labels
from cs3d_ros.simulation.video import open_video
from faces_data import facekit_path


def run(*arguments):
    return main(["faces", *map(str, arguments)])


def render(target, *more):
    small = ("--size", 32, "--duration", 0.5, "--frame-rate", 20)
    return run("render", target, "--facekit", facekit_path(), *small, *more)


def test_the_help_shows_the_four_commands(capsys):
    with pytest.raises(SystemExit) as end:
        run("--help")
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("render", "sheet", "align", "convert-facekit"))


def test_a_bag_has_events_and_labels(tmp_path, capsys):
    assert render(tmp_path / "bag", "--expression", "happy", "--duration", 2) == 0
    with open_recording(tmp_path / "bag") as recording:
        packets = [packet for _, packet in recording]
    assert {(p.width, p.height, p.encoding) for p in packets} == {(32, 32, "evt3")}
    assert "happy" in {label.expression for label in read_labels(tmp_path / "bag")}
    out = capsys.readouterr().out
    assert "random-0" in out
    assert "happy      onset" in out


def test_a_video_has_every_frame(tmp_path):
    assert render(tmp_path / "face.mov") == 0
    with open_video(tmp_path / "face.mov") as video:
        frames = list(video)
    assert len(frames) == 11
    assert frames[0][1].shape == (32, 32)
    assert np.ptp(frames[0][1]) > 50


def test_an_output_is_replaced_only_when_asked_to(tmp_path, capsys):
    target = tmp_path / "events.raw"
    assert render(target) == 0
    before = target.read_bytes()
    assert render(target, "--seed", 1) == 1
    assert "--overwrite" in capsys.readouterr().err
    assert target.read_bytes() == before
    assert render(target, "--seed", 1, "--overwrite") == 0
    assert target.read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--subject", "nobody"), "nobody"),
        (("--seed", "-1"), "seed"),
        (("--size", "0"), "0 pixels"),
        (("--intensity", "full"), "single"),
        (("--photographs", "/nonexistent"), "/nonexistent"),
    ],
)
def test_impossible_choices_are_one_line_and_no_file(tmp_path, capsys, arguments, message):
    assert render(tmp_path / "bag", *arguments) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_no_facekit_is_refused(tmp_path, capsys):
    (tmp_path / "kit.npz").write_bytes(b"no face")
    assert run("render", tmp_path / "bag", "--facekit", tmp_path / "kit.npz") == 1
    assert "kit.npz" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("render", "face.mov"), ("sheet", "sheet.png")])
def test_without_opencv_one_line_says_what_to_install(tmp_path, capsys, monkeypatch, arguments):
    command, name = arguments
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert run(command, tmp_path / name, "--facekit", tmp_path / "kit.npz") == 1
    err = capsys.readouterr().err
    assert "pip install" in err
    assert err.count("\n") == 1


def test_a_sheet_shows_faces_and_events(tmp_path):
    target = tmp_path / "sheet.png"
    more = ("--people", 1, "--expression", "surprised")
    assert run("sheet", target, "--facekit", facekit_path(), *more) == 0
    sheet = cv2.imread(str(target), cv2.IMREAD_GRAYSCALE)
    # Five rows of a picture of 112 pixels and its events.
    assert sheet.shape[0] > 5 * 2 * 112
    assert sheet.shape[1] > 112


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sheet.jpg",), ".png"),
        (("sheet.png", "--people", "0"), "1 to 50"),
        (("nowhere/sheet.png",), "nowhere"),
    ],
)
def test_impossible_sheets_are_refused(tmp_path, capsys, arguments, message):
    name, *more = arguments
    assert run("sheet", tmp_path / name, "--facekit", facekit_path(), *more) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_name_of_another_kind_is_told_all_kinds_that_there_are(tmp_path, capsys):
    assert render(tmp_path / "face.mp4") == 1
    err = capsys.readouterr().err
    assert all(suffix in err for suffix in (".mov", ".raw", ".csv", ".npz"))
