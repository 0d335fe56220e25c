"""Which cell of a tensor each event of a window falls in: what all representations share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.windows import Window
from cs3d_ros.kernels import kernel

MAX_ROI_SIDE = 1 << 15
"""The widest region that is scaled without error."""

MAX_CELLS = 1 << 28
"""The most cells of one channel, so that 32-bit indexes reach those of all representations."""

MAX_BINS_NS = 1 << 59
"""The largest product of bins and duration in ns, so that 64 bits hold what is computed of it."""

_BATCH = 32_768
_BLOCK = 64
_EARLIEST_NS, _LATEST_NS = np.iinfo(np.int64).min, np.iinfo(np.int64).max
_EMPTY = np.empty(0, np.float32)

Columns: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Grid(NamedTuple):
    """Time and region of a window, cut into cells; one channel is C-ordered (bins, rows, columns).

    An axis has as many cells as the tensor, or as many as the region has pixels where those are
    fewer; `as_tensor` then repeats them. So every event has one cell.

    Attributes:
        start_ns: Sensor time of the beginning, inclusive.
        duration_ns: Length of all bins together; bin b begins at start_ns + b·duration_ns / bins.
        bins: Time bins of equal length.
        left: First column of the region, in sensor pixels.
        top: First row of the region.
        width: Columns of the region; pixel x is in column x·columns // width.
        height: Rows of the region.
        columns: Cells of a row.
        rows: Cells of a column.
        outside: The cell of events outside time or region, one past the last of a channel.
    """

    start_ns: int
    duration_ns: int
    bins: int
    left: int
    top: int
    width: int
    height: int
    columns: int
    rows: int
    outside: int

    @staticmethod
    def of(window: Window, roi: Roi, bins: int, size: int) -> Grid:
        """The grid for a tensor of bins × size × size."""
        columns, rows = min(size, roi.width), min(size, roi.height)
        return Grid(
            int(window.start_ns), int(window.end_ns - window.start_ns), bins,
            roi.x, roi.y, roi.width, roi.height,
            columns, rows, bins * rows * columns,
        )  # fmt: skip

    @property
    def frame(self) -> int:
        """Cells of one bin."""
        return self.rows * self.columns

    def divided(self, parts: int) -> Grid:
        """The grid with each bin cut into parts."""
        return self._replace(bins=self.bins * parts, outside=self.outside * parts)

    def sources(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The row and the column of the grid that each row and column of the tensor shows."""
        cell = np.arange(size)
        return cell * self.rows // size, cell * self.columns // size

    def as_tensor(self, flat: np.ndarray, bins: int, size: int) -> np.ndarray:
        """Channels of bins × `frame` cells as (channels, bins, size, size), repeated if need be."""
        tensor = flat.reshape(-1, self.rows, self.columns)
        if self.rows < size or self.columns < size:
            source, tensor = tensor, np.empty((len(tensor), size, size), np.float32)
            _repeat(source, *self.sources(size), tensor)
        return tensor.reshape(-1, bins, size, size)


def batches(chunks: tuple[Events, ...]) -> Iterator[Columns]:
    """The columns of the chunks as (t_ns, x, y, p), up to 32768 events at a time.

    Calling a kernel costs as much as some thousand events, and packets are often smaller; large
    ones are cut so that what is computed for each event stays in the cache. All arrays are
    contiguous and read-only: with one kind of array there is one compiled version of each kernel.
    """
    waiting: list[Events] = []
    size = 0
    for chunk in chunks:
        n = chunk.t_ns.size
        if waiting and size + n > _BATCH:
            yield from _cut(waiting)
            waiting, size = [], 0
        waiting.append(chunk)
        size += n
    if waiting:
        yield from _cut(waiting)


def _cut(chunks: list[Events]) -> Iterator[Columns]:
    columns = joined(chunks)
    for column in columns:
        column.flags.writeable = False
    if columns[0].size <= _BATCH:
        yield columns
        return
    for begin in range(0, columns[0].size, _BATCH):
        t_ns, x, y, p = (column[begin : begin + _BATCH] for column in columns)
        yield t_ns, x, y, p


def joined(chunks: list[Events] | tuple[Events, ...]) -> Columns:
    """The contiguous columns of at least one chunk as (t_ns, x, y, p); views of a single one."""
    if len(chunks) == 1:
        chunk = chunks[0]
        t_ns, x, y, p = (
            np.ascontiguousarray(column)[:] for column in (chunk.t_ns, chunk.x, chunk.y, chunk.p)
        )
        return t_ns, x, y, p
    return (
        np.concatenate([chunk.t_ns for chunk in chunks]),
        np.concatenate([chunk.x for chunk in chunks]),
        np.concatenate([chunk.y for chunk in chunks]),
        np.concatenate([chunk.p for chunk in chunks]),
    )


def located(
    window: Window, grid: Grid, shift_ns: int | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The window's events as (cells, phases, polarities), some at a time.

    Args:
        window: The events.
        grid: Its cells.
        shift_ns: Added to each event's time since its bin began, in bins-ths of a nanosecond;
            None: no phases are needed.

    Yields:
        The cell of each event, uint32, `grid.outside` for none; its phase, (time since its bin
        began + shift) / length of a bin, float32; its polarity. Overwritten by the next.
    """
    cells = np.empty(_BATCH, np.uint32)
    phases = _EMPTY if shift_ns is None else np.empty(_BATCH, np.float32)
    for t_ns, x, y, p in batches(window.chunks):
        n = t_ns.size
        _locate(t_ns, x, y, grid, shift_ns or 0, cells[:n], phases[:n])
        yield cells[:n], phases[:n], p


@kernel
def _bin_at(t_ns: int, grid: Grid) -> tuple[int, int, int]:
    """The bin of a time and its first and last ns; bin −1 stands for all before, or all after."""
    end_ns = grid.start_ns + grid.duration_ns
    if t_ns < grid.start_ns:
        return -1, _EARLIEST_NS, grid.start_ns - 1
    if t_ns >= end_ns:
        return -1, end_ns, _LATEST_NS
    which = (t_ns - grid.start_ns) * grid.bins // grid.duration_ns
    # Rounded up: the first whole nanosecond of this bin, and of the next.
    first = -(-which * grid.duration_ns // grid.bins)
    end = -(-(which + 1) * grid.duration_ns // grid.bins)
    return which, grid.start_ns + first, grid.start_ns + end - 1


@kernel
def _run_end(t_ns: np.ndarray, begin: int, first: int, last: int) -> int:
    """The end of the run of times within first…last that has the event `begin`."""
    end = begin + 1
    while end + _BLOCK <= t_ns.size:
        is_over = False
        for i in range(np.uintp(end), np.uintp(end + _BLOCK)):
            is_over |= (t_ns[i] < first) | (t_ns[i] > last)
        if is_over:
            break
        end += _BLOCK
    while end < t_ns.size and first <= t_ns[np.uintp(end)] <= last:
        end += 1
    return end


@kernel
def _locate(
    t_ns: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    grid: Grid,
    shift_ns: int,
    cells: np.ndarray,
    phases: np.ndarray,
) -> None:
    """Fill `cells` and, if it has any elements, `phases`; see `located`.

    Events come nearly sorted by time, so that the bin is found once for a run of events.
    """
    # x·columns // width as a product: 31 binary digits of the factor, rounded up, are exact for
    # x < width <= 2^15.
    x_factor = np.uint64(-((-grid.columns << 31) // grid.width))
    y_factor = np.uint64(-((-grid.rows << 31) // grid.height))
    digits = np.uint64(31)
    left, top = np.uint32(grid.left), np.uint32(grid.top)
    width, height = np.uint32(grid.width), np.uint32(grid.height)
    columns, outside = np.uint32(grid.columns), np.uint32(grid.outside)
    per_ns = 1.0 / grid.duration_ns
    begin = 0
    while begin < t_ns.size:
        which, first, last = _bin_at(t_ns[begin], grid)
        end = _run_end(t_ns, begin, first, last)
        if which < 0:
            cells[begin:end] = outside
        else:
            frame = np.uint32(which * grid.rows * grid.columns)
            for i in range(np.uintp(begin), np.uintp(end)):
                # Columns left of the region wrap around and are beyond its width.
                column, row = np.uint32(x[i] - left), np.uint32(y[i] - top)
                row_cell = np.uint32(np.uint64(row) * y_factor >> digits)
                column_cell = np.uint32(np.uint64(column) * x_factor >> digits)
                cell = np.uint32(frame + row_cell * columns + column_cell)
                cells[i] = cell if (column < width) & (row < height) else outside
        if phases.size > 0:
            origin = grid.start_ns * grid.bins + which * grid.duration_ns - shift_ns
            for i in range(np.uintp(begin), np.uintp(end)):
                phases[i] = np.float32((t_ns[i] * grid.bins - origin) * per_ns)
        begin = end


@kernel
def _repeat(
    source: np.ndarray, row_of: np.ndarray, column_of: np.ndarray, tensor: np.ndarray
) -> None:
    """Fill frames with the rows and columns of smaller ones."""
    for k in range(tensor.shape[0]):
        for r in range(row_of.size):
            line = source[k, row_of[r]]
            for c in range(np.uintp(column_of.size)):
                tensor[k, r, c] = line[np.uintp(column_of[c])]
