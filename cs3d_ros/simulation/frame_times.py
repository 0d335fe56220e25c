"""Times of frames as one can rely on them: from 0 on, ascending, without breaks."""

from __future__ import annotations

import math

LONGEST_BREAK_S = 10.0
"""A longer time from frame to frame is taken for a damaged time stamp."""


class FrameTimes:
    """Checks the time stamps of one video, frame by frame.

    A stamp that is missing, not after the one before, or after it by more than `LONGEST_BREAK_S` is
    replaced: the frame follows at the nominal rate, and after a break so do those behind it.

    Args:
        frames_per_s: The nominal rate.

    Attributes:
        replaced: Stamps that were replaced.
        is_variable: Whether the stamps met so far differ from those of the nominal rate.
    """

    def __init__(self, frames_per_s: float) -> None:
        self.replaced = 0
        self.is_variable = False
        self._step_s = 1.0 / frames_per_s
        self._last_s: float | None = None
        self._begin_s = 0.0

    def place(self, stamp_s: float) -> float:
        """Time of the next frame in s since the first one.

        Args:
            stamp_s: What the container says; may be anything.
        """
        if self._last_s is None:
            self._begin_s = stamp_s if math.isfinite(stamp_s) else 0.0
            self._last_s = 0.0
            return 0.0
        expected_s = self._last_s + self._step_s
        t_s = stamp_s - self._begin_s
        if math.isfinite(t_s) and 0.0 < t_s - self._last_s <= LONGEST_BREAK_S:
            # Containers round to ms at worst.
            self.is_variable |= abs(t_s - expected_s) > max(0.0015, 0.1 * self._step_s)
        else:
            self.replaced += 1
            if math.isfinite(t_s) and t_s > self._last_s:
                self._begin_s += t_s - expected_s
            t_s = expected_s
        self._last_s = t_s
        return t_s
