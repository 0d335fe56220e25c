"""The encodings mono and trigger: one 64-bit word for each event or edge.

Layout: `event_camera_codecs`. The drivers no longer write them, old recordings have them.
"""

import numpy as np

from cs3d_ros.events.decoding import (
    EVENTS,
    NO_TIME,
    OUTSIDE,
    TRIGGERS,
    TimeBaseDecoder,
    empty_packet,
    event_arrays,
    payload_words,
    time_base_ns,
)
from cs3d_ros.events.packets import EventPacket, Events, PacketError, register_decoder
from cs3d_ros.kernels import kernel

MAX_SPAN_NS = (1 << 32) - 1
"""The time that one packet can tell."""
MAX_X = 0xFFFF
MAX_Y = 0x7FFF

_MAX_TRIGGER_ID = 0xFF


@kernel
def _decode(
    words: np.ndarray,
    base_ns: int,
    width: int,
    height: int,
    tally: np.ndarray,
    events: tuple[np.ndarray, ...],
) -> int:
    """Decode words of mono, int64, into (t_ns, x, y, p), and return the newest time."""
    t_ns, xs, ys, ps = events
    newest = NO_TIME
    # Unsigned: an index that may be negative costs a check.
    n = np.uintp(0)
    for i in range(words.size):
        word = words[i]
        t = base_ns + (word & 0xFFFFFFFF)
        x = (word >> 32) & MAX_X
        y = (word >> 48) & MAX_Y
        # Every event is written and only those inside advance: nothing to mispredict.
        t_ns[n] = t
        xs[n] = x
        ys[n] = y
        ps[n] = (word >> 63) & 1
        inside = (x < width) & (y < height)
        n += np.uintp(inside)
        newest = max(newest, t if inside else newest)
    tally[:] = 0
    tally[EVENTS] = n
    tally[OUTSIDE] = words.size - n
    return newest


@register_decoder("mono")
class MonoDecoder(TimeBaseDecoder):
    """Decodes packets of the encoding mono; see `packets.Decoder`."""

    def decode(self, packet: EventPacket) -> Events:
        """Decode the next packet.

        Raises:
            PacketError: The payload is not a buffer, or the time base is no time.
        """
        words, truncated = payload_words(packet, np.int64)
        base_ns = time_base_ns(packet, MAX_SPAN_NS)
        events = event_arrays(words.size + 1)
        self._reach(_decode(words, base_ns, self.width, self.height, self._tally, events))
        return self._hand_out(events, None, truncated)


@register_decoder("trigger")
class TriggerDecoder(TimeBaseDecoder):
    """Decodes packets of the encoding trigger: edges but no events; see `packets.Decoder`.

    The words have 15 bits for the number of the input. Edges at inputs beyond 255 are dropped and
    counted as out of bounds: no camera has as many.
    """

    def decode(self, packet: EventPacket) -> Events:
        """Decode the next packet; the result is in `triggers`.

        Raises:
            PacketError: The payload is not a buffer, or the time base is no time.
        """
        words, truncated = payload_words(packet, np.int64)
        base_ns = time_base_ns(packet, MAX_SPAN_NS)
        number = (words >> 48) & 0x7FFF
        known = number <= _MAX_TRIGGER_ID
        words = words[known]
        t_ns = base_ns + (words & 0xFFFFFFFF)
        edges = t_ns, (words < 0).astype(np.uint8), number[known].astype(np.uint8)
        self._tally[:] = 0
        self._tally[TRIGGERS] = len(words)
        self._tally[OUTSIDE] = len(number) - len(words)
        self._reach(int(t_ns.max(initial=NO_TIME)))
        return self._hand_out(event_arrays(0), edges, truncated)


def warm_up() -> None:
    """Compile the kernel, so that no packet waits for the compiler."""
    MonoDecoder(1, 1).decode(empty_packet("mono"))


def encode(events: Events, time_base_ns: int) -> bytes:
    """Encode events as mono, little endian; the inverse of `MonoDecoder` with that time base.

    Args:
        events: In any order; times from the time base to `MAX_SPAN_NS` (4.3 s) after it.
        time_base_ns: For `EventPacket.time_base`.

    Raises:
        PacketError: Times or coordinates that mono cannot say.
    """
    if len(events) == 0:
        return b""
    dt_ns = events.t_ns - time_base_ns
    if dt_ns.min() < 0 or dt_ns.max() > MAX_SPAN_NS:
        raise PacketError(
            f"mono says times up to {MAX_SPAN_NS} ns after the time base; given {dt_ns.min()} to "
            f"{dt_ns.max()} ns: cut the events into shorter packets"
        )
    if events.y.max() > MAX_Y:
        raise PacketError(
            f"mono says y up to {MAX_Y}; given {events.y.max()}: crop or shrink the events"
        )
    place = (events.p != 0).astype(np.uint64) << 15 | events.y
    words = (place << 16 | events.x) << 32 | dt_ns.astype(np.uint64)
    return words.astype("<u8").tobytes()
