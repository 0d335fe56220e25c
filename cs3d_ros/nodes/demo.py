"""The demonstration: real nodes as processes, a recording played into them over DDS.

python3 -m cs3d_ros.nodes.demo [--bag PATH] [--model CHECKPOINT]
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs3d_ros.recordings import RecordingError, open_recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from cs3d_ros.msg import ExpressionStamped

EMBEDDED = Path(__file__).parents[1] / "demo" / "drawn_face"

# Configuring imports torch and, the first time, compiles the kernels: minutes on a slow machine.
_CONFIGURE_TIMEOUT_S = 180.0
_STEP_TIMEOUT_S = 20.0
# After the last packet the worker may still hold one window.
_GRACE_S = 3.0


class DemoError(Exception):
    """The demonstration cannot go on."""


def main() -> int:
    """Run the demonstration; 0 if expressions were recognised."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--bag", type=Path, default=EMBEDDED, help="any recording (default: the embedded one)"
    )
    parser.add_argument("--model", default="untrained", help="checkpoint (default: untrained)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args()
    try:
        with open_recording(arguments.bag):
            pass
    except RecordingError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    if arguments.model == "untrained":
        print("UNTRAINED network: random weights. The plumbing is real, the expressions are not.")
    print(f"recording: {arguments.bag}", flush=True)

    # A graph of its own, on this machine only: the demonstration neither hears nor disturbs a
    # robot. Humble knows the one variable, its successors the other.
    if os.environ.get("ROS_DISTRO") == "humble":
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    else:
        os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with _Processes() as processes:
            return _Demo(processes, arguments).run()
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


class _Processes:
    """The nodes that run; all have ended when the block is left."""

    def __init__(self) -> None:
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> _Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, executable: str, **parameters: object) -> subprocess.Popen[bytes]:
        """Start a node of this package as `ros2 run` would."""
        from ament_index_python.packages import get_package_prefix

        path = Path(get_package_prefix("cs3d_ros"), "lib", "cs3d_ros", executable)
        command = [str(path), "--ros-args", "--log-level", "warn"]
        command += ["-r", "events:=/event_camera/events"]
        for name, value in parameters.items():
            command += ["-p", f"{name}:={value}"]
        process = subprocess.Popen(command)
        self._running.append(process)
        return process


class _Demo:
    def __init__(self, processes: _Processes, arguments: argparse.Namespace) -> None:
        import rclpy

        from cs3d_ros.msg import EnergyStamped, ExpressionStamped

        rclpy.init(args=[])
        self._rclpy = rclpy
        self._processes = processes
        self._arguments = arguments
        self._node = rclpy.create_node("demo")
        self._received: list[ExpressionStamped] = []
        self._energy: EnergyStamped | None = None
        self._node.create_subscription(
            ExpressionStamped, "/fer/expression", self._on_expression, 100
        )
        self._node.create_subscription(EnergyStamped, "/fer/energy", self._on_energy, 10)

    def run(self) -> int:
        """Play the recording into the nodes and print what they say."""
        try:
            self._processes.start(
                "fer_node", model=self._arguments.model, device=self._arguments.device
            )
            self._processes.start("energy_node", rate_hz=2.0)
            for node in ("fer", "fer_energy"):
                self._bring_up(node)
            print("fer and fer_energy are active\n")
            print("window end   expression   conf.    events   inference   latency")
            player = self._processes.start("player_node", path=self._arguments.bag)
            self._spin_until(lambda: player.poll() is not None, timeout_s=float("inf"))
            if player.returncode != 0:
                raise DemoError("the recording could not be played; the reason is above")
            self._spin_until(lambda: False, _GRACE_S)
            return self._summarise()
        finally:
            self._node.destroy_node()
            self._rclpy.shutdown()

    def _bring_up(self, node: str) -> None:
        from lifecycle_msgs.msg import Transition

        for transition, timeout_s in (
            (Transition.TRANSITION_CONFIGURE, _CONFIGURE_TIMEOUT_S),
            (Transition.TRANSITION_ACTIVATE, _STEP_TIMEOUT_S),
        ):
            if not self._change_state(node, transition, timeout_s):
                raise DemoError(f"/{node} could not be brought up; its reason is above")

    def _change_state(self, node: str, transition: int, timeout_s: float) -> bool:
        from lifecycle_msgs.srv import ChangeState

        client = self._node.create_client(ChangeState, f"/{node}/change_state")
        if not client.wait_for_service(_STEP_TIMEOUT_S):
            raise DemoError(f"/{node} did not appear within {_STEP_TIMEOUT_S:.0f} s")
        request = ChangeState.Request()
        request.transition.id = transition
        future = client.call_async(request)
        self._spin_until(future.done, timeout_s)
        result: Any = future.result() if future.done() else None
        self._node.destroy_client(client)
        return bool(result and result.success)

    def _spin_until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < deadline:
            self._rclpy.spin_once(self._node, timeout_sec=0.1)

    def _on_energy(self, msg: Any) -> None:
        self._energy = msg

    def _on_expression(self, msg: ExpressionStamped) -> None:
        self._received.append(msg)
        first = self._received[0].window_start
        seconds = (msg.header.stamp.sec - first.sec) + (
            msg.header.stamp.nanosec - first.nanosec
        ) * 1e-9
        print(
            f"{seconds:8.3f} s   {msg.expression:<10}  {msg.confidence:5.2f}  {msg.event_count:>8}"
            f"  {msg.inference_ms:7.1f} ms  {msg.latency_ms:6.1f} ms",
            flush=True,
        )

    def _summarise(self) -> int:
        if not self._received:
            raise DemoError(
                "no expression arrived. Is the recording longer than a window, and are its "
                "packets in an encoding that this package decodes?"
            )
        latency = [m.latency_ms for m in self._received]
        overhead = [m.latency_ms - m.inference_ms for m in self._received]
        last = self._received[-1]
        print(
            f"\n{len(self._received)} expressions by {last.model}; latency median "
            f"{statistics.median(latency):.1f} ms, longest {max(latency):.1f} ms, without the "
            f"network {statistics.median(overhead):.1f} ms; {last.packets_lost} packets lost"
        )
        if self._energy is None or not self._energy.source:
            print("energy: not measured, there is no power source on this machine")
        else:
            print(
                f"energy: {self._energy.energy_j:.1f} J by {self._energy.source} "
                f"({self._energy.scope}), {self._energy.power_w:.1f} W now"
            )
        return 0


if __name__ == "__main__":
    sys.exit(main())
