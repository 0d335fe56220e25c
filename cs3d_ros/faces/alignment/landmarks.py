"""Where the faces of a picture are, how large and how tilted."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import math
import os
import platform
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cs3d_ros.faces.errors import FaceError

_VERSION = "0.10.18" if platform.machine() == "aarch64" else "0.10.21"

INSTALL = (
    f"pip install --no-deps mediapipe=={_VERSION} && "
    "pip install 'protobuf>=4.25.3,<5' attrs matplotlib"
)
"""What brings MediaPipe and all that its face mesh imports, beside NumPy and OpenCV.

These are the last versions with models in their wheels. The wheels name NumPy below 2, another
OpenCV and JAX as well: they run with NumPy 2 and any OpenCV, and only other models import JAX.
"""

FINDERS = ("auto", "mediapipe", "haar")
"""What `open_finder` knows: "auto" is the first of the others that is installed."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face in a picture, in pixels; the centre of the first pixel is at (0, 0).

    Attributes:
        x: Middle of the face, between eyes and mouth, to the right.
        y: The same, down.
        size: Width of the face, from one ear to the other were it seen from the front.
        roll: Angle by which it is tilted towards the right of the picture, in radians; 0 where the
            finder does not see that.
    """

    x: float
    y: float
    size: float
    roll: float


class LandmarkFinder(Protocol):
    """Finds the faces in the frames of one video after the other.

    Attributes:
        name: Which one of FINDERS it is.
        finds_roll: Whether it says how tilted a face is; False of one that finds boxes only.
    """

    name: str
    finds_roll: bool

    def start(self) -> None:
        """Forget the frames so far: what comes is another video."""

    def find(self, gray: np.ndarray) -> list[Face]:
        """The faces of the next frame, in no order.

        Args:
            gray: The frame, shape (height, width), uint8.
        """

    def close(self) -> None:
        """Let go of its models; afterwards it finds nothing any more."""


def open_finder(kind: str = "auto", max_faces: int = 4) -> LandmarkFinder:
    """Open a finder of faces.

    Args:
        kind: One of FINDERS.
        max_faces: No more than so many faces in a frame.

    Raises:
        FaceError: Nothing that finds faces is installed, or not what was asked for.
    """
    if kind not in FINDERS:
        raise FaceError(f"finder {kind!r}: expected one of {', '.join(FINDERS)}")
    if kind != "haar" and importlib.util.find_spec("mediapipe") is not None:
        return MeshFinder(max_faces)
    if kind != "mediapipe" and _cascades() is not None:
        return CascadeFinder(max_faces)
    if kind == "mediapipe":
        raise FaceError(f"MediaPipe is not installed, which finds the landmarks: {INSTALL}")
    if kind == "haar":
        raise FaceError(
            "this OpenCV has no cascades for faces (version 5 dropped them), expected one below 5; "
            f"better than that is MediaPipe: {INSTALL}"
        )
    raise FaceError(
        "nothing that finds faces is installed. MediaPipe finds landmarks (Python 3.10 to 3.12): "
        f"{INSTALL}. OpenCV below 5 finds the box only"
    )


class MeshFinder:
    """The face mesh of MediaPipe 0.10: 468 landmarks.

    Source: Kartynnik et al., "Real-time Facial Surface Geometry from Monocular Video on Mobile
    GPUs", 2019. Its models lie in the wheel; it needs no network.

    Follows a face from frame to frame and looks for new ones where some are missing, about 10 ms a
    frame. Deterministic for the same frames since `start`.
    """

    name = "mediapipe"
    finds_roll = True

    def __init__(self, max_faces: int = 4) -> None:
        """Load the models.

        Raises:
            FaceError: The installed MediaPipe has no face mesh, or it does not load.
        """
        try:
            with _quiet():
                mesh = importlib.import_module("mediapipe.python.solutions.face_mesh")
                self._mesh: Any = mesh.FaceMesh(max_num_faces=max_faces)
                self._load()
        except Exception as error:
            # Whatever its native part raises where it does not fit this machine.
            raise FaceError(f"MediaPipe does not load ({error}); expected: {INSTALL}") from error
        self._known = 0

    def start(self) -> None:
        """See `LandmarkFinder`."""
        with _quiet():
            self._mesh.reset()
            self._load()
        self._known = 0

    def _load(self) -> None:
        # A first picture, because the parts are loaded by threads that nothing else waits for.
        self._mesh.process(np.zeros((64, 64, 3), np.uint8))

    def find(self, gray: np.ndarray) -> list[Face]:
        """See `LandmarkFinder`."""
        height, width = gray.shape
        picture = np.repeat(gray[:, :, np.newaxis], 3, axis=2)
        # The first face is remarked upon too.
        with contextlib.nullcontext() if self._known else _quiet():
            found = self._mesh.process(picture).multi_face_landmarks or []
            if len(found) > self._known:
                # A new face's landmarks creep to where they belong: they are looked for where the
                # last ones were.
                for _ in range(_SETTLING):
                    found = self._mesh.process(picture).multi_face_landmarks or []
        self._known = len(found)
        scale = np.array([width, height, width])
        faces = []
        for mesh in found:
            points = np.array([[p.x, p.y, p.z] for p in mesh.landmark]) * scale
            # MediaPipe measures from the corner of the first pixel.
            face = face_of_mesh(points - [0.5, 0.5, 0.0])
            if face is not None:
                faces.append(face)
        return faces

    def close(self) -> None:
        """See `LandmarkFinder`."""
        with contextlib.suppress(ValueError):
            self._mesh.close()


_SETTLING = 6

# Landmarks of the mesh that skin and jaw hardly move: the same spot on the face's right and left.
_PAIRS = np.array([[33, 263], [133, 362], [127, 356], [234, 454], [71, 301]])
_EYES = np.array([33, 133, 362, 263])
_MIDDLE = np.array([10, 168, 6])
_STABLE = np.concatenate([_PAIRS.ravel(), _MIDDLE])
# Of a mesh that looks straight into the camera: width of the face to the spread of the stable
# landmarks, and from the eyes to the middle of the face in widths of the face.
_WIDTH_TO_SPREAD = 2.31
_EYES_TO_MIDDLE = 0.22


def face_of_mesh(points: np.ndarray) -> Face | None:
    """Place, size and tilt of a face from the landmarks of MediaPipe's mesh.

    Only landmarks that expressions hardly move take part, and their depth, so that a face that
    turns aside keeps its size.

    Args:
        points: Landmarks in pixels: right, down and away from the camera, shape (468 or more, 3).

    Returns:
        The face; None where the landmarks are no finite numbers or lie in one spot.
    """
    stable = points[_STABLE]
    if not np.isfinite(stable).all():
        return None
    spread = math.sqrt(float(((stable - stable.mean(axis=0)) ** 2).sum(axis=1).mean()))
    if spread <= 1.0:
        return None
    across = (points[_PAIRS[:, 1]] - points[_PAIRS[:, 0]]).sum(axis=0)
    roll = math.atan2(across[1], across[0])
    size = _WIDTH_TO_SPREAD * spread
    eyes = points[_EYES].mean(axis=0)
    down = _EYES_TO_MIDDLE * size
    return Face(
        x=float(eyes[0] - down * math.sin(roll)),
        y=float(eyes[1] + down * math.cos(roll)),
        size=size,
        roll=roll,
    )


class CascadeFinder:
    """The cascades of OpenCV below 5: upright faces seen from the front, as a box only.

    Source: Viola and Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features",
    CVPR 2001.
    """

    name = "haar"
    finds_roll = False

    def __init__(self, max_faces: int = 4) -> None:
        """Load the cascade.

        Raises:
            FaceError: This OpenCV has none.
        """
        import cv2

        path = _cascades()
        if path is None:
            raise FaceError(f"OpenCV {cv2.__version__} has no cascades for faces")
        self._cascade: Any = cv2.CascadeClassifier(str(path))  # type: ignore[attr-defined]
        self._max_faces = max_faces

    def start(self) -> None:
        """See `LandmarkFinder`."""

    def find(self, gray: np.ndarray) -> list[Face]:
        """See `LandmarkFinder`."""
        smallest = max(24, min(gray.shape) // 10)
        boxes = self._cascade.detectMultiScale(
            gray, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest)
        )
        largest = sorted(boxes, key=lambda box: -box[2])[: self._max_faces]
        return [
            Face(
                x=float(x + w / 2 - 0.5),
                y=float(y + _BOX_TO_MIDDLE * h - 0.5),
                size=_BOX_TO_WIDTH * float(w),
                roll=0.0,
            )
            for x, y, w, h in largest
        ]

    def close(self) -> None:
        """See `LandmarkFinder`."""


# Of a face seen from the front, box of the cascade to width and middle as the mesh gives them.
_BOX_TO_WIDTH = 0.88
_BOX_TO_MIDDLE = 0.59


def _cascades() -> Path | None:
    """The cascade's file; None of an OpenCV without it."""
    import cv2

    data = getattr(cv2, "data", None)
    if data is None or not hasattr(cv2, "CascadeClassifier"):
        return None
    path = Path(data.haarcascades) / "haarcascade_frontalface_default.xml"
    return path if path.is_file() else None


_one_at_a_time = threading.Lock()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep off the screen what native code writes to stderr on its own, whatever it is asked for.

    For as long as it lasts the whole process says nothing on stderr.
    """
    with _one_at_a_time:
        sys.stderr.flush()
        try:
            kept = os.dup(2)
        except OSError:
            # There is no stderr to keep quiet.
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)
