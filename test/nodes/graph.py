"""A real ROS graph for the tests: nodes as processes, and one rclpy node to talk to them."""

import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from cs3d_ros.nodes.local_graph import LocalGraph

CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
CLEANUP = Transition.TRANSITION_CLEANUP


class Process:
    """A node that runs, with all that it says on its terminal."""

    def __init__(self, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self.popen = popen
        self.log = log

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def end(self, number: int = signal.SIGINT) -> float:
        """Send a signal and return the seconds until the process has ended."""
        started = time.monotonic()
        self.popen.send_signal(number)
        self.popen.wait(timeout=20.0)
        return time.monotonic() - started


class Graph(LocalGraph):
    """Starts nodes, keeps what they say, and asks them for what tests want to know."""

    def __init__(self, logs: Path) -> None:
        super().__init__()
        self._logs = logs

    def run(self, executable: str, *ros_arguments: str, **options: Any) -> Process:
        """`start`, with the output kept."""
        log = self._logs / f"{executable}-{len(self._processes)}.log"
        with log.open("wb") as sink:
            return Process(self.start(executable, *ros_arguments, output=sink, **options), log)

    def unused_name(self) -> str:
        """A name that no node has had: a service that has just gone can still be discovered."""
        return f"node_{len(self._processes)}"

    def state(self, node: str) -> str:
        answer = self.call(GetState, f"/{node}/get_state", GetState.Request())
        return answer.current_state.label

    def set_parameter(self, node: str, name: str, value: Any) -> tuple[bool, str]:
        request = SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]
        )
        result = self.call(SetParameters, f"/{node}/set_parameters", request).results[0]
        return result.successful, result.reason

    def collect(self, kind: type, topic: str, qos: Any = 100) -> list[Any]:
        """A list that grows with every message on a topic."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages
