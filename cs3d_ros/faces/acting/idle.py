"""Everything that moves in a clip beside the expression: face, head, camera, light, background."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.camera_motion import draw_camera
from cs3d_ros.faces.acting.curves import united
from cs3d_ros.faces.acting.distractions import draw_distractions
from cs3d_ros.faces.acting.eye_motion import BLINKS_PER_MIN, draw_blinks, draw_gaze, gaze_weights
from cs3d_ros.faces.acting.head_motion import draw_head
from cs3d_ros.faces.acting.moods import course_of, draw_stretches, draw_times
from cs3d_ros.faces.acting.speech import draw_speech
from cs3d_ros.faces.acting.surroundings import draw_background, draw_light
from cs3d_ros.faces.acting.venues import Venue
from cs3d_ros.faces.motion import Motion


@dataclass(frozen=True, slots=True, eq=False)
class Idle:
    """What moves without an expression, arrays of n rows, float64, as in `Motion`.

    Attributes:
        speech: Weights of a speaking mouth, (n, blendshapes).
        distractions: Weights of other movements of the face, (n, blendshapes).
        gaze: Weights of the eyes' turn, (n, blendshapes).
        blink: How far both lids are closed, (n,).
        rotation: (n, 3) in radians.
        position: (n, 3) in cm.
        camera: (n, 3) in radians.
        zoom: (n,).
        light: (n,).
        background: (n, 2).
        description: What was drawn, as JSON can hold it.
    """

    speech: np.ndarray
    distractions: np.ndarray
    gaze: np.ndarray
    blink: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    camera: np.ndarray
    zoom: np.ndarray
    light: np.ndarray
    background: np.ndarray
    description: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What an expression adds, arrays of n rows, float64.

    Attributes:
        weights: Weights of the blendshapes, (n, blendshapes), 0…1.
        strength: How much of the face it takes, (n,), 0…1.
        rotation: Turn of the head that goes with it, (n, 3) in radians.
        position: Shift of the head that goes with it, (n, 3) in cm.
    """

    weights: np.ndarray
    strength: np.ndarray
    rotation: np.ndarray
    position: np.ndarray

    @staticmethod
    def nothing(frames: int, blendshapes: int) -> Shown:
        """No expression."""
        return Shown(
            np.zeros((frames, blendshapes)),
            np.zeros(frames),
            np.zeros((frames, 3)),
            np.zeros((frames, 3)),
        )


def draw_idle(
    time_s: np.ndarray,
    rng: np.random.Generator,
    blendshapes: Blendshapes,
    *,
    duration_s: float,
    frames_per_s: float,
    neutral: bool,
    venue: Venue,
) -> Idle:
    """Draw everything that moves without an expression.

    Each kind of motion has a source of randomness of its own, so that a face that shows nothing
    has the same distribution of all of them but two: it speaks and moves single units more often,
    as nobody is waiting for its expression.

    Args:
        time_s: Times of the frames, shape (n,), ascending.
        rng: Source of randomness.
        blendshapes: Those of the face.
        duration_s: Length of the clip.
        frames_per_s: Frames per second.
        neutral: Whether the clip shows no expression.
        venue: How much goes on.
    """
    sources = [np.random.default_rng(int(seed)) for seed in rng.integers(2**63, size=9)]
    moods, talk, faces, lids, looks, head, camera, light, behind = sources
    talk_share = venue.neutral_talk_share if neutral else venue.talk_share
    stretches = draw_stretches(moods, duration_s, talk_share, venue.moods)
    talks = course_of(time_s, stretches, lambda stretch: float(stretch.talks))
    effort = talk.uniform(0.6, 1.4)
    speech, stressed_s = draw_speech(time_s, talk, blendshapes, duration_s, effort=effort)
    starts = [stretch.start_s for stretch in stretches]
    at = np.clip(np.searchsorted(starts, stressed_s, side="right") - 1, 0, None)
    speaking = np.array([stretch.talks for stretch in stretches])[at]
    more = venue.neutral_distractions if neutral else 1.0
    starts_s = draw_times(faces, stretches, duration_s, lambda mood: more * mood.face_per_min)
    distractions, names = draw_distractions(time_s, faces, blendshapes, starts_s)
    blinks_per_min = lids.uniform(*BLINKS_PER_MIN)
    blink = draw_blinks(time_s, lids, duration_s, blinks_per_min)
    spread = course_of(time_s, stretches, lambda stretch: stretch.mood.gaze)
    gaze, follow = draw_gaze(time_s, looks, duration_s)
    rotation, position = draw_head(time_s, head, stretches, duration_s, stressed_s[speaking])
    rotation[:, :2] += spread[:, None] * follow
    turn, zoom, steps, mount = draw_camera(time_s, camera, stretches, duration_s, venue.mounts)
    return Idle(
        speech=speech * talks[:, None],
        distractions=distractions,
        gaze=gaze_weights(blendshapes, spread[:, None] * gaze),
        blink=blink,
        rotation=rotation,
        position=position,
        camera=turn,
        zoom=zoom,
        light=draw_light(time_s, light, stretches, duration_s, frames_per_s),
        background=draw_background(time_s, behind, stretches, duration_s) + steps,
        description={
            "moods": [stretch.mood.name for stretch in stretches],
            "talks": [stretch.talks for stretch in stretches],
            "distractions": names,
            "blinks_per_min": round(float(blinks_per_min), 1),
            "camera": mount,
        },
    )


def blended(time_s: np.ndarray, blendshapes: Blendshapes, idle: Idle, shown: Shown) -> Motion:
    """All that moves in one clip.

    What wants the same blendshape is united by 1 − (1 − a)(1 − b), so that nothing exceeds 1 or
    has a corner. The stronger the expression, the less other movements of the face show: single
    units nothing at its full strength, speech half. Lids that close take away what else the eyes
    do; lips that are drawn wide cannot be rounded; lips close at most over the jaw as it is open.
    """
    strength = shown.strength[:, None]
    weights = united(
        shown.weights, idle.speech * (1.0 - 0.5 * strength), idle.distractions * (1.0 - strength)
    )
    weights = united(weights, idle.gaze)
    lids = blendshapes.columns("eyeBlink")
    weights[:, lids] = united(weights[:, lids], idle.blink[:, None])
    for stem, kept in (("eyeWide", 0.0), ("eyeSquint", 0.4), ("eyeLookDown", 0.1)):
        weights[:, blendshapes.columns(stem)] *= 1.0 - (1.0 - kept) * weights[:, lids]
    wide = shown.weights[:, blendshapes.columns("mouthSmile", "mouthStretch")].max(axis=1)
    weights[:, blendshapes.columns("mouthPucker", "mouthFunnel")] *= 1.0 - 0.7 * wide[:, None]
    close, jaw = blendshapes.column("mouthClose"), blendshapes.column("jawOpen")
    weights[:, close] = np.minimum(weights[:, close], weights[:, jaw])

    def stored(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(values, np.float32)

    return Motion(
        time_s=time_s,
        weights=stored(np.clip(weights, 0.0, 1.0)),
        rotation=stored(idle.rotation + shown.rotation),
        position=stored(idle.position + shown.position),
        camera=stored(idle.camera),
        zoom=stored(idle.zoom),
        light=stored(idle.light),
        background=stored(idle.background),
    )
