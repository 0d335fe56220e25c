"""What light and background do while somebody is looked at."""

from __future__ import annotations

import numpy as np

from cs3d_ros.faces.acting.curves import pulse, sway
from cs3d_ros.faces.acting.moods import Stretch, course_of, draw_times

FLICKER_HZ = (100.0, 120.0)
"""Lamps on mains of 50 and 60 Hz flicker at twice that."""

_FLICKER_SHARE = 0.3
_LEAST_LIGHT, _MOST_LIGHT = 0.25, 4.0


def draw_light(
    time_s: np.ndarray,
    rng: np.random.Generator,
    stretches: list[Stretch],
    duration_s: float,
    frames_per_s: float,
) -> np.ndarray:
    """The factor to the light over time.

    It drifts by 0.3 to 2 % at 0.1 to 1 Hz, times the mood's sway. At the mood's rate it dims or
    brightens by up to 40 % within 0.4 to 2 s, a lamp goes on or off (a factor of 1.2 to 1.8 within
    20 to 100 ms, back after 0.3 to 3 s), or a shadow passes (10 to 45 % less for 0.2 to 1.2 s). In
    30 % of clips the lamp flickers by 0.5 to 4 % at 100 or 120 Hz, as far as the frames can show
    it: below 2.5 frames a period it would look like a slow flicker that no lamp has. All numbers
    are our choice.

    Returns:
        Shape (n,), float64, 0.25…4, 1 for the light at rest.
    """
    level = 0.01 * rng.uniform(0.3, 2.0) * sway(time_s, rng, 0.1, 1.0, 1)[:, 0]
    level *= course_of(time_s, stretches, lambda stretch: stretch.mood.sway)
    for start_s in draw_times(rng, stretches, duration_s, lambda mood: mood.light_per_min, 1.0):
        kind = rng.choice(["dimmer", "lamp", "shadow"], p=[0.4, 0.25, 0.35])
        side, size = rng.choice([-1.0, 1.0]), rng.beta(1.2, 2.0)
        hold_s = rng.uniform(0.3, 3.0)
        if kind == "dimmer":
            times, height = (*rng.uniform(0.4, 2.0, 1), hold_s, 1.0), side * 0.4 * size
        elif kind == "lamp":
            edge_s = rng.uniform(0.02, 0.1)
            times, height = (edge_s, hold_s, edge_s), side * np.log(1.2 + 0.6 * size)
        else:
            edge_s = rng.uniform(0.1, 0.4)
            times, height = (edge_s, 0.15 * hold_s, edge_s), np.log(0.9 - 0.35 * size)
        where, course = pulse(time_s, start_s, *times)
        level[where] += height * course
    flickers, at = rng.random() < _FLICKER_SHARE, int(rng.integers(len(FLICKER_HZ)))
    depth, phase = rng.uniform(0.005, 0.04), rng.uniform(0.0, 2 * np.pi)
    if flickers and frames_per_s >= 2.5 * FLICKER_HZ[at]:
        level += depth * np.sin(2 * np.pi * FLICKER_HZ[at] * time_s + phase)
    return np.clip(np.exp(level), _LEAST_LIGHT, _MOST_LIGHT)


def draw_background(
    time_s: np.ndarray, rng: np.random.Generator, stretches: list[Stretch], duration_s: float
) -> np.ndarray:
    """How far what is behind the head has moved.

    It sways by 0.1 to 1 % of the picture's width at 0.1 to 1.5 Hz, times the mood's sway. At the
    mood's rate it moves away by 0.1 to 1.2 widths within 0.4 to 3 s, mostly sideways, and stays, as
    behind somebody who walks along or whom a robot goes around. It comes back from beyond one
    width, so that it stays within a few of them. All numbers are our choice.

    Returns:
        Shift right and down in widths of the picture, shape (n, 2), float64.
    """
    shift = rng.uniform(0.001, 0.01) * sway(time_s, rng, 0.1, 1.5, 2)
    shift *= course_of(time_s, stretches, lambda stretch: stretch.mood.sway)[:, None]
    reached = 0.0
    for start_s in draw_times(rng, stretches, duration_s, lambda mood: mood.behind_per_min, 1.5):
        side, far = rng.choice([-1.0, 1.0]), 0.1 + 1.1 * rng.beta(1.0, 2.0)
        if abs(reached) > 1.0:
            side = -np.sign(reached)
        reached += side * far
        move_s, bob, bob_hz = rng.uniform(0.4, 3.0), rng.uniform(0.0, 0.02), rng.uniform(1.5, 2.2)
        # A pulse without an end is a move that stays.
        where, course = pulse(time_s, start_s, move_s, np.inf, 1.0)
        shift[where, 0] += side * far * course
        shift[where, 1] += rng.normal(0.0, 0.15) * far * course
        steps = np.sin(2 * np.pi * bob_hz * (time_s[where] - start_s))
        shift[where, 1] += bob * steps * 4.0 * course * (1.0 - course)
    return shift
