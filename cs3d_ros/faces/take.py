"""One take: a person, a look and a performance, drawn from a seed and rendered frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cs3d_ros.faces.acting.performance import draw_performance, draw_stream
from cs3d_ros.faces.acting.venues import ROBOT
from cs3d_ros.faces.acting.venues import venue as venue_of
from cs3d_ros.faces.rendering.look import Look, draw_look
from cs3d_ros.faces.rendering.renderer import Renderer

if TYPE_CHECKING:
    from cs3d_ros.expressions import Course
    from cs3d_ros.faces.cast import Cast
    from cs3d_ros.faces.motion import Motion

DEFAULT_SIZE = 112
DEFAULT_FRAMES_PER_S = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A performance before the camera, ready to be rendered.

    Attributes:
        renderer: Knows the person and the look.
        motion: What face, light and camera do.
        expressions: What is shown, in order of time; no neutral ones.
        description: What was drawn, as JSON can hold it.
    """

    renderer: Renderer
    motion: Motion
    expressions: list[tuple[str, Course]]
    description: dict[str, Any]

    def frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """Time in s and picture, shape (size, size), float32, 0…255, of each frame."""
        return self.renderer.frames(self.motion)


def draw_take(
    cast: Cast,
    subject: str,
    expression: str,
    light: str,
    rng: np.random.Generator,
    *,
    duration_s: float,
    frames_per_s: float = DEFAULT_FRAMES_PER_S,
    size: int = DEFAULT_SIZE,
    intensity: str | None = None,
    held_out: bool = False,
    style: str | None = None,
    venue: str = ROBOT,
) -> Take:
    """Draw how somebody shows an expression once, and how the camera sees it.

    Args:
        cast: Where the person comes from.
        subject: Who it is; see `Cast`.
        expression: One of EXPRESSIONS.
        light: One of `look.LOOK_LIGHTS`.
        rng: Source of everything that is drawn.
        duration_s: Length of the take.
        frames_per_s: Frames rendered in a second.
        size: Width and height of the picture in pixels.
        intensity: "full" or "micro"; None draws one.
        held_out: Show the expression by its recipe in `recipes.HELD_OUT`.
        style: One of `style.STYLES`; None for what a camera sees.
        venue: How much goes on beside the expression; a name in `venues.VENUES`.

    Raises:
        FaceError: A name or a number is not one of those expected.
    """
    performance = draw_performance(
        cast.kit.expression_names,
        rng,
        expression,
        duration_s=duration_s,
        frames_per_s=frames_per_s,
        intensity=intensity,
        held_out=held_out,
        venue=venue,
    )
    course = performance.course
    expressions = [] if course is None else [(expression, course)]
    look = _draw_look(rng, light, venue)
    renderer = Renderer(cast.kit, cast.person(subject), look, size, style=style)
    description = {**performance.description, "venue": venue, "look": asdict(look)}
    if style is not None:
        description["style"] = style
    return Take(renderer, performance.motion, expressions, description)


def draw_stream_take(
    cast: Cast,
    subject: str,
    light: str,
    rng: np.random.Generator,
    *,
    duration_s: float,
    frames_per_s: float = DEFAULT_FRAMES_PER_S,
    size: int = DEFAULT_SIZE,
    venue: str = ROBOT,
) -> Take:
    """Draw a longer take in which expressions of all classes come and go.

    Arguments and errors are those of `draw_take`.
    """
    motion, expressions, intensities = draw_stream(
        cast.kit.expression_names,
        rng,
        duration_s=duration_s,
        frames_per_s=frames_per_s,
        venue=venue,
    )
    look = _draw_look(rng, light, venue)
    renderer = Renderer(cast.kit, cast.person(subject), look, size)
    description = {"venue": venue, "intensities": intensities, "look": asdict(look)}
    return Take(renderer, motion, expressions, description)


def _draw_look(rng: np.random.Generator, light: str, venue: str) -> Look:
    where = venue_of(venue)
    return draw_look(
        rng, light, gamma=where.gamma, dim_gray=where.dim_gray, dim_stray=where.dim_stray
    )
