"""The test set facekit-7-beyond: what no clip of facekit-7 shows, of facekit-7's test people.

A network that was trained on facekit-7 has seen one renderer, one camera and some ways to show each
expression. Each part here changes one of these, and the last one all three. There is nothing to
train on. The people of all parts together are those of facekit-7's test part for the same seed and
inputs, some in each part, since nobody is in two parts of a data set: compare a part with the clips
of the same people in facekit-7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.facekit7 import (
    CONDITIONS,
    Studio,
    checksums,
    clip_specs,
    make_context,
    record_clip,
    subjects_by_part,
)
from cs3d_ros.datasets.plan import Plan, ShardPlan, shards_of
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.acting.venues import LAB
from cs3d_ros.faces.cast import Cast
from cs3d_ros.faces.take import DEFAULT_FRAMES_PER_S, DEFAULT_SIZE, draw_take
from cs3d_ros.simulation.settings import HELD_OUT, PRESETS

NAME = "facekit-7-beyond"

FRAMES_PER_S = 150.0
"""Frames rendered in a second where the camera is another one."""

_MAX_CLIPS = 100_000

# Apart from those of facekit-7.
_SEED_CLIP = 4


@dataclass(frozen=True, slots=True)
class Change:
    """How a part differs from facekit-7.

    Attributes:
        style: A style of rendering, `cs3d_ros.faces.rendering.style`.
        recipe: Whether expressions are shown by the recipes in `recipes.HELD_OUT`.
        camera: Whether the event camera is `settings.HELD_OUT`, at FRAMES_PER_S.
    """

    style: str | None = None
    recipe: bool = False
    camera: bool = False


CHANGES: Mapping[str, Change] = MappingProxyType(
    {
        "style": Change(style="cartoon"),
        "recipe": Change(recipe=True),
        "camera": Change(camera=True),
        "all": Change(style="cartoon", recipe=True, camera=True),
    }
)
"""The parts."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """How large a facekit-7-beyond is, and what it is made from.

    Attributes:
        facekit: The morphable face; see `load_facekit`.
        photographs: Folder of photographs; None for random people only.
        seed: Of everything that is drawn, not negative; the people of a seed are those of
            facekit-7's test part for the same seed.
        clips: Number of clips, at least one for each class, light condition and part, at most
            100,000; rounded so that these are equally often.
        clip_s: Length of a clip in s.
    """

    facekit: Path
    photographs: Path | None = None
    seed: int = 0
    clips: int = 560
    clip_s: float = 2.0


def make_plan(choices: Beyond) -> Plan:
    """What is to be built for a facekit-7-beyond.

    Raises:
        DatasetError: A number is not one of those expected.
        FaceError: The morphable face or the photographs are missing or damaged.
    """
    cell = len(EXPRESSIONS) * len(CONDITIONS) * len(CHANGES)
    if choices.seed < 0:
        raise DatasetError(f"a seed of {choices.seed}, expected a whole number from 0 on")
    if not cell <= choices.clips <= _MAX_CLIPS:
        raise DatasetError(
            f"{choices.clips} clips, expected {cell} (one for each of {len(EXPRESSIONS)} classes, "
            f"{len(CONDITIONS)} light conditions and {len(CHANGES)} parts) to {_MAX_CLIPS}"
        )
    if not 0.5 <= choices.clip_s <= 60:
        raise DatasetError(f"clips of {choices.clip_s} s, expected 0.5 to 60")
    cast = Cast(choices.facekit, choices.photographs, choices.seed)
    people = subjects_by_part(cast.photographed, choices.seed)["test"]
    times = round(choices.clips / cell)
    shards: list[ShardPlan] = []
    for i, part in enumerate(CHANGES):
        rng = np.random.default_rng([choices.seed, _SEED_CLIP, i])
        # Photographed people come first: dealt in turns, each part gets its share of them.
        shards += shards_of(part, clip_specs(part, people[i :: len(CHANGES)], times, rng))
    return Plan(
        name=NAME,
        seed=choices.seed,
        shards=shards,
        make_clip=make_clip,
        make_context=make_context,
        settings={
            "venue": LAB,
            "clip_s": choices.clip_s,
            "size": DEFAULT_SIZE,
            "seed": choices.seed,
            "changes": {part: asdict(change) for part, change in CHANGES.items()},
            "frames_per_s": {part: _frames_per_s(change) for part, change in CHANGES.items()},
            "camera": {light: asdict(camera) for light, camera in HELD_OUT.items()},
            **checksums(choices.facekit, choices.photographs, cast.photographed),
        },
        sources={
            "facekit": str(choices.facekit),
            "photographs": str(choices.photographs or ""),
        },
    )


def make_clip(studio: Studio, spec: Mapping[str, Any]) -> Clip:
    """Render one clip of a part as its change says, and see it by an event camera."""
    part, light = spec["part"], spec["light"]
    change = CHANGES[part]
    rng = np.random.default_rng(
        [studio.seed, _SEED_CLIP, list(CHANGES).index(part), 1, spec["number"]]
    )
    take = draw_take(
        studio.cast,
        spec["subject"],
        spec["expression"],
        light,
        rng,
        duration_s=studio.clip_s,
        frames_per_s=_frames_per_s(change),
        held_out=change.recipe,
        style=change.style,
        venue=studio.venue,
    )
    camera = (HELD_OUT if change.camera else PRESETS)[light]
    return record_clip(spec, take, studio.clip_s, camera, int(rng.integers(2**63)))


def _frames_per_s(change: Change) -> float:
    return FRAMES_PER_S if change.camera else DEFAULT_FRAMES_PER_S
