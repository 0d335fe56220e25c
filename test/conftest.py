from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def untrained():
    """The untrained CS3D on the CPU."""
    from cs3d_ros.network.classifier import Classifier

    return Classifier.from_checkpoint("untrained", device="cpu")


@pytest.fixture(scope="session")
def drawn_face() -> Path:
    """A drawn face: 6 s, 320x240, 1499 packets."""
    from recordings_data import DRAWN_FACE

    return DRAWN_FACE
