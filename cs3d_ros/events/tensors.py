"""Windows of events to network input: representations by name."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.kernels import kernel
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import MIN_ROI_SIDE, Roi
from cs3d_ros.events.windows import Window

DEFAULT_BINS = 16
DEFAULT_SIZE = 112
_BATCH = 16384
DEFAULT_REPRESENTATION = "on_off_recency"


class TensorError(Cs3dError):
    """A tensor that cannot be made: no bins, no cells, unknown representation."""


Representation: TypeAlias = Callable[[Window, Roi, int, int], np.ndarray]
_REPRESENTATIONS: dict[str, Representation] = {}


def register_representation(name: str) -> Callable[[Representation], Representation]:
    """Make a function of (window, roi, bins, size) known to `bin_window` as `name`."""

    def register(function: Representation) -> Representation:
        _REPRESENTATIONS[name] = function
        return function

    return register


def representations() -> list[str]:
    """Names of the representations that `bin_window` knows."""
    return sorted(_REPRESENTATIONS)


def bin_window(
    window: Window,
    roi: Roi,
    bins: int = DEFAULT_BINS,
    size: int = DEFAULT_SIZE,
    representation: str = DEFAULT_REPRESENTATION,
) -> np.ndarray:
    """Turn a window into network input.

    Args:
        window: Events of one stretch of time; events outside its time or the region are left out.
        roi: Region that fills the tensor, each axis scaled for itself.
        bins: Number T of time bins of equal length.
        size: Height and width of the tensor.
        representation: One of `representations()`.

    Returns:
        New array of shape (3, T, size, size), float32.

    Raises:
        TensorError: Unknown representation, or no bins, cells or pixels.
    """
    if representation not in _REPRESENTATIONS:
        raise TensorError(
            f"unknown representation {representation!r}, expected one of: "
            f"{', '.join(representations())}"
        )
    if min(bins, size, roi.width, roi.height) < 1 or window.end_ns <= window.start_ns:
        raise TensorError(
            f"{bins} bins of {size}x{size} cells from {roi.width}x{roi.height} pixels and "
            f"{window.end_ns - window.start_ns} ns, expected at least one of each"
        )
    return _REPRESENTATIONS[representation](window, roi, bins, size)


@functools.lru_cache(maxsize=8)
def _cells(pixels: int, cells: int) -> np.ndarray:
    """The cells first…end−1 that each pixel of an axis fills, shape (pixels, 2), int32.

    With more cells than pixels each cell shows the pixel it lies in (nearest neighbour), otherwise
    each pixel falls into the cell it lies in.
    """
    pixel = np.arange(pixels + 1, dtype=np.int64)
    if cells <= pixels:
        first = pixel[:-1] * cells // pixels
        end = first + 1
    else:
        edges = -(-pixel * cells // pixels)
        first, end = edges[:-1], edges[1:]
    table = np.stack((first, end), axis=1).astype(np.int32)
    table.flags.writeable = False
    return table


def _joined(chunks: tuple[Events, ...]) -> Iterator[tuple[np.ndarray, ...]]:
    """The columns of the chunks, small chunks joined up to `_BATCH` events.

    Calling a kernel costs as much as some hundred events, and packets are often smaller.
    """
    batch: list[Events] = []
    size = 0
    for chunk in chunks:
        if batch and size + len(chunk) > _BATCH:
            yield _columns(batch)
            batch, size = [], 0
        batch.append(chunk)
        size += len(chunk)
    if batch:
        yield _columns(batch)


def _columns(chunks: list[Events]) -> tuple[np.ndarray, ...]:
    if len(chunks) == 1:
        return chunks[0].t_ns, chunks[0].x, chunks[0].y, chunks[0].p
    return (
        np.concatenate([chunk.t_ns for chunk in chunks]),
        np.concatenate([chunk.x for chunk in chunks]),
        np.concatenate([chunk.y for chunk in chunks]),
        np.concatenate([chunk.p for chunk in chunks]),
    )


@functools.lru_cache(maxsize=8)
def _log_counts(pixels_per_cell: float) -> np.ndarray:
    """log1p(count / pixels_per_cell) for small counts, float32; most cells have small counts."""
    table = np.log1p(np.arange(1024) / pixels_per_cell).astype(np.float32)
    table.flags.writeable = False
    return table


@kernel
def _accumulate(
    events: tuple[np.ndarray, ...],
    start_ns: int,
    duration_ns: int,
    left: int,
    top: int,
    columns: np.ndarray,
    rows: np.ndarray,
    tensor: np.ndarray,
    touched: np.ndarray,
    n_touched: int,
) -> int:
    """Add events to the flat tensor: counts of ON, counts of OFF, recency.

    Appends the cells whose count leaves 0 to `touched` and returns the new `n_touched`.
    """
    t_ns, xs, ys, ps = events
    size, bins = tensor.shape[3], tensor.shape[1]
    channel_size = bins * size * size
    flat = tensor.reshape(-1)
    bins_per_ns = bins / duration_ns
    per_ns = 1.0 / duration_ns
    for i in range(t_ns.size):
        dt = t_ns[i] - start_ns
        column = np.int64(xs[i]) - left
        row = np.int64(ys[i]) - top
        if not (
            0 <= dt < duration_ns and 0 <= column < columns.shape[0] and 0 <= row < rows.shape[0]
        ):
            continue
        # An integer division would be exact but slow: multiply, then repair the last digit.
        which = np.int64(dt * bins_per_ns)
        rest = dt * bins - which * duration_ns
        if rest < 0:
            which -= 1
            rest += duration_ns
        elif rest >= duration_ns:
            which += 1
            rest -= duration_ns
        recency = np.float32((rest + 1) * per_ns)
        channel = 0 if ps[i] else channel_size
        for r in range(rows[row, 0], rows[row, 1]):
            line = (which * size + r) * size
            for c in range(columns[column, 0], columns[column, 1]):
                # Unsigned: an index that may be negative costs a check.
                cell = np.uintp(channel + line + c)
                count = flat[cell]
                if count == 0:
                    touched[np.uintp(n_touched)] = cell
                    n_touched += 1
                flat[cell] = count + np.float32(1)
                cell = np.uintp(2 * channel_size + line + c)
                flat[cell] = max(flat[cell], recency)
    return n_touched


@kernel
def _compress(
    tensor: np.ndarray, touched: np.ndarray, pixels_per_cell: float, table: np.ndarray
) -> None:
    """Replace each touched count by log1p(count / pixels_per_cell)."""
    flat = tensor.reshape(-1)
    for i in range(touched.size):
        count = flat[touched[i]]
        if count < table.size:
            flat[touched[i]] = table[np.int64(count)]
        else:
            flat[touched[i]] = math.log1p(count / pixels_per_cell)


@register_representation("on_off_recency")
def on_off_recency(window: Window, roi: Roi, bins: int, size: int) -> np.ndarray:
    """ON events, OFF events and the recency of the last event, for each time bin.

    Channels 0 and 1 are log1p(count / pixels_per_cell) with pixels_per_cell = max(1, region's area
    / size²): a face fills them alike whatever the sensor's resolution. Channel 2 is (t_last −
    bin's start) / bin's length, within (0, 1]; 0 where the bin has no event. (An event at the very
    start of a bin counts as a window/bins-th of a nanosecond later, so that it is not 0.)

    Returns:
        Shape (3, bins, size, size), float32.
    """
    tensor = np.zeros((3, bins, size, size), np.float32)
    touched = np.empty(2 * bins * size * size, np.uint32)
    n_touched = 0
    columns = _cells(roi.width, size)
    rows = _cells(roi.height, size)
    duration_ns = window.end_ns - window.start_ns
    for events in _joined(window.chunks):
        n_touched = _accumulate(
            events, window.start_ns, duration_ns, roi.x, roi.y, columns, rows, tensor,
            touched, n_touched,
        )  # fmt: skip
    pixels_per_cell = max(1.0, roi.width * roi.height / size**2)
    _compress(tensor, touched[:n_touched], pixels_per_cell, _log_counts(pixels_per_cell))
    return tensor


def warm_up() -> None:
    """Compile the kernels, so that no window waits for the compiler."""
    events = Events(
        np.zeros(1, np.int64), np.zeros(1, np.uint16), np.zeros(1, np.uint16), np.zeros(1, np.uint8)
    )
    bin_window(Window(0, 1, (events,), 1), Roi(0, 0, MIN_ROI_SIDE, MIN_ROI_SIDE), bins=1, size=1)
