"""One person's face through all frames of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from cs3d_ros.faces.alignment.landmarks import Face, LandmarkFinder
from cs3d_ros.faces.errors import FaceError

_FOLLOWS_S = 1.0
"""A face that was gone for no longer than this is the same one if it is where it was."""
_MAX_TRACKS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The face of one person in every frame.

    Attributes:
        time_s: Times of all frames of the video, shape (n,), float64, ascending.
        faces: Rows of x, y, size and roll (see `Face`) for each frame, NaN where it was not found,
            shape (n, 4), float64.
        others: Frames in which other faces were seen as well.
        width: Width of the video's frames in pixels.
        height: Their height.
    """

    time_s: np.ndarray
    faces: np.ndarray
    others: int
    width: int
    height: int

    @property
    def found(self) -> np.ndarray:
        """In which frames it was found, shape (n,), bool."""
        return np.isfinite(self.faces[:, 0])


@dataclass(slots=True)
class _Person:
    """Somebody while the video is read; `score` grows with size and time."""

    frames: list[int] = field(default_factory=list)
    faces: list[Face] = field(default_factory=list)
    last_s: float = 0.0
    score: float = 0.0


def track_face(
    frames: Iterable[tuple[float, np.ndarray]],
    finder: LandmarkFinder,
    progress: Callable[[int], None] | None = None,
) -> Track:
    """Find the face that is the largest for the longest.

    A face in the next frame is the same one if its middle has moved by less than half its size, and
    its size has changed by less than a third; one that is lost is taken up again within a second.

    Args:
        frames: Times in seconds and gray frames of equal shape, (height, width), uint8. They are
            read once, and none is kept.
        finder: What finds the faces.
        progress: Is told the number of frames after each one.

    Raises:
        FaceError: There is no frame, or no face in any.
    """
    finder.start()
    times: list[float] = []
    people: list[_Person] = []
    crowded: list[bool] = []
    shape: tuple[int, int] | None = None
    for time_s, gray in frames:
        shape = gray.shape
        faces = finder.find(gray)
        _assign(faces, len(times), time_s, people)
        crowded.append(len(faces) > 1)
        times.append(time_s)
        if progress is not None:
            progress(len(times))
    if shape is None:
        raise FaceError("a video without a single frame, expected one that shows a face")
    if not people:
        raise FaceError(
            f"no face was found in any of {len(times)} frames of {shape[1]}x{shape[0]} pixels; "
            "expected one that looks about into the camera, upright and at least a seventh of the "
            "picture wide"
        )
    chosen = max(people, key=lambda person: person.score)
    rows = np.full((len(times), 4), np.nan)
    rows[chosen.frames] = [(f.x, f.y, f.size, f.roll) for f in chosen.faces]
    return Track(np.array(times), rows, sum(crowded), shape[1], shape[0])


def _assign(faces: list[Face], frame: int, time_s: float, people: list[_Person]) -> None:
    """Give each face of a frame to the person whose last face is nearest, or to a new one."""
    free = [p for p in people if p.frames[-1] == frame - 1 or time_s - p.last_s <= _FOLLOWS_S]
    for face in sorted(faces, key=lambda f: -f.size):
        near = [(_apart(p.faces[-1], face), i) for i, p in enumerate(free)]
        distance, index = min(near, default=(np.inf, -1))
        if distance < 1.0:
            person = free.pop(index)
        elif len(people) < _MAX_TRACKS:
            person = _Person()
            people.append(person)
        else:
            # A film with hundreds of faces that come and go: those seen least give way.
            person = _Person()
            people[people.index(min(people, key=lambda p: p.score))] = person
        person.frames.append(frame)
        person.faces.append(face)
        person.last_s = time_s
        person.score += face.size**2


def _apart(one: Face, other: Face) -> float:
    """How unlike the same face in the next frame, below 1 if it can be."""
    size = max(one.size, other.size)
    moved = np.hypot(one.x - other.x, one.y - other.y) / size
    grown = abs(one.size - other.size) / size
    return float(max(moved / 0.5, grown / 0.33))
