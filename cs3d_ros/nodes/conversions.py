"""Between ROS messages and the package's own types."""

from __future__ import annotations

import array
import math
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from event_camera_msgs.msg import EventPacket as EventPacketMsg
from rclpy.qos import QoSDurabilityPolicy, QoSHistoryPolicy, QoSProfile, QoSReliabilityPolicy
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.events.roi import Roi
from cs3d_ros.msg import ExpressionStamped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cs3d_ros.recognizer import Recognition

# What camera drivers offer. A reliable subscriber gets nothing from them, and the sensor-data
# profile's depth of 5 holds 5 to 20 ms of packets.
EVENTS_QOS = QoSProfile(
    history=QoSHistoryPolicy.KEEP_LAST,
    depth=1000,
    reliability=QoSReliabilityPolicy.BEST_EFFORT,
    durability=QoSDurabilityPolicy.VOLATILE,
)


MAX_ROS_TIME_NS = 2**31 * 1_000_000_000 - 1


def time_to_ns(stamp: Time) -> int:
    """A ROS time in ns."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def ns_to_time(ns: int) -> Time:
    """A ROS time from ns; times that the message cannot hold become its first or last."""
    sec, nanosec = divmod(min(max(ns, 0), MAX_ROS_TIME_NS), 1_000_000_000)
    return Time(sec=sec, nanosec=nanosec)


def roi_from_msg(msg: RegionOfInterest) -> Roi | None:
    """The region in a message; None for all 0, which the message defines as no choice."""
    if not (msg.x_offset or msg.y_offset or msg.width or msg.height):
        return None
    return Roi(msg.x_offset, msg.y_offset, msg.width, msg.height)


def packet_from_msg(msg: EventPacketMsg) -> EventPacket:
    """The packet in a message; the payload is not copied."""
    return EventPacket(
        stamp_ns=time_to_ns(msg.header.stamp),
        frame_id=msg.header.frame_id,
        width=msg.width,
        height=msg.height,
        seq=msg.seq,
        time_base=msg.time_base,
        encoding=msg.encoding,
        is_bigendian=msg.is_bigendian,
        payload=msg.events,
    )


def packet_to_msg(packet: EventPacket) -> EventPacketMsg:
    """A message of a packet."""
    msg = EventPacketMsg()
    msg.header.stamp = ns_to_time(packet.stamp_ns)
    msg.header.frame_id = packet.frame_id
    msg.width = packet.width
    msg.height = packet.height
    msg.seq = packet.seq
    msg.time_base = packet.time_base
    msg.encoding = packet.encoding
    msg.is_bigendian = packet.is_bigendian
    # Only array.array passes without a check of each element.
    msg.events = array.array("B", packet.payload_bytes().tobytes())
    return msg


def roi_to_msg(roi: Roi) -> RegionOfInterest:
    """A message of a region."""
    return RegionOfInterest(x_offset=roi.x, y_offset=roi.y, width=roi.width, height=roi.height)


def header_msg(recognition: Recognition) -> Header:
    """The header of what is published about a recognition: the end of its window."""
    return Header(stamp=ns_to_time(recognition.stamp_ns), frame_id=recognition.frame_id)


def expression_msg(recognition: Recognition, latency_ms: float) -> ExpressionStamped:
    """A message of a recognition."""
    msg = ExpressionStamped()
    msg.header = header_msg(recognition)
    msg.expression = recognition.expression
    msg.valence = math.nan
    msg.arousal = math.nan
    msg.confidence = recognition.confidence
    msg.labels = list(recognition.labels)
    msg.probabilities = array.array("f", recognition.probabilities)
    seen_ns = recognition.stamp_ns - recognition.age_ns
    msg.window_start = ns_to_time(seen_ns - recognition.window_duration_ns)
    sec, nanosec = divmod(recognition.window_duration_ns, 1_000_000_000)
    msg.window_duration = Duration(sec=sec, nanosec=nanosec)
    msg.event_count = recognition.event_count
    msg.packets_lost = recognition.packets_lost
    msg.inference_ms = recognition.inference_ms
    msg.latency_ms = latency_ms
    msg.roi = roi_to_msg(recognition.roi)
    msg.model = recognition.model
    return msg


def diagnostics_msg(
    stamp: Time,
    name: str,
    hardware_id: str,
    level: bytes,
    message: str,
    values: Mapping[str, object],
) -> DiagnosticArray:
    """A `/diagnostics` message with one status."""
    msg = DiagnosticArray()
    msg.header.stamp = stamp
    status = DiagnosticStatus(level=level, name=name, message=message, hardware_id=hardware_id)
    status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
    msg.status = [status]
    return msg


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
