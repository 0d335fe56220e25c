"""Where the real recordings lie that the tests read; they are not part of the repository."""

import os
from pathlib import Path

import pytest

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def recording_path(name: str) -> Path:
    """Path of the recording `name`: evt3, libcaer_cmp or mono. Skips the test where it is absent.

    The environment variable CS3D_SHARED replaces the `shared` folder beside the repository.
    """
    path = Path(os.environ.get("CS3D_SHARED", _SHARED)) / "recordings" / name
    if not path.exists():
        pytest.skip(f"no recording at {path}; set CS3D_SHARED to the folder that has recordings/")
    return path
