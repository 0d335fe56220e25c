"""Facial movements that are no expression of emotion: of the mouth, and single action units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.curves import pulse, united


@dataclass(frozen=True, slots=True)
class Distraction:
    """One facial movement that is no expression.

    Attributes:
        name: What it is.
        share: How often it is drawn, relative to the others.
        weights: Weights at its strongest; of pairs the name without side.
        strength: Range of the factor to them.
        rise_s: Range of the time to its strongest.
        hold_s: Range of the time it stays.
        fall_s: Range of the time back.
        sides: Share of one-sided ones.
        beat_hz: Range of a beat that swells and dies within it, (0, 0) for none.
    """

    name: str
    share: float
    weights: Mapping[str, float]
    strength: tuple[float, float] = (0.5, 1.0)
    rise_s: tuple[float, float] = (0.12, 0.4)
    hold_s: tuple[float, float] = (0.05, 0.8)
    fall_s: tuple[float, float] = (0.15, 0.6)
    sides: float = 0.0
    beat_hz: tuple[float, float] = (0.0, 0.0)


DISTRACTIONS: tuple[Distraction, ...] = (
    # Single units, at moderate strength. Raised brows accent speech and greet (Ekman 1979, "About
    # brows"), without lids or jaw, which surprise has; lowered ones show effort.
    Distraction("one brow up", 1.0, {"browOuterUp": 0.7, "browInnerUp": 0.3}, sides=1.0),
    Distraction("brow flash", 1.5, {"browOuterUp": 0.5, "browInnerUp": 0.5}, hold_s=(0.0, 0.3)),
    Distraction("brows drawn", 0.7, {"browDown": 0.4}),
    Distraction("squint", 0.8, {"eyeSquint": 0.7, "cheekSquint": 0.15}, sides=0.15),
    Distraction(
        "wink",
        0.3,
        {"eyeBlink": 1.0, "cheekSquint": 0.4},
        (0.8, 1.0),
        (0.08, 0.2),
        (0.0, 0.3),
        sides=1.0,
    ),
    Distraction("eyes closed", 0.3, {"eyeBlink": 1.0}, (0.9, 1.0), (0.15, 0.4), (0.2, 1.0)),
    Distraction("lips pressed", 1.2, {"mouthPress": 0.8, "mouthRollLower": 0.2}),
    Distraction("lips in", 0.7, {"mouthRollLower": 0.7, "mouthRollUpper": 0.6}),
    Distraction("lips pursed", 0.8, {"mouthPucker": 0.7}),
    Distraction("cheeks puffed", 0.6, {"cheekPuff": 0.7, "mouthPress": 0.3}, sides=0.3),
    Distraction("dimple", 0.8, {"mouthDimple": 0.7}, sides=0.7),
    Distraction("mouth aside", 0.5, {"mouthLeft": 0.45}),
    Distraction("mouth aside", 0.5, {"mouthRight": 0.45}),
    Distraction("jaw aside", 0.3, {"jawLeft": 0.6}),
    Distraction("jaw aside", 0.3, {"jawRight": 0.6}),
    Distraction("jaw forward", 0.3, {"jawForward": 0.5}),
    Distraction("chin up", 0.4, {"mouthShrugLower": 0.4}),
    # What mouths do by the way. Times are our choice.
    Distraction("lips part", 1.2, {"jawOpen": 0.12, "mouthLowerDown": 0.15}),
    Distraction(
        "swallow",
        1.0,
        {"mouthPress": 0.4, "mouthShrugLower": 0.3, "mouthRollLower": 0.15},
        (0.5, 1.0),
        (0.2, 0.35),
        (0.05, 0.2),
        (0.25, 0.45),
    ),
    Distraction(
        "lick",
        0.6,
        {"mouthRollLower": 0.6, "mouthRollUpper": 0.4, "jawOpen": 0.1},
        (0.5, 1.0),
        (0.15, 0.3),
        (0.1, 0.3),
        (0.2, 0.4),
        beat_hz=(1.5, 3.0),
    ),
    Distraction(
        "chew",
        0.4,
        {"jawOpen": 0.22, "mouthPress": 0.3, "jawLeft": 0.25},
        (0.5, 1.0),
        (0.2, 0.4),
        (1.5, 5.0),
        (0.2, 0.5),
        beat_hz=(1.0, 1.8),
    ),
    Distraction(
        "yawn",
        0.12,
        {"jawOpen": 0.9, "eyeSquint": 0.8, "eyeBlink": 0.5, "browInnerUp": 0.2},
        (0.7, 1.0),
        (1.0, 2.0),
        (0.8, 2.0),
        (0.6, 1.2),
    ),
)


def draw_distractions(
    time_s: np.ndarray,
    rng: np.random.Generator,
    blendshapes: Blendshapes,
    starts_s: np.ndarray,
) -> tuple[np.ndarray, list[str]]:
    """Some of DISTRACTIONS, one at each of the given times.

    Args:
        time_s: Times to evaluate at, shape (n,), ascending.
        rng: Source of randomness.
        blendshapes: Those of the face.
        starts_s: When they begin.

    Returns:
        Weights of shape (n, number of blendshapes), float64, 0…1, and the names of what was drawn.
    """
    weights = np.zeros((len(time_s), len(blendshapes)))
    share = np.array([d.share for d in DISTRACTIONS])
    names: list[str] = []
    for start_s in starts_s:
        what = DISTRACTIONS[int(rng.choice(len(DISTRACTIONS), p=share / share.sum()))]
        names.append(what.name)
        left = right = rng.uniform(*what.strength)
        times = [rng.uniform(*span) for span in (what.rise_s, what.hold_s, what.fall_s)]
        beat_hz, one_sided, side = (
            rng.uniform(*what.beat_hz),
            rng.random() < what.sides,
            rng.random(),
        )
        if one_sided:
            weak = rng.uniform(0.0, 0.25)
            left, right = (left, right * weak) if side < 0.5 else (left * weak, right)
        where, height = pulse(time_s, start_s, *times)
        if beat_hz:
            height = height * (0.5 - 0.5 * np.cos(2 * np.pi * beat_hz * (time_s[where] - start_s)))
        row = blendshapes.row(what.weights, left, right)
        weights[where] = united(weights[where], height[:, None] * row)
    return weights, names
