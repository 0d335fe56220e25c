"""The encoding libcaer_cmp: 16-bit words, column by column, that `libcaer_driver` packs.

Layout and time rules: `libcaer_driver`, and `event_camera_codecs` where it leaves a choice.
"""

import numpy as np

from cs3d_ros.events.decoding import (
    EVENTS,
    NO_TIME,
    OUTSIDE,
    RESERVED,
    UNSYNCED,
    TimeBaseDecoder,
    empty_packet,
    event_arrays,
    payload_words,
    time_base_ns,
)
from cs3d_ros.events.packets import EventPacket, Events, PacketError, register_decoder
from cs3d_ros.kernels import kernel

# Word types, bits 15…12.
TIME_HIGH = 0x0
TIME_LOW = 0x1
ADDR_X = 0x2
ADDR_Y = 0x3
VECT_BASE_Y = 0x4
VECT_8 = 0x5

MAX_SPAN_US = (1 << 24) - 1
"""The time that one packet can tell."""
MAX_COORDINATE = 0x7FF

# An event on its way, one int64: y in bits 10…0 and polarity in bit 11, as ADDR_Y has them, then x,
# whether x is missing, and the µs.
_X_SHIFT, _NO_X, _US_SHIFT = 12, 1 << 23, 24

# What each of the first four words puts into it: the bits that stay, those that the word gives,
# and how far they go.
_STAYS = np.array([~(0xFFF << 36), ~(0xFFF << 24), ~(0xFFF << 12), ~0xFFF], np.int64)
_GIVES = np.array([0xFFF, 0xFFF, 0x7FF, 0xFFF], np.int64)
_GOES = np.array([36, 24, 12, 0], np.int64)


@kernel
def _popcount8(bits: int) -> int:
    bits = bits - ((bits >> 1) & 0x55)
    bits = (bits & 0x33) + ((bits >> 2) & 0x33)
    return (bits & 0xF) + (bits >> 4)


@kernel
def _count(words: np.ndarray) -> int:
    """Upper bound of the events in a payload."""
    events = 0
    for i in range(words.size):
        kind = words[i] >> 12
        # Arithmetic instead of branches: the compiler turns this loop into vector instructions.
        events += (kind == ADDR_Y) + _popcount8(words[i] & ((kind == VECT_8) * 0xFF))
    return events


@kernel
def _collect(
    words: np.ndarray, width: int, height: int, tally: np.ndarray, collected: np.ndarray
) -> int:
    """Collect the events of a payload, with room for one more than `_count` says.

    Returns:
        How many there are, with those outside the sensor and those before the first ADDR_X. The
        tally has how many of them to hand out.
    """
    state = _NO_X
    base_y = -1
    polarity = 0
    tally[:] = 0
    # Unsigned: an index that may be negative costs a check.
    n = np.uintp(0)
    i = np.uintp(0)
    size = np.uintp(words.size)
    while i < size:
        # Times and addresses alternate as the scene has it, so that branches would be mispredicted.
        # A loop of its own, as else the compiler makes a branch for each kind after all.
        while i < size:
            word = words[i]
            if word >= VECT_BASE_Y << 12:
                break
            kind = np.uintp(word >> 12)
            state = (state & _STAYS[kind]) | ((word & _GIVES[kind]) << _GOES[kind])
            collected[n] = state
            n += np.uintp(kind == ADDR_Y)
            i += np.uintp(1)
        if i == size:
            break
        word = words[i]
        i += np.uintp(1)
        if word >> 12 == VECT_BASE_Y:
            base_y = word & MAX_COORDINATE
            polarity = word & 0x800
        elif word >> 12 == VECT_8:
            if base_y < 0:
                tally[UNSYNCED] += _popcount8(word & 0xFF)
                continue
            for bit in range(8):
                if (word >> bit) & 1 == 0:
                    continue
                if base_y + bit > MAX_COORDINATE:
                    tally[OUTSIDE] += 1
                else:
                    collected[n] = (state & ~0xFFF) | polarity | (base_y + bit)
                    n += np.uintp(1)
            base_y += 8
        else:
            tally[RESERVED] += 1

    without_x = 0
    inside = 0
    outside = 0
    for k in range(n):
        event = collected[k]
        has_x = (event & _NO_X) == 0
        x = (event >> _X_SHIFT) & MAX_COORDINATE
        without_x += not has_x
        is_inside = (x < width) & ((event & MAX_COORDINATE) < height)
        inside += has_x & is_inside
        outside += has_x & (not is_inside)
    tally[EVENTS] = inside
    tally[UNSYNCED] += without_x
    tally[OUTSIDE] += outside
    return int(n)


@kernel
def _unpack(
    collected: np.ndarray,
    base_ns: int,
    width: int,
    height: int,
    events: tuple[np.ndarray, ...],
) -> int:
    """Write the events to hand out as (t_ns, x, y, p), and return the newest time."""
    t_ns, xs, ys, ps = events
    newest = NO_TIME
    if collected.size == t_ns.size:
        for i in range(t_ns.size):
            event = collected[i]
            t = base_ns + (event >> _US_SHIFT) * 1000
            newest = max(newest, t)
            t_ns[i] = t
            xs[i] = (event >> _X_SHIFT) & MAX_COORDINATE
            ys[i] = event & MAX_COORDINATE
            ps[i] = (event >> 11) & 1
        return newest
    n = np.uintp(0)
    for i in range(collected.size):
        event = collected[i]
        x = (event >> _X_SHIFT) & MAX_COORDINATE
        y = event & MAX_COORDINATE
        if event & _NO_X == 0 and x < width and y < height:
            t = base_ns + (event >> _US_SHIFT) * 1000
            newest = max(newest, t)
            t_ns[n] = t
            xs[n] = x
            ys[n] = y
            ps[n] = (event >> 11) & 1
            n += np.uintp(1)
    return newest


@register_decoder("libcaer_cmp")
class LibcaerCmpDecoder(TimeBaseDecoder):
    """Decodes packets of the encoding libcaer_cmp; see `packets.Decoder`.

    The time of an event is the time base plus 24 bits of µs that start at 0 in every packet. They
    do not turn over: a packet that lasts longer than 16.8 s steps back. Events before the first
    ADDR_X of a packet are dropped as unsynced, and those of vectors before VECT_BASE_Y, too.
    """

    def decode(self, packet: EventPacket) -> Events:
        """Decode the next packet.

        Raises:
            PacketError: The payload is not a buffer, or the time base is no time.
        """
        words, truncated = payload_words(packet, np.uint16)
        base_ns = time_base_ns(packet, MAX_SPAN_US * 1000)
        collected = np.empty(_count(words) + 1, np.int64)
        n = _collect(words, self.width, self.height, self._tally, collected)
        events = event_arrays(int(self._tally[EVENTS]))
        self._reach(_unpack(collected[:n], base_ns, self.width, self.height, events))
        return self._hand_out(events, None, truncated)


@kernel
def _encode(
    us: np.ndarray, xs: np.ndarray, ys: np.ndarray, ps: np.ndarray, words: np.ndarray
) -> int:
    """Write the words of some events and return how many."""
    n = 0
    high = np.int64(0)
    low = np.int64(0)
    x = np.int64(-1)
    i = 0
    while i < us.size:
        if us[i] >> 12 != high:
            high = us[i] >> 12
            words[n] = (TIME_HIGH << 12) | high
            n += 1
        if us[i] & 0xFFF != low:
            low = us[i] & 0xFFF
            words[n] = (TIME_LOW << 12) | low
            n += 1
        if xs[i] != x:
            x = np.int64(xs[i])
            words[n] = (ADDR_X << 12) | x
            n += 1

        # Eight rows that begin at a multiple of eight share a vector.
        first_y = np.int64(ys[i])
        last_y = first_y
        base_y = first_y & ~7
        polarity = np.int64(ps[i] != 0) << 11
        bits = 1 << (first_y & 7)
        end = i + 1
        while (
            end < us.size
            and us[end] == us[i]
            and xs[end] == xs[i]
            and (ps[end] != 0) == (ps[i] != 0)
            and last_y < ys[end] < base_y + 8
        ):
            last_y = np.int64(ys[end])
            bits |= 1 << (last_y & 7)
            end += 1
        if end == i + 1:
            words[n] = (ADDR_Y << 12) | polarity | first_y
            n += 1
        else:
            words[n] = (VECT_BASE_Y << 12) | polarity | base_y
            words[n + 1] = (VECT_8 << 12) | bits
            n += 2
        i = end
    return n


def warm_up() -> None:
    """Compile the kernels, so that no packet waits for the compiler."""
    events = Events(
        np.zeros(1, np.int64), np.zeros(1, np.uint16), np.zeros(1, np.uint16), np.zeros(1, np.uint8)
    )
    LibcaerCmpDecoder(1, 1).decode(empty_packet("libcaer_cmp", encode(events, 0)))


def encode(events: Events, time_base_ns: int) -> bytes:
    """Encode events as libcaer_cmp, little endian.

    The inverse of `LibcaerCmpDecoder` with that time base, with times cut to whole µs after it.
    Events in one column at one time, of one polarity, with ascending y and within eight rows that
    begin at a multiple of eight become one vector, as the driver does it.

    Args:
        events: In any order; times from the time base to `MAX_SPAN_US` (16.8 s) after it; x and y
            up to 2047.
        time_base_ns: For `EventPacket.time_base`.

    Raises:
        PacketError: Times or coordinates that libcaer_cmp cannot say.
    """
    if len(events) == 0:
        return b""
    us = (events.t_ns - time_base_ns) // 1000
    if us.min() < 0 or us.max() > MAX_SPAN_US:
        raise PacketError(
            f"libcaer_cmp says times up to {MAX_SPAN_US} µs after the time base; given {us.min()} "
            f"to {us.max()} µs: cut the events into shorter packets"
        )
    if max(events.x.max(), events.y.max()) > MAX_COORDINATE:
        raise PacketError(
            f"libcaer_cmp says coordinates up to {MAX_COORDINATE}; given x up to {events.x.max()} "
            f"and y up to {events.y.max()}: crop or shrink the events"
        )
    words = np.empty(4 * len(events), np.uint16)
    size = _encode(us, events.x, events.y, events.p, words)
    return words[:size].astype("<u2").tobytes()
