"""Windows of clips: where they lie, what they show, which events they hold."""

from __future__ import annotations

import numpy as np

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.events.windows import Window
from cs3d_ros.expressions import NEUTRAL, Course

SHOWN_FROM = 0.5
"""A window shows an expression from this share on; see `window_label`."""
HIDDEN_UP_TO = 0.1
"""A window does not show an expression up to this share."""
MOVES_FROM = 0.25
"""A window shows a movement from this share of the movement on; see `shows_movement`."""


def window_label(
    course: Course | None, expression: str, start_ns: int, end_ns: int, neutral: str = NEUTRAL
) -> str | None:
    """What a window of a clip shows.

    What counts is the share of the window, or of the expression from onset to offset if that is
    shorter, in which both overlap. From `SHOWN_FROM` on, or with the whole rise from onset to apex,
    the window shows the expression; up to `HIDDEN_UP_TO` it shows none; in between it cannot be
    said.

    Args:
        course: The clip's; None shows the clip's expression all the time.
        expression: The clip's.
        start_ns: Beginning of the window, in ns from the clip's.
        end_ns: End of the window, later.
        neutral: The class of no expression.

    Returns:
        The expression, `neutral`, or None where it cannot be said.
    """
    if course is None or expression == neutral:
        return expression
    length_ns = min(end_ns - start_ns, course.offset_ns - course.onset_ns)
    overlap_ns = min(end_ns, course.offset_ns) - max(start_ns, course.onset_ns)
    if length_ns <= 0:
        return expression if start_ns <= course.onset_ns < end_ns else neutral
    if start_ns <= course.onset_ns < course.apex_ns <= end_ns:
        return expression
    share = overlap_ns / length_ns
    if share >= SHOWN_FROM:
        return expression
    return neutral if share <= HIDDEN_UP_TO else None


def shows_movement(course: Course, start_ns: int, end_ns: int) -> bool:
    """Whether a window holds at least `MOVES_FROM` of the rise or of the release of an expression.

    Between the two the face is held still, and an event camera sees nothing of the expression.
    """
    movements = [(course.onset_ns, course.apex_ns)]
    if course.release_ns is not None:
        movements.append((course.release_ns, course.offset_ns))
    return any(
        min(end_ns, end) - max(start_ns, begin) >= MOVES_FROM * (end - begin)
        for begin, end in movements
    )


def rise_window(course: Course | None, duration_ns: int, window_ns: int) -> tuple[int, int]:
    """The one window of a clip that shows its expression come: in the middle of onset and apex.

    It is moved so that it lies within the clip; one that is longer than the clip has the clip in
    its middle.

    Args:
        course: The clip's; None takes the middle of the clip.
        duration_ns: Length of the clip.
        window_ns: Length of the window.

    Returns:
        Beginning and end in ns from the clip's beginning.

    Raises:
        DatasetError: A window without length.
    """
    _check(window_ns)
    room_ns = duration_ns - window_ns
    if course is None or room_ns <= 0:
        start_ns = room_ns // 2
    else:
        middle_ns = (course.onset_ns + course.apex_ns) // 2
        start_ns = min(max(middle_ns - window_ns // 2, 0), room_ns)
    return start_ns, start_ns + window_ns


def draw_window(duration_ns: int, rng: np.random.Generator, window_ns: int) -> tuple[int, int]:
    """A window anywhere in a clip, all places equally likely.

    A clip that is shorter than the window lies anywhere within it: the window may begin before the
    clip and end after it.

    Args:
        duration_ns: Length of the clip.
        rng: What to draw with.
        window_ns: Length of the window.

    Returns:
        Beginning and end in ns from the clip's beginning.

    Raises:
        DatasetError: A window without length.
    """
    _check(window_ns)
    room_ns = duration_ns - window_ns
    start_ns = int(rng.integers(min(room_ns, 0), max(room_ns, 0) + 1))
    return start_ns, start_ns + window_ns


def draw_rise_window(
    course: Course | None, duration_ns: int, rng: np.random.Generator, window_ns: int
) -> tuple[int, int]:
    """A window about the rise: that of `rise_window`, moved by up to a sixth of its length.

    The middle of the rise lies in its middle third, but where the clip begins or ends too soon for
    that. All steps are equally likely. One that would leave the clip goes as far as the clip does;
    where the window is longer than the clip, the clip stays within it.

    Args:
        course: The clip's; None takes the middle of the clip.
        duration_ns: Length of the clip.
        rng: What to draw with.
        window_ns: Length of the window.

    Returns:
        Beginning and end in ns from the clip's beginning.

    Raises:
        DatasetError: A window without length.
    """
    start_ns, _ = rise_window(course, duration_ns, window_ns)
    most_ns = window_ns // 6
    first_ns, last_ns = sorted((0, duration_ns - window_ns))
    start_ns += int(rng.integers(-most_ns, most_ns + 1))
    start_ns = min(max(start_ns, first_ns), last_ns)
    return start_ns, start_ns + window_ns


def grid_windows(duration_ns: int, window_ns: int, hop_ns: int) -> list[tuple[int, int]]:
    """All windows of a clip that begin a multiple of the hop after the clip and end within it.

    A clip that is shorter than the window has one, with the clip in its middle.

    Args:
        duration_ns: Length of the clip.
        window_ns: Length of a window.
        hop_ns: From the beginning of one window to that of the next.

    Returns:
        Beginnings and ends in ns from the clip's beginning.

    Raises:
        DatasetError: A window or hop without length.
    """
    _check(window_ns)
    _check(hop_ns)
    room_ns = duration_ns - window_ns
    if room_ns < 0:
        start_ns = room_ns // 2
        return [(start_ns, start_ns + window_ns)]
    return [(start, start + window_ns) for start in range(0, room_ns + 1, hop_ns)]


def cut_window(clip: Clip, start_ns: int, end_ns: int) -> Window:
    """The events of a clip with start_ns <= t < end_ns, as views."""
    first, last = np.searchsorted(clip.events.t_ns, (start_ns, end_ns), side="left")
    events = clip.events.take(slice(int(first), int(last)))
    return Window(start_ns, end_ns, (events,), len(events))


def _check(length_ns: int) -> None:
    if length_ns <= 0:
        raise DatasetError(f"{length_ns} ns, expected a positive length of time")
