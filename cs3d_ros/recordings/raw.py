"""Event packets from Prophesee's .raw files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cs3d_ros.events.evt2 import NEAR_US
from cs3d_ros.events.evt3 import ROLLOVER_STEP
from cs3d_ros.events.packets import EventPacket
from cs3d_ros.recordings.raw_header import interpret
from cs3d_ros.recordings.recording import SLICE_NS, FileRecording, checked_stamp
from cs3d_ros.recordings.text_header import read_header

_BLOCK_BYTES = 4 << 20
# A body without time words is cut all the same, as the drivers do at a megabyte.
_MAX_PACKET_BYTES = 1 << 20
# The type of a word that carries the coarse time, in all of these formats.
_TIME_HIGH = 0x8


@dataclass(frozen=True, slots=True)
class _TimeWords:
    """How to find the coarse time, in slices of 4096 µs, in the words of one format.

    Attributes:
        dtype: Type of a word.
        type_shift: Where a word's type begins, 4 bits.
        time_shift: Where the count of slices begins in a word of the type TIME_HIGH.
        time_bits: Bits of that count.
        fall: The count falling by more than this is a rollover.
        rise: Rising by more than this is the way back over one.
    """

    dtype: str
    type_shift: int
    time_shift: int
    time_bits: int
    fall: int
    rise: int


# EVT2 and EVT2.1 count 64 µs in 28 bits, of which the upper 22 are slices.
_EVT2_BITS = 22
_EVT2_STEP = (1 << _EVT2_BITS) - NEAR_US // (SLICE_NS // 1000)
_FORMATS = {
    "evt3": _TimeWords("<u2", 12, 0, 12, ROLLOVER_STEP, 1 << 12),
    "evt2": _TimeWords("<u4", 28, 6, _EVT2_BITS, _EVT2_STEP, _EVT2_STEP),
    "evt21": _TimeWords("<u8", 60, 38, _EVT2_BITS, _EVT2_STEP, _EVT2_STEP),
    "evt21_legacy": _TimeWords("<u8", 28, 6, _EVT2_BITS, _EVT2_STEP, _EVT2_STEP),
}


class RawRecording(FileRecording):
    """A Prophesee .raw file with EVT3, EVT2 or EVT2.1 events; see `recording.Recording`.

    The body is cut into packets wherever the sensor's time reaches another multiple of 4.096 ms. A
    packet's stamp is the moment at which it is complete: the date of the header, or the epoch where
    it has none, plus the sensor time since the beginning. Where the sensor's time goes back, so
    do the stamps, and the log times stay. The file itself never is in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.open_file() as file:
            self.header = interpret(path, read_header(path, file, b"% "))
            self._body = file.tell()

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        header = self.header
        first_slice: int | None = None
        log_time_ns = 0
        with self.open_file() as file:
            file.seek(self._body)
            slices = _slices(file, _FORMATS[header.encoding])
            for seq, (payload, time_slice) in enumerate(slices):
                if first_slice is None:
                    first_slice = time_slice
                since_ns = (max(0, time_slice - first_slice) + 1) * SLICE_NS
                stamp_ns = checked_stamp(self.path, header.begin_ns + since_ns)
                log_time_ns = max(log_time_ns, stamp_ns)
                yield (
                    log_time_ns,
                    EventPacket(
                        stamp_ns=stamp_ns,
                        frame_id=header.frame_id,
                        width=header.width,
                        height=header.height,
                        seq=seq,
                        time_base=0,
                        encoding=header.encoding,
                        is_bigendian=False,
                        payload=payload,
                    ),
                )


def _slices(file: BinaryIO, words: _TimeWords) -> Iterator[tuple[bytes, int]]:
    """Cut a body where its coarse time changes; yields payloads and their counts of 4096 µs."""
    size = np.dtype(words.dtype).itemsize
    turn = 1 << words.time_bits
    pending = b""
    coarse: int | None = None
    time_slice = 0
    while block := file.read(_BLOCK_BYTES):
        data = pending + block
        array = np.frombuffer(data, words.dtype, len(data) // size)
        at = np.flatnonzero(array >> words.type_shift & 0xF == _TIME_HIGH)
        times = (array[at] >> words.time_shift & turn - 1).astype(np.int64)
        if coarse is None and len(times):
            # The words before the first time belong to its packet.
            coarse = time_slice = int(times[0])
        steps = np.diff(times, prepend=coarse or 0)
        turns = (steps < -words.fall).astype(np.int64) - (steps > words.rise)
        slices = time_slice + np.cumsum(steps + turn * turns)
        begin = 0
        for cut in np.flatnonzero(steps):
            end = size * int(at[cut])
            for piece in _pieces(data[begin:end]):
                yield piece, time_slice
            begin = end
            coarse, time_slice = int(times[cut]), int(slices[cut])
        *whole, pending = _pieces(data[begin:])
        for piece in whole:
            yield piece, time_slice
    if pending:
        yield pending, time_slice


def _pieces(payload: bytes) -> list[bytes]:
    """A payload in pieces of at most `_MAX_PACKET_BYTES`, a multiple of every word's size."""
    return [payload[i : i + _MAX_PACKET_BYTES] for i in range(0, len(payload), _MAX_PACKET_BYTES)]
