"""Where the recordings lie that the tests read; the real ones are not part of the repository."""

import os
from pathlib import Path

import pytest

DRAWN_FACE = Path(__file__).parent / "data" / "drawn_face"
"""A drawn face, 6 s, 320x240, 1499 packets; tools/draw_face.py makes it."""

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def recording_path(name: str) -> Path:
    """Path of the recording `name`: evt3, libcaer_cmp or mono. Skips the test where it is absent.

    The environment variable CS3D_SHARED replaces the `shared` folder beside the repository.
    """
    path = Path(os.environ.get("CS3D_SHARED", _SHARED)) / "recordings" / name
    if not path.exists():
        pytest.skip(f"no recording at {path}; set CS3D_SHARED to the folder that has recordings/")
    return path
