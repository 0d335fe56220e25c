"""EVT3, Prophesee's 16-bit wire format.

Layout and time rules: Prophesee's EVT 3.0 specification, and `event_camera_codecs` where the
specification leaves a choice.
"""

import numpy as np

from cs3d_ros.events.decoding import (
    EVENTS,
    NO_EDGES,
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
from cs3d_ros.events.packets import EventPacket, Events, register_decoder
from cs3d_ros.kernels import kernel

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

MAX_COORDINATE = 0x7FF

# Decoder state that persists across packets: indices into one int64 array. _TIME_US is the time as
# the last words have it, _NOW_US the newest reached.
_TIME_US, _ROW, _BASE_X, _POLARITY, _SEEN, _NOW_US, _STATE_SIZE = range(7)

# What has been seen since the start or the last loss: bits of state[_SEEN].
_SEEN_HIGH, _SEEN_LOW, _SEEN_Y, _SEEN_BASE_X = 1, 2, 4, 8
_SEEN_TIME = _SEEN_HIGH | _SEEN_LOW
_SEEN_PLACE = _SEEN_TIME | _SEEN_Y

# The kernel writes events as records of 64 bits, and keeps time and row in one of the same layout:
#   63…47 turns of the clock   46…35 TIME_HIGH   34…23 TIME_LOW   22…12 y   11 polarity   10…0 x
# Bits 63…23 are thus a time in µs, and words of all three kinds of state change the present record
# by one mask and one shift. With those in tables there is no branch that the processor could
# mispredict: the words of a real camera follow each other without a pattern.
_US_SHIFT, _HIGH_SHIFT, _ROW_SHIFT = 23, 35, 12
_TURN_SHIFT = 47
_KEEP, _TAKE, _SHIFT, _REACHED = range(4)
_TABLE = np.zeros((16, 4), np.int64)
_TABLE[:, _KEEP] = -1
for _kind, _mask, _shift in (
    (ADDR_Y, MAX_COORDINATE, _ROW_SHIFT),
    (TIME_LOW, 0xFFF, _US_SHIFT),
    (TIME_HIGH, 0xFFF, _HIGH_SHIFT),
):
    _TABLE[_kind, _KEEP] = ~(_mask << _shift)
    _TABLE[_kind, _TAKE] = _mask << _shift
    _TABLE[_kind, _SHIFT] = _shift
# What of the present record the clock has reached for sure. After TIME_HIGH the low bits still
# belong to the old value: events keep them as upstream does, but the clock must not run ahead of
# the sensor and takes 0 until the next TIME_LOW.
_TABLE[:, _REACHED] = -(1 << _HIGH_SHIFT)
_TABLE[TIME_LOW, _REACHED] = -(1 << _US_SHIFT)
# TIME_HIGH that falls by more than ROLLOVER_STEP; other words change the record by less.
_ROLLOVER = -(ROLLOVER_STEP << _HIGH_SHIFT)

# Kinds of words, as bits, that the tables do not serve.
_RARE = sum(
    1 << kind
    for kind in range(16)
    if kind not in (ADDR_Y, ADDR_X, TIME_LOW, TIME_HIGH, CONTINUED_4, OTHERS, CONTINUED_12)
)
_ANY = 0xFFFF

# Words in a block. Their records stay in the cache until they are taken apart, and the turns of the
# clock within a block fit into a record.
_BLOCK = 2048
_RECORDS = 12 * _BLOCK + 12


@kernel
def _popcount12(bits: np.int64) -> np.int64:
    bits = bits - ((bits >> 1) & 0x555)
    bits = (bits & 0x333) + ((bits >> 2) & 0x333)
    return (bits & 0xF) + ((bits >> 4) & 0xF) + (bits >> 8)


@kernel
def _count(words: np.ndarray) -> tuple[np.int64, np.int64, np.int64]:
    """Events and triggers in the words if none is dropped, and the words skipped by design.

    No branches, and all in 16 bits: the compiler turns the loop into vector instructions that take
    16 words at a time.
    """
    u16 = np.uint16
    events = np.int64(0)
    triggers = np.int64(0)
    skipped = np.int64(0)
    # 12 events in each of 4096 words still fit into 16 bits.
    for begin in range(0, words.size, 4096):
        block = words[begin : begin + 4096]
        block_events = u16(0)
        block_triggers = u16(0)
        block_skipped = u16(0)
        for i in range(block.size):
            word = block[i]
            kind = u16(word >> u16(12))
            bits = u16(word & u16(u16(kind == u16(VECT_12)) * u16(0xFFF)))
            bits = u16(bits | u16(word & u16(u16(kind == u16(VECT_8)) * u16(0xFF))))
            bits = u16(bits - u16(u16(bits >> u16(1)) & u16(0x555)))
            bits = u16(u16(bits & u16(0x333)) + u16(u16(bits >> u16(2)) & u16(0x333)))
            bits = u16(
                u16(bits & u16(0xF)) + u16(u16(bits >> u16(4)) & u16(0xF)) + (bits >> u16(8))
            )
            block_events = u16(block_events + u16(bits + u16(kind == u16(ADDR_X))))
            block_triggers = u16(block_triggers + u16(kind == u16(EXT_TRIGGER)))
            block_skipped = u16(
                block_skipped + u16(u16(kind == u16(CONTINUED_4)) | u16(kind >= u16(OTHERS)))
            )
        events += np.int64(block_events)
        triggers += np.int64(block_triggers)
        skipped += np.int64(block_skipped)
    return events, triggers, skipped


@kernel
def _decode(
    words: np.ndarray,
    width: int,
    height: int,
    state: np.ndarray,
    tally: np.ndarray,
    records: np.ndarray,
    t_ns: np.ndarray,
    xs: np.ndarray,
    ys: np.ndarray,
    ps: np.ndarray,
    trigger_t: np.ndarray,
    trigger_edge: np.ndarray,
    trigger_id: np.ndarray,
) -> None:
    """Decode words into the columns of events and triggers, which have the room `_count` says.

    Writes all of the tally but the words skipped by design.
    """
    turn_us = state[_TIME_US] & ~0xFFFFFF
    record = ((state[_TIME_US] & 0xFFFFFF) << _US_SHIFT) | (state[_ROW] << _ROW_SHIFT)
    reached = (state[_NOW_US] - turn_us) << _US_SHIFT
    base_x = state[_BASE_X]
    polarity = state[_POLARITY]
    seen = state[_SEEN]
    special = _RARE if seen & _SEEN_PLACE == _SEEN_PLACE else _ANY
    # A vector may reach beyond the coordinates that there are.
    end_x = min(width, MAX_COORDINATE + 1)
    n_triggers = 0
    unsynced = np.int64(0)
    outside = np.int64(0)
    reserved = 0
    done = np.int64(0)

    for begin in range(0, words.size, _BLOCK):
        block = words[begin : begin + _BLOCK]
        # Unsigned: an index that may be negative costs a check.
        end = np.uintp(block.size)
        i = np.uintp(0)
        n = np.uintp(0)
        while i < end:
            # Two loops, so that the frequent one keeps all that it needs in registers.
            while i < end:
                word = np.int64(block[i])
                kind = np.uintp(word >> 12)
                if (special >> kind) & 1:
                    break
                before = record
                record = (record & _TABLE[kind, _KEEP]) | (
                    (word << _TABLE[kind, _SHIFT]) & _TABLE[kind, _TAKE]
                )
                record += np.int64(record - before < _ROLLOVER) << _TURN_SHIFT
                reached = max(reached, record & _TABLE[kind, _REACHED])
                # Every word writes a record and only events advance: nothing to mispredict.
                records[n] = record | (word & 0xFFF)
                n += np.uintp(kind == ADDR_X)
                i += np.uintp(1)

            while i < end:
                word = np.int64(block[i])
                kind = np.uintp(word >> 12)
                value = word & 0xFFF
                if not (special >> kind) & 1:
                    break
                i += np.uintp(1)
                if kind in (VECT_12, VECT_8):
                    length = 12 if kind == VECT_12 else 8
                    bits = value if kind == VECT_12 else value & 0xFF
                    if special == _ANY or not seen & _SEEN_BASE_X:
                        unsynced += _popcount12(bits)
                    else:
                        inside = bits
                        if base_x + length > end_x:
                            inside &= (1 << max(0, end_x - base_x)) - 1
                            outside += _popcount12(bits ^ inside)
                        if inside:
                            place = record | polarity | base_x
                            for bit in range(length):
                                records[n] = place + bit
                                n += np.uintp((inside >> bit) & 1)
                    base_x += length
                elif kind == VECT_BASE_X:
                    base_x = value & MAX_COORDINATE
                    polarity = value & 0x800
                    seen |= _SEEN_BASE_X
                elif kind == EXT_TRIGGER:
                    if seen & _SEEN_TIME == _SEEN_TIME:
                        trigger_t[n_triggers] = (turn_us + (record >> _US_SHIFT)) * 1000
                        trigger_edge[n_triggers] = value & 1
                        trigger_id[n_triggers] = value >> 8
                        n_triggers += 1
                    else:
                        unsynced += 1
                elif (_RARE >> kind) & 1:
                    reserved += 1
                # The rest is special only before place and time are known.
                elif kind == ADDR_X:
                    unsynced += 1
                else:
                    before = record
                    record = (record & _TABLE[kind, _KEEP]) | (
                        (word << _TABLE[kind, _SHIFT]) & _TABLE[kind, _TAKE]
                    )
                    record += np.int64(record - before < _ROLLOVER) << _TURN_SHIFT
                    if kind == TIME_HIGH:
                        seen |= _SEEN_HIGH
                    elif kind == TIME_LOW:
                        seen |= _SEEN_LOW
                    elif kind == ADDR_Y:
                        seen |= _SEEN_Y
                    if seen & _SEEN_HIGH:
                        reached = max(reached, record & _TABLE[kind, _REACHED])
                    if seen & _SEEN_PLACE == _SEEN_PLACE:
                        special = _RARE

        size = np.int64(n)
        n_outside = 0
        for k in range(size):
            place = records[k]
            n_outside += ((place & MAX_COORDINATE) >= width) | (
                ((place >> _ROW_SHIFT) & MAX_COORDINATE) >= height
            )
        if n_outside:
            outside += n_outside
            size = _drop_outside(records, size, width, height)
        # One column after the other, which the compiler turns into vector instructions.
        for k in range(size):
            t_ns[done + k] = (turn_us + (records[k] >> _US_SHIFT)) * 1000
        for k in range(size):
            xs[done + k] = records[k] & MAX_COORDINATE
        for k in range(size):
            ys[done + k] = (records[k] >> _ROW_SHIFT) & MAX_COORDINATE
        for k in range(size):
            ps[done + k] = (records[k] >> 11) & 1
        done += size
        turns = record >> _TURN_SHIFT
        record -= turns << _TURN_SHIFT
        reached -= turns << _TURN_SHIFT
        turn_us += turns << 24

    state[_TIME_US] = turn_us + (record >> _US_SHIFT)
    state[_ROW] = (record >> _ROW_SHIFT) & MAX_COORDINATE
    state[_BASE_X] = base_x
    state[_POLARITY] = polarity
    state[_SEEN] = seen
    state[_NOW_US] = turn_us + (reached >> _US_SHIFT)
    tally[EVENTS] = done
    tally[TRIGGERS] = n_triggers
    tally[RESERVED] = reserved
    tally[OUTSIDE] = outside
    tally[UNSYNCED] = unsynced


@kernel
def _drop_outside(records: np.ndarray, size: np.int64, width: int, height: int) -> np.int64:
    """Move the records inside the sensor to the front and return their number."""
    n = np.int64(0)
    for i in range(size):
        place = records[i]
        x = place & MAX_COORDINATE
        y = (place >> _ROW_SHIFT) & MAX_COORDINATE
        if x < width and y < height:
            records[n] = place
            n += 1
    return n


@register_decoder("evt3")
class Evt3Decoder(WordDecoder):
    """Decodes EVT3 packets; see `packets.Decoder`.

    After the start and after a loss, events are dropped until TIME_HIGH, TIME_LOW and ADDR_Y have
    each been seen, and vector events until VECT_BASE_X has, too. The sensor's clock of 24 bits of
    µs is extended by the rollovers since the start: its zero is arbitrary.
    """

    def __init__(self, width: int, height: int) -> None:
        super().__init__(width, height)
        self._state = np.zeros(_STATE_SIZE, np.int64)
        self._records = np.empty(_RECORDS, np.int64)
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
        self.triggers = NO_TRIGGERS

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
        words, truncated = payload_words(packet, np.uint16)
        n_events, n_triggers, self._tally[SKIPPED] = _count(words)
        events = event_arrays(int(n_events))
        edges = trigger_arrays(int(n_triggers)) if n_triggers else NO_EDGES
        _decode(
            words, self.width, self.height, self._state, self._tally, self._records,
            *events, *edges,
        )  # fmt: skip
        return self._hand_out(events, edges if n_triggers else None, truncated)


def warm_up() -> None:
    """Compile the kernels, so that no packet waits for the compiler."""
    Evt3Decoder(1, 1).decode(empty_packet("evt3", bytes(2)))
