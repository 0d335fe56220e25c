"""Whether a window shows more than the noise of the sensor."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from cs3d_ros.events.cells import batches
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.windows import Window
from cs3d_ros.kernels import kernel

if TYPE_CHECKING:
    from typing import TypeAlias

_TILE_BITS = 4
TILE = 1 << _TILE_BITS
"""Side of a tile in pixels. Noise is everywhere, what moves in a face is in few places: a few dozen
events there are lost among those of the whole region, but not among those of their tile."""

CHANCE = 0.01
"""How often noise alone is taken for more: at most in about so many windows."""

CALM_WINDOWS = 4
"""Noise is learned while nothing changes for this many lengths of a window."""

FALL_S = 5.0
RISE_S = 60.0
"""Time constants by which the noise learned goes down and up. It rises slowly, so that an
expression that grows slowly does not become noise; the light or the temperature do."""

_MAX_GAP_WINDOWS = 2
# Counts are remembered this often in the length of a window at most, however short the hop.
_KEPT_PER_WINDOW = 8

_Tiles: TypeAlias = tuple[slice, slice]


class ActivityGate:
    """Tells which windows of one sensor are worth looking at.

    A window is *quiet* if no tile of the region, nor all of them together, has more events than
    noise of a Poisson distribution has: n + z·√(n + 1) + z²/6, where n is the noise learned, the
    last term is for the skewness, and z = √(2·ln(tiles / CHANCE)) bounds the largest of so many
    normal numbers. Noise is learned during *calm* stretches: over four lengths of a window, the
    counts of each tile and of all together lie within √2·z·√(mean + 1) of each other, as they do at
    a constant rate and do not before a face or a camera that moves. Until there has been one, no
    window is quiet. Each tile has its own noise, so that hot pixels and a flickering lamp belong to
    it.

    The gate closes with a quiet window that ends at least the length of a window after the first
    quiet one of that region: until then the network sees what quiet looks like. It opens with the
    first window that is not quiet.

    Tiles lie on the sensor and are counted on all of it, so that what was learned of them stays
    when the region changes. A gap of more than two lengths of a window interrupts calm and quiet
    stretches.

    Args:
        width: Sensor width in pixels.
        height: Sensor height in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self._shape = (-(-height >> _TILE_BITS), -(-width >> _TILE_BITS))
        self._noise = np.full(self._shape, np.nan)
        self._kept: deque[tuple[int, np.ndarray]] = deque()
        self._end_ns: int | None = None
        self._roi: Roi | None = None
        self._quiet_since_ns: int | None = None

    def admits(self, window: Window, roi: Roi) -> bool:
        """Whether a window is worth looking at; to be asked of every window, in order of time.

        Args:
            window: Its events, after the noise filters.
            roi: The region that the network sees, on the sensor.
        """
        duration_ns = window.end_ns - window.start_ns
        counts = np.zeros(self._shape, np.int64)
        for t_ns, x, y, _ in batches(window.chunks):
            _count(t_ns, x, y, window.start_ns, window.end_ns, counts)
        tiles = _tiles(roi)
        if self._is_interrupted(window.end_ns, duration_ns):
            self._kept.clear()
            self._quiet_since_ns = None
        self._end_ns = window.end_ns
        self._learn(tiles, window.end_ns, duration_ns, counts)
        if not self._is_quiet(counts[tiles], self._noise[tiles]):
            self._quiet_since_ns = None
            return True
        if self._quiet_since_ns is None or roi != self._roi:
            self._quiet_since_ns, self._roi = window.end_ns, roi
        return window.end_ns - self._quiet_since_ns < duration_ns

    def _is_interrupted(self, end_ns: int, duration_ns: int) -> bool:
        if self._end_ns is None:
            return False
        return not 0 < end_ns - self._end_ns <= _MAX_GAP_WINDOWS * duration_ns

    def _learn(self, tiles: _Tiles, end_ns: int, duration_ns: int, counts: np.ndarray) -> None:
        """Bring the noise of these tiles nearer to their counts, if the stretch is calm."""
        elapsed_ns = end_ns - self._kept[-1][0] if self._kept else 0
        if self._kept and elapsed_ns * _KEPT_PER_WINDOW < duration_ns:
            return
        self._kept.append((end_ns, counts))
        while len(self._kept) > CALM_WINDOWS and (
            self._kept[0][0] <= end_ns - CALM_WINDOWS * duration_ns
        ):
            self._kept.popleft()
        span_ns = end_ns - self._kept[0][0]
        if len(self._kept) < CALM_WINDOWS or span_ns < (CALM_WINDOWS - 1) * duration_ns:
            return
        recent = np.array([kept[tiles] for _, kept in self._kept])
        mean = recent.mean(0)
        if not _is_calm(recent):
            return
        noise = self._noise[tiles]
        share = np.where(mean < noise, _share(elapsed_ns, FALL_S), _share(elapsed_ns, RISE_S))
        self._noise[tiles] = np.where(np.isnan(noise), mean, noise + share * (mean - noise))

    @staticmethod
    def _is_quiet(counts: np.ndarray, noise: np.ndarray) -> bool:
        """Whether there is no more than noise; False where that is not known (NaN)."""
        z = _largest_normal(counts.size)
        together = noise.sum()
        return bool(
            (counts - noise <= z * np.sqrt(noise + 1.0) + z**2 / 6).all()
            and counts.sum() - together <= z * np.sqrt(together + 1.0) + z**2 / 6
        )


def _is_calm(counts: np.ndarray) -> bool:
    """Whether the counts of some windows, shape (windows, rows, columns), have constant rates."""
    z = math.sqrt(2) * _largest_normal(counts[0].size)
    together = counts.sum((1, 2))
    return bool(
        (np.ptp(counts, 0) <= z * np.sqrt(counts.mean(0) + 1.0)).all()
        and np.ptp(together) <= z * math.sqrt(together.mean() + 1.0)
    )


def _largest_normal(n: int) -> float:
    """What the largest of n normal numbers exceeds with a probability of CHANCE at most."""
    return math.sqrt(2 * math.log(n / CHANCE))


def _tiles(roi: Roi) -> _Tiles:
    """The tiles that a region touches."""
    return (
        slice(roi.y >> _TILE_BITS, -(-(roi.y + roi.height) >> _TILE_BITS)),
        slice(roi.x >> _TILE_BITS, -(-(roi.x + roi.width) >> _TILE_BITS)),
    )


def _share(elapsed_ns: int, time_constant_s: float) -> float:
    return -math.expm1(-elapsed_ns * 1e-9 / time_constant_s)


@kernel
def _count(
    t_ns: np.ndarray, x: np.ndarray, y: np.ndarray, start_ns: int, end_ns: int, counts: np.ndarray
) -> None:
    """Add the events of start_ns…end_ns to the counts of their tiles."""
    rows, columns = counts.shape
    for i in range(t_ns.size):
        row, column = int(y[i]) >> _TILE_BITS, int(x[i]) >> _TILE_BITS
        if start_ns <= t_ns[i] < end_ns and row < rows and column < columns:
            counts[row, column] += 1


def warm_up() -> None:
    """Compile the kernel, so that no window waits for the compiler."""
    events = Events(
        np.zeros(1, np.int64), np.zeros(1, np.uint16), np.zeros(1, np.uint16), np.zeros(1, np.uint8)
    )
    ActivityGate(TILE, TILE).admits(Window(0, 1, (events,), 1), Roi(0, 0, TILE, TILE))
