"""The fake vendor tools as a fixture, which sees to it that every test cleans up."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_tools import FakeTools


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTools]:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    fakes = FakeTools(folder)
    yield fakes
    leftovers = fakes.living()
    for pid in leftovers:
        os.kill(pid, 9)
    assert not leftovers, "the test left child processes behind"
