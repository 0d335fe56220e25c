"""Event packets from Prophesee's .raw files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cs3d_ros.events.evt3 import ROLLOVER_STEP, TIME_HIGH, TIME_HIGH_MAX
from cs3d_ros.events.packets import EventPacket
from cs3d_ros.recordings.recording import RecordingError

# TIME_HIGH counts 4096 µs.
_SLICE_NS = 4_096_000
_BLOCK_BYTES = 4 << 20
# A body without TIME_HIGH is cut all the same, as the drivers do at a megabyte.
_MAX_PACKET_BYTES = 1 << 20
_MAX_HEADER_LINE = 1 << 16


class RawRecording:
    """A Prophesee .raw file with EVT3 events; see `recording.Recording`.

    The body is cut into packets wherever TIME_HIGH changes, every 4.096 ms. A packet's stamp, and
    the time of its log entry, is the moment at which it is complete: the date of the header, or
    the epoch where it has none, plus the sensor time since the beginning. The file itself never is
    in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topic = ""
        self.topics: tuple[str, ...] = ()
        self.message_count: int | None = None
        self.duration_ns: int | None = None
        try:
            with path.open("rb") as file:
                header = _header(file)
                self._body = file.tell()
        except OSError as error:
            raise RecordingError(f"{path}: cannot be read ({error})") from error
        _check_format(path, header)
        self.width, self.height = _size(path, header)
        self.frame_id = header.get("serial_number", "event_camera")
        self._begin_ns = _date_ns(header)

    def __enter__(self) -> RawRecording:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: each iteration opens the file for itself."""

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        first_slice: int | None = None
        try:
            with self.path.open("rb") as file:
                file.seek(self._body)
                for seq, (payload, time_slice) in enumerate(_slices(file)):
                    if first_slice is None:
                        first_slice = time_slice
                    stamp_ns = self._begin_ns + (time_slice - first_slice + 1) * _SLICE_NS
                    yield (
                        stamp_ns,
                        EventPacket(
                            stamp_ns=stamp_ns,
                            frame_id=self.frame_id,
                            width=self.width,
                            height=self.height,
                            seq=seq,
                            time_base=0,
                            encoding="evt3",
                            is_bigendian=False,
                            payload=payload,
                        ),
                    )
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be read ({error})") from error


def _header(file: BinaryIO) -> dict[str, str]:
    """The `% key value` lines at the beginning; leaves the file at the body."""
    header: dict[str, str] = {}
    while True:
        begin = file.tell()
        line = file.readline(_MAX_HEADER_LINE)
        if not line.startswith(b"% ") or not line.endswith(b"\n"):
            # Files of before 2022 have no end line.
            file.seek(begin)
            return header
        key, _, value = line[2:].decode("utf-8", "replace").strip().partition(" ")
        if key == "end":
            return header
        header[key.lower()] = value.strip()


def _options(header: dict[str, str]) -> tuple[str, dict[str, str]]:
    """`EVT3;height=720;width=1280` as name and options."""
    name, *options = header.get("format", "").split(";")
    return name.strip().upper(), dict(o.split("=", 1) for o in options if "=" in o)


def _check_format(path: Path, header: dict[str, str]) -> None:
    name, _ = _options(header)
    if name != "EVT3" and not (name == "" and header.get("evt", "").startswith("3")):
        found = name or (f"EVT{header['evt']}" if "evt" in header else "no format line")
        raise RecordingError(
            f"{path}: a .raw file with {found}, expected EVT3 (`% format EVT3;…` or `% evt 3.0` at "
            "its beginning); convert it with Prophesee's metavision_file_to_* tools or record EVT3"
        )


def _size(path: Path, header: dict[str, str]) -> tuple[int, int]:
    _, options = _options(header)
    text = header.get("geometry", f"{options.get('width')}x{options.get('height')}")
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None:
        raise RecordingError(
            f"{path}: the header does not tell the sensor's size, expected a line like "
            "`% geometry 1280x720` or `% format EVT3;height=720;width=1280`; add one"
        )
    return int(match[1]), int(match[2])


def _date_ns(header: dict[str, str]) -> int:
    """The header's date in ns since the epoch, taken as UTC; 0 where it has none."""
    try:
        date = datetime.strptime(header.get("date", ""), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return 0
    return int(date.replace(tzinfo=timezone.utc).timestamp()) * 1_000_000_000


def _slices(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Cut an EVT3 body where TIME_HIGH changes; yields payloads and their count of 4096 µs."""
    pending = b""
    high: int | None = None
    time_slice = 0
    while block := file.read(_BLOCK_BYTES):
        data = pending + block
        words = np.frombuffer(data, "<u2", len(data) // 2)
        at = np.flatnonzero(words >> 12 == TIME_HIGH)
        highs = (words[at] & TIME_HIGH_MAX).astype(np.int64)
        if high is None and len(highs):
            # The words before the first TIME_HIGH belong to its packet.
            high = time_slice = int(highs[0])
        steps = np.diff(highs, prepend=high or 0)
        slices = time_slice + np.cumsum(
            np.where(steps < -ROLLOVER_STEP, steps + TIME_HIGH_MAX + 1, steps)
        )
        begin = 0
        for cut in np.flatnonzero(steps):
            end = 2 * int(at[cut])
            yield from _pieces(data[begin:end], time_slice)
            begin = end
            time_slice = int(slices[cut])
            high = int(highs[cut])
        *whole, (pending, _) = _pieces(data[begin:], time_slice)
        yield from whole
    if pending:
        yield pending, time_slice


def _pieces(payload: bytes, time_slice: int) -> list[tuple[bytes, int]]:
    """A payload in pieces of at most `_MAX_PACKET_BYTES`."""
    return [
        (payload[i : i + _MAX_PACKET_BYTES], time_slice)
        for i in range(0, len(payload), _MAX_PACKET_BYTES)
    ]
