"""How lively a clip is: how often and how far face, head, camera and light move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.acting.curves import through_keys


@dataclass(frozen=True, slots=True)
class Mood:
    """How lively a stretch of time is. All of it is our choice, from nearly still to wild.

    Attributes:
        name: What it is called.
        sway: Factor to the sway of head, camera and what is behind.
        gaze: Factor to the distances that eyes look away.
        head_per_min: Turns, nods, shakes, leans and steps of the head.
        face_per_min: Distractions of the face.
        camera_per_min: Pans, tilts, zooms and knocks of the camera.
        light_per_min: Changes of the light.
        behind_per_min: Movements behind the head.
    """

    name: str
    sway: float
    gaze: float
    head_per_min: float
    face_per_min: float
    camera_per_min: float
    light_per_min: float
    behind_per_min: float


MOODS: tuple[Mood, ...] = (
    Mood("still", 0.15, 0.2, 0.0, 1.0, 0.0, 0.0, 0.0),
    Mood("calm", 0.6, 0.7, 6.0, 5.0, 1.0, 1.5, 4.0),
    Mood("moving", 1.0, 1.0, 20.0, 9.0, 6.0, 4.0, 10.0),
    Mood("wild", 1.8, 1.6, 40.0, 14.0, 20.0, 12.0, 20.0),
)

_STRETCH_S = (6.0, 15.0)
_CHANGE_S = 1.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time of one mood.

    Attributes:
        start_s: Its beginning, in seconds from the clip's.
        end_s: Its end.
        mood: How lively it is.
        talks: Whether the face speaks.
    """

    start_s: float
    end_s: float
    mood: Mood
    talks: bool


def draw_stretches(
    rng: np.random.Generator, duration_s: float, talk_share: float, shares: Mapping[str, float]
) -> list[Stretch]:
    """Stretches of 6 to 15 s that fill a clip; a clip shorter than 6 s is of one mood.

    Args:
        rng: Source of randomness.
        duration_s: Length of the clip.
        talk_share: Share of stretches in which the face speaks.
        shares: Share of each mood, by name.
    """
    odds = np.array([shares[mood.name] for mood in MOODS])
    stretches: list[Stretch] = []
    start_s = 0.0
    while start_s < duration_s:
        end_s = start_s + rng.uniform(*_STRETCH_S)
        mood = MOODS[int(rng.choice(len(MOODS), p=odds / odds.sum()))]
        stretches.append(Stretch(start_s, end_s, mood, talks=rng.random() < talk_share))
        start_s = end_s
    return stretches


def course_of(
    time_s: np.ndarray, stretches: list[Stretch], value: Callable[[Stretch], float]
) -> np.ndarray:
    """A value of the stretches over time, with smooth changes within 1 s; shape (n,)."""
    starts = np.array([stretch.start_s for stretch in stretches])
    values = np.array([value(stretch) for stretch in stretches])
    return through_keys(time_s, starts, np.full(len(starts), _CHANGE_S), values)


def draw_times(
    rng: np.random.Generator,
    stretches: list[Stretch],
    duration_s: float,
    per_minute: Callable[[Mood], float],
    before_s: float = 0.5,
) -> np.ndarray:
    """Random times at the moods' rates (a Poisson process), ascending, in seconds.

    Args:
        rng: Source of randomness.
        stretches: The moods over time.
        duration_s: Last possible time.
        per_minute: The rate.
        before_s: How long before 0 s the first may lie, at the first mood's rate, so that a clip
            can begin within what has begun before it.
    """
    times: list[np.ndarray] = []
    for i, stretch in enumerate(stretches):
        start_s = -before_s if i == 0 else stretch.start_s
        end_s = min(stretch.end_s, duration_s)
        count = rng.poisson(per_minute(stretch.mood) * (end_s - start_s) / 60.0)
        times.append(np.sort(rng.uniform(start_s, end_s, count)))
    return np.concatenate(times)
