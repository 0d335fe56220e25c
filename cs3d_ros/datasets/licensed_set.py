"""A licensed set as a data set of the package: who is in which part, and who makes the clips."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cs3d_ros.datasets.clip import LIGHTS, Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.licensed import LicensedClip, Sources
from cs3d_ros.datasets.licensed import make_clip as make_licensed_clip
from cs3d_ros.datasets.plan import Plan, shards_of
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.alignment.landmarks import LandmarkFinder, open_finder
from cs3d_ros.simulation.settings import PRESETS

_SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
"""Of the people: the paper does not state its parts."""


def make_plan(
    name: str, folder: Path, sources: Sources, *, seed: int = 0, light: str = "sufficient"
) -> Plan:
    """What is to be built from a licensed set, with different people in its parts.

    Args:
        name: Name of the set.
        folder: Its folder.
        sources: What `list_sources` found there.
        seed: Decides on who is in which part, and of all noise; not negative.
        light: Preset of the event camera.

    Raises:
        DatasetError: Nothing usable was found, fewer people than parts, or an impossible choice.
    """
    if seed < 0:
        raise DatasetError(f"a seed of {seed}, expected a whole number from 0 on")
    if light not in PRESETS:
        raise DatasetError(f"light {light!r}, expected one of {', '.join(PRESETS)}")
    people = sorted({clip.subject for clip in sources.items})
    if len(people) < len(_SHARES):
        raise DatasetError(
            f"{folder}: usable clips of {len(people)} people, expected at least {len(_SHARES)}, "
            "one for each part; is this the folder of the whole set?"
        )
    part_of = _parts(people, seed)
    shards = []
    for part in _SHARES:
        clips = [clip for clip in sources.items if part_of[clip.subject] == part]
        specs = [{**clip.to_json(), "path": str(clip.path.relative_to(folder))} for clip in clips]
        shards += shards_of(part, [spec | {"seed": [seed, n]} for n, spec in enumerate(specs)])
    shown = {clip.expression for clip in sources.items}
    return Plan(
        name=name,
        seed=seed,
        shards=shards,
        make_clip=make_clip,
        make_context=make_context,
        settings={"light": light, "seed": seed},
        sources={"folder": str(folder)},
        labels=[*EXPRESSIONS, *sorted(shown - set(EXPRESSIONS))],
    )


def _parts(people: Sequence[str], seed: int) -> dict[str, str]:
    """The part of each person; every part has somebody."""
    order = np.random.default_rng(seed).permutation(len(people))
    counts = {part: max(1, round(share * len(people))) for part, share in _SHARES.items()}
    counts["train"] = len(people) - counts["validation"] - counts["test"]
    parts = [part for part, count in counts.items() for _ in range(count)]
    return {people[i]: part for i, part in zip(order, parts, strict=True)}


@dataclass(frozen=True, slots=True)
class Studio:
    """What a worker opens once."""

    folder: Path
    finder: LandmarkFinder
    light: str


def make_context(settings: Mapping[str, Any], sources: Mapping[str, str]) -> Studio:
    """Open what finds faces."""
    return Studio(Path(sources["folder"]), open_finder(), settings["light"])


def make_clip(studio: Studio, spec: Mapping[str, Any]) -> Clip:
    """Align one video and see it by an event camera."""
    values = {key: value for key, value in spec.items() if key != "seed"}
    source = LicensedClip.from_json(values | {"path": str(studio.folder / spec["path"])})
    seed = int(np.random.default_rng(spec["seed"]).integers(2**63))
    settings = PRESETS[studio.light]
    light = studio.light if studio.light in LIGHTS else "unknown"
    return make_licensed_clip(source, studio.finder, settings, seed, light)
