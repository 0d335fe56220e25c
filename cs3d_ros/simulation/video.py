"""Video files, and folders of pictures, as gray frames with their times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.simulation.errors import VideoError
from cs3d_ros.simulation.frame_source import (
    Video,
    check_frame_rate,
    check_size,
    gray,
    is_frame_rate,
)
from cs3d_ros.simulation.frame_times import FrameTimes
from cs3d_ros.simulation.pictures import PictureFolder

# OpenCV looks at these when it first uses FFmpeg, which tells of each damaged block on stderr, ...
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
# ... and whenever it opens a file: a playlist in the clothes of a video may name addresses.
os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "protocol_whitelist;file")

_DEFAULT_RATE = 30.0

# The share of the frames that may be missing at the end: some containers only estimate how many
# there are.
_TOLERATED = 0.02


def open_video(path: str | Path, frame_rate: float | None = None) -> Video:
    """Open a video file, or a folder of numbered pictures.

    Args:
        path: What OpenCV decodes by FFmpeg, or a folder. A leading ~ is the home folder.
        frame_rate: Frames per second. A folder needs it; for a file it replaces the time stamps.

    Raises:
        VideoError: There is no such file, it is not a video, it has no frame that can be decoded,
            or its pictures are too large; or the folder has no numbered pictures.
    """
    try:
        path = Path(path).expanduser()
    except RuntimeError as error:
        raise VideoError(f"{path}: no home folder to put for the ~ ({error})") from error
    try:
        is_folder = path.is_dir()
        is_there = is_folder or path.exists()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error})") from error
    if not is_there:
        raise VideoError(f"{path}: no such file or folder")
    return PictureFolder(path, frame_rate) if is_folder else VideoFile(path, frame_rate)


class VideoFile(Video):
    """A video file, decoded by FFmpeg in OpenCV and turned as its metadata say.

    Args:
        path: The file.
        frame_rate: Replaces the time stamps where given.

    Raises:
        VideoError: It cannot be opened, or not even its first frame can be decoded.
    """

    def __init__(self, path: Path, frame_rate: float | None) -> None:
        super().__init__(path)
        self._frame_rate = frame_rate
        if frame_rate is not None:
            check_frame_rate(frame_rate)
        self._capture = self._opened()
        claimed = self._capture.get(cv2.CAP_PROP_FPS)
        self._is_rate_known = is_frame_rate(claimed)
        self.frames_per_s = frame_rate or (claimed if self._is_rate_known else _DEFAULT_RATE)
        self._expected = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        sides = (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        # Before a frame of impossible size takes memory; it is 0 where the header does not say.
        check_size(path, *(max(1, int(self._capture.get(side))) for side in sides))
        first = self._next()
        if first is None:
            self.close()
            raise VideoError(
                f"{path}: no frame of it can be decoded; it is damaged, or of a codec that this "
                "OpenCV lacks"
            )
        self.height, self.width = first.shape

    def close(self) -> None:
        """Let go of the file. Iterations that are under way end."""
        self._capture.release()

    def __iter__(self) -> Iterator[tuple[float, np.ndarray]]:
        # The first frame was read to learn the size; seeking back is not exact everywhere.
        self._capture.release()
        self._capture = capture = self._opened()
        self.damage, self.remarks = None, []
        times = FrameTimes(self.frames_per_s)
        frames = 0
        while capture is self._capture and (picture := self._next()) is not None:
            self._check_shape(picture.shape[1], picture.shape[0])
            if self._frame_rate is None:
                t_s = times.place(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e-3)
            else:
                t_s = frames / self._frame_rate
            frames += 1
            yield t_s, picture
        if not frames:
            raise VideoError(f"{self.path}: cannot be decoded any more")
        self._judge(frames, times)

    def _judge(self, frames: int, times: FrameTimes) -> None:
        """Say what was not as it should be, after the last frame."""
        if 0 < frames < self._expected - max(1.0, _TOLERATED * self._expected):
            found = f"{frames} of the {self._expected:.0f} frames that the file lists are there"
            # The list of an .mp4 goes on counting what an edit has cut off.
            if _is_whole_mp4(self.path):
                self.remarks.append(f"{found}: it was trimmed, or is damaged")
            else:
                self.damage = f"{self.path}: {found}: it is truncated or damaged"
        if self._frame_rate is not None:
            return
        if not self._is_rate_known:
            self.remarks.append(f"the frame rate is not known, and taken as {_DEFAULT_RATE:g}")
        if times.replaced:
            self.remarks.append(
                f"{times.replaced} of {frames} time stamps are missing or do not follow the one "
                f"before: the nominal {self.frames_per_s:g} frames per second stand in"
            )
        if times.is_variable:
            self.remarks.append("the frame rate varies: the frames' time stamps are used")

    def _next(self) -> np.ndarray | None:
        try:
            is_read, picture = self._capture.read()
        except cv2.error:
            return None
        return gray(picture) if is_read else None

    def _opened(self) -> cv2.VideoCapture:
        # Before OpenCV 5 the log level is set elsewhere.
        log = getattr(cv2.utils, "logging", cv2)
        level = log.setLogLevel(0)
        try:
            capture = cv2.VideoCapture(str(self.path.absolute()), cv2.CAP_FFMPEG)
        except cv2.error as error:
            raise VideoError(f"{self.path}: cannot be opened as a video ({error})") from error
        finally:
            log.setLogLevel(level)
        if not capture.isOpened():
            raise VideoError(f"{self.path}: is not a video, or not one that FFmpeg can open")
        capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
        return capture


def _is_whole_mp4(path: Path) -> bool:
    """Whether a file is made of the boxes of an .mp4 (ISO 14496-12), to its last byte."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            at = 0
            while at < size:
                file.seek(at)
                head = file.read(16)
                length = int.from_bytes(head[:4], "big")
                if at == 0 and head[4:8] not in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
                    return False
                if length == 0:
                    return True
                if length == 1:
                    length = int.from_bytes(head[8:], "big")
                if length < 8:
                    return False
                at += length
            return at == size
    except OSError:
        return False
