"""Makes `test/recordings_data.py` importable and the kernels compiled before any test."""

import sys
from pathlib import Path

import pytest
from hypothesis import settings

from cs3d_ros.events import warm_up

# pytest puts only a test's own folder on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Shared machines are slow at times; no property here is about speed.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    """Compile once, as a node does before its first packet."""
    warm_up()
