"""Tensors of windows that overlap: a window adds its new bins to those of the one before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cs3d_ros.events.tensors import bin_window

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy as np

    from cs3d_ros.events.packets import Events
    from cs3d_ros.events.roi import Roi
    from cs3d_ros.events.windows import Window

INDEPENDENT_BINS = frozenset({"binary", "on_off_recency", "polarity_counts"})
"""Representations of which a bin depends on its own events alone, and not on where it lies.

The two others are not among them: `time_surface` carries events on into later bins, `voxel_grid`
shares them between bins and places its instants by the window's length."""


class RollingTensors:
    """Makes the tensors of one stream's windows, each with as much of the last as still holds.

    A window that begins 1 to `bins` − 1 whole bins after the last, with the same length, region and
    revision, has the last one's bins moved, and only its other events are binned. The tensor is
    the same to the bit as that of `bin_window`. All other windows are binned as a whole.

    The last window and its tensor are kept. The tensor is shared with the caller, who must not
    write to it.

    Args:
        bins: As for `bin_window`.
        size: As for `bin_window`.
        representation: As for `bin_window`.
    """

    def __init__(self, bins: int, size: int, representation: str) -> None:
        self.bins = bins
        self.size = size
        self.representation = representation
        self._tensor: np.ndarray | None = None

    def forget(self) -> None:
        """Make the next tensor as if it were the first."""
        self._tensor = None

    def make(self, window: Window, roi: Roi, revision: Hashable) -> tuple[np.ndarray, int | None]:
        """Return a window's tensor, and how it follows from the last.

        Args:
            window: Its chunks are those of the last one where both have the same events.
            roi: Region that fills the tensor.
            revision: Equal for two windows only if they hold the same events wherever they overlap,
                in chunks that are the same objects.

        Returns:
            What `bin_window` returns; and by how many whole bins this window lies later than the
            last one made, if what they share is the same to the bit, otherwise None.

        Raises:
            TensorError: As `bin_window`. The next tensor is then made as if it were the first.
        """
        shift = self._shift(window, roi, revision)
        last, self._tensor = self._tensor, None
        if shift is None or last is None:
            # All its chunks may reach beyond its end; they are looked at if another window follows.
            self._unfinished = list(window.chunks)
            tensor = bin_window(window, roi, self.bins, self.size, self.representation)
        else:
            self._unfinished = self._new_chunks(window)
            newest = replace(window, chunks=tuple(self._unfinished))
            tensor = bin_window(newest, roi, self.bins, self.size, self.representation)
            # Chunks that reach across the last window's end have left something here, too.
            tensor[:, :-shift] = last[:, shift:]
        self._window, self._roi, self._revision, self._tensor = window, roi, revision, tensor
        return tensor, shift

    def _shift(self, window: Window, roi: Roi, revision: Hashable) -> int | None:
        if self._tensor is None or self.representation not in INDEPENDENT_BINS:
            return None
        last = self._window
        duration_ns = window.end_ns - window.start_ns
        if (duration_ns, roi, revision) != (
            last.end_ns - last.start_ns,
            self._roi,
            self._revision,
        ):
            return None
        shift, rest = divmod((window.start_ns - last.start_ns) * self.bins, duration_ns)
        return shift if rest == 0 and 0 < shift < self.bins else None

    def _new_chunks(self, window: Window) -> list[Events]:
        """The chunks that hold all events of a window after the last one's end, and maybe more."""
        end_ns = self._window.end_ns
        across = [c for c in self._unfinished if len(c) and int(c.t_ns.max()) >= end_ns]
        # A chunk with a gap in it may have been in an earlier window, not in the last, and be back.
        known = set(map(id, (*self._window.chunks, *across)))
        return [*across, *(c for c in window.chunks if id(c) not in known)]
