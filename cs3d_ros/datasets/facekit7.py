"""The benchmark set facekit-7: rendered people who show seven expressions before an event camera.

Train, validation and test have different people, photographed and random ones alike. Every clip
draws its own light, background, camera and motion; every class draws them alike. Half of the clips
are in sufficient, half in insufficient light. Beside the clips there are streams of some minutes in
which expressions come and go, with the true times as labels.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.plan import Plan, RecordingPlan, ShardPlan, shards_of
from cs3d_ros.datasets.shards import cut_to_resolution
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.acting.venues import LAB, venue
from cs3d_ros.faces.cast import Cast
from cs3d_ros.faces.recording import record_take
from cs3d_ros.faces.take import (
    DEFAULT_FRAMES_PER_S,
    DEFAULT_SIZE,
    Take,
    draw_stream_take,
    draw_take,
)
from cs3d_ros.recordings.output import BAG
from cs3d_ros.simulation.emulator import simulate_frames
from cs3d_ros.simulation.settings import PRESETS, EmulatorSettings

NAME = "facekit-7"

CONDITIONS = ("sufficient", "insufficient")
"""Light conditions; each has its preset of the event camera."""

PARTS = ("train", "validation", "test")

# Shares of the people, photographed and random alike. Clips have the same shares, so that nobody is
# seen more often in one part than in another.
_SHARES = {"train": 0.68, "validation": 0.10, "test": 0.22}

# Twice as many as there are photographs in the Face Research Lab London Set with consent.
_RANDOM_PEOPLE = 136

# random-9001 shows the expressions of the embedded recording: nobody shall train on it.
_MAX_PEOPLE = 8_000
_MAX_CLIPS, _MAX_STREAMS = 100_000, 1000
_CHUNK_BYTES = 1 << 20

_SEED_CLIP, _SEED_STREAM, _SEED_SUBJECTS = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Facekit7:
    """How large a facekit-7 is, and what it is made from.

    Attributes:
        facekit: The morphable face; see `load_facekit`.
        photographs: Folder of photographs; None for random people only.
        seed: Of everything that is drawn, not negative.
        clips: Number of clips, at least one for each class, light condition and part, at most
            100,000; rounded so that classes and light conditions are equally often.
        more_clips: Number of further clips to train on, rounded alike. Validation and test stay
            what they are without them.
        more_people: Number of further random people, at most 8,000, in the training part.
        clip_s: Length of a clip in s.
        stream_s: Length of a stream in s; 0 for no streams.
        streams: Streams in each light condition, of the test part; half as many, at least one, of
            the validation part; at most 1000.
        venue: How much goes on beside the expressions; a name in `venues.VENUES`.
    """

    facekit: Path
    photographs: Path | None = None
    seed: int = 0
    clips: int = 3500
    more_clips: int = 0
    more_people: int = 0
    clip_s: float = 2.0
    stream_s: float = 180.0
    streams: int = 2
    venue: str = LAB


def make_plan(choices: Facekit7) -> Plan:
    """What is to be built for a facekit-7.

    Raises:
        DatasetError: A number is not one of those expected.
        FaceError: The morphable face or the photographs are missing or damaged.
    """
    cell = len(EXPRESSIONS) * len(CONDITIONS)
    if choices.seed < 0:
        raise DatasetError(f"a seed of {choices.seed}, expected a whole number from 0 on")
    if choices.clips < cell * len(PARTS):
        raise DatasetError(
            f"{choices.clips} clips, expected at least {cell * len(PARTS)}: one for each of "
            f"{len(EXPRESSIONS)} classes, {len(CONDITIONS)} light conditions and {len(PARTS)} parts"
        )
    for number, what, most in (
        (choices.clips, "clips", _MAX_CLIPS),
        (choices.more_clips, "further clips", _MAX_CLIPS),
        (choices.more_people, "further people", _MAX_PEOPLE),
    ):
        if not 0 <= number <= most:
            raise DatasetError(f"{number} {what}, expected at most {most}, and no less than 0")
    if not 0.5 <= choices.clip_s <= 60:
        raise DatasetError(f"clips of {choices.clip_s} s, expected 0.5 to 60")
    if choices.stream_s and not 10 <= choices.stream_s <= 3600:
        raise DatasetError(f"streams of {choices.stream_s} s, expected 0 (none) or 10 to 3600")
    if not 1 <= choices.streams <= _MAX_STREAMS:
        raise DatasetError(
            f"{choices.streams} streams, expected 1 to {_MAX_STREAMS}, or a length of 0 s"
        )
    venue(choices.venue)
    cast = Cast(choices.facekit, choices.photographs, choices.seed)
    subjects = subjects_by_part(cast.photographed, choices.seed)
    subjects["train"] += _random_people(_RANDOM_PEOPLE, choices.more_people)
    shards: list[ShardPlan] = []
    streams: list[RecordingPlan] = []
    times_of = _times(round(choices.clips / cell))
    times_of["train"] += round(choices.more_clips / cell)
    for part, times in times_of.items():
        rng = np.random.default_rng([choices.seed, _SEED_CLIP, PARTS.index(part)])
        shards += shards_of(part, clip_specs(part, subjects[part], times, rng))
        if choices.stream_s and part != "train":
            count = choices.streams if part == "test" else max(1, choices.streams // 2)
            streams += _stream_specs(part, subjects[part], count, choices)
    return Plan(
        name=NAME if choices.venue == LAB else f"{NAME}-{choices.venue}",
        seed=choices.seed,
        shards=shards,
        make_clip=make_clip,
        make_context=make_context,
        settings={
            "venue": choices.venue,
            "clip_s": choices.clip_s,
            "frames_per_s": DEFAULT_FRAMES_PER_S,
            "size": DEFAULT_SIZE,
            "seed": choices.seed,
            **checksums(choices.facekit, choices.photographs, cast.photographed),
        },
        sources={
            "facekit": str(choices.facekit),
            "photographs": str(choices.photographs or ""),
        },
        recordings=streams,
        make_recording=make_recording,
    )


def _times(total: int) -> dict[str, int]:
    """How often each class is in each light condition, in each part."""
    few = {part: max(1, round(total * _SHARES[part])) for part in PARTS[1:]}
    return {PARTS[0]: total - sum(few.values()), **few}


def subjects_by_part(photographed: Sequence[str], seed: int) -> dict[str, list[str]]:
    """The people of each part, none in two."""
    rng = np.random.default_rng([seed, _SEED_SUBJECTS])
    kinds = [
        [photographed[i] for i in rng.permutation(len(photographed))],
        _random_people(0, _RANDOM_PEOPLE),
    ]
    people: dict[str, list[str]] = {}
    begin = 0.0
    for part in PARTS:
        end = begin + _SHARES[part]
        of_kinds = [kind[round(begin * len(kind)) : round(end * len(kind))] for kind in kinds]
        people[part] = [subject for kind in of_kinds for subject in kind]
        begin = end
    return people


def _random_people(first: int, count: int) -> list[str]:
    """Names of random people, from number `first` on."""
    return [f"random-{n:04d}" for n in range(first, first + count)]


def clip_specs(
    part: str, subjects: Sequence[str], times: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """`times` clips of each class and light condition, in random order.

    In each class and light condition photographed and random people take turns, and all of a kind
    are equally often. Where the number is odd, the kind that has one more is another in the other
    light, and in the next class.
    """
    kinds = [[s for s in subjects if s.startswith(k)] for k in ("photo-", "random-")]
    count = len(EXPRESSIONS) * len(CONDITIONS) * times
    turns = [iter(_turns(kind, count, rng)) for kind in kinds if kind]
    clips: list[dict[str, Any]] = []
    for i, expression in enumerate(EXPRESSIONS):
        for j, light in enumerate(CONDITIONS):
            for turn in range((i + j) * times, (i + j + 1) * times):
                subject = next(turns[turn % len(turns)])
                clips.append({"subject": subject, "expression": expression, "light": light})
    return [
        {"name": f"{part}-{number:05d}", "part": part, "number": number, **clips[i]}
        for number, i in enumerate(rng.permutation(len(clips)))
    ]


def _turns(subjects: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    """Subjects in rounds, each round in an order of its own."""
    rounds = math.ceil(count / len(subjects))
    return [subjects[i] for _ in range(rounds) for i in rng.permutation(len(subjects))]


def _stream_specs(
    part: str, subjects: Sequence[str], count: int, choices: Facekit7
) -> list[RecordingPlan]:
    rng = np.random.default_rng([choices.seed, _SEED_STREAM, PARTS.index(part)])
    order = rng.permutation(len(subjects))
    cells = [(light, number) for light in CONDITIONS for number in range(count)]
    return [
        RecordingPlan(
            f"{part}-{light}-{number}",
            {
                "part": part,
                "number": position,
                "subject": subjects[order[position % len(subjects)]],
                "light": light,
                "duration_s": choices.stream_s,
            },
        )
        for position, (light, number) in enumerate(cells)
    ]


@dataclass(frozen=True, slots=True)
class Studio:
    """What a worker loads once: the people, and what all clips have in common."""

    cast: Cast
    seed: int
    clip_s: float
    venue: str


def make_context(settings: Mapping[str, Any], sources: Mapping[str, str]) -> Studio:
    """Load what a worker needs."""
    photographs = Path(sources["photographs"]) if sources["photographs"] else None
    cast = Cast(Path(sources["facekit"]), photographs, settings["seed"])
    return Studio(cast, settings["seed"], settings["clip_s"], settings["venue"])


def make_clip(studio: Studio, spec: Mapping[str, Any]) -> Clip:
    """Render one clip and see it by an event camera."""
    rng = np.random.default_rng(
        [studio.seed, _SEED_CLIP, PARTS.index(spec["part"]), 1, spec["number"]]
    )
    expression, light = spec["expression"], spec["light"]
    take = draw_take(
        studio.cast,
        spec["subject"],
        expression,
        light,
        rng,
        duration_s=studio.clip_s,
        venue=studio.venue,
    )
    return record_clip(spec, take, studio.clip_s, PRESETS[light], int(rng.integers(2**63)))


def record_clip(
    spec: Mapping[str, Any], take: Take, clip_s: float, camera: EmulatorSettings, camera_seed: int
) -> Clip:
    """See a take by an event camera; `spec` says who shows what in which light."""
    events = simulate_frames(take.frames(), camera, camera_seed)
    return Clip(
        name=spec["name"],
        events=cut_to_resolution(events),
        width=DEFAULT_SIZE,
        height=DEFAULT_SIZE,
        duration_ns=round(clip_s * 1e9),
        expression=spec["expression"],
        subject=spec["subject"],
        light=spec["light"],
        course=take.expressions[0][1] if take.expressions else None,
        provenance={**take.description, "camera_seed": camera_seed},
    )


def make_recording(studio: Studio, spec: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Render one stream into a rosbag2 folder, with labels."""
    rng = np.random.default_rng(
        [studio.seed, _SEED_STREAM, PARTS.index(spec["part"]), 1, spec["number"]]
    )
    light, duration_s = spec["light"], spec["duration_s"]
    take = draw_stream_take(
        studio.cast, spec["subject"], light, rng, duration_s=duration_s, venue=studio.venue
    )
    record_take(take, path, BAG, light, int(rng.integers(2**63)))
    counts = Counter(expression for expression, _ in take.expressions)
    return {
        **spec,
        "expressions": {name: counts[name] for name in EXPRESSIONS if counts[name]},
        "intensities": take.description["intensities"],
    }


def checksums(
    facekit: Path, photographs: Path | None, photographed: Sequence[str]
) -> dict[str, str]:
    """Checksums of the inputs, for the settings of a data set.

    Raises:
        DatasetError: A file cannot be read.
    """
    return {
        "facekit_sha256": _sha256([facekit]),
        "photographs_sha256": _sha256(_pictures(photographs, photographed)),
    }


def _pictures(folder: Path | None, photographed: Sequence[str]) -> list[Path]:
    """What is used of a folder of photographs; nothing else in it counts."""
    if folder is None:
        return []
    names = ["faces.json", *(f"{s.removeprefix('photo-')}.jpg" for s in photographed)]
    return [folder / name for name in names]


def _sha256(files: Sequence[Path]) -> str:
    """Checksum over the names and contents of files.

    Raises:
        DatasetError: One cannot be read.
    """
    digest = hashlib.sha256()
    for path in files:
        try:
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()
