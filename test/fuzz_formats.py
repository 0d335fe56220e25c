"""What the fuzzing knows of each encoding: proper packets, words of any kind, and a census."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

import numpy as np

from cs3d_ros.events import evt2
from cs3d_ros.events.encoding import encodable, encode_events
from cs3d_ros.events.packets import Events


@dataclass(frozen=True)
class Census:
    """What the words of a payload contain, counted without decoding them.

    Attributes:
        events: Events and triggers, wherever and whenever they are.
        skipped: Words that the format has for other things.
        reserved: Words that the format does not have.
    """

    events: int
    skipped: int
    reserved: int


@dataclass(frozen=True)
class Format:
    """One encoding.

    Attributes:
        word: Type of its words, without the byte order.
        record_bytes: Size of what cannot be cut.
        keeps_state: Whether words mean something for the packets after theirs.
        census: Counts the words of a payload.
        scatter: Words of the types that the format has, with random contents, of which half are
            on a sensor of 64x64 pixels.
    """

    word: str
    record_bytes: int
    keeps_state: bool
    census: Callable[[np.ndarray], Census]
    scatter: Callable[[Random, int], np.ndarray]


def _bits(words: np.ndarray) -> int:
    """How many bits are set."""
    return int(np.unpackbits(np.ascontiguousarray(words).view(np.uint8)).sum())


def _among(kinds: np.ndarray, *members: int) -> int:
    return int(np.bincount(kinds.astype(np.int64), minlength=16)[list(members)].sum())


def _census_evt3(words: np.ndarray) -> Census:
    kinds = words >> 12
    vectors = _bits(words[kinds == 4] & 0xFFF) + _bits(words[kinds == 5] & 0xFF)
    return Census(
        _among(kinds, 0x2, 0xA) + vectors,
        _among(kinds, 0x7, 0xE, 0xF),
        _among(kinds, 0x1, 0x9, 0xB, 0xC, 0xD),
    )


def _census_evt2(words: np.ndarray) -> Census:
    kinds = words >> 28
    return Census(
        _among(kinds, 0x0, 0x1, 0xA),
        _among(kinds, 0xD, 0xE, 0xF),
        len(kinds) - _among(kinds, 0x0, 0x1, 0x8, 0xA, 0xD, 0xE, 0xF),
    )


def _census_evt21(words: np.ndarray) -> Census:
    kinds = words >> np.uint64(60)
    plain = _census_evt2((words >> np.uint64(32)).astype(np.uint32))
    vectors = words[kinds <= 1]
    events = plain.events - len(vectors) + _bits(vectors & np.uint64(0xFFFFFFFF))
    return Census(events, plain.skipped, plain.reserved)


def _census_evt21_legacy(words: np.ndarray) -> Census:
    return _census_evt21(_swapped(words))


def _census_libcaer_cmp(words: np.ndarray) -> Census:
    kinds = words >> 12
    return Census(
        _among(kinds, 0x3) + _bits(words[kinds == 5] & 0xFF), 0, int(np.count_nonzero(kinds > 5))
    )


def _census_libcaer(words: np.ndarray) -> Census:
    data, times = words[::2], words[1::2]
    invalid = data & 1 == 0
    negative = ~invalid & (times >= 1 << 31)
    reserved, skipped = int(negative.sum()), int(invalid.sum())
    return Census(len(data) - reserved - skipped, skipped, reserved)


def _census_mono(words: np.ndarray) -> Census:
    return Census(len(words), 0, 0)


def _swapped(words: np.ndarray) -> np.ndarray:
    return words << np.uint64(32) | words >> np.uint64(32)


def _random_words(random: Random, n: int, word: type) -> np.ndarray:
    return np.frombuffer(random.randbytes(n * np.dtype(word).itemsize), word)


def _scattered(
    random: Random, n: int, word: type, kinds: bytes, shift: int, small: int
) -> np.ndarray:
    """Random words with kinds of a list; in half of them, only the bits of `small` are kept."""
    words = _random_words(random, n, word) & word((1 << shift) - 1)
    if random.random() < 0.8:
        words &= np.where(_random_words(random, n, np.uint8) & 1, word(small), ~word(0))
    chosen = np.frombuffer(kinds, np.uint8)[_random_words(random, n, np.uint8) % len(kinds)]
    return words | chosen.astype(word) << word(shift)


_EVT2_KINDS = b"\0\0\0\0\1\1\1\1\x08\x0a\x0d\x0e\x0f\x02"
_EVT2_SMALL = 0x3F << 22 | 0x3F << 11 | 0x3F


def _scatter_evt3(random: Random, n: int) -> np.ndarray:
    kinds = b"\0\0\2\2\2\2\3\4\4\4\5\5\6\6\7\x08\x0a\x0e\x0f\x01"
    return _scattered(random, n, np.uint16, kinds, 12, 0x83F)


def _scatter_evt2(random: Random, n: int) -> np.ndarray:
    return _scattered(random, n, np.uint32, _EVT2_KINDS, 28, _EVT2_SMALL)


def _scatter_evt21(random: Random, n: int) -> np.ndarray:
    return _scattered(random, n, np.uint64, _EVT2_KINDS, 60, _EVT2_SMALL << 32 | 0x80FF00FF)


def _scatter_evt21_legacy(random: Random, n: int) -> np.ndarray:
    return _swapped(_scatter_evt21(random, n))


def _scatter_libcaer_cmp(random: Random, n: int) -> np.ndarray:
    return _scattered(random, n, np.uint16, b"\0\1\1\2\2\3\3\3\3\4\5\5\6", 12, 0x83F)


def _scatter_libcaer(random: Random, n: int) -> np.ndarray:
    data = _random_words(random, n, np.uint32)
    if random.random() < 0.8:
        data = data & np.uint32(0x3F << 17 | 0x3F << 2 | 3) | np.uint32(1)
    times = _random_words(random, n, np.uint32) >> np.uint32(random.choice([0, 1, 2, 20]))
    if random.random() < 0.3:
        # Times about the rollover, where the bits above are all alike.
        times = (times & np.uint32(0xFFF)) + np.uint32((1 << 31) - 0x800) & np.uint32(0x7FFFFFFF)
    return np.stack([data, times], axis=1).reshape(-1)


def _scatter_mono(random: Random, n: int) -> np.ndarray:
    words = _random_words(random, n, np.uint64)
    if random.random() < 0.8:
        words = words & np.uint64(1 << 63 | 0x3F << 48 | 0x3F << 32 | 0xFFFFFFFF)
    return words


FORMATS = {
    "evt2": Format("u4", 4, True, _census_evt2, _scatter_evt2),
    "evt21": Format("u8", 8, True, _census_evt21, _scatter_evt21),
    "evt21_legacy": Format("u8", 8, True, _census_evt21_legacy, _scatter_evt21_legacy),
    "evt3": Format("u2", 2, True, _census_evt3, _scatter_evt3),
    "libcaer": Format("u4", 8, False, _census_libcaer, _scatter_libcaer),
    "libcaer_cmp": Format("u2", 2, False, _census_libcaer_cmp, _scatter_libcaer_cmp),
    "mono": Format("u8", 8, False, _census_mono, _scatter_mono),
    "trigger": Format("u8", 8, False, _census_mono, _scatter_mono),
}


def pack(encoding: str, events: Events) -> tuple[int, bytes]:
    """Time base and payload of a proper packet of any encoding, little endian.

    The encodings that the package cannot write are written here: EVT2.1 without use of its vectors,
    libcaer, and for trigger an edge for each event.
    """
    if encoding in encodable():
        return encode_events(encoding, events)
    if encoding in ("evt21", "evt21_legacy"):
        plain = np.frombuffer(evt2.encode(events), "<u4").astype(np.uint64)
        words = plain << np.uint64(32) | np.uint64(1)
        return 0, (words if encoding == "evt21" else _swapped(words)).astype("<u8").tobytes()
    first_ns = int(events.t_ns.min()) if len(events) else 0
    x, y, p = (column.astype(np.uint64) for column in (events.x, events.y, events.p))
    if encoding == "libcaer":
        data = x << np.uint64(17) | y << np.uint64(2) | p << np.uint64(1) | np.uint64(1)
        times = (events.t_ns - first_ns) // 1000
        return first_ns, np.stack([data, times.astype(np.uint64)], axis=1).astype("<u4").tobytes()
    dt = (events.t_ns - first_ns).astype(np.uint64)
    words = p << np.uint64(63) | (x & np.uint64(0xFF)) << np.uint64(48) | dt
    return first_ns, words.astype("<u8").tobytes()


def census(encoding: str, payload: bytes, is_bigendian: bool) -> tuple[Census, int]:
    """What a payload contains, and how many bytes at its end make no whole record."""
    wire = FORMATS[encoding]
    truncated = len(payload) % wire.record_bytes
    order = ">" if is_bigendian else "<"
    words = np.frombuffer(payload[: len(payload) - truncated], order + wire.word)
    return wire.census(words.astype(wire.word)), truncated
