"""Event packets from and to text tables: .csv and .txt files with one event a line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings import rows
from cs3d_ros.recordings.columns import NS_EXPONENTS
from cs3d_ros.recordings.event_packets import MAX_DISORDER_NS, packets, size_by_events
from cs3d_ros.recordings.exact_events import exact_events
from cs3d_ros.recordings.recording import (
    LAST_ROS_TIME_NS,
    FileRecording,
    RecordingError,
    checked_size,
    new_file,
)
from cs3d_ros.recordings.table_layout import MAX_LINE, read_layout

_BLOCK_BYTES = 1 << 20
_WRITTEN_ROWS = 1 << 14

_REASONS = {
    rows.NO_NUMBER: "expected a number",
    rows.WRONG_COUNT: "expected {columns} columns",
    rows.BAD_PLACE: "expected a whole coordinate of a sensor, from 0",
    rows.BAD_POLARITY: "expected a polarity of 0 or 1, or of -1 or 1",
    rows.BAD_TIME: f"expected a time from 0 to {LAST_ROS_TIME_NS} ns, with t in {{unit}}",
    rows.BAD_FRACTION: "expected whole µs, as in the first line; say the unit by naming the column "
    "t_s or t_us",
    rows.BAD_ORDER: f"expected a time not earlier by more than {MAX_DISORDER_NS} ns than one "
    "before; sort the events by time",
}


class TableRecording(FileRecording):
    """A .csv or .txt file with one event a line; see `recording.Recording`.

    Separators are commas, semicolons, spaces or tabs; lines that begin with # or % are comments.

    - Columns: a line of names before the first event, also as a comment, says which is x, y, t
      (ts, time, timestamp) and p (pol, polarity), in any order and with others among them; see
      `columns.columns_by_name`. Without names a .csv file has x, y, t, p, or x, y, p, t as written
      by Prophesee's tools if of its first lines' third and fourth cells only the third ones are
      polarities; a .txt file has t, x, y, p with t in seconds, as those of the Event-Camera Dataset
      (Mueggler et al., 2017).
    - Unit of t: by the column's name, such as t_s, t_ms, t_us, t_ns or "time (us)". Otherwise µs if
      the first time has neither a decimal point nor an exponent, and seconds if it has one and one
      of the first times has a fraction. Whole ones such as 45.0 are refused, as they may be both.
    - Polarity: 1 is ON; 0 and -1 are OFF.
    - Sensor size: by a comment such as `# width=640 height=480` or `%geometry:640,480`, in a .txt
      file also by a line `640 480` before the events. Without it the file is read once to its end,
      and the sensor is just large enough for all events.

    The events become packets of 4.096 ms, see `event_packets.packets`; their stamps are the times
    of the file. The file never is in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.open_file() as file:
            self._layout = read_layout(path, file)
        rows.warm_up()
        size = self._layout.size or size_by_events(
            path, self._chunks(), "a line such as `# width=640 height=480`"
        )
        self.size = checked_size(path, *size)

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        yield from packets(self.path, self._chunks(), self.size)

    def _chunks(self) -> Iterator[Events]:
        layout = self._layout
        state = rows.new_state()
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
            if len(rest) > MAX_LINE:
                raise self._bad(f"a line of more than {MAX_LINE} bytes: no table of events")
        if rest:
            yield rest

    def _bad_line(self, text: bytes, state: np.ndarray) -> RecordingError:
        found = text[state[rows.BEGIN] : state[rows.END]][:80].decode("utf-8", "replace").strip()
        columns = self._layout.columns
        expected = _REASONS[int(state[rows.REASON])].format(
            columns=len(columns.roles), unit=self._layout.unit
        )
        order = "" if self._layout.is_named else f" (no line names the columns; taken as {columns})"
        return self._bad(f"line {state[rows.LINE]}: {found!r}, {expected}{order}")

    def _bad(self, reason: str) -> RecordingError:
        return RecordingError(f"{self.path}: {reason}")


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
