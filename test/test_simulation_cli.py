import subprocess
import sys

import cv2
import numpy as np
import pytest

from cs3d_ros.cli import main
from cs3d_ros.recordings import open_recording
from cs3d_ros.simulation.settings import PRESETS
from cs3d_ros.simulation_cli import _LIGHTS


def write_video(path, n=8):
    """A bright square that moves to the right over a darker ground."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48))
    for i in range(n):
        picture = np.full((48, 64, 3), 60, np.uint8)
        picture[15:35, 5 + 2 * i : 25 + 2 * i] = 180
        writer.write(picture)
    writer.release()
    return str(path)


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "square.avi")


def test_it_says_what_it_did(capsys, tmp_path, video):
    out = tmp_path / "events"
    assert main(["events", "simulate", video, str(out), "--light", "clean", "--seed", "3"]) == 0
    captured = capsys.readouterr()
    first, second = captured.out.splitlines()
    assert first == f"{video} -> {out}"
    assert second.startswith("64x48, 8 frames and ")
    assert ", 0.280 s, " in second
    assert captured.err == ""
    with open_recording(out) as recording:
        assert {packet.encoding for _, packet in recording} == {"evt3"}


def test_all_options_together(capsys, tmp_path, video):
    arguments = ["--light", "insufficient", "--seed", "1", "--size", "32x24", "--frame-rate", "500"]
    arguments += ["--video-rate", "50", "--slow-motion", "2", "--overwrite"]
    out = tmp_path / "a.npz"
    out.write_text("old")
    assert main(["events", "simulate", video, str(out), *arguments]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("32x24, 8 frames and 28 between them")
    with np.load(out) as events:
        assert (int(events["width"]), int(events["height"])) == (32, 24)


def test_the_lights_are_the_presets():
    assert list(_LIGHTS) == list(PRESETS)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["only-one"],
        ["a", "b", "--light", "moon"],
        ["a", "b", "--seed", "-1"],
        ["a", "b", "--seed", "1.5"],
        ["a", "b", "--size", "112"],
        ["a", "b", "--size", "-1x5"],
        ["a", "b", "--frame-rate", "0"],
        ["a", "b", "--frame-rate", "nan"],
        ["a", "b", "--slow-motion", "fast"],
    ],
)
def test_wrong_usage_is_status_2(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        main(["events", "simulate", *arguments])
    assert end.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_bad_input_is_one_line_and_status_1(capsys, tmp_path, video):
    for source, target, reason in [
        ("/no/such/video.mp4", tmp_path / "a.npz", "no such file"),
        (video, tmp_path / "a.mp4", "cannot write '.mp4'"),
        (str(tmp_path), tmp_path / "a.npz", "(--video-rate)"),
        (write_video(tmp_path / "one.avi", 1), tmp_path / "a.npz", "one frame only"),
    ]:
        assert main(["events", "simulate", source, str(target)]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("cs3d: ")
        assert reason in line


def test_without_opencv_it_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert main(["events", "simulate", "a.mp4", str(tmp_path / "a.npz")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cs3d: this needs cv2")
    assert "pip install" in line


def test_damage_is_told_after_what_could_be_simulated(capsys, tmp_path):
    path = tmp_path / "long.avi"
    write_video(path, 20)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    out = tmp_path / "a.npz"
    assert main(["events", "simulate", str(path), str(out)]) == 1
    captured = capsys.readouterr()
    assert "events/s" in captured.out
    assert "it is truncated or damaged; simulated is what could be decoded" in captured.err
    assert out.exists()


def test_the_command_line_imports_no_torch(tmp_path, video):
    code = (
        "import sys; from cs3d_ros.cli import main; main(['events', 'simulate', "
        f"{video!r}, {str(tmp_path / 'a.npz')!r}]); print({{'torch', 'rclpy'}} & set(sys.modules))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.splitlines()[-1] == "set()"
