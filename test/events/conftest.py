"""Makes `test/recordings_data.py` importable and the kernels compiled before any test."""

import sys
from pathlib import Path

import pytest

from cs3d_ros.events import evt3, tensors

# pytest puts only a test's own folder on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    # Otherwise Hypothesis takes the compiler for a slow example.
    evt3.warm_up()
    tensors.warm_up()
