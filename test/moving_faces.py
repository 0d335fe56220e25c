"""Pictures of one face that moves as it is told to, and a finder that knows where it is."""

import json
import math
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.faces.landmarks import Face
from faces_data import photographs_path


class KnownFinder:
    """Says what it is told, frame by frame; once more from the beginning for each video."""

    name = "known"
    finds_roll = True

    def __init__(self, frames, again=True):
        self._frames = [[f] if isinstance(f, Face) else list(f or []) for f in frames]
        self._again = again
        self._next = 0
        self.closed = False

    def start(self):
        self._next = 0

    def find(self, gray):
        assert gray.ndim == 2
        assert gray.dtype == np.uint8
        assert not self.closed
        faces = self._frames[self._next % len(self._frames) if self._again else self._next]
        self._next += 1
        return faces

    def close(self):
        self.closed = True


def photograph(name="001"):
    """A neutral face, (448, 448) uint8."""
    return cv2.imread(str(photographs_path() / f"{name}.jpg"), cv2.IMREAD_GRAYSCALE)


def landmarks68(name="001"):
    """Its 68 landmarks in pixels, (68, 2)."""
    known = json.loads((photographs_path() / "faces.json").read_text())
    return np.array(known[name]["landmarks68"])


def drawn_face(side=200, seed=0):
    """Smooth spots that have contours in all directions, (side, side) uint8."""
    spots = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    spots = cv2.GaussianBlur(spots, (0, 0), side / 25)
    return cv2.normalize(spots, None, 40, 220, cv2.NORM_MINMAX).astype(np.uint8)


def moved(picture, width, height, x, y, scale=1.0, roll=0.0):
    """The picture with its middle at (x, y), scaled and tilted to the right, in a frame."""
    rows, columns = picture.shape
    a, b = scale * math.cos(roll), scale * math.sin(roll)
    cx, cy = (columns - 1) / 2, (rows - 1) / 2
    matrix = np.array([[a, -b, x - a * cx + b * cy], [b, a, y - b * cx - a * cy]])
    return cv2.warpAffine(
        picture, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE
    )


def picture_folder(folder, frames, first=1, name="img{}.png"):
    """Frames as the numbered pictures of a folder."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=first):
        Path(folder / name.format(number)).write_bytes(cv2.imencode(".png", frame)[1].tobytes())
    return folder


def video_file(path, frames, rate=25.0, codec="MJPG"):
    """Frames as a video file, by its suffix; those of .mpeg are MPEG-2."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = frames[0].shape
    writer = cv2.VideoWriter(
        str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*codec), rate, (width, height)
    )
    assert writer.isOpened()
    for frame in frames:
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    return path
