"""Event packets from Prophesee's .dat files.

Layout: `DATEventFileReader` and `Event2d::RawEvent` in OpenEB. After the text header come one byte
with the kind of the events and one with their size, then the events, little endian: uint32 time in
µs, and uint32 with x in bits 13…0, y in bits 27…14, polarity from bit 28.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings.event_packets import packets, size_by_events
from cs3d_ros.recordings.recording import FileRecording, RecordingError, checked_size
from cs3d_ros.recordings.text_header import date_ns, read_header

# Kinds of events by the first byte of the body.
_EVENT_2D = 0
_CHANGE_DETECTION = 12
_TRIGGER = 14
_EVENT_BYTES = 8
_TURN_US = 1 << 32
_BLOCK_BYTES = 4 << 20

_log = logging.getLogger(__name__)


class DatRecording(FileRecording):
    """A Prophesee .dat file with change events; see `recording.Recording`.

    The events become packets of 4.096 ms, see `event_packets.packets`; their stamps begin at the
    date of the header, or the epoch where it has none. Times of 32 bits are extended by their
    rollovers. A header without Width and Height is made up for by reading the file once to its end:
    the sensor then is just large enough for all events. The file never is in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.open_file() as file:
            header = read_header(path, file, b"%")
            _check_kind(path, header, file.read(2))
            self._body = file.tell()
        self._begin_ns = date_ns(header)
        width, height = header.get("width", ""), header.get("height", "")
        if width.isdecimal() and height.isdecimal():
            size = int(width[:9]), int(height[:9])
        else:
            missing = "header lines such as `% Width 640` and `% Height 480`"
            size = size_by_events(path, self._chunks(), missing)
        self.size = checked_size(path, *size)

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        yield from packets(self.path, self._chunks(), self.size, begin_ns=self._begin_ns)

    def _chunks(self) -> Iterator[Events]:
        turns = 0
        last_us = 0
        with self.open_file() as file:
            file.seek(self._body)
            for words in self._blocks(file):
                t_us = words[:, 0].astype(np.int64)
                turned = np.diff(t_us, prepend=last_us) < -_TURN_US // 2
                last_us = int(t_us[-1])
                t_us += (turns + np.cumsum(turned)) * _TURN_US
                turns += int(np.count_nonzero(turned))
                place = words[:, 1]
                yield Events(
                    t_us * 1000,
                    (place & 0x3FFF).astype(np.uint16),
                    (place >> 14 & 0x3FFF).astype(np.uint16),
                    (place >> 28 & 1).astype(np.uint8),
                )

    def _blocks(self, file: BinaryIO) -> Iterator[np.ndarray]:
        """The rest of the file as blocks of events: shape (n, 2), uint32, n > 0."""
        while block := file.read(_BLOCK_BYTES):
            stray = len(block) % _EVENT_BYTES
            if stray:
                _log.warning("%s: ends within an event; its %d bytes are left", self.path, stray)
            if len(block) > stray:
                yield np.frombuffer(block, "<u4", (len(block) - stray) // 4).reshape(-1, 2)


def _check_kind(path: Path, header: dict[str, str], kind: bytes) -> None:
    if not header:
        raise RecordingError(
            f"{path}: not a .dat file, expected text lines that begin with % and then events; "
            "check that it is one of Prophesee's"
        )
    version = header.get("version", "2")
    if version != "2":
        raise RecordingError(
            f"{path}: a .dat file of version {version!r}, expected 2; convert it with the software "
            "that made it"
        )
    if len(kind) < 2:
        raise RecordingError(f"{path}: ends after its header; there is nothing in it to read")
    if kind[0] == _TRIGGER:
        raise RecordingError(
            f"{path}: a .dat file of external triggers, expected change events; they are in the "
            "file beside it whose name ends in _cd.dat or _td.dat"
        )
    if kind[0] not in (_EVENT_2D, _CHANGE_DETECTION) or kind[1] != _EVENT_BYTES:
        raise RecordingError(
            f"{path}: events of kind {kind[0]} with {kind[1]} bytes each, expected kind "
            f"{_CHANGE_DETECTION} or {_EVENT_2D} with {_EVENT_BYTES} bytes; the file is damaged, "
            "or no recording of change events"
        )
