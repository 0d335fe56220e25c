"""Videos that are folders of numbered pictures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.simulation.errors import VideoError
from cs3d_ros.simulation.frame_source import Video, check_frame_rate
from cs3d_ros.simulation.frame_times import FrameTimes

_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_NUMBER = re.compile(r"(\d+)\D*$")


class PictureFolder(Video):
    """The pictures of a folder in the order of the last number in their names.

    The smallest step from number to number is one frame: missing pictures leave their time out.

    Args:
        path: The folder.
        frame_rate: Pictures per second.

    Raises:
        VideoError: No pictures, pictures without number or with the same, or none that can be
            decoded.
    """

    def __init__(self, path: Path, frame_rate: float | None) -> None:
        super().__init__(path)
        if frame_rate is None:
            raise VideoError(
                f"{path}: is a folder of pictures, which does not say how many are shown per "
                "second; give their rate (--video-rate)"
            )
        check_frame_rate(frame_rate)
        self.frames_per_s = frame_rate
        self._pictures = _numbered(path)
        # None is taken for the first only if it cannot be decoded.
        first = next((p for p in map(_read, self._pictures.values()) if p is not None), None)
        if first is None:
            raise VideoError(f"{path}: none of the {len(self._pictures)} pictures can be decoded")
        self.height, self.width = first.shape
        self._check_shape(self.width, self.height)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        numbers = list(self._pictures)
        steps = [after - before for before, after in pairwise(numbers)]
        unit = min(steps, default=1)
        self.damage, self.remarks = None, []
        missing = sum(step // unit - 1 for step in steps)
        if missing:
            self.remarks.append(f"{missing} pictures are missing between the others")
        times = FrameTimes(self.frames_per_s)
        bad: list[Path] = []
        for number, path in self._pictures.items():
            picture = _read(path)
            if picture is None:
                bad.append(path)
                continue
            self._check_shape(picture.shape[1], picture.shape[0])
            yield times.place((number - numbers[0]) / unit / self.frames_per_s), picture
        if bad:
            self.damage = (
                f"{self.path}: {len(bad)} of {len(numbers)} pictures cannot be decoded, the first "
                f"of them {bad[0].name}"
            )
        if times.replaced:
            self.remarks.append(f"{times.replaced} long breaks between pictures were closed")


def _numbered(folder: Path) -> dict[int, Path]:
    """The pictures of a folder by their numbers, ascending."""
    try:
        names = [p for p in folder.iterdir() if p.suffix.lower() in _SUFFIXES and p.is_file()]
    except OSError as error:
        raise VideoError(f"{folder}: cannot be read ({error})") from error
    if not names:
        raise VideoError(
            f"{folder}: no pictures in it, expected numbered files such as 0001.png "
            f"({', '.join(_SUFFIXES)})"
        )
    pictures: dict[int, Path] = {}
    for path in names:
        match = _NUMBER.search(path.stem)
        if match is None:
            raise VideoError(f"{path}: has no number in its name, expected one such as 0001.png")
        number = int(match[1])
        if number in pictures:
            raise VideoError(
                f"{path}: has the same number as {pictures[number].name}; put each video into a "
                "folder of its own"
            )
        pictures[number] = path
    return dict(sorted(pictures.items()))


def _read(path: Path) -> np.ndarray | None:
    """A picture as (H, W) uint8, upright; None where it cannot be decoded."""
    try:
        data = np.fromfile(path, np.uint8)
        # By the bytes, because the name may hold what OpenCV takes for a pattern.
        return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if data.size else None
    except (OSError, cv2.error):
        return None
