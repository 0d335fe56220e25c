"""The node `player`: publishes a recording's packets as they were recorded."""

from __future__ import annotations

import threading
import time
import traceback

from event_camera_msgs.msg import EventPacket as EventPacketMsg
from rclpy.node import Node
from rosgraph_msgs.msg import Clock

from cs3d_ros.errors import Cs3dError
from cs3d_ros.nodes.conversions import EVENTS_QOS, ns_to_time, packet_to_msg
from cs3d_ros.nodes.parameters import Parameters, ParameterSpec
from cs3d_ros.recordings import open_recording

PARAMETERS = (
    ParameterSpec("path", "", "Recording: rosbag2 folder, .mcap, .db3 or Prophesee .raw."),
    ParameterSpec("topic", "", "Recorded topic to play; empty: the only one with event packets."),
    ParameterSpec("rate", 1.0, "Speed: 2.0 plays twice as fast.", 0.01, 100.0),
    ParameterSpec("loop", False, "Start again at the end, until stopped."),
    ParameterSpec("paused", False, "Hold; set to true at the start to start paused.", live=True),
    ParameterSpec(
        "clock", False, "Publish the recording's time on /clock, for nodes with use_sim_time."
    ),
    ParameterSpec(
        "wait_for_subscriber_s",
        5.0,
        "Wait so long for a subscriber before the first packet, in s.",
        0.0,
        3600.0,
    ),
)

_CLOCK_PERIOD_S = 0.01
_IDLE_PERIOD_S = 0.05
_BETWEEN_LOOPS_S = 0.01
_LONGEST_STEP_NS = 10_000_000_000


class PlayerNode(Node):
    """Publishes a recording on `events`, with its stamps and at their pace.

    The stamps, not the times at which a recorder logged the packets, keep the pace of the camera:
    a recorder logs in bursts. `/clock`, too, is in the time of the stamps. Only where a packet has
    no stamp, or the stamps jump, the log times fill in.

    Attributes:
        done: The recording has ended and does not loop, or cannot be played.
        failed: It could not be played to its end.
    """

    def __init__(self) -> None:
        """Open the recording and begin to play.

        Raises:
            Cs3dError: A parameter is out of range, or the recording cannot be opened.
        """
        super().__init__("player")
        self.parameters = Parameters(self, PARAMETERS, lambda: True)
        for reason in self.parameters.refusals:
            raise Cs3dError(reason)
        if not self.parameters["path"]:
            raise Cs3dError("no recording given; set the parameter path")
        self.done = self.failed = False
        self._stopping = threading.Event()
        self._events = self.create_publisher(EventPacketMsg, "events", EVENTS_QOS)
        self._clock_publisher = (
            self.create_publisher(Clock, "/clock", 10) if self.parameters["clock"] else None
        )
        # Opened once here, so that a bad path is an error at the start and not in the thread.
        with self._open() as recording:
            self.get_logger().info(
                f"playing {recording.topic} of {self.parameters['path']} on "
                f"{self._events.topic_name}"
            )
        self._thread = threading.Thread(target=self._play, name="player", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop playing."""
        self._stopping.set()
        self._thread.join()

    def _open(self):  # type: ignore[no-untyped-def]
        return open_recording(self.parameters["path"], self.parameters["topic"] or None)

    def _play(self) -> None:
        try:
            self._wait_for_subscriber()
            while not self._stopping.is_set():
                self._play_once()
                # Also keeps a loop over a recording of one moment from turning at full speed.
                if not self.parameters["loop"] or self._stopping.wait(_BETWEEN_LOOPS_S):
                    break
        except Cs3dError as error:
            self.get_logger().error(str(error))
            self.failed = True
        except Exception:
            self.get_logger().error(f"cannot play:\n{traceback.format_exc()}")
            self.failed = True
        finally:
            self.done = True

    def _wait_for_subscriber(self) -> None:
        patience_s = self.parameters["wait_for_subscriber_s"]
        deadline = time.monotonic() + patience_s
        while self._events.get_subscription_count() == 0:
            self.get_logger().info(
                f"waiting for a subscriber of {self._events.topic_name}",
                throttle_duration_sec=10.0,
            )
            if time.monotonic() > deadline:
                self.get_logger().warning(
                    f"nobody has subscribed within {patience_s:g} s; playing all the same"
                )
                return
            if self._stopping.wait(_IDLE_PERIOD_S):
                return

    def _play_once(self) -> None:
        """Play from beginning to end, or until stopped.

        Raises:
            Cs3dError: The recording has no packets, or breaks off.
        """
        pace = _Pace(self.parameters["rate"])
        packets = 0
        with self._open() as recording:
            for log_ns, packet in recording:
                if not self._wait_until(pace, pace.moment_ns(log_ns, packet.stamp_ns)):
                    return
                self._events.publish(packet_to_msg(packet))
                packets += 1
        if packets == 0:
            raise Cs3dError(f"{self.parameters['path']} has no packets")
        self.get_logger().info(f"played {packets} packets")

    def _wait_until(self, pace: _Pace, moment_ns: int) -> bool:
        """Wait for a moment of the recording, minding pauses; False if stopped meanwhile."""
        period_s = _CLOCK_PERIOD_S if self._clock_publisher else _IDLE_PERIOD_S
        while True:
            if self.parameters["paused"]:
                remaining_s = period_s
                pace.hold()
            else:
                remaining_s = pace.seconds_until(moment_ns)
            if self._clock_publisher:
                now_ns = min(pace.now_ns(), moment_ns)
                self._clock_publisher.publish(Clock(clock=ns_to_time(now_ns)))
            if remaining_s <= 0.0:
                return not self._stopping.is_set()
            if self._stopping.wait(min(remaining_s, period_s)):
                return False


class _Pace:
    """The recording's time against the steady clock, at a rate, with pauses."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._last: tuple[int, int] | None = None
        self._first_ns = 0
        self._moment_ns = 0
        self._played_ns = 0
        self._checked_ns = time.monotonic_ns()

    def moment_ns(self, log_ns: int, stamp_ns: int) -> int:
        """When the next packet is due, in the recording's time."""
        if self._last is None:
            self._first_ns = self._moment_ns = stamp_ns or log_ns
            self.hold()
        else:
            step_ns = stamp_ns - self._last[1]
            if not 0 <= step_ns <= _LONGEST_STEP_NS:
                step_ns = max(log_ns - self._last[0], 0)
            self._moment_ns += step_ns
        self._last = log_ns, stamp_ns
        return self._moment_ns

    def hold(self) -> None:
        """Let the time since the last look pass without playing."""
        self._checked_ns = time.monotonic_ns()

    def seconds_until(self, moment_ns: int) -> float:
        """Seconds of the steady clock until a moment of the recording."""
        now_ns = time.monotonic_ns()
        self._played_ns += now_ns - self._checked_ns
        self._checked_ns = now_ns
        return ((moment_ns - self._first_ns) / self._rate - self._played_ns) * 1e-9

    def now_ns(self) -> int:
        """The moment of the recording that is played now."""
        return self._first_ns + int(self._played_ns * self._rate)


def create() -> PlayerNode:
    """For `cs3d_ros.nodes.runner`."""
    return PlayerNode()
