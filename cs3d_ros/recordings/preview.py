"""Event frames and the event rate of a recording, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.packets import Events
from cs3d_ros.recordings import open_recording
from cs3d_ros.recordings.decoded import DecodedPackets, Timeline
from cs3d_ros.recordings.recording import Recording, RecordingError
from cs3d_ros.recordings.summary import Summary, sum_up

DEFAULT_FRAMES = 8
MAX_FRAMES = 64
DEFAULT_WINDOW_NS = 33_000_000

# A frame's longer side has at most this many cells, whole pixels each; the smaller frames are
# drawn, the fewer, so that single events stay visible.
_MAX_CELLS, _MANY_FRAMES, _MAX_CELLS_OF_MANY = 384, 12, 192
# Room for each frame on the axis of time, however short the recording.
_MIN_SPACING_NS = 1000
_MIN_BINS, _MAX_BINS = 20, 300
_EVENTS_PER_BIN = 50
# Sensor times step back by some µs, so that the end has come only after a while.
_AFTERMATH_NS = 100_000_000


class PreviewError(Cs3dError):
    """A preview that cannot be made: no events, an impossible range, too many frames."""


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """Frames and rates over a stretch of a recording.

    All times are in ns since the first event, as `decoded.Timeline` has them.

    Attributes:
        summary: The recording as a whole.
        start_ns: Beginning of the stretch.
        end_ns: End of the stretch, exclusive.
        events: Events within the stretch.
        pixels_per_cell: Side of a frame's cell in pixels of the sensor.
        frames: Events per cell, shape (n, 2, rows, columns), uint32; OFF before ON.
        frame_times_ns: Middle of each frame, shape (n,), int64.
        window_ns: Length of each frame.
        rates: Events per second, shape (2, bins), float64; OFF before ON. The bins fill the
            stretch and are of equal length.
        restarts_ns: Where the stream starts over within the stretch.
    """

    summary: Summary
    start_ns: int
    end_ns: int
    events: int
    pixels_per_cell: int
    frames: np.ndarray
    frame_times_ns: np.ndarray
    window_ns: int
    rates: np.ndarray
    restarts_ns: tuple[int, ...]


def make_preview(
    path: str | Path,
    topic: str | None = None,
    frames: int = DEFAULT_FRAMES,
    window_ns: int | None = None,
    start_ns: int = 0,
    duration_ns: int | None = None,
) -> Preview:
    """Read a recording twice: for its duration, then for its frames and rates.

    Memory is bounded by the frames and the largest packet. Where the recording is damaged, the
    preview is of what comes before (`Preview.summary.damage`).

    Args:
        path: What `open_recording` opens.
        topic: Topic of the event packets; may be left out where there is only one.
        frames: Number of frames, evenly spread, 1 to 64.
        window_ns: Length of each frame; 33 ms, or less where the stretch is short, if left out.
        start_ns: Beginning of the stretch, since the first event.
        duration_ns: Length of the stretch; to the end if left out.

    Raises:
        RecordingError: The recording cannot be opened, or not one packet be decoded.
        PreviewError: It holds no events, or the numbers make no sense.
    """
    if not 1 <= frames <= MAX_FRAMES:
        raise PreviewError(f"{frames} frames, expected 1 to {MAX_FRAMES}")
    for name, value in (("window", window_ns), ("duration", duration_ns)):
        if value is not None and value <= 0:
            raise PreviewError(f"a {name} of {value * 1e-6:g} ms, expected more than 0")
    with open_recording(path, topic) as recording:
        summary = sum_up(recording)
        duration = _duration_ns(path, summary)
        if not 0 <= start_ns <= duration:
            raise PreviewError(
                f"a start at {start_ns * 1e-9:g} s, expected 0 to {duration * 1e-9:g} s, which is "
                f"how long {path} lasts"
            )
        # The last event lies at the very end, hence the 1.
        end_ns = max(duration + 1, start_ns + frames * _MIN_SPACING_NS)
        if duration_ns is not None:
            end_ns = min(end_ns, start_ns + duration_ns)
        collector = _Collector(summary, start_ns, end_ns, frames, window_ns)
        try:
            collector.read(recording)
        except RecordingError:
            if summary.damage is None:
                raise
    return collector.preview()


def _duration_ns(path: str | Path, summary: Summary) -> int:
    if summary.duration_ns is not None:
        return summary.duration_ns
    reason = summary.damage or summary.last_error
    triggers = f"only {summary.triggers} triggers: " if summary.triggers else ""
    raise PreviewError(
        f"{path} holds no events that could be drawn: {triggers}{summary.messages} packets read, "
        f"{summary.bad_packets} could not be decoded{f' ({reason})' if reason else ''}"
    )


class _Collector:
    """Adds up frames and rates."""

    def __init__(
        self, summary: Summary, start_ns: int, end_ns: int, frames: int, window_ns: int | None
    ) -> None:
        length = end_ns - start_ns
        self._window_ns = window_ns or max(1, min(DEFAULT_WINDOW_NS, length // frames))
        self._summary = summary
        self._start_ns, self._end_ns = start_ns, end_ns
        self._times = np.array(
            [start_ns + (2 * i + 1) * length // (2 * frames) for i in range(frames)]
        )
        self._begins = self._times - self._window_ns // 2
        width, height = summary.width or 1, summary.height or 1
        cells = _MAX_CELLS if frames <= _MANY_FRAMES else _MAX_CELLS_OF_MANY
        self._side = -(-max(width, height) // cells)
        self._frames = np.zeros(
            (frames, 2, -(-height // self._side), -(-width // self._side)), np.uint32
        )
        expected = summary.events * min(1, length / ((summary.duration_ns or 0) + 1))
        bins = min(_MAX_BINS, max(_MIN_BINS, round(expected / _EVENTS_PER_BIN)))
        self._counts = np.zeros((2, bins), np.int64)
        self._events = 0
        self._epoch = 0
        self._restarts: list[int] = []

    def read(self, recording: Recording) -> None:
        """Add the events of a recording up to the end of the stretch."""
        decoded, timeline = DecodedPackets(recording), Timeline()
        for _, _, events in decoded:
            if events:
                t_ns = timeline.place(decoded.stream.epoch, events.t_ns)
                self._add(decoded.stream.epoch, t_ns, events)
                if t_ns[0] > self._end_ns + self._window_ns + _AFTERMATH_NS:
                    break

    def _add(self, epoch: int, t_ns: np.ndarray, events: Events) -> None:
        first_ns, last_ns = int(t_ns.min()), int(t_ns.max())
        if epoch != self._epoch:
            self._epoch = epoch
            if self._start_ns < first_ns < self._end_ns:
                self._restarts.append(first_ns)
        if last_ns >= self._start_ns and first_ns < self._end_ns:
            self._add_rates(t_ns, events)
        ends = self._begins + self._window_ns
        for i in np.flatnonzero((self._begins <= last_ns) & (ends > first_ns)).tolist():
            self._add_to_frame(i, t_ns, events)

    def _add_rates(self, t_ns: np.ndarray, events: Events) -> None:
        inside = (t_ns >= self._start_ns) & (t_ns < self._end_ns)
        self._events += int(np.count_nonzero(inside))
        bins = self._counts.shape[1]
        per_ns = bins / (self._end_ns - self._start_ns)
        which = ((t_ns[inside] - self._start_ns) * per_ns).astype(np.int64)
        which = np.minimum(which, bins - 1) + bins * (events.p[inside] != 0)
        self._counts += np.bincount(which, minlength=2 * bins).reshape(2, bins)

    def _add_to_frame(self, i: int, t_ns: np.ndarray, events: Events) -> None:
        inside = (t_ns >= self._begins[i]) & (t_ns < self._begins[i] + self._window_ns)
        row, column = events.y[inside] // self._side, events.x[inside] // self._side
        # A sensor that has become larger on the way does not fit.
        rows, columns = self._frames.shape[2:]
        fits = (row < rows) & (column < columns)
        np.add.at(self._frames[i], (events.p[inside][fits], row[fits], column[fits]), 1)

    def preview(self) -> Preview:
        """What has been added up."""
        seconds = (self._end_ns - self._start_ns) * 1e-9
        return Preview(
            summary=self._summary,
            start_ns=self._start_ns,
            end_ns=self._end_ns,
            events=self._events,
            pixels_per_cell=self._side,
            frames=self._frames,
            frame_times_ns=self._times,
            window_ns=self._window_ns,
            rates=self._counts * (self._counts.shape[1] / seconds),
            restarts_ns=tuple(self._restarts),
        )
