"""The nodes as processes on this machine: for the demonstration, benchmarks and tests."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rclpy
from ament_index_python.packages import get_package_prefix
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from typing_extensions import Self

# Configuring imports torch and, the first time, compiles the kernels: minutes on a slow machine.
PATIENCE_S = 180.0
_APPEAR_S = 30.0
# The answer of a service is lost if the server has not discovered the client by then, which happens
# on a busy machine. So a transition is not waited for longer than this before the state is asked.
_TRANSITION_S = 15.0
_END_S = 5.0


_LEADS_TO = {
    Transition.TRANSITION_CONFIGURE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_ACTIVATE: State.PRIMARY_STATE_ACTIVE,
    Transition.TRANSITION_DEACTIVATE: State.PRIMARY_STATE_INACTIVE,
    Transition.TRANSITION_CLEANUP: State.PRIMARY_STATE_UNCONFIGURED,
}


class GraphError(Cs3dError):
    """A node did not appear or did not answer."""


class NoAnswerError(GraphError):
    """A service took the request, and did not answer in time."""


def isolate() -> None:
    """Give this process and its children a graph of their own, on this machine only.

    Whatever domain the environment names is that of a robot, which they must neither hear nor
    disturb. CS3D_DOMAIN_ID chooses the domain; by default it follows from the process.
    """
    os.environ["ROS_DOMAIN_ID"] = os.environ.get("CS3D_DOMAIN_ID") or str(1 + os.getpid() % 100)
    # Humble knows the one variable, its successors the other.
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ["ROS_LOCALHOST_ONLY"] = "1"
    else:
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"


class LocalGraph:
    """A context that starts nodes, talks to them through one of its own, and ends them all.

    Attributes:
        node: The node to subscribe and publish with.
    """

    def __init__(self) -> None:
        """Prepare; the graph exists within the `with` block."""
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        """Join the graph."""
        isolate()
        rclpy.init(args=[])
        self.node = rclpy.create_node(f"local_graph_{os.getpid()}")
        return self

    def __exit__(self, *_: object) -> None:
        """End every process, by force if need be, and leave the graph."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(timeout=_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.node.destroy_node()
        rclpy.try_shutdown()

    def start(
        self,
        executable: str,
        *ros_arguments: str,
        output: IO[bytes] | None = None,
        env: dict[str, str] | None = None,
        **parameters: object,
    ) -> subprocess.Popen[bytes]:
        """Start a node of this package as `ros2 run` does.

        Args:
            executable: Such as `fer_node`.
            *ros_arguments: What follows `--ros-args`, such as `-r events:=/camera/events`.
            output: Where the node's terminal output goes; None: to this terminal.
            env: The environment of the process; None: that of this one.
            **parameters: The node's parameters.
        """
        path = Path(get_package_prefix("cs3d_ros"), "lib", "cs3d_ros", executable)
        command = [str(path), "--ros-args", *ros_arguments]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
        self._processes.append(process)
        return process

    def spin_until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
        """Let messages in until the condition holds; False if it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return True

    def spin(self, seconds: float) -> None:
        """Let messages in for a while."""
        self.spin_until(lambda: False, seconds)

    def call(
        self,
        kind: Any,
        name: str,
        request: Any,
        process: subprocess.Popen[bytes] | None = None,
        timeout_s: float = PATIENCE_S,
    ) -> Any:
        """Call a service; `process`, if given, is the one that has it.

        Raises:
            NoAnswerError: It did not answer within `timeout_s` seconds.
            GraphError: It did not appear, or its process has ended.
        """

        def happens(condition: Callable[[], bool], timeout_s: float) -> bool:
            def ended() -> bool:
                return process is not None and process.poll() is not None

            in_time = self.spin_until(lambda: condition() or ended(), timeout_s)
            if process is not None and ended() and not condition():
                raise GraphError(f"the process of {name} has ended, status {process.returncode}")
            return in_time

        client = self.node.create_client(kind, name)
        try:
            if not happens(client.service_is_ready, _APPEAR_S):
                raise GraphError(f"{name} did not appear within {_APPEAR_S:.0f} s")
            future = client.call_async(request)
            if not happens(future.done, timeout_s):
                raise NoAnswerError(f"{name} did not answer within {timeout_s:.0f} s")
            return future.result()
        finally:
            self.node.destroy_client(client)

    def change_state(
        self, node: str, transition: int, process: subprocess.Popen[bytes] | None = None
    ) -> bool:
        """Ask a lifecycle node for a transition; False if it refuses or fails.

        Without an answer the state that the node is in decides, and it is asked once more, since
        the request may have been lost too. Whether it was asked in vain in that state is not told
        then.

        Raises:
            GraphError: As `call`.
        """
        request = ChangeState.Request()
        request.transition.id = transition
        service = f"/{node}/change_state"
        for is_first in (True, False):
            try:
                answer = self.call(ChangeState, service, request, process, _TRANSITION_S)
                if answer.success or is_first:
                    return bool(answer.success)
            except NoAnswerError:
                pass
            # A node that is at it still answers when it is through.
            found = self.call(GetState, f"/{node}/get_state", GetState.Request(), process)
            if found.current_state.id == _LEADS_TO[transition]:
                return True
        return False

    def bring_up(self, node: str, process: subprocess.Popen[bytes] | None = None) -> None:
        """Configure and activate a lifecycle node.

        Raises:
            GraphError: It refuses, having logged the reason, or does not answer.
        """
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            if not self.change_state(node, transition, process):
                raise GraphError(f"/{node} could not be brought up; its reason is above")
