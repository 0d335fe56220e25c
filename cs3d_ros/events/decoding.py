"""What the decoders of all wire formats share: words, room for events, bookkeeping, time bases."""

import sys
from typing import Any

import numpy as np

from cs3d_ros.events.packets import DecoderCounters, EventPacket, Events, PacketError, Triggers

# Tallies of one packet: indices into one int64 array that a kernel fills.
EVENTS, TRIGGERS, SKIPPED, RESERVED, OUTSIDE, UNSYNCED, TALLY_SIZE = range(7)

MAX_TIME_NS = 1 << 62
"""Sensor times end here, 146 years after their zero: half of what int64 holds, so that neither the
decoders nor what comes after them overflows by adding a duration."""

NO_TIME = -(1 << 63)
"""What stands for the newest time of a packet without any."""

NO_TRIGGERS = Triggers.empty()


_HOST_IS_LITTLE = sys.byteorder == "little"


def payload_words(
    packet: EventPacket, dtype: type[np.generic], words_per_record: int = 1
) -> tuple[np.ndarray, int]:
    """The payload as words of this machine's byte order.

    A copy is made only where the byte order differs or where the buffer begins at an address that
    is no multiple of the word's size: kernels are compiled for aligned arrays alone.

    Args:
        packet: Any packet.
        dtype: Type of a word.
        words_per_record: Words that only make sense together.

    Returns:
        The words, shape (n,), read-only, n a multiple of words_per_record, and the number of bytes
        at the end that make no whole record.

    Raises:
        PacketError: The payload is not a contiguous buffer.
    """
    payload = packet.payload_bytes()
    word = np.dtype(dtype)
    truncated = payload.size % (word.itemsize * words_per_record)
    words = (payload[: payload.size - truncated] if truncated else payload).view(word)
    if packet.is_bigendian == _HOST_IS_LITTLE:
        words = words.byteswap()
        words.flags.writeable = False
    elif not words.flags.aligned:
        words = words.astype(word)
        # One constness for all payloads means one compiled version of each kernel.
        words.flags.writeable = False
    return words, truncated


def time_base_ns(packet: EventPacket, span_ns: int) -> int:
    """The time base of a packet whose events are up to `span_ns` after it.

    Raises:
        PacketError: A time base with which times would go beyond `MAX_TIME_NS`.
    """
    last_ns = MAX_TIME_NS - span_ns
    if not 0 <= packet.time_base <= last_ns:
        raise PacketError(
            f"time_base {packet.time_base} of packet {packet.seq}, expected 0 to {last_ns} ns for "
            f"the encoding {packet.encoding!r}; the message is damaged, or its driver gives no "
            "time in ns"
        )
    return packet.time_base


def event_arrays(size: int) -> tuple[np.ndarray, ...]:
    """Uninitialised columns of `Events`: (t_ns, x, y, p), shape (size,) each."""
    # Written out, because this is done for every packet.
    return (
        np.empty(size, np.int64),
        np.empty(size, np.uint16),
        np.empty(size, np.uint16),
        np.empty(size, np.uint8),
    )


def trigger_arrays(size: int) -> tuple[np.ndarray, ...]:
    """Uninitialised columns of `Triggers`: (t_ns, edge, id), shape (size,) each."""
    return tuple(np.empty(size, dtype) for dtype in (np.int64, np.uint8, np.uint8))


NO_EDGES = trigger_arrays(0)
"""For a packet without triggers, as most are."""


class WordDecoder:
    """The bookkeeping of every decoder: sensor size, counters, the triggers of the last packet.

    A derived class has its kernel write events and triggers into arrays with enough room and the
    numbers of both, and of what it dropped, into `_tally`. `_hand_out` does the rest.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.counters = DecoderCounters()
        self.triggers = NO_TRIGGERS
        self._tally = np.zeros(TALLY_SIZE, np.int64)

    def _hand_out(
        self, events: tuple[np.ndarray, ...], edges: tuple[np.ndarray, ...] | None, truncated: int
    ) -> Events:
        """Count what the tally says and cut the columns to the events that there are.

        Args:
            events: Columns as of `event_arrays`, with room for one event more than there are at
                most or for just those that there are.
            edges: Columns as of `trigger_arrays`; None without triggers.
            truncated: Bytes at the end of the payload that make no whole word.
        """
        n, n_triggers, skipped, reserved, outside, unsynced = self._tally.tolist()
        counters = self.counters
        counters.events += n
        counters.triggers += n_triggers
        counters.skipped_words += skipped
        counters.reserved_words += reserved
        counters.out_of_bounds += outside
        counters.dropped_unsynced += unsynced
        counters.truncated_bytes += truncated
        self.triggers = Triggers(*(c[:n_triggers] for c in edges)) if edges else NO_TRIGGERS
        if n == len(events[0]):
            return Events(*events)
        if n < len(events[0]) - 1:
            # A view would keep the room of the dropped events alive.
            return Events(*(column[:n].copy() for column in events))
        return Events(*(column[:n] for column in events))


class TimeBaseDecoder(WordDecoder):
    """A decoder for packets that tell their own time base: nothing but the clock outlasts them.

    Times are absolute, as the driver tells them in `time_base`. Events and triggers handed out
    advance `now_ns`. A packet without any does not, as the drivers set the time base with the first
    event.
    After a time base that is ahead by mistake `now_ns` stays there until `reset()`, as it never
    decreases; events go on with the times of their own packets.
    """

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._now_ns: int | None = None

    @property
    def now_ns(self) -> int | None:
        """The newest sensor time reached, in ns; None before the first event."""
        return self._now_ns

    def reset(self) -> None:
        """Start over as if new, apart from the counters."""
        self._now_ns = None
        self.triggers = NO_TRIGGERS

    def resync(self) -> None:
        """Do nothing: a packet is decoded without those before it."""

    def _reach(self, newest_ns: int) -> None:
        """Advance `now_ns` to the newest time of a packet, `NO_TIME` where it tells none."""
        if newest_ns != NO_TIME and (self._now_ns is None or newest_ns > self._now_ns):
            self._now_ns = newest_ns


def empty_packet(encoding: str, payload: Any = b"") -> EventPacket:
    """A packet of one pixel at time 0, with which the `warm_up()` of a format compiles."""
    return EventPacket(0, "", 1, 1, 0, 0, encoding, False, payload)
