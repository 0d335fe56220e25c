"""Events to EVT3 words; `evt3` decodes them."""

import numpy as np

from cs3d_ros.events.evt3 import (
    ADDR_X,
    ADDR_Y,
    MAX_COORDINATE,
    TIME_HIGH,
    TIME_HIGH_MAX,
    TIME_LOW,
    VECT_8,
    VECT_12,
    VECT_BASE_X,
)
from cs3d_ros.events.packets import Events, PacketError
from cs3d_ros.kernels import kernel

_MAX_TURNS = 1 << 16


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
    if max(events.x.max(), events.y.max()) > MAX_COORDINATE:
        raise PacketError(
            f"EVT3 says coordinates up to {MAX_COORDINATE}; given x up to {events.x.max()} and y "
            f"up to {events.y.max()}: crop or shrink the events"
        )
    turns = int(highs[-1] >> 12) - int(highs[0] >> 12)
    if turns > _MAX_TURNS:
        raise PacketError(
            f"EVT3 says the {turns} turns of its clock between the first and the last event one by "
            f"one; expected at most {_MAX_TURNS} (12 days): encode fewer events at a time"
        )
    words = np.empty(5 * len(events) + 2 * turns, np.uint16)
    size = _encode(us, events.x, events.y, events.p, words)
    return words[:size].astype("<u2").tobytes()
