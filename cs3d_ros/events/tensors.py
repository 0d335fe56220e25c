"""Windows of events to network input: representations by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.cells import MAX_BINS_NS, MAX_CELLS, MAX_ROI_SIDE
from cs3d_ros.events.packets import Events
from cs3d_ros.events.representations import (
    binary,
    on_off_recency,
    polarity_counts,
    time_surface,
    voxel_grid,
)
from cs3d_ros.events.roi import MIN_ROI_SIDE, Roi
from cs3d_ros.events.windows import Window

DEFAULT_BINS = 16
DEFAULT_SIZE = 112
DEFAULT_REPRESENTATION = "on_off_recency"


class TensorError(Cs3dError):
    """A tensor that cannot be made: no bins, no cells, unknown representation."""


Representation: TypeAlias = Callable[[Window, Roi, int, int], np.ndarray]


class _Entry(NamedTuple):
    function: Representation
    channels: int


_REPRESENTATIONS = {
    "on_off_recency": _Entry(on_off_recency, 3),
    "polarity_counts": _Entry(polarity_counts, 2),
    "voxel_grid": _Entry(voxel_grid, 1),
    "time_surface": _Entry(time_surface, 2),
    "binary": _Entry(binary, 1),
}


def representations() -> list[str]:
    """Names of the representations that `bin_window` knows."""
    return sorted(_REPRESENTATIONS)


def channels(representation: str) -> int:
    """Number of channels of a representation.

    Raises:
        TensorError: Unknown representation.
    """
    if representation not in _REPRESENTATIONS:
        raise TensorError(
            f"unknown representation {representation!r}, expected one of: "
            f"{', '.join(representations())}"
        )
    return _REPRESENTATIONS[representation].channels


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
        roi: Region that fills the tensor, each axis scaled for itself: with more cells than pixels
            each cell shows the pixel it lies in (nearest neighbour), otherwise each pixel falls
            into the cell it lies in.
        bins: Number T of time bins of equal length.
        size: Height and width of the tensor.
        representation: One of `representations()`; see the function of that name in
            `cs3d_ros.events.representations`.

    Returns:
        New array of shape (channels(representation), T, size, size), float32.

    Raises:
        TensorError: Unknown representation, or no bins, cells or pixels, or too many.
    """
    check(window, roi, bins, size, representation)
    return _REPRESENTATIONS[representation].function(window, roi, bins, size)


def check(window: Window, roi: Roi, bins: int, size: int, representation: str) -> None:
    """Make sure that `bin_window` can make the tensor.

    Raises:
        TensorError: As `bin_window`.
    """
    channels(representation)
    duration_ns = window.end_ns - window.start_ns
    if min(bins, size, roi.width, roi.height, duration_ns) < 1:
        raise TensorError(
            f"{bins} bins of {size}x{size} cells from {roi.width}x{roi.height} pixels and "
            f"{duration_ns} ns, expected at least one of each"
        )
    if max(roi.width, roi.height) > MAX_ROI_SIDE:
        raise TensorError(
            f"a region of {roi.width}x{roi.height} pixels, expected at most {MAX_ROI_SIDE} on "
            "each side"
        )
    if bins * size**2 > MAX_CELLS or bins * duration_ns > MAX_BINS_NS:
        raise TensorError(
            f"{bins} bins of {size}x{size} cells from {duration_ns} ns, expected at most "
            f"{MAX_CELLS} cells and {MAX_BINS_NS // bins} ns; take fewer bins or smaller ones"
        )


def warm_up() -> None:
    """Compile the kernels, so that no window waits for the compiler."""
    events = Events(
        np.zeros(1, np.int64), np.zeros(1, np.uint16), np.zeros(1, np.uint16), np.zeros(1, np.uint8)
    )
    window = Window(0, 1, (events,), 1)
    roi = Roi(0, 0, MIN_ROI_SIDE, MIN_ROI_SIDE)
    for name in representations():
        # More cells than pixels, because repeating them takes a kernel too.
        bin_window(window, roi, 1, MIN_ROI_SIDE + 1, name)
