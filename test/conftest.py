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
    import cs3d_ros

    return Path(cs3d_ros.__file__).parent / "demo" / "drawn_face"
