import importlib.util
from collections.abc import Iterator

import pytest

# Without ROS 2 (`pytest` outside of `make test`) there is nothing in here to run.
HAS_ROS = importlib.util.find_spec("rclpy") is not None
collect_ignore_glob = [] if HAS_ROS else ["*"]

if HAS_ROS:
    from cs3d_ros.nodes.local_graph import isolate

    # For the commands too that tests run beside the graph.
    isolate()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """Processes of this package's nodes and a node to talk to them, gone after the module."""
    from graph import Graph

    with Graph(tmp_path_factory.mktemp("logs")) as graph:
        yield graph
