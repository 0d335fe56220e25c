"""Opening rosbag2 recordings and reading messages from them, sqlite3 and mcap."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from cs3d_ros.recordings.recording import RecordingError

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.typesys.store import Typestore

EVENT_TYPE = "event_camera_msgs/msg/EventPacket"
# The name before 2023, with the same fields.
OLD_EVENT_TYPE = "event_array_msgs/msg/EventArray"
EVENT_TYPES = (EVENT_TYPE, OLD_EVENT_TYPE)
EXPRESSION_TYPE = "cs3d_ros/msg/ExpressionStamped"

# Old sqlite3 bags carry no message definitions, so that these serve for all.
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
_EXPRESSION_DEFINITION = """\
string NEUTRAL=neutral
string ANGRY=angry
string SAD=sad
string HAPPY=happy
string SURPRISED=surprised
string DISGUSTED=disgusted
string SCARED=scared
string CONTEMPT=contempt
std_msgs/Header header
string expression
float32 valence
float32 arousal
float32 confidence
string face_id
string[] labels
float32[] probabilities
builtin_interfaces/Time window_start
builtin_interfaces/Duration window_duration
uint64 event_count
uint64 packets_lost
float32 inference_ms
float32 latency_ms
sensor_msgs/RegionOfInterest roi
string model
"""

_STORAGE = (".mcap", ".db3")

_log = logging.getLogger(__name__)


@cache
def typestore() -> Typestore:
    """The message types of a ROS installation and those of events and expressions."""
    store = get_typestore(Stores.ROS2_HUMBLE)
    for name in EVENT_TYPES:
        store.register(get_types_from_msg(_EVENT_DEFINITION, name))
    store.register(get_types_from_msg(_EXPRESSION_DEFINITION, EXPRESSION_TYPE))
    return store


class Source(NamedTuple):
    """One open file, or folder with metadata, and some of its connections."""

    reader: Reader
    connections: list[Connection]


class BagFiles:
    """The open files of a rosbag2 folder, or one of them.

    A folder whose metadata.yaml is missing or unusable is read file by file. With metadata, bags
    compressed by file or by message (zstd) are read, too; mcap chunks are with and without.
    """

    def __init__(self, path: Path) -> None:
        """Open.

        Raises:
            RecordingError: There is no rosbag2 recording, or one that is damaged.
        """
        self.path = path
        self.is_closed = False
        self._stack = ExitStack()
        try:
            self._readers = self._open_all()
        except BaseException:
            self._stack.close()
            raise

    def close(self) -> None:
        """Release the files; closing twice does no harm."""
        self._stack.close()
        self.is_closed = True

    @property
    def connections(self) -> list[Connection]:
        """All connections of all files."""
        return [c for reader in self._readers for c in reader.connections]

    def topics(self, *types: str) -> tuple[str, ...]:
        """All topics of these types, sorted."""
        return tuple(sorted({c.topic for c in self.connections if c.msgtype in types}))

    def sources(self, topic: str, *types: str) -> list[Source]:
        """The files that have this topic with one of these types."""
        sources = []
        for reader in self._readers:
            chosen = [c for c in reader.connections if c.topic == topic and c.msgtype in types]
            if chosen:
                sources.append(Source(reader, chosen))
        return sources

    def messages(self, sources: list[Source]) -> Iterator[tuple[int, Any]]:
        """(log_time_ns, message) file by file.

        Raises:
            RecordingError: The recording is closed, or damaged, after the messages before.
        """
        if self.is_closed:
            raise RecordingError(f"{self.path}: is closed; read it within its `with` block")
        store = typestore()
        for reader, connections in sources:
            messages = reader.messages(connections)
            while True:
                # Damaged files raise whatever they run into, from struct.error to CorruptError.
                try:
                    connection, log_time_ns, data = next(messages)
                    message = store.deserialize_cdr(data, connection.msgtype)
                except StopIteration:
                    break
                except Exception as error:
                    raise _unreadable(self.path, error) from error
                yield log_time_ns, message

    def _open_all(self) -> list[Reader]:
        try:
            return [self._open(self.path)]
        except RecordingError as error:
            if not self.path.is_dir():
                raise
            files = sorted(
                (p for p in self.path.iterdir() if p.suffix in _STORAGE),
                key=lambda p: [int(s) if s.isdigit() else s for s in re.split(r"(\d+)", p.name)],
            )
            if not files:
                raise RecordingError(
                    f"{error}; there is no .mcap or .db3 file in the folder to read instead "
                    "(compressed ones need their metadata.yaml)"
                ) from error
            _log.warning(
                "%s: metadata.yaml is missing or unusable (%s); reading the storage files without",
                self.path,
                error.__cause__,
            )
        return [self._open(file) for file in files]

    def _open(self, path: Path) -> Reader:
        try:
            reader = Reader(path)
            reader.open()
        except Exception as error:
            raise _unreadable(path, error) from error
        self._stack.callback(reader.close)
        return reader


def _unreadable(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path}: not a rosbag2 recording, or a damaged one ({type(error).__name__}: {error}); "
        "`ros2 bag info` and `mcap recover` may tell more"
    )
