"""How heads move without an expression: sway, turns, nods, shakes, leans and steps."""

from __future__ import annotations

import numpy as np

from cs3d_ros.faces.acting.curves import pulse, soft_limit, sway, swing
from cs3d_ros.faces.acting.moods import Stretch, course_of, draw_times

MAX_TURN_RAD = np.radians(35.0)
MAX_SHIFT_CM = (2.5, 2.5, 6.0)
"""Turn and shift stay below, so that the face stays in the picture and can be seen."""

_SHARES = {"turn": 0.3, "nod": 0.2, "shake": 0.12, "tilt": 0.13, "lean": 0.13, "step": 0.12}


def draw_head(
    time_s: np.ndarray,
    rng: np.random.Generator,
    stretches: list[Stretch],
    duration_s: float,
    stressed_s: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Turn and shift of a head over time.

    All the time it sways, times the mood's factor: 0.3 to 2 degrees and 1 to 6 mm at 0.05 to 0.8
    Hz, and trembles by 0.02 to 0.1 degrees at 3 to 8 Hz. At the mood's rate come turns (5 to 25
    degrees within 0.3 to 1 s, held up to 1.5 s), nods (2 to 8 degrees at 1 to 3 Hz, 1 to 4 of
    them), shakes (3 to 12 degrees at 1 to 3 Hz), tilts (4 to 15 degrees), leans (2 to 8 cm to or
    fro) and steps aside (0.7 to 3 cm). Who speaks beats time with the head by up to 3 degrees at
    stressed syllables (Hadar et al. 1983, "Kinematics of head movements accompanying speech during
    conversation"). Frequencies of nods and shakes are Hadar's, all else is our choice.

    Args:
        time_s: Times to evaluate at, shape (n,), ascending.
        rng: Source of randomness.
        stretches: The moods over time.
        duration_s: Movements begin up to here.
        stressed_s: Times of stressed syllables.

    Returns:
        Rotation in radians and position in cm, each of shape (n, 3), float64, as in `Motion`.
    """
    lively = course_of(time_s, stretches, lambda stretch: stretch.mood.sway)[:, None]
    turn_deg = rng.uniform(0.3, 2.0) * sway(time_s, rng, 0.05, 0.8, 3)
    turn_deg += rng.uniform(0.02, 0.1) * sway(time_s, rng, 3.0, 8.0, 3)
    shift_cm = rng.uniform(0.1, 0.6) * sway(time_s, rng, 0.05, 0.8, 3)
    turn_deg *= lively
    shift_cm *= lively
    kinds, shares = tuple(_SHARES), np.array(list(_SHARES.values()))
    for start_s in draw_times(rng, stretches, duration_s, lambda mood: mood.head_per_min):
        kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
        side = rng.choice([-1.0, 1.0])
        times = (rng.uniform(0.3, 1.0), rng.uniform(0.0, 1.5), rng.uniform(0.35, 1.2))
        frequency_hz, cycles = rng.uniform(1.0, 3.0), float(rng.integers(1, 5))
        size = rng.beta(1.5, 2.5)
        if kind in ("nod", "shake"):
            where, course = swing(time_s, start_s, frequency_hz, cycles)
            axis, low, high = (1, 2.0, 8.0) if kind == "nod" else (0, 3.0, 12.0)
            turn_deg[where, axis] += (low + (high - low) * size) * side * course
            continue
        where, course = pulse(time_s, start_s, *times)
        if kind == "turn":
            turn_deg[where, 0] += (5.0 + 20.0 * size) * side * course
            turn_deg[where, 1] += rng.normal(0.0, 4.0) * course
        elif kind == "tilt":
            turn_deg[where, 2] += (4.0 + 11.0 * size) * side * course
        elif kind == "lean":
            shift_cm[where, 2] += (2.0 + 6.0 * size) * side * course
            turn_deg[where, 1] += 4.0 * size * side * course
        else:
            shift_cm[where, 0] += (0.7 + 2.3 * size) * side * course
            shift_cm[where, 1] += rng.normal(0.0, 0.7) * course
    beat_deg = rng.uniform(0.3, 3.0)
    for start_s in stressed_s:
        where, course = pulse(time_s, start_s - 0.12, 0.12, 0.0, rng.uniform(0.15, 0.35))
        turn_deg[where, 1] += (
            beat_deg * rng.uniform(0.2, 1.0) * np.minimum(lively[where, 0], 1.0) * course
        )
    return soft_limit(np.radians(turn_deg), MAX_TURN_RAD), soft_limit(
        shift_cm, np.array(MAX_SHIFT_CM)
    )
