"""Frames between the frames of a slow video, by optical flow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from cs3d_ros.simulation.errors import SimulationError

DEFAULT_RATE = 300.0
"""Frames per second that the emulator gets at least."""

MAX_FACTOR = 8
"""Fast motion makes at most this many times as many frames as the rate asks for."""

MAX_RATE = 100_000.0

# DIS does not take smaller pictures.
_MIN_SIDE = 12
_SMALL_SIDE = 200
# Flow that does not come back to within this many pixels is not trusted.
_TRUSTED_PX = 1.0
# A pixel in a thousand may move faster than one pixel from frame to frame.
_FASTEST = 99.9


def upsampled(
    frames: Iterable[tuple[float, np.ndarray]], frame_rate: float = DEFAULT_RATE
) -> Iterator[tuple[float, np.ndarray]]:
    """The frames of a video, and between them as many more as the emulator needs.

    There are enough for `frame_rate`, and up to `MAX_FACTOR` times as many where something moves by
    more than a pixel from one to the next. Where the video itself is that fast, it stays as it is.

    Frames are interpolated in the gamma-encoded intensity that videos have, as v2e does. Flow is
    estimated by DIS (Kroeger et al., "Fast optical flow using dense inverse search", ECCV 2016) in
    both directions. Both frames are warped to the time between them and blended; what only one of
    them shows is taken from that one, by the two flows coming back to where they began or not.

    Args:
        frames: (time in s, frame), ascending, frames (H, W) uint8 of one size.
        frame_rate: Frames per second.

    Yields:
        (time in s, frame); those in between are float32.

    Raises:
        SimulationError: A rate out of 1 to 100000 frames per second.
    """
    check_rate(frame_rate)
    before: tuple[float, np.ndarray] | None = None
    for t_s, frame in frames:
        if before is not None:
            begin_s = before[0]
            # Rates that are equal but for rounding are equal.
            steps = math.ceil((t_s - begin_s) * frame_rate - 0.01)
            if steps > 1:
                pair = FramePair(before[1], frame)
                steps = max(steps, min(math.ceil(pair.motion_px), MAX_FACTOR * steps))
                for k in range(1, steps):
                    part = k / steps
                    yield begin_s + (t_s - begin_s) * part, pair.between(part)
        yield t_s, frame
        before = t_s, frame


def check_rate(frame_rate: float) -> None:
    """Refuse a rate that `upsampled` cannot make.

    Raises:
        SimulationError: Not 1 to 100000 frames per second.
    """
    if not 1.0 <= frame_rate <= MAX_RATE:
        raise SimulationError(
            f"a rate of {frame_rate} frames per second for the emulator, expected a number from 1 "
            f"to {MAX_RATE:g}"
        )


class FramePair:
    """Two frames and the motion between them.

    Args:
        first: Shape (H, W), uint8.
        second: The next frame, alike.

    Attributes:
        motion_px: Motion of the fastest pixels from the one to the other.
    """

    def __init__(self, first: np.ndarray, second: np.ndarray) -> None:
        self._first = _Source(first)
        self._second = _Source(second)
        self.motion_px = 0.0
        self._has_flow = min(first.shape) >= _MIN_SIDE and not np.array_equal(first, second)
        if not self._has_flow:
            return
        height, width = first.shape
        x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
        self._grid = np.stack((x, y), axis=-1)
        # The stubs of OpenCV know only a name that releases before 4.7 lack.
        dis = cv2.DISOpticalFlow_create(  # type: ignore[attr-defined]
            cv2.DISOPTICAL_FLOW_PRESET_MEDIUM
        )
        # The preset stops at half the resolution, which misses lips and lids in small pictures.
        if min(first.shape) < _SMALL_SIDE:
            dis.setFinestScale(0)
        self._ahead = dis.calc(first, second, None)
        self._back = dis.calc(second, first, None)
        self._seen_first = self._trust(self._ahead, self._back)
        self._seen_second = self._trust(self._back, self._ahead)
        speed = np.linalg.norm(self._ahead, axis=-1)[self._seen_first > 0.5]
        if speed.size:
            self.motion_px = float(np.percentile(speed, _FASTEST))

    def between(self, part: float) -> np.ndarray:
        """The frame at a time between the two.

        Args:
            part: 0 is the first frame, 1 the second.

        Returns:
            Shape (H, W), float32, 0…255.
        """
        if not self._has_flow:
            return (1.0 - part) * self._first.picture + part * self._second.picture
        # Flow from the frame between to both others, as for SuperSloMo (Jiang et al., CVPR 2018,
        # equation 4).
        to_first = part * (part * self._back - (1.0 - part) * self._ahead)
        to_second = (1.0 - part) * ((1.0 - part) * self._ahead - part * self._back)
        first, seen_first = self._warped(self._first, self._seen_first, to_first)
        second, seen_second = self._warped(self._second, self._seen_second, to_second)
        of_first = (1.0 - part) * seen_first
        of_second = part * seen_second
        return (of_first * first + of_second * second) / (of_first + of_second)

    def _warped(
        self, frame: _Source, seen: np.ndarray, flow: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """A frame, and which of its pixels the other one shows too, seen from the time between.

        Linear interpolation would blur, and each frame of the video flash by being sharp; cubic
        interpolation overshoots at edges, unless it is kept within the pixels around.
        """
        place = self._grid + flow
        sharp = _remapped(frame.picture, place, cv2.INTER_CUBIC)
        low = _remapped(frame.lowest, place, cv2.INTER_NEAREST)
        high = _remapped(frame.highest, place, cv2.INTER_NEAREST)
        return np.clip(sharp, low, high), _remapped(seen, place, cv2.INTER_LINEAR)

    def _trust(self, flow: np.ndarray, opposite: np.ndarray) -> np.ndarray:
        """How far each pixel is visible in the other frame too, near 0 to 1, shape (H, W)."""
        returned = _remapped(opposite, self._grid + flow, cv2.INTER_LINEAR)
        distance = np.linalg.norm(flow + returned, axis=-1) / _TRUSTED_PX
        return np.exp(-(distance**2)) + np.float32(1e-3)


class _Source:
    """A frame to interpolate from, with the range of each pixel's neighbourhood."""

    def __init__(self, frame: np.ndarray) -> None:
        around = np.ones((3, 3), np.uint8)
        self.picture = frame.astype(np.float32)
        self.lowest = cv2.erode(self.picture, around)
        self.highest = cv2.dilate(self.picture, around)


def _remapped(picture: np.ndarray, place: np.ndarray, interpolation: int) -> np.ndarray:
    return cv2.remap(  # type: ignore[call-overload]
        picture, place, None, interpolation, borderMode=cv2.BORDER_REPLICATE
    )
