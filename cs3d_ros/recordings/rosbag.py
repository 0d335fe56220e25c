"""Event packets in rosbag2 recordings, and labels beside them."""

from __future__ import annotations

import heapq
import shutil
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer, WriterError

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.recordings.bag_files import EVENT_TYPE, EVENT_TYPES, EXPRESSION_TYPE, BagFiles
from cs3d_ros.recordings.bag_files import typestore as bag_types
from cs3d_ros.recordings.labels import LABEL_TOPIC, Label, label_message
from cs3d_ros.recordings.recording import RecordingError, expanded

DEFAULT_TOPIC = "/event_camera/events"

_FOREVER = QosTime(9223372036, 854775807)


def _qos(depth: int, reliability: QosReliability) -> Qos:
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=reliability,
        durability=QosDurability.VOLATILE,
        deadline=_FOREVER,
        lifespan=_FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=_FOREVER,
        avoid_ros_namespace_conventions=False,
    )


# What the camera drivers and the node `fer` offer, so that a replayed bag behaves as they do.
_DRIVER_QOS = _qos(1000, QosReliability.BEST_EFFORT)
_EXPRESSION_QOS = _qos(10, QosReliability.RELIABLE)


class BagRecording:
    """A rosbag2 folder or one of its files; see `recording.Recording`."""

    def __init__(self, path: Path, topic: str | None) -> None:
        self.path = path
        self._files = BagFiles(path)
        try:
            self.topics = self._files.topics(*EVENT_TYPES)
            self.topic = self._choose(topic)
        except BaseException:
            self._files.close()
            raise
        self._sources = self._files.sources(self.topic, *EVENT_TYPES)

    def __enter__(self) -> BagRecording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the files; closing twice does no harm."""
        self._files.close()

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        for log_time_ns, message in self._files.messages(self._sources):
            yield log_time_ns, _packet(message)

    def _choose(self, topic: str | None) -> str:
        if not self.topics:
            found = sorted({f"{c.topic} ({c.msgtype})" for c in self._files.connections})
            raise RecordingError(
                f"{self.path}: no topic of type {EVENT_TYPE}; it has: "
                f"{', '.join(found) if found else 'no topics at all'}"
            )
        if topic is None:
            if len(self.topics) > 1:
                raise RecordingError(
                    f"{self.path}: several topics with events, choose one (--topic, or topic=) of: "
                    f"{', '.join(self.topics)}"
                )
            return self.topics[0]
        if topic not in self.topics:
            raise RecordingError(
                f"{self.path}: no events on {topic!r}, expected one of: {', '.join(self.topics)}"
            )
        return topic


def _packet(message: Any) -> EventPacket:
    stamp = message.header.stamp
    return EventPacket(
        stamp_ns=stamp.sec * 1_000_000_000 + stamp.nanosec,
        frame_id=message.header.frame_id,
        width=message.width,
        height=message.height,
        seq=message.seq,
        time_base=message.time_base,
        encoding=message.encoding,
        is_bigendian=message.is_bigendian,
        payload=message.events,
    )


def write_recording(
    path: str | Path,
    packets: Iterable[tuple[int, EventPacket]],
    topic: str = DEFAULT_TOPIC,
    labels: Iterable[Label] | None = None,
    label_topic: str = LABEL_TOPIC,
) -> None:
    """Write packets, and labels with them, as a rosbag2 folder with mcap storage.

    It is readable from Humble on. Packets and labels are merged by their log times as they come;
    of equal times, the packet is first. Packets are not kept in memory, labels are.

    Args:
        path: Folder to make.
        packets: (log_time_ns, packet), as a recording yields them, in the order of time.
        topic: Topic to write them to.
        labels: What the recording shows, in any order; None makes a recording without that topic.
        label_topic: Topic to write the labels to, as `cs3d_ros/msg/ExpressionStamped`.

    Raises:
        RecordingError: The folder exists already or cannot be written, both topics are the same,
            or a time is none that ROS has. Nothing is left of the folder then.
    """
    if labels is not None and label_topic == topic:
        raise RecordingError(f"{path}: events and labels both on {topic!r}; choose two topics")
    store = bag_types()
    with _new_bag(expanded(path)) as writer:
        events_to = writer.add_connection(
            topic, EVENT_TYPE, typestore=store, offered_qos_profiles=[_DRIVER_QOS]
        )
        entries: Iterable[tuple[int, EventPacket | Label]] = packets
        if labels is not None:
            labels_to = writer.add_connection(
                label_topic,
                EXPRESSION_TYPE,
                typestore=store,
                offered_qos_profiles=[_EXPRESSION_QOS],
            )
            in_order = sorted(labels, key=lambda label: label.log_time_ns)
            entries = heapq.merge(
                packets,
                ((label.log_time_ns, label) for label in in_order),
                key=lambda entry: entry[0],
            )
        frame_id = ""
        for log_time_ns, entry in entries:
            if isinstance(entry, EventPacket):
                frame_id = entry.frame_id
                data = store.serialize_cdr(_packet_message(entry), EVENT_TYPE)
                writer.write(events_to, log_time_ns, data)
            else:
                data = store.serialize_cdr(label_message(entry, frame_id), EXPRESSION_TYPE)
                writer.write(labels_to, log_time_ns, data)


@contextmanager
def _new_bag(path: Path) -> Iterator[Writer]:
    """A new bag, open for writing; where the block fails, nothing of its folder is left."""
    is_made = False
    try:
        # Version 9 of the metadata is not understood before Jazzy.
        with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            is_made = True
            yield writer
    except BaseException as error:
        if is_made:
            shutil.rmtree(path, ignore_errors=True)
        if isinstance(error, (WriterError, OSError, OverflowError, struct.error)):
            raise RecordingError(f"{path}: cannot be written ({error})") from error
        raise


def _packet_message(packet: EventPacket) -> Any:
    types = bag_types().types
    seconds, nanoseconds = divmod(packet.stamp_ns, 1_000_000_000)
    stamp = types["builtin_interfaces/msg/Time"](seconds, nanoseconds)
    return types[EVENT_TYPE](
        header=types["std_msgs/msg/Header"](stamp, packet.frame_id),
        height=packet.height,
        width=packet.width,
        seq=packet.seq,
        time_base=packet.time_base,
        encoding=packet.encoding,
        is_bigendian=packet.is_bigendian,
        events=packet.payload_bytes(),
    )
