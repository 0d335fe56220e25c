"""One performance of a recipe: how strong, how lopsided, and what the head does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.recipes import HEADS, RECIPES, Recipe
from cs3d_ros.faces.errors import FaceError

INTENSITIES: Mapping[str, tuple[float, float]] = {"full": (0.6, 1.0), "micro": (0.15, 0.4)}
"""Range of the factor to all units of an expression, by the name of the intensity."""

MAX_ASYMMETRY = 0.25
"""At most this much is a unit stronger on one side and weaker on the other."""

_LEAN, _OWN_LEAN = 0.07, 0.04
_HEAD_SHARE = 0.35


@dataclass(frozen=True, slots=True, eq=False)
class Rendition:
    """What a recipe became in one performance.

    Attributes:
        recipe: The recipe.
        intensity: "full" or "micro".
        strength: The factor of that intensity, 0…1.
        units: Action units with their strength on the face's left and right, 0…1.
        turn: Yaw, pitch, roll of the head in radians at the apex, shape (3,).
        shift: Shift of the head in cm at the apex, shape (3,).
    """

    recipe: Recipe
    intensity: str
    strength: float
    units: Mapping[int, tuple[float, float]]
    turn: np.ndarray
    shift: np.ndarray

    def rows(self, blendshapes: Blendshapes) -> np.ndarray:
        """Weights at the apex, one row for each unit, shape (units, blendshapes), 0…1."""
        return np.stack([blendshapes.unit(u, *sides) for u, sides in self.units.items()])


def check_intensity(intensity: str) -> None:
    """Refuse what is no intensity.

    Raises:
        FaceError: Not one of INTENSITIES.
    """
    if intensity not in INTENSITIES:
        raise FaceError(
            f"no intensity {intensity!r} is known, expected one of {', '.join(INTENSITIES)}"
        )


def draw_rendition(rng: np.random.Generator, expression: str, intensity: str) -> Rendition:
    """Draw a recipe of an expression, strengths, sides and the head's part.

    Each unit is up to 25 % stronger on one side and weaker on the other, mostly far less (faces
    move asymmetrically: Ekman, Hager and Friesen 1981, "The symmetry of emotional and deliberate
    facial actions"). In 35 % of performances the head takes part.

    Args:
        rng: Source of randomness.
        expression: One that RECIPES has recipes of.
        intensity: A name in INTENSITIES.

    Raises:
        FaceError: No such intensity, or an expression without a recipe.
    """
    check_intensity(intensity)
    recipes = RECIPES.get(expression, ())
    if not recipes:
        known = ", ".join(name for name, found in RECIPES.items() if found)
        raise FaceError(f"no recipe for {expression!r}, expected one of {known}")
    recipe = recipes[int(rng.integers(len(recipes)))]
    strength = float(rng.uniform(*INTENSITIES[intensity]))
    # A face leans to one side as a whole, and each unit a little on its own.
    lean = rng.normal(0.0, _LEAN)
    units: dict[int, tuple[float, float]] = {}
    for part in recipe.parts:
        there, level = rng.random() < part.share, strength * rng.uniform(part.low, part.high)
        more = np.clip(lean + rng.normal(0.0, _OWN_LEAN), -MAX_ASYMMETRY, MAX_ASYMMETRY)
        if there:
            left, right = float(level * (1.0 + more)), float(level * (1.0 - more))
            units[part.unit] = (min(left, 1.0), min(right, 1.0))
    takes_part, share = rng.random() < _HEAD_SHARE, strength * rng.uniform(0.3, 1.0)
    sideways, tilted = rng.choice([-1.0, 1.0], 2)
    head = HEADS[expression]
    if not takes_part:
        return Rendition(recipe, intensity, strength, units, np.zeros(3), np.zeros(3))
    turn = np.radians(head.turn_deg) * share * (sideways, 1.0, tilted)
    shift = np.array(head.shift_cm) * share * (sideways, 1.0, 1.0)
    return Rendition(recipe, intensity, strength, units, turn, shift)
