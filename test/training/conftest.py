import sys
from pathlib import Path

import pytest

# Makes dataset_helpers importable; pytest puts only a test's own folder on the path.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "datasets"))


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A data set of 16 clips to train on, 8 to validate on and 4 to test on."""
    from training_helpers import make_data

    return make_data(tmp_path_factory.mktemp("sets"))


@pytest.fixture(scope="session")
def run(data, tmp_path_factory):
    """A finished run of two epochs: its folder, its result, what it reported."""
    from cs3d_ros.training.train import train
    from training_helpers import GROWING

    out, lines = tmp_path_factory.mktemp("runs") / "run", []
    command = "cs3d train data run"
    result = train(data, out, GROWING, command=command, report=lines.append)
    return out, result, lines
