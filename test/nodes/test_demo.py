import subprocess
import sys
from pathlib import Path

import pytest

from cs3d_ros.expressions import EXPRESSIONS
from recordings_data import recording_path


@pytest.fixture
def demo(tmp_path: Path):
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        picture = ["--picture", str(tmp_path / "timeline.png")]
        return subprocess.run(
            [sys.executable, "-m", "cs3d_ros.nodes.demo", *picture, *arguments],
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


def rows(result: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines of single messages."""
    lines = result.stdout.splitlines()
    table = lines.index(next(line for line in lines if line.startswith("window end")))
    return [line for line in lines[table + 1 :] if " ms " in line and " s " in line]


def test_recognises_a_real_recording(demo, tmp_path: Path):
    """One without labels: nothing to be right or wrong about."""
    result = demo("--bag", str(recording_path("evt3")), "--model", "untrained")
    assert result.returncode == 0, result.stderr
    assert "UNTRAINED" in result.stdout.splitlines()[0]
    assert len(rows(result)) >= 1
    assert f"{len(rows(result))} expressions by cs3d-untrained" in result.stdout
    assert "true" not in result.stdout
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")
    assert "Traceback" not in result.stderr


def test_random_weights_run_on_the_embedded_recording_and_it_says_so(demo, tmp_path: Path):
    result = demo("--rate", "4", "--model", "untrained")
    assert result.returncode == 0
    assert "of 7 expressions were recognised, expected at least 5" in result.stdout
    assert "the network is untrained" in result.stdout
    assert "Traceback" not in result.stderr
    for expression in EXPRESSIONS:
        assert any(line.startswith(f"{expression} ") for line in result.stdout.splitlines())
    assert (tmp_path / "timeline.png").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--bag", "/no/such/bag"], "/no/such/bag"),
        (["--model", "/no/such/model"], "/no/such/model"),
        (["--picture", "/no/such/folder/x.png"], "/no/such/folder/x.png"),
    ],
)
def test_fails_with_a_reason(demo, arguments, reason):
    result = demo(*arguments)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr


def test_fails_when_nothing_is_recognised(demo, tmp_path: Path, drawn_face: Path):
    """A recording shorter than a window."""
    from cs3d_ros.recordings import open_recording, write_recording

    with open_recording(drawn_face) as recording:
        packets = [row for _, row in zip(range(50), recording, strict=False)]
    write_recording(tmp_path / "short", packets)
    result = demo("--bag", str(tmp_path / "short"), "--model", "untrained")
    assert result.returncode == 1
    assert "no expression arrived" in result.stderr
