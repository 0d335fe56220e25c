import importlib.util
import os
from collections.abc import Iterator

import pytest

# A graph of the tests' own, on this machine only. Set before any node starts.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

# Without ROS 2 (`pytest` outside of `make test`) there is nothing in here to run.
collect_ignore_glob = [] if importlib.util.find_spec("rclpy") else ["*"]


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Processes of this package's nodes and a node to talk to them, gone after the module."""
    from graph import Graph

    with Graph(tmp_path_factory.mktemp("logs")) as graph:
        yield graph
