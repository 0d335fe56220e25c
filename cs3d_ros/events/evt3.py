"""EVT3, Prophesee's 16-bit wire format: decoder and encoder.

Layout and time rules: Prophesee's EVT 3.0 specification, and `event_camera_codecs` where the
specification leaves a choice.
"""

import numpy as np

from cs3d_ros.events.kernels import kernel
from cs3d_ros.events.packets import (
    DecoderCounters,
    EventPacket,
    Events,
    PacketError,
    Triggers,
    register_decoder,
)

# Word types, bits 15…12.
ADDR_Y = 0x0
ADDR_X = 0x2
VECT_BASE_X = 0x3
VECT_12 = 0x4
VECT_8 = 0x5
TIME_LOW = 0x6
CONTINUED_4 = 0x7
TIME_HIGH = 0x8
EXT_TRIGGER = 0xA
OTHERS = 0xE
CONTINUED_12 = 0xF

TIME_HIGH_MAX = 0xFFF
# TIME_HIGH falling by more than this is a rollover of the 24-bit clock; by less, jitter.
ROLLOVER_STEP = 10
ROLLOVER_US = 1 << 24

_MAX_COORDINATE = 0x7FF

# Decoder state that persists across packets: indices into one int64 array.
_TIME_US, _ROW, _BASE_X, _POLARITY, _SEEN, _NOW_US, _STATE_SIZE = range(7)

# What has been seen since the start or the last loss: bits of state[_SEEN].
_SEEN_HIGH, _SEEN_LOW, _SEEN_Y, _SEEN_BASE_X = 1, 2, 4, 8
_SEEN_TIME = _SEEN_HIGH | _SEEN_LOW
_SEEN_PLACE = _SEEN_TIME | _SEEN_Y
_SEEN_ALL = _SEEN_PLACE | _SEEN_BASE_X

# Tallies of one packet: indices into one int64 array.
_EVENTS, _TRIGGERS, _SKIPPED, _RESERVED, _OUTSIDE, _UNSYNCED, _TALLY_SIZE = range(7)


@kernel
def _popcount12(bits: int) -> int:
    bits = bits - ((bits >> 1) & 0x555)
    bits = (bits & 0x333) + ((bits >> 2) & 0x333)
    return (bits & 0xF) + ((bits >> 4) & 0xF) + (bits >> 8)


@kernel
def _count(payload: np.ndarray) -> tuple[int, int]:
    """Upper bounds of the events and triggers in a payload."""
    events = 0
    triggers = 0
    for i in range(0, payload.size - 1, 2):
        word = payload[i] | (payload[i + 1] << 8)
        kind = word >> 12
        # Arithmetic instead of branches: the compiler turns this loop into vector instructions.
        mask = (kind == VECT_12) * 0xFFF + (kind == VECT_8) * 0xFF
        events += (kind == ADDR_X) + _popcount12(word & mask)
        triggers += kind == EXT_TRIGGER
    return events, triggers


@kernel
def _decode(
    payload: np.ndarray,
    width: int,
    height: int,
    state: np.ndarray,
    tally: np.ndarray,
    events: tuple[np.ndarray, ...],
    places: np.ndarray,
    edges: tuple[np.ndarray, ...],
) -> None:
    """Decode a payload into (t_ns, x, y, p) and (t_ns, edge, id) arrays.

    The arrays have room for what `_count` says, those of the events and `places` for one more. An
    event's place is kept as y << 12 | p << 11 | x, which is how the words have it, and taken
    apart at the end: with fewer things at hand in the loop the processor keeps them in registers.
    For the same reason whatever is rare is counted in memory.
    """
    t_ns, xs, ys, ps = events
    trigger_t, trigger_edge, trigger_id = edges
    us = state[_TIME_US]
    row = state[_ROW]
    base_x = state[_BASE_X]
    polarity = state[_POLARITY]
    seen = state[_SEEN]
    now_us = state[_NOW_US]
    end_row = height << 12
    tally[:] = 0
    # Unsigned: an index that may be negative costs a check.
    n = np.uintp(0)

    for i in range(0, payload.size - 1, 2):
        word = payload[i] | (payload[i + 1] << 8)
        kind = word >> 12
        value = word & 0xFFF

        if kind == ADDR_X:
            if (seen & _SEEN_PLACE) != _SEEN_PLACE:
                tally[_UNSYNCED] += 1
            elif (value & _MAX_COORDINATE) >= width or row >= end_row:
                tally[_OUTSIDE] += 1
            else:
                t_ns[n] = us * 1000
                places[n] = row | value
                n += np.uintp(1)

        elif kind == ADDR_Y:
            row = (value & _MAX_COORDINATE) << 12
            seen |= _SEEN_Y

        elif kind == TIME_LOW:
            us = (us & ~0xFFF) | value
            seen |= _SEEN_LOW
            if seen & _SEEN_HIGH:
                now_us = max(now_us, us)

        elif kind == TIME_HIGH:
            step = value - ((us >> 12) & 0xFFF)
            if step < -ROLLOVER_STEP:
                step += TIME_HIGH_MAX + 1
            us += step << 12
            seen |= _SEEN_HIGH
            # The low bits still belong to the old value: events keep them as upstream does, but
            # the clock must not run ahead of the sensor and takes 0 until the next TIME_LOW.
            now_us = max(now_us, us & ~0xFFF)

        elif kind in (VECT_12, VECT_8):
            length = 12 if kind == VECT_12 else 8
            bits = value & (0xFFF if kind == VECT_12 else 0xFF)
            if seen != _SEEN_ALL:
                tally[_UNSYNCED] += _popcount12(bits)
            else:
                inside = bits
                if row >= end_row or base_x >= width:
                    inside = 0
                elif base_x + length > width:
                    inside &= (1 << (width - base_x)) - 1
                tally[_OUTSIDE] += _popcount12(bits ^ inside)
                if inside:
                    # Every position is written and only events advance: nothing to mispredict.
                    for bit in range(length):
                        t_ns[n] = us * 1000
                        places[n] = row | polarity | (base_x + bit)
                        n += np.uintp((inside >> bit) & 1)
            base_x += length

        elif kind == VECT_BASE_X:
            base_x = value & _MAX_COORDINATE
            polarity = value & 0x800
            seen |= _SEEN_BASE_X

        elif kind == EXT_TRIGGER:
            if (seen & _SEEN_TIME) == _SEEN_TIME:
                k = tally[_TRIGGERS]
                trigger_t[k] = us * 1000
                trigger_edge[k] = value & 1
                trigger_id[k] = value >> 8
                tally[_TRIGGERS] = k + 1
            else:
                tally[_UNSYNCED] += 1

        elif kind in (OTHERS, CONTINUED_4, CONTINUED_12):
            tally[_SKIPPED] += 1

        else:
            tally[_RESERVED] += 1

    for i in range(n):
        place = places[i]
        xs[i] = place & _MAX_COORDINATE
        ys[i] = place >> 12
        ps[i] = (place >> 11) & 1

    state[_TIME_US] = us
    state[_ROW] = row
    state[_BASE_X] = base_x
    state[_POLARITY] = polarity
    state[_SEEN] = seen
    state[_NOW_US] = now_us
    tally[_EVENTS] = n


@kernel
def _encode(
    us: np.ndarray, xs: np.ndarray, ys: np.ndarray, ps: np.ndarray, words: np.ndarray
) -> int:
    """Write the words of some events and return how many."""
    n = 0
    high = -1
    low = -1
    y = np.int64(-1)
    i = 0
    while i < us.size:
        new_high = us[i] >> 12
        if new_high != high:
            if high >= 0:
                # Without both sides of each rollover a decoder could miss it.
                for _ in range((new_high >> 12) - (high >> 12)):
                    words[n] = (TIME_HIGH << 12) | TIME_HIGH_MAX
                    words[n + 1] = TIME_HIGH << 12
                    n += 2
            words[n] = (TIME_HIGH << 12) | (new_high & TIME_HIGH_MAX)
            n += 1
            high = new_high
            low = -1
        if us[i] & 0xFFF != low:
            low = us[i] & 0xFFF
            words[n] = (TIME_LOW << 12) | low
            n += 1
        if ys[i] != y:
            y = np.int64(ys[i])
            words[n] = (ADDR_Y << 12) | y
            n += 1

        end = i + 1
        while (
            end < us.size
            and us[end] == us[i]
            and ys[end] == ys[i]
            and ps[end] == ps[i]
            and xs[end] > xs[end - 1]
        ):
            end += 1
        polarity = np.int64(ps[i] != 0) << 11
        if end == i + 1:
            words[n] = (ADDR_X << 12) | polarity | np.int64(xs[i])
            n += 1
            i = end
            continue
        while i < end:
            base = np.int64(xs[i])
            words[n] = (VECT_BASE_X << 12) | polarity | base
            n += 1
            # One base serves for as long as no hole is longer than a vector.
            while i < end and xs[i] - base < 12:
                length = 8 if xs[end - 1] - base < 8 else 12
                bits = 0
                while i < end and xs[i] - base < length:
                    bits |= 1 << (xs[i] - base)
                    i += 1
                words[n] = ((VECT_8 if length == 8 else VECT_12) << 12) | bits
                n += 1
                base += length
    return n


def _event_arrays(size: int) -> tuple[np.ndarray, ...]:
    columns = (np.int64, np.uint16, np.uint16, np.uint8)
    return tuple(np.empty(size, dtype) for dtype in columns)


def _trigger_arrays(size: int) -> tuple[np.ndarray, ...]:
    return tuple(np.empty(size, dtype) for dtype in (np.int64, np.uint8, np.uint8))


@register_decoder("evt3")
class Evt3Decoder:
    """Decodes EVT3 packets; see `packets.Decoder`.

    After the start and after a loss, events are dropped until TIME_HIGH, TIME_LOW and ADDR_Y have
    each been seen, and vector events until VECT_BASE_X has, too. The sensor's clock of 24 bits of
    µs is extended by the rollovers since the start: its zero is arbitrary.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self.counters = DecoderCounters()
        self.triggers = Triggers.empty()
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._tally = np.zeros(_TALLY_SIZE, np.int64)
        self.reset()

    @property
    def now_ns(self) -> int | None:
        """The newest sensor time reached, in ns; None before the first TIME_HIGH."""
        now_us = int(self._state[_NOW_US])
        return None if now_us < 0 else now_us * 1000

    def reset(self) -> None:
        """Start over as if new, apart from the counters."""
        self._state[:] = 0
        self._state[_NOW_US] = -1
        self.triggers = Triggers.empty()

    def resync(self) -> None:
        """Packets were lost: drop events until place and time have been seen again.

        The rollover count stays, and with it the rule that a falling TIME_HIGH is a rollover. A
        loss of more than one turn of the clock (16.8 s) cannot be seen from here.
        """
        self._state[_SEEN] = 0

    def decode(self, packet: EventPacket) -> Events:
        """Decode the next packet.

        Raises:
            PacketError: The payload is not a buffer.
        """
        payload = packet.payload_bytes()
        stray = payload.size & 1
        if packet.is_bigendian:
            words = payload[: payload.size - stray].view(">u2")
            payload = words.astype("<u2").view(np.uint8)
            payload.flags.writeable = False
        event_room, trigger_room = _count(payload)
        events = _event_arrays(event_room + 1)
        edges = _trigger_arrays(trigger_room)
        places = np.empty(event_room + 1, np.uint32)
        _decode(payload, self.width, self.height, self._state, self._tally, events, places, edges)
        n, n_triggers, skipped, reserved, outside, unsynced = self._tally.tolist()
        if n < event_room:
            # A view would keep the room of the dropped events alive.
            events = tuple(column[:n].copy() for column in events)
        self.triggers = Triggers(*(column[:n_triggers] for column in edges))
        counters = self.counters
        counters.events += n
        counters.triggers += n_triggers
        counters.skipped_words += skipped
        counters.reserved_words += reserved
        counters.out_of_bounds += outside
        counters.dropped_unsynced += unsynced
        counters.truncated_bytes += stray
        return Events(*(column[:n] for column in events))


def warm_up() -> None:
    """Compile the kernels, so that no packet waits for the compiler."""
    events = Events(
        np.zeros(1, np.int64), np.zeros(1, np.uint16), np.zeros(1, np.uint16), np.zeros(1, np.uint8)
    )
    payload = encode(events)
    Evt3Decoder(1, 1).decode(EventPacket(0, "", 1, 1, 0, 0, "evt3", False, payload))


def encode(events: Events) -> bytes:
    """Encode events as EVT3, little endian; the inverse of a fresh `Evt3Decoder`.

    Each call starts with TIME_HIGH, TIME_LOW and ADDR_Y, so that its result is a packet that a
    stream can begin with, and packets of consecutive events, less than 16 s apart, make a stream.
    Events in one row at one time, of one polarity and with ascending x, become vector words. Times
    are cut to µs and begin in the clock's first turn (modulo 2^24 µs); the rollovers after it are
    kept, as TIME_HIGH words on both sides of each.

    Args:
        events: Non-negative times that go back by no more than what leaves TIME_HIGH as it is
            (4096 µs at most); x and y up to 2047.

    Raises:
        PacketError: Times or coordinates that EVT3 cannot say.
    """
    if len(events) == 0:
        return b""
    us = events.t_ns // 1000
    highs = us >> 12
    if us.min() < 0 or np.any(highs[1:] < highs[:-1]):
        raise PacketError(
            "EVT3 says times that are not negative and do not go back past a multiple of 4096 µs; "
            f"given {us.min()} to {us.max()} µs: sort the events by time"
        )
    if max(events.x.max(), events.y.max()) > _MAX_COORDINATE:
        raise PacketError(
            f"EVT3 says coordinates up to {_MAX_COORDINATE}; given x up to {events.x.max()} and y "
            f"up to {events.y.max()}: crop or shrink the events"
        )
    turns = int(highs[-1] >> 12) - int(highs[0] >> 12)
    words = np.empty(5 * len(events) + 2 * turns, np.uint16)
    size = _encode(us, events.x, events.y, events.p, words)
    return words[:size].astype("<u2").tobytes()
