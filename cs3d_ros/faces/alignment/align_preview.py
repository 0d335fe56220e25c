"""A sheet that shows what was cut out of a video."""

from __future__ import annotations

import cv2
import numpy as np

from cs3d_ros.faces.alignment.aligned_video import AlignedVideo

_HEIGHT = 168
_MAX_WIDTH = 320
_GREEN = (80, 220, 80)


def preview_bytes(faces: AlignedVideo, shown: int = 12, columns: int = 3) -> bytes:
    """A PNG picture with frames of the video, their cut drawn in, and beside each its face.

    Args:
        faces: The aligned video, which is read once.
        shown: How many frames, evenly spread.
        columns: How many beside each other.

    Raises:
        VideoError: The video cannot be read.
        FaceError: It has changed.
    """
    wanted = set(np.linspace(0, len(faces) - 1, min(shown, len(faces))).round().astype(int))
    tiles = [
        _tile(faces, index, t_s, face, frame)
        for index, (t_s, face, frame) in enumerate(faces.beside())
        if index in wanted
    ]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return cv2.imencode(".png", np.vstack(rows))[1].tobytes()


def _tile(
    faces: AlignedVideo, index: int, t_s: float, face: np.ndarray, frame: np.ndarray
) -> np.ndarray:
    height, width = frame.shape
    scale = min(_HEIGHT / height, _MAX_WIDTH / width)
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(frame, shape, interpolation=cv2.INTER_AREA)
    small = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    corners = (faces.corners(index) + 0.5) * scale
    cv2.polylines(small, [np.rint(corners).astype(np.int32)], True, _GREEN, 1, cv2.LINE_AA)
    cv2.putText(
        small, f"{t_s:.2f} s", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _GREEN, 1, cv2.LINE_AA
    )
    tile = np.zeros((_HEIGHT + 4, shape[0] + _HEIGHT + 12, 3), np.uint8)
    tile[: shape[1], : shape[0]] = small
    cut = cv2.resize(face, (_HEIGHT, _HEIGHT), interpolation=cv2.INTER_LINEAR)
    tile[:_HEIGHT, shape[0] + 4 : shape[0] + 4 + _HEIGHT] = cut[:, :, np.newaxis]
    return tile
