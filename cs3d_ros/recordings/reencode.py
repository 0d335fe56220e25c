"""Packets of one encoding to packets of another."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from cs3d_ros.events import evt2, evt3
from cs3d_ros.events.encoding import encodable, encode_events
from cs3d_ros.events.packets import EventPacket, Events, PacketError

# What the encodings with a time base can say in one packet, with some to spare.
_MAX_SPAN_NS = 4_000_000_000
_EVT3_TURN_NS = evt3.ROLLOVER_US * 1000
_EVT3_MAX_STEP_BACK_NS = evt3.ROLLOVER_STEP * 4096 * 1000
_EVT2_HALF_TURN_NS = evt2.ROLLOVER_US // 2 * 1000
# EVT3 says a silence of 12 days with as many, in a quarter of a megabyte; EVT2 one of 35 years.
_MAX_TURNS = 1 << 16


class Reencoder:
    """Encodes the events of consecutive packets anew.

    Packets stay packets, with their stamps. One that lasts longer than 4 s is cut: the stamps of
    the pieces advance as their events do, and the sequence numbers after it grow. Events are put in
    the order of time within each packet.

    EVT3 knows times only modulo 16.8 s, EVT2 modulo 4 h 46 min. Therefore packets after a silence
    begin with the turns of the clock that it lasted. EVT3 takes a step back as a turn of its clock,
    too: events that come after a later packet's by more than it can say are given the earliest time
    that it can.

    Attributes:
        moved: Events whose time was changed in this way.
        cut: Events whose time is not a whole µs, and was cut to one; all but mono do so.
    """

    def __init__(self, encoding: str) -> None:
        if encoding not in encodable():
            raise PacketError(
                f"no encoder for {encoding!r}, expected one of: {', '.join(encodable())}"
            )
        self.moved = 0
        self.cut = 0
        self._encoding = encoding
        self._pieces_more = 0
        self._newest_ns: int | None = None
        self._last_ns = 0
        self._epoch = 0

    def packets(self, packet: EventPacket, events: Events, epoch: int) -> Iterator[EventPacket]:
        """Encode one packet, as one or more.

        Args:
            packet: The packet that held the events.
            events: Its events; may be none, then the packet is empty.
            epoch: `EventStream.epoch`: where it changes, times start over.

        Raises:
            PacketError: Times or coordinates that the encoding cannot say, or a silence: evt3 says
                at most 12 days.
        """
        if epoch != self._epoch:
            self._epoch = epoch
            self._newest_ns = None
        events = events.in_order()
        if self._encoding != "mono":
            self.cut += int(np.count_nonzero(events.t_ns % 1000))
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
        if self._encoding not in _SILENCES or not len(events):
            return encode_events(self._encoding, events)
        silence = b""
        if self._newest_ns is not None:
            if self._encoding == "evt3":
                events = self._not_before(self._newest_ns, events)
            silence = _SILENCES[self._encoding](self._last_ns, int(events.t_ns[0]))
        self._last_ns = int(events.t_ns[-1])
        self._newest_ns = max(self._newest_ns or 0, self._last_ns)
        time_base, payload = encode_events(self._encoding, events)
        return time_base, silence + payload

    def _not_before(self, newest_ns: int, events: Events) -> Events:
        """Events with times that do not look like a turn of EVT3's clock after `newest_ns`."""
        begin_of_turn_ns = newest_ns - newest_ns % _EVT3_TURN_NS
        earliest_ns = max(newest_ns - _EVT3_MAX_STEP_BACK_NS, begin_of_turn_ns)
        moved = int(np.count_nonzero(events.t_ns < earliest_ns))
        if not moved:
            return events
        self.moved += moved
        return dataclasses.replace(events, t_ns=np.maximum(events.t_ns, earliest_ns))


def _pieces(events: Events) -> list[Events]:
    """Events in order, in pieces of less than 4 s; one piece if there are none."""
    if not len(events) or events.t_ns[-1] - events.t_ns[0] < _MAX_SPAN_NS:
        return [events]
    which = (events.t_ns - events.t_ns[0]) // _MAX_SPAN_NS
    cuts = [0, *(np.flatnonzero(np.diff(which)) + 1).tolist(), len(events)]
    return [events.take(slice(begin, end)) for begin, end in itertools.pairwise(cuts)]


def _evt3_silence(last_ns: int, next_ns: int) -> bytes:
    """Words that let the clock turn as often as it does between two times."""
    turns = next_ns // _EVT3_TURN_NS - last_ns // _EVT3_TURN_NS
    _check_turns("evt3", turns, next_ns - last_ns)
    high = evt3.TIME_HIGH << 12
    return np.tile(np.array([high | evt3.TIME_HIGH_MAX, high], "<u2"), max(0, turns)).tobytes()


def _evt2_silence(last_ns: int, next_ns: int) -> bytes:
    """Words that take the clock past the middle and the end of each turn between two times.

    Without the middle, a step ahead by nearly a turn looks like one back over a rollover.
    """
    halves = range(last_ns // _EVT2_HALF_TURN_NS + 1, next_ns // _EVT2_HALF_TURN_NS + 1)
    _check_turns("evt2", len(halves) // 2, next_ns - last_ns)
    high = evt2.TIME_HIGH << 28
    middle, end = [high | 1 << 27], [high | 0x0FFFFFFF, high]
    words = [word for half in halves for word in (middle if half % 2 else end)]
    return np.array(words, "<u4").tobytes()


def _check_turns(encoding: str, turns: int, silence_ns: int) -> None:
    if turns > _MAX_TURNS:
        raise PacketError(
            f"{encoding} says the {turns} turns of its clock in a silence of "
            f"{silence_ns * 1e-9:.0f} s one by one, expected at most {_MAX_TURNS}; choose another "
            "encoding (evt2, or mono in a bag), or cut the recording there"
        )


_SILENCES = {"evt2": _evt2_silence, "evt3": _evt3_silence}
