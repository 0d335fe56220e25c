"""The first seconds of what `make soak` does for ten minutes."""

from pathlib import Path

from soak_energy import soak


def test_a_tool_that_misbehaves_makes_nothing_grow(tmp_path: Path) -> None:
    measured, lost = soak(12.0, 50.0, tmp_path)
    assert measured + lost > 4
