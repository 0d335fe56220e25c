"""Runs one node as a process: start, spin, and a quick and quiet end on SIGINT or SIGTERM."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import traceback
from typing import Any

from cs3d_ros.errors import Cs3dError

# How long a signal may wait while nothing happens: the middleware waits inside a C function, and
# Python runs its signal handlers only between two of its own instructions.
_POLL_S = 0.25


class _Stop(BaseException):
    """Raised in the main thread by SIGINT and SIGTERM.

    Not an Exception, so that it passes through every handler of errors on its way out, also out
    of the seconds that importing torch or compiling takes.
    """


# Python swallows what is raised inside a destructor. Then the loop below sees the event instead.
_stopped = threading.Event()


def _stop(signum: int, frame: object) -> None:
    if not _stopped.is_set():
        _stopped.set()
        raise _Stop


def run(module: str) -> None:
    """Run the node that `module.create()` makes until a signal comes or the node is `done`.

    An error in a callback is logged and the node goes on. Imports of ROS and of the node happen
    in here, so that a signal during the imports ends the process without a traceback as well.

    Args:
        module: Name of a module with a function `create() -> Node`. The node may have a property
            `done` (it has finished its work), an attribute `failed` (not to its end) and a method
            `close()` (release everything).

    Raises:
        SystemExit: Always at the end; status 1 if the node could not be made or has failed.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    status = 0
    node: Any = None
    rclpy: Any = None
    try:
        rclpy = importlib.import_module("rclpy")
        signals = importlib.import_module("rclpy.signals")
        rclpy.init(args=sys.argv, signal_handler_options=signals.SignalHandlerOptions.NO)
        try:
            node = importlib.import_module(module).create()
        except Cs3dError as error:
            print(f"the node could not start: {error}", file=sys.stderr)
            status = 1
        else:
            _spin(rclpy, node)
            status = int(getattr(node, "failed", False))
    except _Stop:
        pass
    finally:
        _stopped.set()
        if node is not None:
            if hasattr(node, "close"):
                node.close()
            node.destroy_node()
        if rclpy is not None and rclpy.ok():
            rclpy.shutdown()
    if threading.active_count() > 1:
        # A thread is still inside native code, such as an inference. Taking the interpreter and
        # the libraries apart around it would be a wait or a crash.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _spin(rclpy: Any, node: Any) -> None:
    executor = importlib.import_module("rclpy.executors").SingleThreadedExecutor()
    executor.add_node(node)
    while not (_stopped.is_set() or getattr(node, "done", False)):
        try:
            executor.spin_once(timeout_sec=_POLL_S)
        except Exception as error:
            if not rclpy.ok():
                return
            node.get_logger().error(
                f"error in a callback: {error!r}\n{traceback.format_exc()}",
                throttle_duration_sec=5.0,
            )
