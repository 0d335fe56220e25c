"""Event packets from and to text tables: .csv and .txt files with one event a line."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings import rows
from cs3d_ros.recordings.columns import (
    NS_EXPONENTS,
    Columns,
    P,
    T,
    X,
    Y,
    columns_by_name,
    missing_columns,
)
from cs3d_ros.recordings.event_packets import MAX_DISORDER_NS, packets
from cs3d_ros.recordings.exact_events import exact_events
from cs3d_ros.recordings.recording import (
    MAX_TIME_NS,
    FileRecording,
    RecordingError,
    checked_size,
    new_file,
)

_BLOCK_BYTES = 1 << 20
_MAX_LINE = 1 << 16
_BOM = b"\xef\xbb\xbf"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SIDES = {
    side: re.compile(rf"\b{side}\s*[=:]\s*(\d{{1,9}})\b", re.I) for side in ("width", "height")
}

# The order of the columns where no line names them.
_CSV_ORDER = Columns((X, Y, T, P))
_TXT_ORDER = Columns((T, X, Y, P), "s")

_WRITTEN_ROWS = 1 << 14

_REASONS = {
    rows.NO_NUMBER: "expected a number",
    rows.WRONG_COUNT: "expected {columns} columns",
    rows.BAD_PLACE: "expected a whole coordinate of a sensor, from 0",
    rows.BAD_POLARITY: "expected a polarity of 0 or 1, or of -1 or 1",
    rows.BAD_TIME: f"expected a time from 0 to {MAX_TIME_NS} ns",
    rows.BAD_FRACTION: "expected whole µs, as in the first line; say the unit by naming the column "
    "t_s or t_us",
    rows.BAD_ORDER: f"expected a time not earlier by more than {MAX_DISORDER_NS} ns than one "
    "before; sort the events by time",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a file is laid out.

    Attributes:
        columns: What its columns are.
        unit: Unit of t.
        is_whole: Whether all times have to be whole, as the unit was told from the first one.
        size: Width and height by a comment; None without one.
        begin: Where the first event's line begins, in bytes.
        line: Number of lines before it.
    """

    columns: Columns
    unit: str
    is_whole: bool
    size: tuple[int, int] | None
    begin: int
    line: int


class TableRecording(FileRecording):
    """A .csv or .txt file with one event a line; see `recording.Recording`.

    Separators are commas, spaces or tabs; lines that begin with # are comments.

    - Columns: a line of names before the first event, also as a comment, says which is x, y, t
      (ts, time, timestamp) and p (polarity), in any order and with others among them. Without names
      a .csv file has x, y, t, p, and a .txt file t, x, y, p with t in seconds, as those of the
      Event-Camera Dataset (Mueggler et al., 2017).
    - Unit of t: by the column's name t_s, t_ms, t_us or t_ns; otherwise seconds if the first time
      has a decimal point or an exponent, and µs if not.
    - Polarity: 1 is ON; 0 and -1 are OFF.
    - Sensor size: by a comment such as `# width=640 height=480`. Without it the file is read once
      to its end, and the sensor is just large enough for all events.

    The events become packets of 4.096 ms, see `event_packets.packets`; their stamps are the times
    of the file. The file never is in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.open_file() as file:
            self._layout = _layout(path, file)
        rows.warm_up()
        size = self._layout.size or self._smallest_size()
        self.size = checked_size(path, *size)

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        yield from packets(self.path, self._chunks(rows.new_state()), self.size)

    def _chunks(self, state: np.ndarray) -> Iterator[Events]:
        layout = self._layout
        state[rows.LINE] = layout.line
        exponent_ns = NS_EXPONENTS[layout.unit]
        with self.open_file() as file:
            file.seek(layout.begin)
            for text in self._texts(file):
                events = rows.parse_lines(
                    text, layout.columns.roles, exponent_ns, layout.is_whole, state
                )
                if len(events[0]):
                    yield Events(*events)
                if state[rows.REASON]:
                    raise self._bad_line(text, state)

    def _texts(self, file: BinaryIO) -> Iterator[bytes]:
        """The rest of the file in blocks of whole lines."""
        rest = b""
        while block := file.read(_BLOCK_BYTES):
            whole = block.rfind(b"\n") + 1
            if whole:
                yield rest + block[:whole]
                rest = block[whole:]
            else:
                rest += block
            if len(rest) > _MAX_LINE:
                raise self._bad(f"a line of more than {_MAX_LINE} bytes: no table of events")
        if rest:
            yield rest

    def _smallest_size(self) -> tuple[int, int]:
        state = rows.new_state()
        count = sum(len(events) for events in self._chunks(state))
        if not count:
            raise self._bad(
                "neither events nor the sensor's size, expected a line such as "
                "`# width=640 height=480`"
            )
        width, height = int(state[rows.MAX_X]) + 1, int(state[rows.MAX_Y]) + 1
        _log.warning(
            "%s: no line such as `# width=640 height=480`; the sensor's size is taken as %dx%d, "
            "by the events",
            self.path,
            width,
            height,
        )
        return width, height

    def _bad_line(self, text: bytes, state: np.ndarray) -> RecordingError:
        found = text[state[rows.BEGIN] : state[rows.END]][:80].decode("utf-8", "replace").strip()
        expected = _REASONS[int(state[rows.REASON])].format(columns=len(self._layout.columns.roles))
        return self._bad(f"line {state[rows.LINE]}: {found!r}, {expected}")

    def _bad(self, reason: str) -> RecordingError:
        return RecordingError(f"{self.path}: {reason}")


def _layout(path: Path, file: BinaryIO) -> _Layout:
    """Read the lines before the first event, and that event's."""
    columns: Columns | None = None
    sides: dict[str, int] = {}
    line = 0
    begin = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(begin)
    while raw := file.readline(_MAX_LINE):
        text = raw.decode("utf-8", "replace").strip()
        is_comment = text.startswith("#")
        cells = [cell for cell in re.split(r"[,\s]+", text.lstrip("#")) if cell]
        if is_comment:
            # A comment is the line of names only where it is nothing else.
            named = columns_by_name(cells)
            columns = named if named and None not in named.roles else columns
            for side, pattern in _SIDES.items():
                if match := pattern.search(text):
                    sides[side] = int(match[1])
        elif cells and all(_NUMBER.fullmatch(cell) for cell in cells):
            break
        elif cells and columns is None:
            columns = columns_by_name(cells)
            if columns is None:
                raise missing_columns(path, cells)
        elif cells:
            # The lines of events begin here, with one that will be refused.
            break
        line += 1
        begin += len(raw)
    else:
        cells = []
    size = (sides["width"], sides["height"]) if len(sides) == 2 else None
    is_txt = path.suffix.lower() == ".txt"
    chosen = columns or (_TXT_ORDER if is_txt else _CSV_ORDER)
    index = chosen.index(T)
    time = cells[index] if index < len(cells) else ""
    is_whole = re.search("[.eE]", time) is None
    if is_txt and columns is None and cells and is_whole:
        raise RecordingError(
            f"{path}: line {line + 1}: {' '.join(cells)[:80]!r}, expected t x y p with t in "
            "seconds and a decimal point; name the columns in a first line, such as `x y t_us p`"
        )
    unit = chosen.unit or ("us" if is_whole else "s")
    return _Layout(chosen, unit, chosen.unit is None and is_whole, size, begin, line)


def write_csv(path: str | Path, packets: Iterable[tuple[int, EventPacket]]) -> None:
    """Write the events of packets as a text table that `TableRecording` reads.

    It has a comment with the sensor's size, a line of names and one event a line: x, y, t_ns, p
    with the sensor's time in ns and p = 1 for ON. See `exact_events.exact_events` for what becomes
    of packets that are lost or cannot be decoded and of streams that start over.

    Args:
        path: File to make.
        packets: (log_time_ns, packet), as a recording yields them.

    Raises:
        RecordingError: The file exists already or cannot be written, or no packet can be decoded.
            Nothing is left of the file then.
    """
    size: tuple[int, int] | None = None
    with new_file(path) as file:
        for packet_size, events in exact_events(Path(path), packets):
            if size is None:
                size = packet_size
                file.write(b"# width=%d height=%d\n" % size)
                file.write(b"x,y,t_ns,p\n")
            table = np.stack((events.x, events.y, events.t_ns, events.p), axis=1)
            for begin in range(0, len(table), _WRITTEN_ROWS):
                part = table[begin : begin + _WRITTEN_ROWS]
                file.write(b"%d,%d,%d,%d\n" * len(part) % tuple(part.ravel().tolist()))
        if size is None:
            file.write(b"x,y,t_ns,p\n")
