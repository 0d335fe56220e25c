"""A face's part in a clip or a stream: an expression, when it comes, and all that moves beside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from typing import Any

import numpy as np

from cs3d_ros.expressions import EXPRESSIONS, Course
from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.curves import united
from cs3d_ros.faces.acting.idle import Shown, blended, draw_idle
from cs3d_ros.faces.acting.recipes import HELD_OUT, RECIPES, Recipe
from cs3d_ros.faces.acting.rendition import Rendition, check_intensity, draw_rendition
from cs3d_ros.faces.acting.time_course import Timing, draw_envelopes, draw_timing
from cs3d_ros.faces.acting.venues import ROBOT
from cs3d_ros.faces.acting.venues import venue as venue_of
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.motion import Motion

SHORTEST_S, LONGEST_S = 0.5, 3600.0
"""Length of clips and streams."""

MAX_FRAMES = 200_000
"""Frames of one clip or stream; that many take some 700 MB while they are drawn."""

PAUSE_S = (1.0, 6.0)
"""Neutral time between the expressions of a stream."""

_WHOLE_SHARE = 0.7
_BEFORE_S = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Performance:
    """One face's part in a clip.

    Attributes:
        motion: What everything does in each frame.
        expression: One of EXPRESSIONS.
        course: When the expression comes and goes; None for neutral.
        description: What was drawn, as JSON can hold it.
    """

    motion: Motion
    expression: str
    course: Course | None
    description: dict[str, Any] = field(default_factory=dict)


def draw_performance(
    expression_names: Sequence[str],
    rng: np.random.Generator,
    expression: str,
    *,
    duration_s: float,
    frames_per_s: float,
    intensity: str | None = None,
    held_out: bool = False,
    venue: str = ROBOT,
) -> Performance:
    """Draw a clip of one expression, which comes at any time.

    In 70 % of clips the whole expression lies within the clip; in the others the clip may end
    before the offset or during the apex. What is drawn does not depend on `frames_per_s` apart from
    the lamp's flicker, and all motion beside the expression is the same for the same state of
    `rng`, whatever the expression, but for speech and single units, of which neutral has more, and
    for what the head does with an expression: a neutral head goes with a random one.

    Args:
        expression_names: The face's blendshapes, `FaceKit.expression_names`.
        rng: Source of randomness.
        expression: One of EXPRESSIONS.
        duration_s: Length of the clip; the first frame is at 0 s, the last at the end or less than
            one frame before it.
        frames_per_s: Frames per second.
        intensity: "full", "micro", or None for the venue's share of micro-expressions.
        held_out: Take the expression's recipe in HELD_OUT instead of one of RECIPES.
        venue: How much goes on beside the expression; a name in VENUES.

    Raises:
        FaceError: A clip shorter than 0.5 s, longer than an hour or of more than 200,000 frames, a
            rate that is not positive, an unknown expression, intensity or venue, or blendshapes
            that the face lacks.
    """
    _check_expression(expression)
    if intensity is not None:
        check_intensity(intensity)
    scene = _Scene(
        expression_names,
        rng,
        duration_s,
        frames_per_s,
        neutral=not RECIPES[expression],
        venue=venue,
    )
    shows = bool(RECIPES[expression])
    # Whoever shows nothing moves the head like those who do, so that it tells nothing.
    others = [other for other, recipes in RECIPES.items() if recipes]
    model = expression if shows else others[int(scene.rng.integers(len(others)))]
    micro = scene.rng.random() < scene.venue.micro_share
    rendition = draw_rendition(scene.rng, model, intensity or ("micro" if micro else "full"))
    if held_out:
        rendition = _by(HELD_OUT[model], rendition, scene.rng)
    timing = _placed(scene.rng, rendition.intensity, duration_s)
    scene.show(rendition, timing, face=shows)
    course = timing.course(duration_s) if shows else None
    description = {"beside": scene.idle.description, **(_described(rendition) if shows else {})}
    return Performance(scene.motion(), expression, course, description)


def draw_stream(
    expression_names: Sequence[str],
    rng: np.random.Generator,
    *,
    duration_s: float,
    frames_per_s: float,
    expressions: Sequence[str] = EXPRESSIONS,
    venue: str = ROBOT,
) -> tuple[Motion, list[tuple[str, Course]], list[str]]:
    """Draw a stream in which expressions come and go, with neutral pauses of 1 to 6 s.

    The expressions come in rounds, each round in an order of its own, so that all are about equally
    often; the venue says how many are micro-expressions. All lie wholly within the stream and none
    overlaps another. Everything beside them goes on all the time.

    Args:
        expression_names: The face's blendshapes, `FaceKit.expression_names`.
        rng: Source of randomness.
        duration_s: Length of the stream.
        frames_per_s: Frames per second.
        expressions: Which to show; neutral is what the pauses show and has no turn of its own.
        venue: How much goes on beside them; a name in VENUES.

    Returns:
        The motion, the expressions in order of time with their courses, and the intensity of each,
        "full" or "micro".

    Raises:
        FaceError: As in `draw_performance`, or no expressions at all.
    """
    if not len(expressions):
        raise FaceError("a stream of no expressions; name at least one, if only neutral")
    for expression in expressions:
        _check_expression(expression)
    turns = [expression for expression in expressions if RECIPES[expression]]
    scene = _Scene(expression_names, rng, duration_s, frames_per_s, neutral=not turns, venue=venue)
    courses: list[tuple[str, Course]] = []
    intensities: list[str] = []
    now_s = 0.0
    while turns and now_s < duration_s:
        for turn in scene.rng.permutation(len(turns)):
            intensity = "micro" if scene.rng.random() < scene.venue.micro_share else "full"
            rendition = draw_rendition(scene.rng, turns[int(turn)], intensity)
            pause_s = scene.rng.uniform(*PAUSE_S)
            timing = draw_timing(scene.rng, intensity).moved(now_s + pause_s)
            now_s = timing.offset_s
            if now_s > duration_s:
                break
            scene.show(rendition, timing)
            courses.append((turns[int(turn)], timing.course(duration_s)))
            intensities.append(intensity)
    return scene.motion(), courses, intensities


class _Scene:
    """A clip that is being drawn: all that moves beside the expressions, and those so far.

    Attributes:
        rng: Source of randomness of the expressions, independent of what moves beside them.
        idle: What moves beside them.
        venue: How much that is.
    """

    def __init__(
        self,
        expression_names: Sequence[str],
        rng: np.random.Generator,
        duration_s: float,
        frames_per_s: float,
        *,
        neutral: bool,
        venue: str,
    ) -> None:
        self._time_s = _times(duration_s, frames_per_s)
        self.venue = venue_of(venue)
        self._blendshapes = Blendshapes(expression_names)
        beside, self.rng = (
            np.random.default_rng(int(seed)) for seed in rng.integers(2**63, size=2)
        )
        self.idle = draw_idle(
            self._time_s,
            beside,
            self._blendshapes,
            duration_s=duration_s,
            frames_per_s=frames_per_s,
            neutral=neutral,
            venue=self.venue,
        )
        self._shown = Shown.nothing(len(self._time_s), len(self._blendshapes))

    def show(self, rendition: Rendition, timing: Timing, *, face: bool = True) -> None:
        """Add one expression where no other is, or only what the head does with it."""
        where = slice(*np.searchsorted(self._time_s, (timing.onset_s, timing.offset_s)))
        time_s, shown = self._time_s[where], self._shown
        rows = rendition.rows(self._blendshapes)
        envelopes = draw_envelopes(time_s, self.rng, timing, len(rows))
        if face:
            shown.weights[where] = united(
                *(share[:, None] * row for share, row in zip(envelopes.T, rows, strict=True))
            )
            shown.strength[where] = rendition.strength * envelopes.max(axis=1)
        # The head goes with the face as a whole.
        together = envelopes.mean(axis=1)[:, None]
        shown.rotation[where] = together * rendition.turn
        shown.position[where] = together * rendition.shift

    def motion(self) -> Motion:
        return blended(self._time_s, self._blendshapes, self.idle, self._shown)


def _check_expression(expression: str) -> None:
    if expression not in EXPRESSIONS:
        raise FaceError(
            f"no expression {expression!r} is known, expected one of {', '.join(EXPRESSIONS)}"
        )


def _times(duration_s: float, frames_per_s: float) -> np.ndarray:
    """Times of the frames of a clip, after the arguments were checked."""
    if not SHORTEST_S <= duration_s <= LONGEST_S:
        raise FaceError(f"a clip of {duration_s} s, expected {SHORTEST_S} to {LONGEST_S:.0f} s")
    if not (math.isfinite(frames_per_s) and frames_per_s > 0):
        raise FaceError(f"{frames_per_s} frames per second, expected a positive number")
    if duration_s * frames_per_s > MAX_FRAMES:
        raise FaceError(
            f"a clip of {duration_s} s at {frames_per_s} frames per second, expected at most "
            f"{MAX_FRAMES} frames; draw several clips"
        )
    return np.arange(int(duration_s * frames_per_s * (1 + 1e-12)) + 1) / frames_per_s


def _by(recipe: Recipe, rendition: Rendition, rng: np.random.Generator) -> Rendition:
    """The same performance by another recipe: as strong, as lopsided, with the same head."""
    sides = cycle([(2 * le / (le + ri), 2 * ri / (le + ri)) for le, ri in rendition.units.values()])
    units: dict[int, tuple[float, float]] = {}
    for part, (left, right) in zip(recipe.parts, sides, strict=False):
        there, level = rng.random() < part.share, rng.uniform(part.low, part.high)
        level *= rendition.strength
        if there:
            units[part.unit] = (min(level * left, 1.0), min(level * right, 1.0))
    return replace(rendition, recipe=recipe, units=units)


def _placed(rng: np.random.Generator, intensity: str, duration_s: float) -> Timing:
    """A course whose onset and apex lie within a clip, its end mostly."""
    whole = rng.random() < _WHOLE_SHARE
    timing = draw_timing(rng, intensity, (duration_s - _BEFORE_S) if whole else math.inf)
    must_s = timing.offset_s if whole else timing.apex_s + 0.1
    if must_s > duration_s - _BEFORE_S:
        # A slow onset in a very short clip.
        timing = draw_timing(rng, intensity, duration_s - _BEFORE_S)
        must_s = timing.offset_s
    latest_s = duration_s - must_s
    return timing.moved(rng.uniform(min(_BEFORE_S, latest_s), latest_s))


def _described(rendition: Rendition) -> dict[str, Any]:
    return {
        "recipe": rendition.recipe.name,
        "intensity": rendition.intensity,
        "strength": round(rendition.strength, 3),
        "action_units": {
            str(unit): [round(float(side), 3) for side in sides]
            for unit, sides in rendition.units.items()
        },
        "head": {
            "turn_deg": [round(float(angle), 2) for angle in np.degrees(rendition.turn)],
            "shift_cm": [round(float(shift), 2) for shift in rendition.shift],
        },
    }
