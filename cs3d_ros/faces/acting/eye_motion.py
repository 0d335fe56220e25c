"""What eyes do without an expression: blinks, fixations and the saccades between them."""

from __future__ import annotations

import numpy as np

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.curves import pulse, through_keys
from cs3d_ros.faces.rendering.body import GAZE_DOWN, GAZE_OUT, GAZE_UP

BLINKS_PER_MIN = (10.0, 25.0)
"""Bentivoglio et al. 1997, "Analysis of blink rate patterns in normal subjects": 17 at rest."""

_DOUBLE_SHARE = 0.08
_PARTIAL_SHARE = 0.15
# On average, with the pause that at least follows.
_BLINK_S = 0.42
_HEAD_FOLLOWS_RAD = np.radians(6.0)
_MOST_GAZE_RAD = np.radians(22.0)


def draw_blinks(
    time_s: np.ndarray, rng: np.random.Generator, duration_s: float, per_minute: float
) -> np.ndarray:
    """How far the lids are closed by blinking.

    Blinks come at random; 8 % are double. Lids close in 70 to 130 ms, stay for up to 40 ms and open
    in 150 to 280 ms (VanderWerf et al. 2003, "Eyelid movements"). 15 % are partial, to 40 to 80 %.

    Args:
        time_s: Times to evaluate at, shape (n,), ascending.
        rng: Source of randomness.
        duration_s: Blinks are drawn up to here.
        per_minute: Blinks per minute in the long run, a double one counted as two; up to 100.

    Returns:
        Shape (n,), float64, 0 (open) … 1 (closed).
    """
    closed = np.zeros(len(time_s))
    mean_gap_s = (1.0 + _DOUBLE_SHARE) * (60.0 / per_minute - _BLINK_S)
    # From before the clip, so that it may begin within a blink.
    start_s = -1.0 + rng.exponential(mean_gap_s)
    while start_s < duration_s:
        again = 2 if rng.random() < _DOUBLE_SHARE else 1
        for _ in range(again):
            close_s, hold_s = rng.uniform(0.07, 0.13), rng.uniform(0.0, 0.04)
            open_s = rng.uniform(0.15, 0.28)
            depth = rng.uniform(0.4, 0.8) if rng.random() < _PARTIAL_SHARE else 1.0
            where, height = pulse(time_s, start_s, close_s, hold_s, open_s)
            closed[where] = np.maximum(closed[where], depth * height)
            start_s += close_s + hold_s + open_s + rng.uniform(0.02, 0.15)
        start_s += rng.exponential(mean_gap_s)
    return closed


def draw_gaze(
    time_s: np.ndarray, rng: np.random.Generator, duration_s: float
) -> tuple[np.ndarray, np.ndarray]:
    """Where the eyes look, and how the head goes along.

    Fixations of 0.2 to 3 s (half of them shorter than 0.7 s). Two thirds go back to what the face
    looks at most, the others elsewhere by 5 degrees on average, up to 22. A saccade over A degrees
    takes 21 ms + 2.2 ms × A (Carpenter 1988, "Movements of the Eyes"). Of a gaze beyond 6 degrees
    the head takes up to half of what is beyond, 50 ms later and within 0.3 to 0.6 s. How far, how
    often and how long is our choice.

    Args:
        time_s: Times to evaluate at, shape (n,), ascending.
        rng: Source of randomness.
        duration_s: Saccades are drawn up to here.

    Returns:
        The eyes' turn in the head (n, 2) and the head's (n, 2): to the face's left, and down, in
        radians.
    """
    count = 12 + int(np.ceil(duration_s / 0.2))
    fixation_s = np.clip(rng.lognormal(np.log(0.7), 0.6, count), 0.2, 3.0)
    start_s = np.cumsum(fixation_s) - rng.uniform(0.5, 2.5)
    direction = rng.uniform(0.0, 2 * np.pi, count)
    far = np.radians(5.0) * rng.exponential(1.0, count)
    # People look sideways more than up and down.
    target = np.stack([far * np.cos(direction), 0.6 * far * np.sin(direction)], axis=1)
    home = rng.random(count) < 0.65
    target[home] *= 0.1
    target += np.radians(3.0) * rng.normal(size=2)
    target = np.clip(target, -_MOST_GAZE_RAD, _MOST_GAZE_RAD)
    follow = 0.5 * rng.random((count, 1))
    head_s = rng.uniform(0.3, 0.6, count)

    step = np.linalg.norm(np.diff(target, axis=0, prepend=target[:1]), axis=1)
    saccade_s = 0.021 + 0.0022 * np.degrees(step)
    gaze = through_keys(time_s, start_s, saccade_s, target)
    beyond = np.clip(np.abs(target) - _HEAD_FOLLOWS_RAD, 0.0, None) * np.sign(target)
    head = through_keys(time_s, start_s + 0.05, head_s, follow * beyond)
    return gaze - head, head


def gaze_weights(blendshapes: Blendshapes, gaze: np.ndarray) -> np.ndarray:
    """Weights of the blendshapes that turn the eyes, by the renderer's angles.

    Args:
        blendshapes: Those of the face.
        gaze: The eyes' turn in the head, to the face's left and down, in radians, shape (n, 2).

    Returns:
        Shape (n, number of blendshapes), float64, 0…1.
    """
    weights = np.zeros((len(gaze), len(blendshapes)))
    left, down = gaze.T
    for value, names in (
        (left / GAZE_OUT, ("eyeLookOut_L", "eyeLookIn_R")),
        (-left / GAZE_OUT, ("eyeLookIn_L", "eyeLookOut_R")),
        (down / GAZE_DOWN, ("eyeLookDown_L", "eyeLookDown_R")),
        (-down / GAZE_UP, ("eyeLookUp_L", "eyeLookUp_R")),
    ):
        for name in names:
            weights[:, blendshapes.column(name)] = np.clip(value, 0.0, 1.0)
    return weights
