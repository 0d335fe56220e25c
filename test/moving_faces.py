"""Pictures of one face that moves as it is told to, and a finder that knows where it is."""

import json
import math
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.faces.alignment.landmarks import Face
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
    """Spots with clear contours in all directions, (side, side) uint8."""
    spots = np.random.default_rng(seed).normal(size=(side, side)).astype(np.float32)
    spots = cv2.GaussianBlur(spots, (0, 0), side / 25)
    return (130 + 90 * np.tanh(3 * spots / spots.std())).astype(np.uint8)


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


def smiling(picture, amount, name="001"):
    """The face with its mouth's corners drawn outwards and up by up to `amount` pixels."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]].astype(float)
    points = landmarks68(name)
    for corner, side in ((points[48], -1), (points[54], 1)):
        near = np.exp(-((columns - corner[0]) ** 2 + (rows - corner[1]) ** 2) / (2 * 25.0**2))
        columns = columns - side * amount * near
        rows = rows + 0.7 * amount * near
    return cv2.remap(picture, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)


def expression_frames(n=12, side=160, name="001"):
    """A face that begins to smile after a third of the frames, (side, side) uint8."""
    face = photograph(name)
    amounts = np.clip((np.arange(n) - n / 3) / (n / 3), 0, 1) * 20
    return [
        cv2.resize(smiling(face, a, name), (side, side), interpolation=cv2.INTER_AREA)
        for a in amounts
    ]


def face_in(side=160):
    """Where the face of `expression_frames` is."""
    return Face(0.5 * side, 0.53 * side, 0.6 * side, 0.0)
