"""Aligned faces as a video file that keeps every pixel and every time."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.simulation.video import open_video

_SUFFIX = ".mov"
_TICKS_PER_S = 90_000
# Deviation from a constant rate that is left out, in s and in frames: what Matroska rounds away.
_ROUNDED_S = 0.0006
_ROUNDED_FRAMES = 0.1


def check_face_file(path: Path) -> None:
    """Refuse a name that `write_faces` does not write to.

    Raises:
        FaceError: Another suffix than .mov.
    """
    if path.suffix.lower() != _SUFFIX:
        raise FaceError(
            f"{path}: expected a name that ends in {_SUFFIX}: PNG pictures in QuickTime, which "
            "keep every pixel and every time"
        )


def write_faces(
    path: Path, time_s: np.ndarray, pictures: Iterable[np.ndarray], frames_per_s: float
) -> None:
    """Write gray frames as PNG pictures in a QuickTime file, and read them again to compare.

    Of the containers that OpenCV writes, this is the one that takes the time of each frame, to
    1/90000 s, beside a codec without loss: Matroska rounds to 1 ms, AVI knows only one rate. Times
    as of `frames_per_s`, up to rounding, are written as of this rate; others need OpenCV 4.11.

    Args:
        path: The file, ending in .mov; overwritten.
        time_s: Time of each frame, ascending, shape (n,); the file begins with 0 at the first.
        pictures: n pictures of equal shape, (H, W), uint8. They are read once, and none is kept.
        frames_per_s: The nominal rate.

    Raises:
        FaceError: There are no frames, their times vary and this OpenCV cannot say so, or the file
            cannot be written, as on a full disk.
    """
    check_face_file(path)
    if not len(time_s):
        raise FaceError(f"{path}: there are no frames to write")
    time_s = time_s - time_s[0]
    steps = np.arange(len(time_s))
    is_steady = bool(
        (
            np.abs(time_s - steps / frames_per_s) < min(_ROUNDED_S, _ROUNDED_FRAMES / frames_per_s)
        ).all()
    )
    if is_steady:
        rate, ticks = frames_per_s, steps
        time_s = steps / frames_per_s
    else:
        rate, ticks = float(_TICKS_PER_S), np.rint(time_s * _TICKS_PER_S).astype(np.int64)
    knows_times = hasattr(cv2, "VIDEOWRITER_PROP_PTS")
    if not (is_steady or knows_times):
        raise FaceError(
            f"{path}: the frame rate varies, and OpenCV {cv2.__version__} writes constant ones "
            "only; install 4.11 or newer, or give a frame rate"
        )
    sums = _written(path, ticks, pictures, rate, knows_times)
    _compare(path, time_s, sums)


def _written(
    path: Path, ticks: np.ndarray, pictures: Iterable[np.ndarray], rate: float, knows_times: bool
) -> list[int]:
    """Write the frames at so many ticks of 1/`rate` s; a checksum of each."""
    sums: list[int] = []
    writer: cv2.VideoWriter | None = None
    # OpenCV 4.12 takes every frame that is encoded already for one that failed; `_compare` knows.
    log = getattr(cv2.utils, "logging", cv2)
    level = log.setLogLevel(0)
    try:
        for gray, tick in zip(pictures, ticks, strict=True):
            if writer is None:
                writer = _opened(path, gray.shape, rate, knows_times)
            sums.append(zlib.crc32(gray.tobytes()))
            if knows_times:
                # Encoded already, frames can have times.
                writer.set(cv2.VIDEOWRITER_PROP_PTS, int(tick))
                writer.set(cv2.VIDEOWRITER_PROP_KEY_FLAG, 1)
                writer.write(cv2.imencode(".png", gray)[1].reshape(1, -1))
            else:
                writer.write(gray)
    except ValueError as error:
        raise FaceError(f"{path}: {len(ticks)} times for another number of frames") from error
    finally:
        if writer is not None:
            writer.release()
        log.setLogLevel(level)
    return sums


def _opened(path: Path, shape: tuple[int, ...], rate: float, knows_times: bool) -> cv2.VideoWriter:
    options = (
        [cv2.VIDEOWRITER_PROP_RAW_VIDEO, 1] if knows_times else [cv2.VIDEOWRITER_PROP_IS_COLOR, 0]
    )
    writer = cv2.VideoWriter(
        str(path.absolute()),
        cv2.CAP_FFMPEG,
        cv2.VideoWriter_fourcc(*"png "),  # type: ignore[attr-defined]
        rate,
        (shape[1], shape[0]),
        options,
    )
    if not writer.isOpened():
        raise FaceError(f"{path}: cannot be written, or this OpenCV has no FFmpeg")
    return writer


def _compare(path: Path, time_s: np.ndarray, sums: list[int]) -> None:
    """Read a file again: OpenCV does not tell when a frame could not be written."""
    read: list[tuple[float, int]] = []
    try:
        with open_video(path) as video:
            read = [(t_s, zlib.crc32(gray.tobytes())) for t_s, gray in video]
    except Cs3dError as error:
        raise FaceError(f"{path}: could not be written; is the disk full? ({error})") from error
    if [s for _, s in read] != sums:
        raise FaceError(
            f"{path}: {len(read)} of {len(sums)} frames are in the file, or some have changed; is "
            "the disk full?"
        )
    # OpenCV takes 29.97 for 30000/1001.
    if (np.abs(np.array([t_s for t_s, _ in read]) - time_s) > 1e-4 + 2e-6 * time_s).any():
        raise FaceError(f"{path}: the frames' times are not in the file; use another OpenCV")
