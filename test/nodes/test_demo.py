import subprocess
import sys
from pathlib import Path

import pytest

from recordings_data import recording_path


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cs3d_ros.nodes.demo", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_recognises_a_real_recording():
    result = demo("--bag", str(recording_path("evt3")))
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert "UNTRAINED" in lines[0]
    table = lines.index(next(line for line in lines if line.startswith("window end")))
    rows = [line for line in lines[table + 1 :] if " ms " in line and " s " in line]
    assert len(rows) >= 1
    assert f"{len(rows)} expressions by cs3d-untrained" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bag", "/no/such/bag"], "/no/such/bag"),
        (["--model", "/no/such/model"], "/no/such/model"),
    ],
)
def test_fails_with_a_reason(arguments, reason):
    result = demo(*arguments)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_fails_when_nothing_is_recognised(tmp_path: Path, drawn_face: Path):
    """A recording shorter than a window."""
    from cs3d_ros.recordings import open_recording, write_recording

    with open_recording(drawn_face) as recording:
        packets = [row for _, row in zip(range(50), recording, strict=False)]
    write_recording(tmp_path / "short", packets)
    result = demo("--bag", str(tmp_path / "short"))
    assert result.returncode == 1
    assert "no expression arrived" in result.stderr
