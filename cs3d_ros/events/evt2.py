"""EVT2, Prophesee's 32-bit wire format: decoder and encoder.

Layout: Prophesee's EVT 2.0 specification. Time rules: OpenEB where the specification leaves a
choice.
"""

import numpy as np

from cs3d_ros.events.decoding import (
    EVENTS,
    MAX_TIME_NS,
    NO_TIME,
    NO_TRIGGERS,
    OUTSIDE,
    RESERVED,
    SKIPPED,
    TRIGGERS,
    UNSYNCED,
    WordDecoder,
    empty_packet,
    event_arrays,
    payload_words,
    trigger_arrays,
)
from cs3d_ros.events.packets import EventPacket, Events, PacketError, register_decoder
from cs3d_ros.kernels import kernel

# Word types, bits 31…28.
CD_OFF = 0x0
CD_ON = 0x1
TIME_HIGH = 0x8
EXT_TRIGGER = 0xA
IMU = 0xD
OTHERS = 0xE
CONTINUED = 0xF

ROLLOVER_US = 1 << 34
"""The sensor's clock turns over after 4 h 46 min."""
NEAR_US = 10_000_000
"""A fall of TIME_HIGH that lacks less than this to a whole turn is a rollover."""
MAX_COORDINATE = 0x7FF

_MAX_TURNS = MAX_TIME_NS // (ROLLOVER_US * 1000) - 1

# Decoder state that persists across packets: indices into one int64 array.
_TURNS, _HIGH_US, _IS_SYNCED, _NOW_US, _STATE_SIZE = range(5)

# Where the lowest set bit of a word is, by its product with a de Bruijn sequence.
_DE_BRUIJN = 0x077CB531
_BIT_OF = np.zeros(32, np.uint8)
_BIT_OF[[((_DE_BRUIJN << bit) & 0xFFFFFFFF) >> 27 for bit in range(32)]] = range(32)


@kernel
def _popcount32(bits: int) -> int:
    bits = bits - ((bits >> 1) & 0x55555555)
    bits = (bits & 0x33333333) + ((bits >> 2) & 0x33333333)
    bits = (bits + (bits >> 4)) & 0x0F0F0F0F
    return ((bits * 0x01010101) & 0xFFFFFFFF) >> 24


@kernel
def _count(words: np.ndarray, stride: int, head: int, valid: int) -> tuple[int, int]:
    """Upper bounds of the events and triggers in a payload; see `_decode`."""
    events = 0
    triggers = 0
    for i in range(0, words.size, stride):
        kind = words[i + head] >> 28
        # Arithmetic instead of branches: the compiler turns this loop into vector instructions.
        bits = words[i + valid] if valid >= 0 else 1
        events += (kind <= CD_ON) * _popcount32(bits)
        triggers += kind == EXT_TRIGGER
    return events, triggers


@kernel
def _decode(
    words: np.ndarray,
    stride: int,
    head: int,
    valid: int,
    width: int,
    height: int,
    state: np.ndarray,
    tally: np.ndarray,
    events: tuple[np.ndarray, ...],
    edges: tuple[np.ndarray, ...],
) -> None:
    """Decode words, uint32, into (t_ns, x, y, p) and (t_ns, edge, id).

    EVT2.1 is EVT2 with a second word beside each, the mask of the columns from x on that have an
    event. So a record has `stride` words, the one of EVT2 at `head` and the mask at `valid`; below
    zero, the mask is 1. The arrays have room for what `_count` says.
    """
    t_ns, xs, ys, ps = events
    trigger_t, trigger_edge, trigger_id = edges
    turns = state[_TURNS]
    high_us = state[_HIGH_US]
    is_synced = state[_IS_SYNCED] != 0
    now_us = state[_NOW_US]
    has_time = now_us != NO_TIME
    base_us = turns * ROLLOVER_US + high_us
    outside = 0
    tally[:] = 0
    # Unsigned: an index that may be negative costs a check.
    n = np.uintp(0)

    for i in range(0, words.size, stride):
        word = words[i + head]
        kind = word >> 28

        if kind <= CD_ON:
            bits = words[i + valid] if valid >= 0 else 1
            if not is_synced:
                tally[UNSYNCED] += _popcount32(bits)
                continue
            us = base_us + ((word >> 22) & 0x3F)
            x = (word >> 11) & MAX_COORDINATE
            y = word & MAX_COORDINATE
            if valid < 0:
                # The event is written and only one inside advances: nothing to mispredict.
                t_ns[n] = us * 1000
                xs[n] = x
                ys[n] = y
                ps[n] = kind
                is_inside = (x < width) & (y < height)
                n += np.uintp(is_inside)
                outside += not is_inside
                now_us = max(now_us, us if is_inside else now_us)
                continue
            inside = bits
            if x >= width or y >= height:
                inside = 0
            elif x + 32 > width:
                inside &= (1 << (width - x)) - 1
            if inside != bits:
                outside += _popcount32(bits ^ inside)
            if inside != 0:
                now_us = max(now_us, us)
            while inside != 0:
                low = inside & -inside
                t_ns[n] = us * 1000
                xs[n] = x + _BIT_OF[np.uintp(((low * _DE_BRUIJN) & 0xFFFFFFFF) >> 27)]
                ys[n] = y
                ps[n] = kind
                n += np.uintp(1)
                inside ^= low

        elif kind == TIME_HIGH:
            new_us = (word & 0x0FFFFFFF) << 6
            step = new_us - high_us
            if has_time and step <= NEAR_US - ROLLOVER_US:
                turns = min(turns + 1, _MAX_TURNS)
            elif has_time and step >= ROLLOVER_US - NEAR_US:
                turns = max(turns - 1, -1)
            high_us = new_us
            base_us = turns * ROLLOVER_US + high_us
            now_us = max(now_us, base_us)
            is_synced = True
            has_time = True

        elif kind == EXT_TRIGGER:
            if is_synced:
                us = base_us + ((word >> 22) & 0x3F)
                now_us = max(now_us, us)
                k = tally[TRIGGERS]
                trigger_t[k] = us * 1000
                trigger_edge[k] = word & 1
                trigger_id[k] = (word >> 8) & 0x1F
                tally[TRIGGERS] = k + 1
            else:
                tally[UNSYNCED] += 1

        elif kind in (IMU, OTHERS, CONTINUED):
            tally[SKIPPED] += 1

        else:
            tally[RESERVED] += 1

    state[_TURNS] = turns
    state[_HIGH_US] = high_us
    state[_IS_SYNCED] = is_synced
    state[_NOW_US] = now_us
    tally[EVENTS] = n
    tally[OUTSIDE] = outside


@register_decoder("evt2")
class Evt2Decoder(WordDecoder):
    """Decodes EVT2 packets; see `packets.Decoder`.

    After the start and after a loss, events and triggers are dropped until TIME_HIGH has been
    seen. The sensor's clock of 34 bits of µs is extended by its rollovers since the start: its zero
    is arbitrary.

    TIME_HIGH falling by a whole turn, or up to 10 s less, is a rollover, and rising by as much is
    the way back over one. Any other step is taken as the words say it. Back, that is jitter of the
    sensor, a damaged word, a restarted sensor or a looped recording: then the events go back with
    it, and `now_ns` stays where it is until the sensor is there again or until `reset()`.
    """

    # Words of a record, which of them is the EVT2 word, and which the mask of valid events.
    _LAYOUT = 1, 0, -1

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self.reset()

    @property
    def now_ns(self) -> int | None:
        """The newest sensor time reached, in ns; None before the first TIME_HIGH."""
        now_us = int(self._state[_NOW_US])
        return None if now_us == NO_TIME else now_us * 1000

    def reset(self) -> None:
        """Start over as if new, apart from the counters."""
        self._state[:] = 0
        self._state[_NOW_US] = NO_TIME
        self.triggers = NO_TRIGGERS

    def resync(self) -> None:
        """Packets were lost: drop events until the time has been seen again.

        The rollover count stays, and with it the rule for rollovers. A loss of more than 10 s with
        a rollover in it cannot be seen from here.
        """
        self._state[_IS_SYNCED] = 0

    def decode(self, packet: EventPacket) -> Events:
        """Decode the next packet.

        Raises:
            PacketError: The payload is not a buffer.
        """
        words, truncated = self._words(packet)
        event_room, trigger_room = _count(words, *self._LAYOUT)
        events = event_arrays(event_room + 1)
        edges = trigger_arrays(trigger_room)
        _decode(
            words, *self._LAYOUT, self.width, self.height, self._state, self._tally, events, edges
        )
        return self._hand_out(events, edges, truncated)

    def _words(self, packet: EventPacket) -> tuple[np.ndarray, int]:
        return payload_words(packet, np.uint32)


def warm_up() -> None:
    """Compile the kernels, so that no packet waits for the compiler."""
    Evt2Decoder(1, 1).decode(empty_packet("evt2"))


def encode(events: Events) -> bytes:
    """Encode events as EVT2, little endian; the inverse of a fresh `Evt2Decoder`.

    Each call starts with TIME_HIGH, so that its result is a packet that a stream can begin with,
    and packets of consecutive events, less than 10 s apart, make a stream. Times are cut to µs and
    begin in the clock's first turn (modulo 2^34 µs); the rollovers after it are kept, as TIME_HIGH
    words on both sides of each.

    Args:
        events: Non-negative times that step back by less than 10 s and ahead by less than 2^34 µs
            (4 h 46 min) minus 10 s from one event to the next; x and y up to 2047.

    Raises:
        PacketError: Times or coordinates that EVT2 cannot say.
    """
    if len(events) == 0:
        return b""
    us = events.t_ns // 1000
    highs = us >> 6
    steps = np.diff(highs, prepend=highs[0]) << 6
    if us.min() < 0 or steps.min() <= -NEAR_US or steps.max() >= ROLLOVER_US - NEAR_US:
        raise PacketError(
            "EVT2 says times that are not negative and step less than 10 s back or 4 h 46 min "
            f"ahead; given {us.min()} to {us.max()} µs with steps of {steps.min()} to "
            f"{steps.max()} µs: sort the events by time and cut them at long pauses"
        )
    if max(events.x.max(), events.y.max()) > MAX_COORDINATE:
        raise PacketError(
            f"EVT2 says coordinates up to {MAX_COORDINATE}; given x up to {events.x.max()} and y "
            f"up to {events.y.max()}: crop or shrink the events"
        )
    begins = steps != 0
    begins[0] = True
    # Without both sides of a rollover a decoder misses it at a pause.
    turns_over = np.diff(highs >> 28, prepend=highs[0] >> 28) > 0
    # Each event comes after all TIME_HIGH words up to its own.
    n_highs = begins + 2 * turns_over
    places = np.arange(len(events)) + np.cumsum(n_highs)
    words = np.empty(len(events) + n_highs.sum(), np.int64)
    words[places[begins] - 1] = TIME_HIGH << 28 | highs[begins] & 0x0FFFFFFF
    words[places[turns_over] - 2] = TIME_HIGH << 28
    words[places[turns_over] - 3] = TIME_HIGH << 28 | 0x0FFFFFFF
    kinds = np.where(events.p != 0, CD_ON, CD_OFF)
    words[places] = kinds << 28 | (us & 0x3F) << 22 | events.x.astype(np.int64) << 11 | events.y
    return words.astype("<u4").tobytes()
