"""What videos of all kinds have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import cv2
import numpy as np

from cs3d_ros.events.packets import MAX_SENSOR_SIDE
from cs3d_ros.simulation.errors import VideoError


class Video(ABC):
    """A video, one gray frame at a time; `video.open_video` opens one.

    Iterate for (t_s, gray): the time since the first frame in s, ascending, and the picture as an
    upright (H, W) uint8 array of its own. Each iteration begins with the first frame. Only one
    frame is in memory.

    Attributes:
        path: Where it lies.
        width: Width of the upright pictures in pixels.
        height: Height of the upright pictures in pixels.
        frames_per_s: Nominal rate; the frames' times tell the true one.
        damage: What could not be decoded, as one sentence, after an iteration; None if nothing.
        remarks: What else the user may not expect, as sentences, after an iteration.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.width = 0
        self.height = 0
        self.frames_per_s = 0.0
        self.damage: str | None = None
        self.remarks: list[str] = []

    def __enter__(self) -> Video:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027
        """Let go of the file, where there is one. Iterations that are under way end."""

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """See the class.

        Raises:
            VideoError: No frame can be decoded, or the size of the pictures changes.
        """

    def _check_shape(self, width: int, height: int) -> None:
        """Refuse a size that is not the one before, or too large."""
        check_size(self.path, width, height)
        if (width, height) != (self.width, self.height):
            raise VideoError(
                f"{self.path}: a frame of {width}x{height} pixels after frames of "
                f"{self.width}x{self.height}; cut the video where the size changes"
            )


def check_size(path: Path, width: int, height: int) -> None:
    """Refuse pictures without pixels or with too many.

    Raises:
        VideoError: Not 1 to `MAX_SENSOR_SIDE` pixels on each side.
    """
    if not (0 < width <= MAX_SENSOR_SIDE and 0 < height <= MAX_SENSOR_SIDE):
        raise VideoError(
            f"{path}: pictures of {width}x{height} pixels, expected 1 to {MAX_SENSOR_SIDE} on each "
            "side; scale the video down first"
        )


def check_frame_rate(frame_rate: float) -> None:
    """Refuse a frame rate that no camera has.

    Raises:
        VideoError: Not 0.1 to 100000 frames per second.
    """
    if not is_frame_rate(frame_rate):
        raise VideoError(
            f"a rate of {frame_rate} frames per second, expected a number from 0.1 to 100000"
        )


def is_frame_rate(frame_rate: float) -> bool:
    """Whether it is a number of frames per second that a camera may have."""
    return 0.1 <= frame_rate <= 100_000.0


def gray(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W) or (H, W, 3 as BGR), uint8, as (H, W)."""
    if picture.ndim == 2:
        return picture
    if picture.shape[2] == 1:
        return picture[:, :, 0]
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
