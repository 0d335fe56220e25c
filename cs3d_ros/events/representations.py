"""The representations: pure functions from the events of a window to network input.

All share the geometry of `cells.Grid`: events outside the window's time or the region are left
out, bins meet exactly, each axis of the region is scaled to the tensor for itself.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from cs3d_ros.events.cells import Grid, located
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.windows import Window
from cs3d_ros.kernels import kernel

BINARY_BITS = 8
"""Binary frames in one bin of `binary`."""


def pixels_per_cell(roi: Roi, size: int) -> float:
    """How many pixels of the region share a cell of the tensor, at least 1."""
    return max(1.0, roi.width * roi.height / size**2)


def on_off_recency(window: Window, roi: Roi, bins: int, size: int) -> np.ndarray:
    """ON events, OFF events and the recency of the last event, for each time bin.

    Channels 0 and 1 are log1p(count / pixels_per_cell) with pixels_per_cell = max(1, region's area
    / size²): a face fills them alike whatever the sensor's resolution. Channel 2 is (t_last −
    bin's start) / bin's length, within (0, 1]; 0 where the bin has no event. (An event at the very
    start of a bin counts as a window/bins-th of a nanosecond later, so that it is not 0.)

    Returns:
        Shape (3, bins, size, size), float32.
    """
    grid = Grid.of(window, roi, bins, size)
    flat = np.zeros(3 * grid.outside + 1, np.float32)
    recency = flat[2 * grid.outside :]
    # Only the cells with events are visited again, unless there are fewer cells than events.
    is_sparse = sum(map(len, window.chunks)) < 2 * grid.outside
    touched = [] if is_sparse else [np.arange(2 * grid.outside, dtype=np.uint32)]
    for cells, phases, p in located(window, grid, shift_ns=1):
        index = np.empty(cells.size, np.uint32)
        # Negative, so that counts and logarithms are told apart.
        _count(cells, p, grid.outside, np.float32(-1), flat, index)
        _keep_latest(cells, phases, recency)
        if is_sparse:
            touched.append(index)
    per_cell = pixels_per_cell(roi, size)
    for index in touched:
        _take_logarithms(flat, index, _log_counts(per_cell), per_cell)
    return grid.as_tensor(flat[:-1], bins, size)


def polarity_counts(window: Window, roi: Roi, bins: int, size: int) -> np.ndarray:
    """Raw counts of events, not normalised: channel 0 ON, channel 1 OFF.

    Source: the two-channel event histogram of Maqueda et al. 2018, "Event-based Vision meets Deep
    Learning on Steering Prediction for Self-driving Cars", for each time bin.

    Returns:
        Shape (2, bins, size, size), float32, whole numbers of events.
    """
    grid = Grid.of(window, roi, bins, size)
    flat = np.zeros(2 * grid.outside + 1, np.float32)
    for cells, _, p in located(window, grid):
        index = np.empty(cells.size, np.uint32)
        _count(cells, p, grid.outside, np.float32(1), flat, index)
    return grid.as_tensor(flat[:-1], bins, size)


def voxel_grid(window: Window, roi: Roi, bins: int, size: int) -> np.ndarray:
    """Polarities, each shared between the two nearest of `bins` instants.

    V[b] = Σ p_i·max(0, 1 − |b − t*_i|) with p = ±1 and t* = (bins − 1)·(t − start_ns) / (end_ns −
    start_ns). The time is normalised by the window's bounds and not by its first and last event,
    so that what an event adds does not depend on the others. With one bin, each event adds p.

    Source: Zhu et al. 2019, "Unsupervised Event-based Learning of Optical Flow, Depth, and
    Egomotion", section 3.1.

    Returns:
        Shape (1, bins, size, size), float32, in events.
    """
    grid = Grid.of(window, roi, bins, size)
    flat = np.zeros(grid.outside + 1, np.float32)
    # Between B instants lie B − 1 intervals, which are the bins to locate events in.
    intervals = grid._replace(bins=max(bins - 1, 1))
    for cells, phases, p in located(window, intervals, shift_ns=0):
        _share(cells, phases if bins > 1 else np.zeros_like(phases), p, grid.frame, flat)
    return grid.as_tensor(flat[:-1], bins, size)


def time_surface(window: Window, roi: Roi, bins: int, size: int) -> np.ndarray:
    """How long ago the last event was at the end of each bin: channel 0 ON, channel 1 OFF.

    exp(−(bin's end − t_last) / τ) with the last event of the window before the bin's end, also one
    of an earlier bin; 0 before the first. τ is the length of a bin, so that each bin without an
    event divides by e.

    Source: Lagorce et al. 2017, "HOTS: A Hierarchy of Event-Based Time-Surfaces for Pattern
    Recognition"; one surface per polarity as in Sironi et al. 2018, "HATS: Histograms of Averaged
    Time Surfaces for Robust Event-based Object Classification".

    Returns:
        Shape (2, bins, size, size), float32, within [0, 1].
    """
    grid = Grid.of(window, roi, bins, size)
    flat = np.zeros(2 * grid.outside + 1, np.float32)
    for cells, phases, p in located(window, grid, shift_ns=0):
        _keep_latest_by_polarity(cells, np.exp(phases - 1), p, grid.outside, flat)
    surfaces = flat[:-1].reshape(2, bins, grid.frame)
    for b in range(1, bins):
        # Whatever is older than the bin is below 1/e, whatever is in it above.
        np.maximum(surfaces[:, b], surfaces[:, b - 1] * np.float32(1 / math.e), surfaces[:, b])
    return grid.as_tensor(surfaces, bins, size)


def binary(window: Window, roi: Roi, bins: int, size: int) -> np.ndarray:
    """Whether there was any event, in eight parts of each bin, as one binary fraction.

    Σ 2^k / 256 over the parts k = 0 (first) … 7 (last) of the bin that have an event of either
    polarity: later parts weigh more.

    Source: the Temporal Binary Representation of Innocenti et al. 2021, "Temporal Binary
    Representation for Event-Based Action Recognition", with N = 8.

    Returns:
        Shape (1, bins, size, size), float32, within [0, 255/256].
    """
    grid = Grid.of(window, roi, bins, size)
    parts = grid.divided(BINARY_BITS)
    flags = np.zeros(parts.outside + 1, np.uint8)
    for cells, _, _ in located(window, parts):
        _mark(cells, flags)
    fractions = np.zeros((bins, grid.frame), np.float32)
    _pack(flags, fractions)
    return grid.as_tensor(fractions, bins, size)


@functools.lru_cache(maxsize=8)
def _log_counts(per_cell: float) -> np.ndarray:
    """log1p(count / per_cell) for small counts, float32; most cells have small counts."""
    table = np.log1p(np.arange(1024) / per_cell).astype(np.float32)
    table.flags.writeable = False
    return table


@kernel
def _split(cells: np.ndarray, p: np.ndarray, outside: int, none: int, index: np.ndarray) -> None:
    """Cells of one channel to cells of an ON and an OFF channel; `outside` becomes `none`."""
    channel, nowhere = np.uint32(outside), np.uint32(none)
    # A loop of its own, because compilers vectorise it: the events' places in memory are then known
    # before any of them is written to.
    for i in range(cells.size):
        cell = np.uint32(cells[i] + np.uint32((p[i] == 0) * channel))
        index[i] = nowhere if cells[i] == channel else cell


@kernel
def _count(
    cells: np.ndarray,
    p: np.ndarray,
    outside: int,
    step: np.float32,
    flat: np.ndarray,
    index: np.ndarray,
) -> None:
    """Add `step` in the ON or the OFF channel for each event; `index` becomes the places."""
    _split(cells, p, outside, flat.size - 1, index)
    for i in range(np.uintp(index.size)):
        flat[np.uintp(index[i])] += step


@kernel
def _take_logarithms(
    flat: np.ndarray, index: np.ndarray, logarithms: np.ndarray, per_cell: float
) -> None:
    """Replace counts, which are negative, by log1p(count / per_cell)."""
    for i in range(np.uintp(index.size)):
        cell = np.uintp(index[i])
        value = flat[cell]
        if value < 0:
            count = np.uint32(np.int32(-value))
            if count < logarithms.size:
                flat[cell] = logarithms[np.uintp(count)]
            else:
                flat[cell] = math.log1p(count / per_cell)


@kernel
def _keep_latest(cells: np.ndarray, values: np.ndarray, latest: np.ndarray) -> None:
    """The largest value in each cell."""
    for i in range(np.uintp(cells.size)):
        cell = np.uintp(cells[i])
        latest[cell] = max(latest[cell], values[i])


@kernel
def _keep_latest_by_polarity(
    cells: np.ndarray, values: np.ndarray, p: np.ndarray, outside: int, latest: np.ndarray
) -> None:
    """The largest value in each cell of the ON and the OFF channel."""
    index = np.empty(cells.size, np.uint32)
    _split(cells, p, outside, latest.size - 1, index)
    _keep_latest(index, values, latest)


@kernel
def _share(
    cells: np.ndarray, phases: np.ndarray, p: np.ndarray, frame: int, flat: np.ndarray
) -> None:
    """Share ±1 between each event's cell and the same cell of the next instant."""
    none = np.uintp(flat.size - 1)
    for i in range(np.uintp(cells.size)):
        sign = np.float32(1) if p[i] else np.float32(-1)
        cell = np.uintp(cells[i])
        following = min(np.uintp(cell + np.uintp(frame)), none)
        flat[cell] += sign * (np.float32(1) - phases[i])
        flat[following] += sign * phases[i]


@kernel
def _mark(cells: np.ndarray, flags: np.ndarray) -> None:
    for i in range(np.uintp(cells.size)):
        flags[np.uintp(cells[i])] = 1


@kernel
def _pack(flags: np.ndarray, fractions: np.ndarray) -> None:
    """Eight frames of flags to one of binary fractions, the last frame with the highest bit."""
    bins, frame = fractions.shape
    for b in range(bins):
        for k in range(BINARY_BITS):
            weight = np.float32(2.0 ** (k - BINARY_BITS))
            first = (b * BINARY_BITS + k) * frame
            part, fraction = flags[first : first + frame], fractions[b]
            for i in range(frame):
                fraction[i] += weight * np.float32(part[i])
