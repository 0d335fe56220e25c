"""What is to be built: which clips go into which file, and who makes them."""

from __future__ import annotations

import hashlib
import importlib
import json
import platform
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import cs3d_ros
from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.expressions import EXPRESSIONS

CLIPS_PER_SHARD = 32

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """One file of clips.

    Attributes:
        part: The part that it belongs to, such as "train".
        index: Its number within the part, from 0 on.
        specs: What `Plan.make_clip` gets for each clip, as JSON can hold it.
    """

    part: str
    index: int
    specs: Sequence[Any]

    @property
    def file(self) -> str:
        """Path within the data set's folder."""
        return f"parts/{self.part}-{self.index:05d}.arrow"


@dataclass(frozen=True, slots=True)
class RecordingPlan:
    """One continuous recording, the folder recordings/NAME.

    Attributes:
        name: Its name.
        spec: What `Plan.make_recording` gets for it, as JSON can hold it.
    """

    name: str
    spec: Any

    @property
    def folder(self) -> str:
        """Path within the data set's folder."""
        return f"recordings/{self.name}"


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole data set that is to be built.

    The functions belong to modules that the workers can import. What they make has to depend on
    nothing but their arguments, so that every worker makes the same bytes.

    Attributes:
        name: Name of the data set.
        seed: The number that all randomness comes from; for the manifest, `settings` and specs hold
            what the functions need.
        shards: The files of clips. Each part's indices are 0, 1, 2, …
        make_clip: `(context, spec) -> Clip`. An error of the package (`Cs3dError`) counts as a clip
            that could not be made; any other ends the build.
        make_context: `(settings, sources) -> context`, called once in each worker process, for what
            is expensive to load. The threads of a worker take turns with it.
        settings: Arguments, as JSON can hold them. They go into the manifest; a build that was
            interrupted goes on only with the same ones.
        sources: Where inputs lie on the workers' machines. They do not go into the manifest; put
            checksums of the inputs into `settings` where these matter.
        labels: The classes; every clip shows one of them.
        recordings: Continuous recordings.
        make_recording: `(context, spec, path) -> info`. Writes the folder `path`, which does
            not exist yet, with the same bytes each time, and returns what the manifest is to say
            about it, as JSON can hold it; a "part" and a "subject" in it keep the subject out of
            the other parts.
        max_skipped: Largest share of a part's clips that may fail.

    Raises:
        DatasetError: Something of this does not hold.
    """

    name: str
    seed: int
    shards: Sequence[ShardPlan]
    make_clip: Callable[[Any, Any], Clip]
    make_context: Callable[[Mapping[str, Any], Mapping[str, str]], Any] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    labels: Sequence[str] = EXPRESSIONS
    recordings: Sequence[RecordingPlan] = ()
    make_recording: Callable[[Any, Any, Path], Mapping[str, Any]] | None = None
    max_skipped: float = 0.5

    def __post_init__(self) -> None:
        for name in (self.name, *self.parts, *(r.name for r in self.recordings)):
            if not _NAME.fullmatch(name):
                raise DatasetError(
                    f"the name {name!r}, expected 1 to 100 letters, digits, '.', '_', '-' that do "
                    "not begin with '.' or '-'"
                )
        for part in self.parts:
            indices = [shard.index for shard in self.shards if shard.part == part]
            if sorted(indices) != list(range(len(indices))):
                raise DatasetError(f"shards {sorted(indices)} of {part}, expected 0, 1, 2, …")
        names = [recording.name for recording in self.recordings]
        if len(set(names)) < len(names):
            raise DatasetError(f"two recordings of one name among {sorted(names)}")
        if names and self.make_recording is None:
            raise DatasetError("recordings without make_recording")
        if not self.shards and not names:
            raise DatasetError("nothing to build: neither shards nor recordings")
        self.identity()

    @property
    def parts(self) -> list[str]:
        """Names of the parts, in the order of their first shards."""
        return list(dict.fromkeys(shard.part for shard in self.shards))

    def identity(self) -> dict[str, Any]:
        """What decides on the bytes of the data set, as JSON holds it.

        Raises:
            DatasetError: The settings or a spec are not what JSON can hold.
        """
        functions = (self.make_clip, self.make_context, self.make_recording)
        names = [name_of(function) for function in functions if function is not None]
        try:
            specs = [[s.part, s.index, list(s.specs)] for s in self.shards]
            recordings = [[r.name, r.spec] for r in self.recordings]
            text = json.dumps([names, specs, recordings], sort_keys=True, allow_nan=False)
            settings = json.loads(json.dumps(dict(self.settings), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f"{self.name}: settings or specs are not what JSON can hold ({error})"
            ) from None
        return {
            "name": self.name,
            "seed": self.seed,
            "settings": settings,
            "labels": list(self.labels),
            "environment": environment(),
            "plan": hashlib.sha256(text.encode()).hexdigest(),
        }


def shards_of(
    part: str, specs: Sequence[Any], clips_per_shard: int = CLIPS_PER_SHARD
) -> list[ShardPlan]:
    """Spread the clips of a part over files.

    A worker holds the file that it makes in memory, some 6 bytes an event; so does the main
    process, compressed to some 1.2 bytes an event, for every worker.
    """
    starts = range(0, len(specs), clips_per_shard)
    return [
        ShardPlan(part, index, specs[start : start + clips_per_shard])
        for index, start in enumerate(starts)
    ]


def name_of(function: Callable[..., Any]) -> str:
    """The name by which other processes import a function.

    Raises:
        DatasetError: They cannot, because it is no function at the top of a module.
    """
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", "")
    try:
        if getattr(importlib.import_module(str(module)), name) is function:
            return f"{module}.{name}"
    except (ImportError, AttributeError):
        pass
    raise DatasetError(
        f"{function!r} cannot be imported by other processes; use a function at the top of a module"
    )


@cache
def environment() -> dict[str, str]:
    """Versions and architecture that the bytes of a data set depend on."""
    versions = {"cs3d_ros": cs3d_ros.__version__, "machine": platform.machine()}
    for module in ("cv2", "numba", "numpy", "pyarrow"):
        try:
            versions[module] = str(importlib.import_module(module).__version__)
        except ImportError:
            versions[module] = "none"
    return versions
