"""Photographs of neutral faces with their landmarks, read from a folder that the user gives.

The folder holds one JPEG a person and faces.json: by each picture's name without suffix, an object
with "landmarks68" (68 pairs x, y in pixels) and, where known, "age", "gender" and "ethnicity".
The Face Research Lab London Set (DeBruine and Jones, 2017, CC BY 4.0) in this layout fits.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from cs3d_ros.faces.errors import FaceError

SIDE = 448
"""Width and height of a photograph in pixels."""

_LIST = "faces.json"
_LARGEST_LIST = 16 << 20
_LARGEST_PICTURE = 4 << 20
_MOST = 10_000
_HELP = "docs/faces.md tells how to get and lay out the photographs"


@dataclass(frozen=True, slots=True, eq=False)
class Photograph:
    """One photographed face, neutral and seen from the front.

    Attributes:
        name: The picture's name without suffix, of letters, digits, "_" and "-".
        gray: Gray values as displayed (gamma encoded), shape (448, 448), uint8.
        landmarks: The 68 iBUG landmarks, x right and y down in pixels, shape (68, 2), float32.
        age: In years; None where the set does not say.
        gender: In the set's words; "" where it does not say.
        ethnicity: In the set's words; "" where it does not say.
    """

    name: str
    gray: np.ndarray
    landmarks: np.ndarray
    age: int | None = None
    gender: str = ""
    ethnicity: str = ""


def load_photographs(folder: Path | str) -> list[Photograph]:
    """The photographs of `folder`, in the order of their names.

    Raises:
        FaceError: There is no list, or it is damaged or empty; a picture is missing, damaged or of
            another size; landmarks are not 68 or lie outside of their picture.
    """
    folder = Path(folder)
    return [_photograph(folder, name, stated) for name, stated in _listed(folder / _LIST)]


def _listed(path: Path) -> list[tuple[str, dict[str, Any]]]:
    try:
        if path.stat().st_size > _LARGEST_LIST:
            raise FaceError(f"{path}: larger than {_LARGEST_LIST >> 20} MiB; {_HELP}")
        faces = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FaceError(f"{path}: cannot be read ({error.strerror}); {_HELP}") from error
    except (ValueError, RecursionError) as error:
        raise FaceError(f"{path}: is not JSON ({error}); {_HELP}") from error
    if not isinstance(faces, dict) or not 0 < len(faces) <= _MOST:
        raise FaceError(f"{path}: expected an object with 1 to {_MOST} faces by name; {_HELP}")
    for name, stated in faces.items():
        # The name becomes a path: nothing may lead out of the folder.
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name) or not isinstance(stated, dict):
            raise FaceError(
                f"{path}: the face {name[:64]!r} is not an object under a name of letters, digits, "
                f'"_" and "-"; {_HELP}'
            )
    return sorted(faces.items())


def _photograph(folder: Path, name: str, stated: dict[str, Any]) -> Photograph:
    age = str(stated.get("age", ""))
    return Photograph(
        name=name,
        gray=_picture(folder / f"{name}.jpg"),
        landmarks=_landmarks(f"{folder / _LIST}: {name}", stated.get("landmarks68")),
        age=int(age) if re.fullmatch(r"[0-9]{1,3}", age) else None,
        gender=str(stated.get("gender", "")),
        ethnicity=str(stated.get("ethnicity", "")),
    )


def _picture(path: Path) -> np.ndarray:
    try:
        if path.stat().st_size > _LARGEST_PICTURE:
            raise FaceError(f"{path}: larger than {_LARGEST_PICTURE >> 20} MiB; {_HELP}")
        data = path.read_bytes()
    except OSError as error:
        raise FaceError(f"{path}: cannot be read ({error.strerror}); {_HELP}") from error
    # OpenCV fills what a truncated file lacks with gray; its last two bytes tell.
    whole = data[:2] == b"\xff\xd8" and data.rstrip(b"\0")[-2:] == b"\xff\xd9"
    gray = None
    if whole:
        try:
            gray = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        except cv2.error:
            gray = None
    if gray is None:
        raise FaceError(f"{path}: is no whole JPEG picture; copy it again")
    if gray.shape != (SIDE, SIDE):
        raise FaceError(
            f"{path}: {gray.shape[1]}x{gray.shape[0]} pixels, expected {SIDE}x{SIDE}; {_HELP}"
        )
    return gray


def _landmarks(where: str, given: Any) -> np.ndarray:
    try:
        landmarks = np.asarray(given, np.float32)
    except (TypeError, ValueError, OverflowError):
        landmarks = np.zeros(0, np.float32)
    if landmarks.shape != (68, 2):
        raise FaceError(f'{where}: "landmarks68" is not 68 pairs of numbers; {_HELP}')
    # A NaN fails this comparison too.
    if not np.all((landmarks >= 0) & (landmarks <= SIDE - 1)):
        raise FaceError(
            f"{where}: a landmark lies outside of the {SIDE}x{SIDE} pixels of the picture; {_HELP}"
        )
    return landmarks
