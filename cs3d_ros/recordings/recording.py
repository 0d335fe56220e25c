"""What all recordings have in common."""

from collections.abc import Iterator
from typing import Protocol

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.packets import EventPacket


class RecordingError(Cs3dError):
    """A recording that cannot be opened, read on or written."""


class Recording(Protocol):
    """An open recording: a context manager, and an iterable of (log_time_ns, EventPacket).

    Each iteration starts at the beginning. It raises RecordingError where the file is damaged,
    after the packets before.

    Attributes:
        topic: Topic of the packets; empty where the format has none.
        topics: All topics with event packets.
        message_count: Number of packets, None where only reading to the end would tell.
        duration_ns: From the first to the last message, likewise.
    """

    topic: str
    topics: tuple[str, ...]
    message_count: int | None
    duration_ns: int | None

    def __enter__(self) -> "Recording":
        """Keep the recording open for a `with` block."""

    def __exit__(self, *exception: object) -> None:
        """Close it."""

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        """The packets with the times at which they were recorded, in the order of these times."""

    def close(self) -> None:
        """Release the files; closing twice does no harm."""
