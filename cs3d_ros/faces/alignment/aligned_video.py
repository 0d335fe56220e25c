"""A video in, the same video with nothing but one face in it out."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.faces.alignment.alignment import Alignment, AlignSettings, plan_alignment
from cs3d_ros.faces.alignment.landmarks import LandmarkFinder
from cs3d_ros.faces.alignment.tracking import track_face
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.simulation.frame_source import Video
from cs3d_ros.simulation.video import open_video

# Beyond so many pixels of the frame for one of the cut, each of these is a mean of fewer.
_MAX_OVERSAMPLING = 8


class AlignedVideo:
    """The face of a video, cut out; `align` makes it.

    Iterate for (t_s, face): the frame's time in the video in s, ascending, and the picture as a
    (size, size) uint8 array. Each iteration reads the video again; only one frame is in memory.

    Attributes:
        path: The video.
        alignment: What is cut out of each frame.
        frames_per_s: The video's nominal rate.
        width: Width of the video's frames in pixels.
        height: Their height.
        damage: What of the video could not be decoded, as one sentence; None if nothing.
        remarks: What somebody who uses the result should know, as sentences.
    """

    def __init__(
        self, path: Path, frame_rate: float | None, video: Video, alignment: Alignment
    ) -> None:
        self.path = path
        self.alignment = alignment
        self.frames_per_s = video.frames_per_s
        self.width = video.width
        self.height = video.height
        self.damage = video.damage
        self.remarks = [*video.remarks, *alignment.remarks()]
        self._frame_rate = frame_rate
        # How much finer than asked for the cut is sampled before it is averaged; the same in all
        # frames, because a picture that turns soft and sharp makes events.
        side = float(alignment.place[:, 2].max()) / alignment.settings.face_share
        finer = math.ceil(side / alignment.settings.size - 0.05)
        self._finer = min(max(finer, 1), _MAX_OVERSAMPLING)

    def __len__(self) -> int:
        return len(self.alignment)

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        """See the class.

        Raises:
            VideoError: The video cannot be read.
            FaceError: It is not the one that was planned for.
        """
        return ((t_s, face) for t_s, face, _ in self.beside())

    def beside(self) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
        """Times, faces and the whole frames that these were cut out of, (height, width), uint8."""
        times, first = self.alignment.time_s, self.alignment.first
        done = 0
        with open_video(self.path, self._frame_rate) as video:
            for number, (t_s, gray) in enumerate(video):
                if number < first:
                    continue
                if done == len(times):
                    return
                if t_s != times[done]:
                    break
                yield t_s, self._face(gray, done), gray
                done += 1
        if done < len(times):
            raise FaceError(f"{self.path}: has changed since its faces were looked for")

    def corners(self, index: int) -> np.ndarray:
        """Corners of the cut in frame `index`, clockwise from the top left, shape (4, 2)."""
        size = self.alignment.settings.size
        ends = np.array([[0, 0], [size, 0], [size, size], [0, size]]) - 0.5
        matrix = self._matrix(index, 1)
        return ends @ matrix[:, :2].T + matrix[:, 2]

    def _matrix(self, index: int, finer: int) -> np.ndarray:
        """From pixels of the cut, sampled `finer`, to pixels of the frame, shape (2, 3)."""
        x, y, size, roll = self.alignment.place[index]
        pixels = self.alignment.settings.size * finer
        scale = size / self.alignment.settings.face_share / pixels
        a, b = scale * math.cos(roll), scale * math.sin(roll)
        middle = (pixels - 1) / 2
        return np.array(
            [
                [a, -b, x - a * middle + b * middle],
                [b, a, y - b * middle - a * middle],
            ]
        )

    def _face(self, gray: np.ndarray, index: int) -> np.ndarray:
        size = self.alignment.settings.size
        pixels = size * self._finer
        face = cv2.warpAffine(
            gray.astype(np.float32),
            self._matrix(index, self._finer),
            (pixels, pixels),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if self._finer > 1:
            face = cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)
        # Cubic interpolation overshoots at contours.
        return np.clip(np.rint(face), 0, 255).astype(np.uint8)


def align(
    path: str | Path,
    finder: LandmarkFinder,
    settings: AlignSettings | None = None,
    *,
    frame_rate: float | None = None,
    cut: bool = False,
    progress: Callable[[int], None] | None = None,
) -> AlignedVideo:
    """Look for the face in a video, and plan how it is cut out.

    The video is read once here and once for each iteration over the result, so that the cut of a
    frame knows the frames after it; memory does not grow with the frames beyond 100 bytes each.

    Args:
        path: A video file, or a folder of numbered pictures.
        finder: What finds the faces.
        settings: How they are cut out.
        frame_rate: Frames per second; a folder needs it, for a file it replaces the time stamps.
        cut: Take the longest stretch with the face where it is lost for longer than allowed.
        progress: Is told the number of frames after each one.

    Raises:
        VideoError: The video cannot be opened or decoded.
        FaceError: No face in any frame, or it is lost for too long.
    """
    with open_video(path, frame_rate) as video:
        try:
            track = track_face(video, finder, progress)
            alignment = plan_alignment(track, settings, cut=cut)
        except FaceError as error:
            raise FaceError(f"{video.path}: {error}") from error
        alignment = replace(alignment, finds_roll=finder.finds_roll)
        return AlignedVideo(video.path, frame_rate, video, alignment)
