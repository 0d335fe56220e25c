"""A real ROS graph for the tests: nodes as processes, one rclpy node to talk to them."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import rclpy
from ament_index_python.packages import get_package_prefix
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
CLEANUP = Transition.TRANSITION_CLEANUP

# The first configure on a machine compiles kernels; CI machines are slow and shared.
PATIENCE_S = 120.0


class Process:
    """A node that runs, with all that it says on its terminal."""

    def __init__(self, command: list[str], log: Path, env: dict[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as sink:
            self.popen = subprocess.Popen(command, stdout=sink, stderr=sink, env=env)

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


class Graph:
    """Starts nodes and talks to them."""

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._processes: list[Process] = []

    def __enter__(self) -> "Graph":
        rclpy.init(args=[])
        self.node = rclpy.create_node("test")
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            if process.running:
                process.popen.kill()
                process.popen.wait()
        self.node.destroy_node()
        rclpy.shutdown()

    def start(
        self, executable: str, *arguments: str, env: dict[str, str] | None = None, **parameters: Any
    ) -> Process:
        """Start a node as `ros2 run` does."""
        path = Path(get_package_prefix("cs3d_ros"), "lib", "cs3d_ros", executable)
        command = [str(path), "--ros-args", *arguments]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        log = self._logs / f"{executable}-{len(self._processes)}.log"
        process = Process(command, log, env)
        self._processes.append(process)
        return process

    def call(self, kind: type, name: str, request: Any, timeout_s: float = PATIENCE_S) -> Any:
        client = self.node.create_client(kind, name)
        try:
            assert client.wait_for_service(30.0), f"no service {name}"
            future = client.call_async(request)
            assert self.spin_until(future.done, timeout_s), f"{name} did not answer"
            return future.result()
        finally:
            self.node.destroy_client(client)

    def change_state(self, node: str, transition: int) -> bool:
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f"/{node}/change_state", request).success

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

    def spin_until(self, condition: Callable[[], bool], timeout_s: float = PATIENCE_S) -> bool:
        """Let messages in until the condition holds; False if it never does."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            rclpy.spin_once(self.node, timeout_sec=0.05)
        return True

    def spin(self, seconds: float) -> None:
        self.spin_until(lambda: False, seconds)
