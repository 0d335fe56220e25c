"""The node `fer_energy`: power and energy of this machine, and of one inference."""

from __future__ import annotations

import array
import math

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.clock import Clock, ClockType
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from rclpy.timer import Timer

from cs3d_ros.energy import (
    INTERVAL_MS_RANGE,
    SOURCE_NAMES,
    EnergyMeter,
    EnergySnapshot,
    PowerSourceError,
    open_source,
)
from cs3d_ros.msg import EnergyStamped, ExpressionStamped
from cs3d_ros.nodes.conversions import diagnostics_msg
from cs3d_ros.nodes.managed import ManagedNode
from cs3d_ros.nodes.parameters import ParameterSpec

PARAMETERS = (
    ParameterSpec(
        "source",
        "auto",
        "Where to read power; auto: the first that gives a reading.",
        choices=SOURCE_NAMES,
    ),
    ParameterSpec("interval_ms", 100, "Time between two samples in ms.", *INTERVAL_MS_RANGE),
    ParameterSpec("gpu_index", 0, "Which GPU, as nvidia-smi numbers them.", 0, 255),
    ParameterSpec("rate_hz", 1.0, "Messages per second.", 0.1, 50.0),
    ParameterSpec(
        "idle_power_w",
        0.0,
        "Power without inference in W; 0.0: that from activation to the first inference.",
        0.0,
        10_000.0,
    ),
    ParameterSpec(
        "power_budget_w",
        0.0,
        "Warn while the mean power since the message before is above this, in W; 0.0: never.",
        0.0,
        10_000.0,
        live=True,
    ),
)

_WARN_EVERY_S = 10.0


class EnergyNode(ManagedNode):
    """Publishes `fer/energy` and `/diagnostics`; counts the inferences on `fer/expression`.

    With `source: auto` and no power source on the machine the node runs all the same and says so:
    in its log, on `/diagnostics`, and by an empty `source` in its messages.
    """

    def __init__(self) -> None:
        """Make the node, unconfigured."""
        super().__init__("fer_energy", PARAMETERS)
        self._meter: EnergyMeter | None = None
        self._no_source = ""
        self._inferences = 0
        # Of these, how many have their energy in the sum, and up to which that has been decided.
        self._measured = self._decided = 0
        self._before: EnergySnapshot | None = None
        self._recent_w = math.nan
        self._timer: Timer | None = None
        self._subscription: Subscription | None = None
        self._energy = self.create_lifecycle_publisher(
            EnergyStamped, "fer/energy", QoSProfile(depth=10)
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def configure(self) -> None:
        """Find a power source that gives readings."""
        try:
            source = open_source(
                self.parameters["source"],
                self.parameters["interval_ms"],
                gpu_index=self.parameters["gpu_index"],
            )
        except PowerSourceError as error:
            if self.parameters["source"] != "auto":
                raise
            self._no_source = str(error)
            self.get_logger().warning(f"energy is not measured: {error}")
        else:
            # It has shown that it works. While nothing is measured, nothing shall run.
            source.stop()
            self._no_source = ""
            self._meter = EnergyMeter(source)
            self.get_logger().info(f"power from {source.name} ({source.scope})")

    def activate(self) -> None:
        """Start to integrate, from zero."""
        self._inferences = self._measured = self._decided = 0
        self._recent_w = math.nan
        if self._meter is not None:
            self._meter.start()
            self._meter.mark_idle()
            self._before = self._meter.snapshot()
        self._subscription = self.create_subscription(
            ExpressionStamped, "fer/expression", self._on_expression, 10
        )
        # On the steady clock, also under simulated time: power is a matter of this machine.
        self._timer = self.create_timer(
            1.0 / self.parameters["rate_hz"],
            self._publish,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def deactivate(self) -> None:
        """Stop sampling."""
        if self._timer is not None:
            self.destroy_timer(self._timer)
            self._timer = None
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._meter is not None:
            self._meter.stop()

    def cleanup(self) -> None:
        """Release the power source."""
        if self._meter is not None:
            # An activation that was interrupted has not been deactivated.
            self._meter.stop()
            self._meter = None

    def _on_expression(self, msg: ExpressionStamped) -> None:
        if msg.inference_ms == 0.0:
            # The last result said again, because nothing moves.
            return
        if self._inferences == 0 and self._meter is not None:
            self._meter.mark_busy()
        self._inferences += 1

    def _publish(self) -> None:
        snapshot = self._meter.snapshot() if self._meter is not None else None
        if snapshot is not None:
            self._follow(snapshot)
        self._energy.publish(self._energy_msg(snapshot))
        self._diagnostics.publish(self._diagnostics_msg(snapshot))

    def _follow(self, now: EnergySnapshot) -> None:
        """Take note of what has come since the last new reading, if another one is here."""
        before = self._before
        if before is None or now.state != "running" or now.losses != before.losses:
            # Whatever was inferred since, its energy is in no sum.
            self._recent_w = math.nan
        elif now.covered_s > before.covered_s:
            self._recent_w = (now.energy_j - before.energy_j) / (now.covered_s - before.covered_s)
            self._measured += self._inferences - self._decided
        else:
            return
        self._decided, self._before = self._inferences, now

    def _idle_power_w(self, snapshot: EnergySnapshot) -> tuple[float, float]:
        """Power without inference and its uncertainty; a given one is taken as it is."""
        if given := self.parameters["idle_power_w"]:
            return given, 0.0
        return snapshot.idle_power_w, snapshot.idle_uncertainty_w

    def _energy_msg(self, snapshot: EnergySnapshot | None) -> EnergyStamped:
        msg = EnergyStamped()
        msg.header.stamp = self.get_clock().now().to_msg()
        msg.inferences = self._inferences
        msg.power_w = msg.energy_j = msg.idle_power_w = math.nan
        msg.energy_per_inference_j = msg.energy_per_inference_uncertainty_j = math.nan
        msg.sample_period_s = math.nan
        if snapshot is None or self._meter is None:
            return msg
        msg.source = self._meter.source.name
        msg.scope = self._meter.source.scope
        if snapshot.reading is not None and snapshot.state == "running":
            msg.rails = list(snapshot.reading.rails)
            msg.rail_power_w = array.array("f", snapshot.reading.rail_power_w)
            msg.power_w = snapshot.reading.power_w
            msg.power_is_sum = snapshot.reading.estimated
        msg.energy_j = snapshot.energy_j
        idle_power_w, idle_uncertainty_w = self._idle_power_w(snapshot)
        msg.idle_power_w = idle_power_w
        msg.sample_period_s = snapshot.sample_period_s
        if self._measured:
            above_idle_j = snapshot.energy_j - idle_power_w * snapshot.covered_s
            msg.energy_per_inference_j = above_idle_j / self._measured
            msg.energy_per_inference_uncertainty_j = (
                math.hypot(snapshot.uncertainty_j, idle_uncertainty_w * snapshot.covered_s)
                / self._measured
            )
        return msg

    def _diagnostics_msg(self, snapshot: EnergySnapshot | None) -> DiagnosticArray:
        values: dict[str, object] = {"inferences": self._inferences}
        if snapshot is None or self._meter is None:
            level, message = DiagnosticStatus.WARN, self._no_source
        else:
            level, message = DiagnosticStatus.OK, f"power from {self._meter.source.name}"
            if snapshot.state == "lost":
                level, message = DiagnosticStatus.WARN, f"power source lost: {snapshot.error}"
            elif snapshot.state == "stopped":
                level, message = DiagnosticStatus.WARN, "sampling has stopped; see the log"
            elif 0.0 < self.parameters["power_budget_w"] < self._recent_w:
                level = DiagnosticStatus.WARN
                message = (
                    f"{self._recent_w:.1f} W are above the budget of "
                    f"{self.parameters['power_budget_w']:g} W"
                )
            if level != DiagnosticStatus.OK:
                self.get_logger().warning(message, throttle_duration_sec=_WARN_EVERY_S)
            reading = snapshot.reading if snapshot.state == "running" else None
            values |= {
                "source": self._meter.source.name,
                "scope": self._meter.source.scope,
                "power_w": math.nan if reading is None else reading.power_w,
                "mean_power_w": self._recent_w,
                "energy_j": snapshot.energy_j,
                "method": snapshot.method,
                "idle_power_w": self._idle_power_w(snapshot)[0],
                "samples": snapshot.samples,
                "sample_period_s": snapshot.sample_period_s,
                "losses": snapshot.losses,
            }
        return diagnostics_msg(
            self.get_clock().now().to_msg(),
            f"{self.get_fully_qualified_name()}: energy",
            self._meter.source.name if self._meter is not None else "",
            level,
            message,
            values,
        )


def create() -> EnergyNode:
    """For `cs3d_ros.nodes.runner`."""
    return EnergyNode()
