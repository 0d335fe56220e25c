"""Packets of one encoding to packets of another."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from cs3d_ros.events.encoding import encodable, encode_events
from cs3d_ros.events.evt3 import ROLLOVER_STEP, TIME_HIGH, TIME_HIGH_MAX
from cs3d_ros.events.packets import EventPacket, Events, PacketError

# What the encodings with a time base can say in one packet, with some to spare.
_MAX_SPAN_NS = 4_000_000_000
_TURN_NS = (1 << 24) * 1000
# A longer silence, 12 days, is left to the stamps.
_MAX_TURNS = 1 << 16
_MAX_STEP_BACK_NS = ROLLOVER_STEP * 4096 * 1000


class Reencoder:
    """Encodes the events of consecutive packets anew.

    Packets stay packets, with their stamps. One that lasts longer than 4 s is cut: the stamps of
    the pieces advance as their events do, and the sequence numbers after it grow. Events are put in
    the order of time within each packet.

    EVT3 knows times only modulo 16.8 s, and takes a step back as a turn of its clock. Therefore
    packets after a silence begin with the turns of the clock that it lasted, and events that come
    after a later packet's by more than EVT3 can say are given the earliest time that it can.

    Attributes:
        moved: Events whose time was changed in this way.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in encodable():
            raise PacketError(
                f"no encoder for {encoding!r}, expected one of: {', '.join(encodable())}"
            )
        self.moved = 0
        self._encoding = encoding
        self._pieces_more = 0
        self._newest_ns: int | None = None
        self._epoch = 0

    def packets(self, packet: EventPacket, events: Events, epoch: int) -> Iterator[EventPacket]:
        """Encode one packet, as one or more.

        Args:
            packet: The packet that held the events.
            events: Its events; may be none, then the packet is empty.
            epoch: `EventStream.epoch`: where it changes, times start over.

        Raises:
            PacketError: Times or coordinates that the encoding cannot say.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._newest_ns = None
        events = _in_order(events)
        for number, piece in enumerate(_pieces(events)):
            self._pieces_more += number > 0
            since_first_ns = int(piece.t_ns[0] - events.t_ns[0]) if number else 0
            time_base, payload = self._encode(piece)
            yield dataclasses.replace(
                packet,
                stamp_ns=packet.stamp_ns + since_first_ns if packet.stamp_ns else 0,
                seq=(packet.seq + self._pieces_more) % (1 << 64),
                time_base=time_base,
                encoding=self._encoding,
                is_bigendian=False,
                payload=payload,
            )

    def _encode(self, events: Events) -> tuple[int, bytes]:
        if self._encoding != "evt3" or not len(events):
            return encode_events(self._encoding, events)
        silence = b""
        if self._newest_ns is not None:
            events = self._not_before(self._newest_ns, events)
            silence = _turns(self._newest_ns, int(events.t_ns[0]))
        self._newest_ns = max(self._newest_ns or 0, int(events.t_ns[-1]))
        time_base, payload = encode_events("evt3", events)
        return time_base, silence + payload

    def _not_before(self, newest_ns: int, events: Events) -> Events:
        """Events with times that do not look like a turn of the clock after `newest_ns`."""
        earliest_ns = max(newest_ns - _MAX_STEP_BACK_NS, newest_ns - newest_ns % _TURN_NS)
        moved = int(np.count_nonzero(events.t_ns < earliest_ns))
        if not moved:
            return events
        self.moved += moved
        return dataclasses.replace(events, t_ns=np.maximum(events.t_ns, earliest_ns))


def _in_order(events: Events) -> Events:
    if np.all(events.t_ns[1:] >= events.t_ns[:-1]):
        return events
    return _taken(events, np.argsort(events.t_ns, kind="stable"))


def _pieces(events: Events) -> list[Events]:
    """Events in order, in pieces of less than 4 s; one piece if there are none."""
    if not len(events) or events.t_ns[-1] - events.t_ns[0] < _MAX_SPAN_NS:
        return [events]
    which = (events.t_ns - events.t_ns[0]) // _MAX_SPAN_NS
    cuts = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), len(events)]
    return [_taken(events, slice(begin, end)) for begin, end in itertools.pairwise(cuts)]


def _taken(events: Events, which: slice | np.ndarray) -> Events:
    return Events(events.t_ns[which], events.x[which], events.y[which], events.p[which])


def _turns(newest_ns: int, next_ns: int) -> bytes:
    """EVT3 words that let the clock turn as often as it does between two times."""
    turns = next_ns // _TURN_NS - newest_ns // _TURN_NS
    if not 0 < turns <= _MAX_TURNS:
        return b""
    high = TIME_HIGH << 12
    return np.tile(np.array([high | TIME_HIGH_MAX, high], "<u2"), turns).tobytes()
