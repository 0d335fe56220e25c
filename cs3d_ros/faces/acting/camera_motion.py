"""How a camera moves: held by hand, carried by a robot, panned, tilted, zoomed, knocked."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from cs3d_ros.faces.acting.curves import pulse, soft_limit, sway, swing
from cs3d_ros.faces.acting.moods import Stretch, course_of, draw_times

MAX_PAN_RAD = np.radians(2.5)
"""Pan, tilt and roll stay below, so that most of the face stays in the picture."""


def draw_camera(
    time_s: np.ndarray,
    rng: np.random.Generator,
    stretches: list[Stretch],
    duration_s: float,
    mounts: Mapping[str, float],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Turn and zoom of a camera over time, and how what is behind the head shifts with its steps.

    A fixed camera rests. One held by hand drifts by 0.05 to 0.25 degrees at 0.3 to 3 Hz and
    trembles by 0.01 to 0.05 degrees at 8 to 12 Hz, the physiological tremor of hands. On a walking
    robot it tilts by 0.05 to 0.35 degrees at every step, 1.2 to 2.4 a second, rolls and pans at
    half of that, and what is behind the head shifts by up to 1 % of the picture's width. Motors
    shake it by 0.01 to 0.06 degrees at 12 to 45 Hz. All of this is times the mood's sway. At the
    mood's rate come pans and tilts by 0.4 to 2.4 degrees within 0.15 to 0.8 s, zooms by up to 15 %
    within 0.3 to 1.2 s, each held for up to 1.5 s, and knocks: 0.2 to 1 degrees at 5 to 12 Hz.
    Apart from the hand's tremor all numbers are our choice.

    Returns:
        Pan, tilt and roll in radians (n, 3), zoom (n,), shift of the background in widths of the
        picture (n, 2), as in `Motion`, and the mount, one of those given.
    """
    lively = course_of(time_s, stretches, lambda stretch: stretch.mood.sway)[:, None]
    turn_deg = np.zeros((len(time_s), 3))
    zoom = np.zeros(len(time_s))
    behind = np.zeros((len(time_s), 2))
    mount = str(rng.choice(list(mounts), p=list(mounts.values())))
    if mount == "held":
        turn_deg += rng.uniform(0.05, 0.25) * sway(time_s, rng, 0.3, 3.0, 3)
        turn_deg += rng.uniform(0.01, 0.05) * sway(time_s, rng, 8.0, 12.0, 3)
    elif mount == "walking":
        steps_hz, phase = rng.uniform(1.2, 2.4), rng.uniform(0.0, 2 * np.pi, 3)
        angle = 2 * np.pi * steps_hz * time_s
        size = rng.uniform(0.05, 0.35)
        bob = np.sin(angle + phase[0]) + 0.3 * np.sin(2 * angle + phase[1])
        turn_deg[:, 1] += size * bob
        turn_deg[:, 2] += 0.6 * size * np.sin(angle / 2 + phase[2])
        turn_deg[:, 0] += 0.5 * size * np.sin(angle / 2 + phase[2] + 0.5)
        behind[:, 1] += rng.uniform(0.0, 0.01) * bob
        behind[:, 0] += rng.uniform(0.0, 0.01) * np.sin(angle / 2 + phase[2])
        turn_deg += 0.2 * size * sway(time_s, rng, 2.0, 8.0, 3)
    elif mount == "vibrating":
        turn_deg += rng.uniform(0.01, 0.06) * sway(time_s, rng, 12.0, 45.0, 3)
    turn_deg *= lively
    behind *= lively
    for start_s in draw_times(rng, stretches, duration_s, lambda mood: mood.camera_per_min):
        kind = rng.choice(["pan", "tilt", "zoom", "knock"], p=[0.35, 0.2, 0.25, 0.2])
        side, size = rng.choice([-1.0, 1.0]), rng.beta(1.2, 2.5)
        move_s, hold_s, back_s = (
            rng.uniform(0.15, 0.8),
            rng.uniform(0.0, 1.5),
            rng.uniform(0.2, 1.0),
        )
        if kind == "knock":
            where, course = swing(time_s, start_s, rng.uniform(5.0, 12.0), 3.0)
            turn_deg[where] += (0.2 + 0.8 * size) * np.outer(course, rng.normal(0.0, 0.7, 3))
        elif kind == "zoom":
            where, course = pulse(time_s, start_s, 1.5 * move_s, hold_s, 1.5 * back_s)
            zoom[where] += 0.15 * size * side * course
        else:
            where, course = pulse(time_s, start_s, move_s, hold_s, back_s)
            turn_deg[where, 0 if kind == "pan" else 1] += (0.4 + 2.0 * size) * side * course
    return (
        soft_limit(np.radians(turn_deg), MAX_PAN_RAD),
        np.exp(soft_limit(zoom, 0.25)),
        behind,
        mount,
    )
