import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Converted networks are kept for the session, and not where the user's are."""
    before = os.environ.get("CS3D_CACHE")
    os.environ["CS3D_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["CS3D_CACHE"]
    else:
        os.environ["CS3D_CACHE"] = before


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
