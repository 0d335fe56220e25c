"""Event packets as they arrive, events as they are decoded, and the decoders by encoding."""

from __future__ import annotations

import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np

from cs3d_ros.errors import Cs3dError

Payload: TypeAlias = "bytes | bytearray | memoryview | array.array[int] | np.ndarray[Any, Any]"

# Every wire format has at most 16 bits per coordinate. The largest event sensors have some 1300
# pixels on a side, so that a size beyond this is a damaged message rather than a camera.
MAX_SENSOR_SIDE = 4096


# Drivers send a message when it has a megabyte. A byte can hold six events of 13 bytes, so that
# one message of this size takes more than a gigabyte at worst.
MAX_PAYLOAD_BYTES = 16 << 20


class PacketError(Cs3dError):
    """A packet that cannot be decoded at all: unknown encoding, impossible sensor or payload."""


@dataclass(frozen=True, slots=True, eq=False)
class EventPacket:
    """The fields of `event_camera_msgs/msg/EventPacket`, free of ROS.

    Attributes:
        stamp_ns: `header.stamp`, ROS time in ns; 0 where the driver gives none.
        frame_id: `header.frame_id`.
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        seq: Sequence number of the driver, 0…2^64-1; may start anywhere.
        time_base: Meaning depends on the encoding; undefined for evt3.
        encoding: Name of the wire format, such as "evt3".
        is_bigendian: Byte order of the payload's words.
        payload: The undecoded events, any contiguous buffer of bytes.
    """

    stamp_ns: int
    frame_id: str
    width: int
    height: int
    seq: int
    time_base: int
    encoding: str
    is_bigendian: bool
    payload: Payload

    def payload_bytes(self) -> np.ndarray:
        """The payload as a read-only view of shape (n,), dtype uint8, without a copy.

        Raises:
            PacketError: The payload is not a contiguous buffer, or it is larger than 16 MiB.
        """
        try:
            view = np.frombuffer(self.payload, dtype=np.uint8)
        except (TypeError, ValueError, BufferError) as error:
            raise PacketError(
                f"the payload of packet {self.seq} is {type(self.payload).__name__}, expected a "
                f"contiguous buffer of bytes ({error})"
            ) from None
        if view.size > MAX_PAYLOAD_BYTES:
            raise PacketError(
                f"the payload of packet {self.seq} has {view.size} bytes, expected at most "
                f"{MAX_PAYLOAD_BYTES}; let the camera driver send smaller messages "
                "(event_message_size_threshold)"
            )
        # One constness for all kinds of buffers means one compiled version of each kernel.
        view.flags.writeable = False
        return view


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Change events as a structure of arrays of equal length n.

    Attributes:
        t_ns: Sensor time in ns, shape (n,), int64; nearly but not strictly ascending.
        x: Column, shape (n,), uint16.
        y: Row, shape (n,), uint16.
        p: Polarity, shape (n,), uint8, 1 = ON (brighter), 0 = OFF.
    """

    t_ns: np.ndarray
    x: np.ndarray
    y: np.ndarray
    p: np.ndarray

    def __len__(self) -> int:
        return len(self.t_ns)

    def take(self, which: slice | np.ndarray) -> Events:
        """The events of a slice, as views, or of an array of indices or booleans, as copies."""
        return Events(self.t_ns[which], self.x[which], self.y[which], self.p[which])

    def in_order(self) -> Events:
        """The same events in ascending order of time; those of equal times keep their order."""
        if np.all(self.t_ns[1:] >= self.t_ns[:-1]):
            return self
        return self.take(np.argsort(self.t_ns, kind="stable"))

    @staticmethod
    def empty() -> Events:
        """No events."""
        return Events(
            np.empty(0, np.int64),
            np.empty(0, np.uint16),
            np.empty(0, np.uint16),
            np.empty(0, np.uint8),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Triggers:
    """Edges at the camera's external trigger inputs, arrays of equal length n.

    Attributes:
        t_ns: Sensor time in ns, shape (n,), int64.
        edge: 1 = rising, 0 = falling, shape (n,), uint8.
        id: Number of the input, shape (n,), uint8.
    """

    t_ns: np.ndarray
    edge: np.ndarray
    id: np.ndarray

    def __len__(self) -> int:
        return len(self.t_ns)

    @staticmethod
    def empty() -> Triggers:
        """No triggers."""
        return Triggers(np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.uint8))


@dataclass(slots=True)
class DecoderCounters:
    """What a decoder has met since it was made; no reset clears it.

    Attributes:
        events: Change events handed out.
        triggers: External triggers handed out.
        skipped_words: Words that carry neither event nor state by design (OTHERS, CONTINUED).
        reserved_words: Words of a type that the format reserves, such as the 0x9999 padding.
        out_of_bounds: Events outside the sensor, dropped.
        dropped_unsynced: Events and triggers dropped because their time or place was not known yet.
        truncated_bytes: Bytes at the end of payloads that make no whole word.
    """

    events: int = 0
    triggers: int = 0
    skipped_words: int = 0
    reserved_words: int = 0
    out_of_bounds: int = 0
    dropped_unsynced: int = 0
    truncated_bytes: int = 0


class Decoder(Protocol):
    """Turns the packets of one stream, in order, into events."""

    counters: DecoderCounters
    triggers: Triggers
    """The external triggers of the last packet."""

    @property
    def now_ns(self) -> int | None:
        """The newest sensor time reached, in ns; None before there is one.

        It is never ahead of the sensor and never decreases except by `reset()`. It advances without
        events too where the encoding has words for time (EVT3, EVT2, EVT2.1).
        """

    def decode(self, packet: EventPacket) -> Events:
        """Decode the next packet. Unknown words are skipped and counted, never an error."""

    def resync(self) -> None:
        """Packets were lost: distrust what the words before left behind, keep the clock."""

    def reset(self) -> None:
        """Start over as if new, apart from the counters."""


DecoderFactory: TypeAlias = Callable[[int, int], Decoder]
_AnyFactory = TypeVar("_AnyFactory", bound=DecoderFactory)
_DECODERS: dict[str, DecoderFactory] = {}


def register_decoder(encoding: str) -> Callable[[_AnyFactory], _AnyFactory]:
    """Make a decoder class, called with (width, height), known as `encoding`."""

    def register(factory: _AnyFactory) -> _AnyFactory:
        _DECODERS[encoding] = factory
        return factory

    return register


def decoder_for(encoding: str, width: int, height: int) -> Decoder:
    """A new decoder for one stream.

    Args:
        encoding: `EventPacket.encoding`.
        width: Sensor width in pixels.
        height: Sensor height in pixels.

    Raises:
        PacketError: Unknown encoding, or a size that no sensor has.
    """
    if encoding not in _DECODERS:
        raise PacketError(
            f"unknown encoding {encoding!r}, expected one of: {', '.join(sorted(_DECODERS))}; "
            "set the camera driver to one of these"
        )
    if not (0 < width <= MAX_SENSOR_SIDE and 0 < height <= MAX_SENSOR_SIDE):
        raise PacketError(
            f"a sensor of {width}x{height} pixels, expected 1 to {MAX_SENSOR_SIDE} on each side; "
            "check the width and height that the camera driver publishes"
        )
    return _DECODERS[encoding](width, height)
