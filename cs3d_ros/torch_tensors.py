"""Windows of events to network input on any torch device, for training and for GPU inference.

The same results as `cs3d_ros.events.tensors.bin_window`, up to rounding. It stands outside the room
of events because that does not import torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from cs3d_ros.events.cells import Grid, joined
from cs3d_ros.events.packets import Events
from cs3d_ros.events.representations import BINARY_BITS, pixels_per_cell
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.tensors import (
    DEFAULT_BINS,
    DEFAULT_REPRESENTATION,
    DEFAULT_SIZE,
    channels,
    check,
)
from cs3d_ros.events.windows import Window


def bin_window_torch(
    window: Window,
    roi: Roi,
    bins: int = DEFAULT_BINS,
    size: int = DEFAULT_SIZE,
    representation: str = DEFAULT_REPRESENTATION,
    device: torch.device | str = "cpu",
) -> torch.Tensor:
    """Turn a window into network input on a device.

    The events travel as they are, 13 bytes each; everything else is computed on the device, without
    waiting for it. Counts are exact and repeatable; sums of fractions (`voxel_grid`) are made in
    64 bits, so that their order shows in the last digit of the result at most.

    Args:
        window: See `bin_window`.
        roi: See `bin_window`.
        bins: See `bin_window`.
        size: See `bin_window`.
        representation: See `bin_window`.
        device: Where to compute and to leave the tensor.

    Returns:
        New tensor of shape (channels(representation), bins, size, size), float32, contiguous.

    Raises:
        TensorError: As `bin_window`.
    """
    check(window, roi, bins, size, representation)
    function = _REPRESENTATIONS[representation]
    grid = Grid.of(window, roi, bins, size)
    events = _Uploaded.of(window.chunks, device)
    tensor = function(events, grid, pixels_per_cell(roi, size))
    tensor = tensor.reshape(channels(representation), bins, grid.rows, grid.columns)
    if grid.rows < size or grid.columns < size:
        rows, columns = (torch.from_numpy(source).to(device) for source in grid.sources(size))
        tensor = tensor.index_select(3, columns).index_select(2, rows)
    return tensor


class _Uploaded(NamedTuple):
    """Events on a device: t_ns, x and y int64, whether they are ON."""

    t_ns: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor
    on: torch.Tensor

    @staticmethod
    def of(chunks: tuple[Events, ...], device: torch.device | str) -> _Uploaded:
        t_ns, x, y, p = joined(chunks or (Events.empty(),))
        # Not every torch knows uint16: the same bits as int16, made whole afterwards.
        columns = (t_ns, x.view(np.int16), y.view(np.int16), p)
        on_device = [torch.tensor(column).to(device) for column in columns]
        return _Uploaded(
            t_ns=on_device[0],
            x=on_device[1].long() & 0xFFFF,
            y=on_device[2].long() & 0xFFFF,
            on=on_device[3] != 0,
        )


def _located(events: _Uploaded, grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """The cell of each event, `grid.outside` for none, and the time since its bin began.

    The time is in bins-ths of a nanosecond; both are int64.
    """
    dt = events.t_ns - grid.start_ns
    column, row = events.x - grid.left, events.y - grid.top
    inside = (
        (dt >= 0)
        & (dt < grid.duration_ns)
        & (column >= 0)
        & (column < grid.width)
        & (row >= 0)
        & (row < grid.height)
    )
    which = torch.div(dt * grid.bins, grid.duration_ns, rounding_mode="floor")
    rest = dt * grid.bins - which * grid.duration_ns
    row = torch.div(row * grid.rows, grid.height, rounding_mode="floor")
    column = torch.div(column * grid.columns, grid.width, rounding_mode="floor")
    cell = (which * grid.rows + row) * grid.columns + column
    return torch.where(inside, cell, grid.outside), rest


def _phases(rest: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Times since the bins began as parts of a bin, float32."""
    return (rest.double() * (1.0 / grid.duration_ns)).float()


def _by_polarity(cell: torch.Tensor, on: torch.Tensor, grid: Grid) -> torch.Tensor:
    """The cells of an ON and an OFF channel."""
    split = torch.where(on, cell, cell + grid.outside)
    return torch.where(cell == grid.outside, 2 * grid.outside, split)


def _counts(index: torch.Tensor, size: int) -> torch.Tensor:
    """How often each index below `size` occurs, int32."""
    counts = torch.zeros(size + 1, dtype=torch.int32, device=index.device)
    return counts.scatter_add_(0, index, torch.ones_like(index, dtype=torch.int32))[:size]


def _latest(index: torch.Tensor, values: torch.Tensor, size: int) -> torch.Tensor:
    """The largest of the values of each index below `size`, 0 where there is none."""
    largest = torch.zeros(size + 1, dtype=torch.float32, device=values.device)
    return largest.scatter_reduce_(0, index, values, "amax")[:size]


def _on_off_recency(events: _Uploaded, grid: Grid, per_cell: float) -> torch.Tensor:
    cell, rest = _located(events, grid)
    counts = _counts(_by_polarity(cell, events.on, grid), 2 * grid.outside)
    recency = _latest(cell, _phases(rest + 1, grid), grid.outside)
    return torch.cat((torch.log1p(counts.float() / per_cell), recency))


def _polarity_counts(events: _Uploaded, grid: Grid, per_cell: float) -> torch.Tensor:
    cell, _ = _located(events, grid)
    return _counts(_by_polarity(cell, events.on, grid), 2 * grid.outside).float()


def _voxel_grid(events: _Uploaded, grid: Grid, per_cell: float) -> torch.Tensor:
    cell, rest = _located(events, grid._replace(bins=max(grid.bins - 1, 1)))
    share = rest.double() / grid.duration_ns
    if grid.bins == 1:
        share = torch.zeros_like(share)
    sign = torch.where(events.on, 1.0, -1.0).double()
    following = (cell + grid.frame).clamp(max=grid.outside)
    sums = torch.zeros(grid.outside + 1, dtype=torch.float64, device=cell.device)
    sums.index_add_(0, cell, sign * (1 - share)).index_add_(0, following, sign * share)
    return sums[:-1].float()


def _time_surface(events: _Uploaded, grid: Grid, per_cell: float) -> torch.Tensor:
    cell, rest = _located(events, grid)
    index = _by_polarity(cell, events.on, grid)
    latest = _latest(index, torch.exp(_phases(rest, grid) - 1), 2 * grid.outside)
    surfaces = latest.reshape(2, grid.bins, grid.frame)
    for b in range(1, grid.bins):
        decayed = surfaces[:, b - 1] * (1 / math.e)
        surfaces[:, b] = torch.maximum(surfaces[:, b], decayed)
    return surfaces


def _binary(events: _Uploaded, grid: Grid, per_cell: float) -> torch.Tensor:
    parts = grid.divided(BINARY_BITS)
    cell, _ = _located(events, parts)
    flags = torch.zeros(parts.outside + 1, dtype=torch.float32, device=cell.device)
    flags[cell] = 1
    weights = 2.0 ** torch.arange(-BINARY_BITS, 0, dtype=torch.float32, device=cell.device)
    return weights @ flags[:-1].reshape(grid.bins, BINARY_BITS, grid.frame)


_Function = Callable[[_Uploaded, Grid, float], torch.Tensor]
_REPRESENTATIONS: dict[str, _Function] = {
    "on_off_recency": _on_off_recency,
    "polarity_counts": _polarity_counts,
    "voxel_grid": _voxel_grid,
    "time_surface": _time_surface,
    "binary": _binary,
}
