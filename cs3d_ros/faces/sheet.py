"""A contact sheet: many faces on one picture, to be judged by somebody who looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from cs3d_ros.events.packets import MAX_SENSOR_SIDE, Events
from cs3d_ros.expressions import Course
from cs3d_ros.faces.errors import FaceError

EVENTS_NS = 100_000_000
"""Length of time whose events are shown."""

_GAP = 4
_GROUND = 255
_INK = 0
_NO_EVENT, _ON, _OFF = 128, 255, 0
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_MAX_PIXELS = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """One face of a contact sheet.

    Attributes:
        picture: Gray, shape (height, width), uint8, or float within 0…255.
        events: What is shown below it, of the same shape and type, or None; see `event_picture`.
    """

    picture: np.ndarray
    events: np.ndarray | None = None


def contact_sheet(rows: Sequence[tuple[str, Sequence[Cell]]], *, enlarge: int = 1) -> np.ndarray:
    """Pictures in rows, each row with a caption at its left.

    Args:
        rows: Caption and faces of each row; rows may differ in length. All pictures are of one
            size. Where any face has events, every row has a strip for them below its pictures.
        enlarge: Whole factor to the pictures' sides.

    Returns:
        Gray picture, uint8, dark captions on white.

    Raises:
        FaceError: No picture at all, pictures of several sizes, a factor below 1, or a sheet of
            more than 2^28 pixels.
    """
    cells = [cell for _, row in rows for cell in row]
    strips = [cell.events for cell in cells if cell.events is not None]
    shapes = {picture.shape for picture in (*(cell.picture for cell in cells), *strips)}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise FaceError(
            f"a contact sheet of {len(cells)} pictures of the shapes {sorted(shapes)}, expected at "
            "least one and all of one height and width"
        )
    if enlarge < 1:
        raise FaceError(f"pictures enlarged by {enlarge}, expected a whole number from 1 on")
    height, width = (side * enlarge for side in next(iter(shapes)))
    tall = (height + _GAP) * (2 if strips else 1) + _GAP
    wide = max(len(row) for _, row in rows) * (width + _GAP)
    if tall * len(rows) * wide > _MAX_PIXELS:
        raise FaceError(
            f"a contact sheet of {wide}x{tall * len(rows)} pixels, expected at most {_MAX_PIXELS} "
            "in all; show fewer or smaller faces"
        )
    captions = [_written(caption, max(0.4, 0.45 * height / 112)) for caption, _ in rows]
    left = max(caption.shape[1] for caption in captions) + 3 * _GAP
    shape = (tall * len(rows) + _GAP, left + wide)
    sheet = np.full(shape, _GROUND, np.uint8)
    for i, ((_, row), caption) in enumerate(zip(rows, captions, strict=True)):
        top = _GAP + i * tall
        lines, columns = caption.shape
        above = top + max(0, (height - lines) // 2)
        lines = min(lines, shape[0] - above)
        sheet[above : above + lines, _GAP : _GAP + columns] = caption[:lines]
        for j, cell in enumerate(row):
            x = left + j * (width + _GAP)
            sheet[top : top + height, x : x + width] = _enlarged(cell.picture, enlarge, smooth=True)
            if cell.events is not None:
                y = top + height + _GAP
                sheet[y : y + height, x : x + width] = _enlarged(cell.events, enlarge, smooth=False)
    return sheet


def event_picture(events: Events, width: int, height: int, at_ns: int) -> np.ndarray:
    """The events of the 100 ms around a time: ON white, OFF black, the newest on top, on gray.

    Args:
        events: In ascending order of time.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        at_ns: The middle of the time shown, such as `middle_of_onset`.

    Returns:
        Shape (height, width), uint8.

    Raises:
        FaceError: A size that no sensor has, or an event outside of the picture.
    """
    if not (0 < width <= MAX_SENSOR_SIDE and 0 < height <= MAX_SENSOR_SIDE):
        raise FaceError(
            f"events on {width}x{height} pixels, expected sides from 1 to {MAX_SENSOR_SIDE}"
        )
    first, last = np.searchsorted(
        events.t_ns, (at_ns - EVENTS_NS // 2, at_ns + EVENTS_NS - EVENTS_NS // 2)
    )
    shown = events.take(slice(int(first), int(last)))
    if len(shown) and (shown.x.max() >= width or shown.y.max() >= height):
        raise FaceError(f"an event lies outside of {width}x{height} pixels")
    picture = np.full((height, width), _NO_EVENT, np.uint8)
    # NumPy keeps the last of several values for one place: the newest.
    picture[shown.y, shown.x] = np.where(shown.p > 0, _ON, _OFF)
    return picture


def middle_of_onset(course: Course | None, duration_ns: int) -> int:
    """When an expression is half there, in ns; the middle of the clip where there is none."""
    return duration_ns // 2 if course is None else (course.onset_ns + course.apex_ns) // 2


def _written(text: str, size: float) -> np.ndarray:
    """A text on white, as large as its ink; what OpenCV says of its size differs by version."""
    tall, wide = round(80 * size), round(40 * size * (len(text) + 2))
    paper = np.full((tall, wide), _GROUND, np.uint8)
    cv2.putText(paper, text, (4, round(50 * size)), _FONT, size, _INK, 1, cv2.LINE_AA)
    rows, columns = np.nonzero(paper != _GROUND)
    if not len(rows):
        return paper[:0, :0]
    return paper[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def _enlarged(picture: np.ndarray, factor: int, *, smooth: bool) -> np.ndarray:
    gray = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    if factor == 1:
        return gray
    how = cv2.INTER_CUBIC if smooth else cv2.INTER_NEAREST
    return cv2.resize(gray, None, fx=factor, fy=factor, interpolation=how)
