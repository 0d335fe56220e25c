"""The node `fer`: event packets in, facial expressions out."""

from __future__ import annotations

import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from event_camera_msgs.msg import EventPacket as EventPacketMsg
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import Image, RegionOfInterest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.roi import RoiError
from cs3d_ros.msg import ExpressionStamped
from cs3d_ros.nodes import debug_image
from cs3d_ros.nodes.conversions import (
    EVENTS_QOS,
    diagnostics_msg,
    expression_msg,
    header_msg,
    packet_from_msg,
    roi_from_msg,
)
from cs3d_ros.nodes.fer_parameters import PARAMETERS, make_recognizer
from cs3d_ros.nodes.fer_report import FerReport
from cs3d_ros.nodes.managed import ManagedNode
from cs3d_ros.nodes.packet_queue import Arrival, PacketQueue
from cs3d_ros.recognizer import ReadyWindow, Recognition, Recognizer

if TYPE_CHECKING:
    from cs3d_ros.events.packets import EventPacket
    from cs3d_ros.network.classifier import Classifier

_DIAGNOSTICS_PERIOD_S = 1.0
# The worker looks at its stop flag this often.
_WAIT_S = 0.2
# A process has two seconds to end after SIGINT, and one inference may take longer than that.
_END_S = 0.5


class FerNode(ManagedNode):
    """Recognises facial expressions in event packets.

    Subscribes to `events`, and to `~/roi` if the region comes from there; publishes `~/expression`,
    `~/debug_image` (only while somebody subscribes) and `/diagnostics`. The callback of the
    subscription only enqueues; one worker decodes every packet and runs the network on the newest
    complete window.
    """

    def __init__(self) -> None:
        """Make the node, unconfigured."""
        super().__init__("fer", PARAMETERS)
        self._report = FerReport()
        self._classifier: Classifier | None = None
        self._engine_failures_told = 0
        self._recognizer: Recognizer | None = None
        self._queue: PacketQueue | None = None
        self._worker: threading.Thread | None = None
        self._stopping = threading.Event()
        self._subscription: Subscription | None = None
        self._roi_subscription: Subscription | None = None
        self._bridge: Any = None
        self._expressions = self.create_lifecycle_publisher(
            ExpressionStamped, "~/expression", QoSProfile(depth=10)
        )
        self._images = self.create_lifecycle_publisher(
            Image, "~/debug_image", qos_profile_sensor_data
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # On the steady clock, so that a simulated clock that stands still is reported too.
        self._timer = self.create_timer(
            _DIAGNOSTICS_PERIOD_S,
            self._publish_diagnostics,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def configure(self) -> None:
        """Load the network, compile the kernels and run both once."""
        # Imported here, so that the node appears at once and loads torch when it is configured.
        from cs3d_ros.network.classifier import Classifier

        started = time.monotonic()
        self._classifier = Classifier.from_checkpoint(
            self.parameters["model"],
            device=self.parameters["device"],
            threads=self.parameters["threads"],
            engine=self.parameters["engine"],
            precision=self.parameters["precision"],
            hop_ms=self.parameters["hop_ms"],
        )
        self.get_logger().info(
            f"engine {self._classifier.engine}: {self._classifier.engine_reason}"
        )
        self._engine_failures_told = 0
        self._warn_of_engines(self._classifier)
        recognizer = make_recognizer(self.parameters, self._classifier)
        recognizer.warm_up()
        self.get_logger().info(
            f"model {self._classifier.name} on {self._classifier.device}, ready after "
            f"{time.monotonic() - started:.1f} s; windows of "
            f"{recognizer.windows.duration_ns * 1e-6:g} ms every "
            f"{recognizer.windows.hop_ns * 1e-6:g} ms; background-activity filter of "
            f"{recognizer.noise.background_activity_us} us"
        )
        if "untrained" in self._classifier.name:
            self.get_logger().warning(
                "the network is untrained: its weights are random, and so are its results"
            )

    def _warn_of_engines(self, classifier: Classifier) -> None:
        """Log each engine that has failed since the last call, once."""
        for failure in classifier.engine_failures[self._engine_failures_told :]:
            self.get_logger().warning(f"{failure}; going on with {classifier.engine}")
        self._engine_failures_told = len(classifier.engine_failures)

    def activate(self) -> None:
        """Subscribe and start the worker, with all counts at zero."""
        assert self._classifier is not None
        self._recognizer = make_recognizer(self.parameters, self._classifier)
        self._queue = PacketQueue(self.parameters["queue_bytes"])
        self._report = FerReport()
        self._subscription = self.create_subscription(
            EventPacketMsg,
            "events",
            self._enqueue,
            EVENTS_QOS,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        if self.parameters["roi_mode"] == "topic":
            self._roi_subscription = self.create_subscription(
                RegionOfInterest, "~/roi", self._look_at, qos_profile_sensor_data
            )
        self._stopping.clear()
        self._worker = threading.Thread(
            target=self._work,
            args=(self._recognizer, self._queue),
            name="fer worker",
            daemon=True,
        )
        self._worker.start()
        self.get_logger().info(f"listening to {self._subscription.topic_name}")

    def deactivate(self) -> None:
        """Unsubscribe and stop the worker; the network stays loaded."""
        self._stop_worker()
        self._recognizer = None
        self._queue = None

    def cleanup(self) -> None:
        """Free the network and its memory on the GPU."""
        self._recognizer = None
        if self._classifier is not None:
            self._classifier.close()
            self._classifier = None

    def close(self) -> None:
        """End; a worker in the middle of a long inference is left to the end of the process."""
        if self._stop_worker(_END_S):
            super().close()

    def _stop_worker(self, timeout_s: float | None = None) -> bool:
        """Cut the worker off its input and wait for its end; False if it has not ended in time."""
        self._stopping.set()
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._roi_subscription is not None:
            self.destroy_subscription(self._roi_subscription)
            self._roi_subscription = None
        if self._queue is not None:
            self._queue.close()
        if self._worker is not None:
            self._worker.join(timeout_s)
            if self._worker.is_alive():
                return False
            self._worker = None
        return True

    def _look_at(self, msg: RegionOfInterest) -> None:
        assert self._recognizer is not None
        try:
            self._recognizer.look_at(roi_from_msg(msg))
        except RoiError as error:
            self._report.rois_refused += 1
            self.get_logger().warning(f"region refused: {error}", throttle_duration_sec=5.0)

    def _enqueue(self, msg: EventPacketMsg) -> None:
        assert self._queue is not None
        self._queue.put(Arrival(packet_from_msg(msg), time.monotonic_ns()))

    def _work(self, recognizer: Recognizer, queue: PacketQueue) -> None:
        while not self._stopping.is_set():
            try:
                self._work_once(recognizer, queue)
            except Cs3dError as error:
                self._report.window_failed(str(error))
                self.get_logger().error(f"no result: {error}", throttle_duration_sec=5.0)
            except Exception:
                self._report.internal_errors += 1
                self.get_logger().error(
                    f"error in the worker:\n{traceback.format_exc()}", throttle_duration_sec=5.0
                )

    def _work_once(self, recognizer: Recognizer, queue: PacketQueue) -> None:
        """Decode all that waits and recognise the newest window that it completes."""
        newest: ReadyWindow | None = None
        arrival_ns = 0
        for arrival in queue.take_all(_WAIT_S):
            if self._stopping.is_set():
                return
            ready = self._push(recognizer, arrival.packet)
            if ready:
                self._report.windows += len(ready)
                self._report.windows_skipped += len(ready) - (newest is None)
                newest, arrival_ns = ready[-1], arrival.arrival_ns
        if newest is None:
            return
        recognition = recognizer.classify(newest)
        self._warn_of_engines(recognizer.classifier)
        if self._stopping.is_set():
            return
        latency_ms = (time.monotonic_ns() - arrival_ns) * 1e-6
        self._expressions.publish(expression_msg(recognition, latency_ms))
        self._report.recognised(recognition, latency_ms)
        if self._images.get_subscription_count() > 0:
            self._publish_image(newest, recognition)

    def _push(self, recognizer: Recognizer, packet: EventPacket) -> list[ReadyWindow]:
        epoch = recognizer.stream.epoch
        try:
            ready = recognizer.push(packet)
        except Cs3dError as error:
            self._report.bad_packet(str(error))
            self.get_logger().warning(f"packet skipped: {error}", throttle_duration_sec=5.0)
            return []
        self._report.packet(packet)
        if recognizer.stream.epoch != epoch and self._report.packets > 1:
            self.get_logger().warning(
                f"the stream starts over at packet {packet.seq}: time or sequence went back, or "
                "the sensor changed; earlier events are forgotten",
                throttle_duration_sec=5.0,
            )
        return ready

    def _publish_image(self, ready: ReadyWindow, recognition: Recognition) -> None:
        if self._bridge is None:
            # A cv_bridge that does not fit the installed NumPy costs the picture, not the node.
            from cv_bridge import CvBridge

            self._bridge = CvBridge()
        msg = self._bridge.cv2_to_imgmsg(debug_image.draw(ready, recognition), encoding="bgr8")
        msg.header = header_msg(recognition)
        self._images.publish(msg)

    def _publish_diagnostics(self) -> None:
        level, message = DiagnosticStatus.OK, "not active"
        values: dict[str, object] = {}
        recognizer, queue, subscription = self._recognizer, self._queue, self._subscription
        if recognizer is not None and queue is not None and subscription is not None:
            topic = subscription.topic_name
            warnings, values = self._report.summary(
                recognizer, queue, topic, self.count_publishers(topic)
            )
            message = "; ".join(warnings) or "recognising"
            if warnings:
                level = DiagnosticStatus.WARN
        self._diagnostics.publish(
            diagnostics_msg(
                self.get_clock().now().to_msg(),
                f"{self.get_fully_qualified_name()}: recognition",
                self._report.frame_id,
                level,
                message,
                values,
            )
        )


def create() -> FerNode:
    """For `cs3d_ros.nodes.runner`."""
    return FerNode()
