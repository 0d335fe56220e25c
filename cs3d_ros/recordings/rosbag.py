"""Event packets in rosbag2 recordings, sqlite3 and mcap."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import Reader, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.recordings.recording import RecordingError

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

EVENT_TYPE = "event_camera_msgs/msg/EventPacket"
# The name before 2023, with the same fields.
OLD_EVENT_TYPE = "event_array_msgs/msg/EventArray"
DEFAULT_TOPIC = "/event_camera/events"

# Old sqlite3 bags carry no message definitions, so that this one serves for all.
_EVENT_DEFINITION = """\
std_msgs/Header header
uint32 height
uint32 width
uint64 seq
uint64 time_base
string encoding
bool is_bigendian
uint8[] events
"""

_FOREVER = QosTime(9223372036, 854775807)
# What the camera drivers offer, so that a replayed bag behaves as a camera does.
_DRIVER_QOS = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1000,
    reliability=QosReliability.BEST_EFFORT,
    durability=QosDurability.VOLATILE,
    deadline=_FOREVER,
    lifespan=_FOREVER,
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=_FOREVER,
    avoid_ros_namespace_conventions=False,
)

_log = logging.getLogger(__name__)


@cache
def _typestore() -> Typestore:
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name in (EVENT_TYPE, OLD_EVENT_TYPE):
        store.register(get_types_from_msg(_EVENT_DEFINITION, name))
    return store


class BagRecording:
    """A rosbag2 folder or one of its files; see `recording.Recording`."""

    def __init__(self, path: Path, topic: str | None) -> None:
        self.path = path
        self._stack = ExitStack()
        self._is_closed = False
        try:
            readers = self._open_readers()
            connections = [c for reader in readers for c in reader.connections]
            self.topics = tuple(sorted({c.topic for c in connections if _has_events(c)}))
            self.topic = self._choose(topic, connections)
        except BaseException:
            self._stack.close()
            raise
        self._sources = [(r, chosen) for r in readers if (chosen := self._chosen(r))]
        self.message_count: int | None = sum(c.msgcount for _, cs in self._sources for c in cs)
        begin_ns = min(reader.start_time for reader, _ in self._sources)
        # rosbags' end is the first time after the last message.
        end_ns = max(reader.end_time for reader, _ in self._sources) - 1
        self.duration_ns: int | None = max(0, end_ns - begin_ns)

    def __enter__(self) -> BagRecording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the files; closing twice does no harm."""
        self._stack.close()
        self._is_closed = True

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        if self._is_closed:
            raise RecordingError(f"{self.path}: is closed; read it within its `with` block")
        store = _typestore()
        for reader, connections in self._sources:
            messages = reader.messages(connections)
            while True:
                # Damaged files raise whatever they run into, from struct.error to CorruptError.
                try:
                    connection, log_time_ns, data = next(messages)
                    packet = _packet(store.deserialize_cdr(data, connection.msgtype))
                except StopIteration:
                    break
                except Exception as error:
                    raise self._unreadable(self.path, error) from error
                yield log_time_ns, packet

    def _open_readers(self) -> list[Reader]:
        try:
            return [self._open_reader(self.path)]
        except RecordingError as error:
            if not self.path.is_dir():
                raise
            files = sorted(
                (p for p in self.path.iterdir() if p.suffix in (".mcap", ".db3")),
                key=lambda p: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", p.name)],
            )
            if not files:
                raise RecordingError(
                    f"{error}; there is no .mcap or .db3 file in the folder to read instead"
                ) from error
            _log.warning(
                "%s: metadata.yaml is missing or unusable (%s); reading the storage files without",
                self.path,
                error.__cause__,
            )
        return [self._open_reader(file) for file in files]

    def _open_reader(self, path: Path) -> Reader:
        try:
            reader = Reader(path)
            reader.open()
        except Exception as error:
            raise self._unreadable(path, error) from error
        self._stack.callback(reader.close)
        return reader

    def _unreadable(self, path: Path, error: Exception) -> RecordingError:
        return RecordingError(
            f"{path}: not a rosbag2 recording, or a damaged one ({type(error).__name__}: {error}); "
            "`ros2 bag info` and `mcap recover` may tell more"
        )

    def _choose(self, topic: str | None, connections: list[Connection]) -> str:
        if not self.topics:
            found = sorted({f"{c.topic} ({c.msgtype})" for c in connections})
            raise RecordingError(
                f"{self.path}: no topic of type {EVENT_TYPE}; it has: "
                f"{', '.join(found) if found else 'no topics at all'}"
            )
        if topic is None:
            if len(self.topics) > 1:
                raise RecordingError(
                    f"{self.path}: several topics with events, choose one of: "
                    f"{', '.join(self.topics)}"
                )
            return self.topics[0]
        if topic not in self.topics:
            raise RecordingError(
                f"{self.path}: no events on {topic!r}, expected one of: {', '.join(self.topics)}"
            )
        return topic

    def _chosen(self, reader: Reader) -> list[Connection]:
        return [c for c in reader.connections if c.topic == self.topic and _has_events(c)]


def _has_events(connection: Connection) -> bool:
    return connection.msgtype in (EVENT_TYPE, OLD_EVENT_TYPE)


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
    path: str | Path, packets: Iterable[tuple[int, EventPacket]], topic: str = DEFAULT_TOPIC
) -> None:
    """Write packets as a rosbag2 folder with mcap storage, readable from Humble on.

    Args:
        path: Folder to make.
        packets: (log_time_ns, packet), as a recording yields them, in the order of time.
        topic: Topic to write them to.

    Raises:
        RecordingError: The folder exists already or cannot be written.
    """
    store = _typestore()
    header = store.types["std_msgs/msg/Header"]
    time = store.types["builtin_interfaces/msg/Time"]
    event = store.types[EVENT_TYPE]
    try:
        # Version 9 of the metadata is not understood before Jazzy.
        with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection(
                topic, EVENT_TYPE, typestore=store, offered_qos_profiles=[_DRIVER_QOS]
            )
            for log_time_ns, packet in packets:
                seconds, nanoseconds = divmod(packet.stamp_ns, 1_000_000_000)
                message = event(
                    header=header(time(seconds, nanoseconds), packet.frame_id),
                    height=packet.height,
                    width=packet.width,
                    seq=packet.seq,
                    time_base=packet.time_base,
                    encoding=packet.encoding,
                    is_bigendian=packet.is_bigendian,
                    events=packet.payload_bytes(),
                )
                writer.write(connection, log_time_ns, store.serialize_cdr(message, EVENT_TYPE))
    except (WriterError, OSError) as error:
        raise RecordingError(f"{path}: cannot be written ({error})") from error
