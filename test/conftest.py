from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def untrained():
    """The untrained CS3D on the CPU."""
    from cs3d_ros.network.classifier import Classifier

    return Classifier.from_checkpoint("untrained", device="cpu")


@pytest.fixture(scope="session")
def drawn_face() -> Path:
    """The embedded recording: 6 s, 320x240, 1499 packets."""
    from cs3d_ros.recordings import EMBEDDED

    return EMBEDDED
