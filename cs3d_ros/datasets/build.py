"""Building a data set.

    plan = Plan(
        name="faces",
        seed=0,
        shards=[*shards_of("train", train_specs), *shards_of("test", test_specs)],
        make_clip=my_module.make_clip,  # (context, spec) -> Clip
        make_context=my_module.load,  # (settings, sources) -> context, once a worker process
        settings={"frames_per_s": 100},  # goes into the manifest
        sources={"facekit": "/path/to/facekit.npz"},  # does not
    )
    manifest = build(plan, Path("out"), choose_engine(workers=2))

Whatever the engine, the folder gets the same bytes, but for build.log.json, which says when and how
long. What is interrupted goes on where it was when the same is called again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from cs3d_ros.datasets.engines import Engine, Serial
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.folder import BuildFolder, open_folder
from cs3d_ros.datasets.making import Made, make, tasks_of
from cs3d_ros.datasets.manifest import (
    FileEntry,
    Manifest,
    PartEntry,
    RecordingEntry,
    SkippedClip,
    file_entry,
    shard_entry,
)
from cs3d_ros.datasets.plan import Plan, RecordingPlan, ShardPlan, shards_of
from cs3d_ros.extras import load_extra, load_pyarrow

__all__ = ["Plan", "RecordingPlan", "ShardPlan", "build", "shards_of"]


def build(
    plan: Plan,
    out: str | Path,
    engine: Engine | None = None,
    *,
    resume: bool = True,
    progress: bool = True,
) -> Manifest:
    """Build a data set, or go on with one that was interrupted.

    Clips that cannot be made are left out and listed in the manifest with the reason. Files in
    which clips were left out are made again when a build goes on.

    Args:
        plan: What to build.
        out: Folder for it: new, empty, or with an unfinished build of the same plan. A finished one
            of the same plan is left as it is.
        engine: Who does the work; None for this process.
        resume: Whether to go on with an unfinished build, and not refuse it.
        progress: Show a bar on stderr, if that is a terminal.

    Returns:
        The manifest, as it is in the folder now.

    Raises:
        DatasetError: The folder holds something else, it cannot be written to, too many clips
            cannot be made, a name or a subject is in two places, or a worker was lost. What is
            finished is kept, and there is no manifest.
    """
    engine = Serial() if engine is None else engine
    load_pyarrow()
    with open_folder(Path(out).expanduser(), plan.identity(), resume) as folder:
        if folder.finished is not None:
            return folder.finished
        tally = _Tally(plan)
        for record in folder.records():
            try:
                tally.add(record)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DatasetError(
                    f"{folder.path}: its notes of an earlier run are damaged "
                    f"({type(error).__name__}: {error}); remove the folder"
                ) from error
        with _noted(folder, engine, tally):
            _make_the_rest(plan, folder, engine, tally, progress)
        manifest = tally.manifest()
        folder.finish(manifest, {"runs": folder.runs()})
    return manifest


def _make_the_rest(
    plan: Plan, folder: BuildFolder, engine: Engine, tally: _Tally, progress: bool
) -> None:
    tqdm = load_extra("tqdm", "train").tqdm
    tasks = [task for task in tasks_of(plan) if _key(task.what) not in tally.done]
    total = sum(len(shard.specs) for shard in plan.shards) + len(plan.recordings)
    with (
        tqdm(
            total=total,
            initial=tally.count,
            unit="clip",
            desc=plan.name,
            disable=None if progress else True,
        ) as bar,
        _closing(engine.map_unordered(make, tasks)) as results,
    ):
        for made in results:
            folder.keep(made)
            tally.add(made.record)
            bar.update(tally.count - bar.n)


@contextmanager
def _closing(results: Iterator[Made]) -> Iterator[Iterator[Made]]:
    """Stop the workers when the block ends; only generators have any."""
    try:
        yield results
    finally:
        if isinstance(results, Generator):
            results.close()


@contextmanager
def _noted(folder: BuildFolder, engine: Engine, tally: _Tally) -> Iterator[None]:
    """Note for the log what a run took, whichever way it ends."""
    started, begin = datetime.now(timezone.utc), time.monotonic()
    before = tally.count
    try:
        yield
    finally:
        run = {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - begin, 3),
            "engine": repr(engine),
            "done_before": before,
            "done_after": tally.count,
        }
        # On a full disk, the error that ended the run is the one to be told.
        with suppress(DatasetError):
            folder.note_run(run)


def _key(what: ShardPlan | RecordingPlan) -> tuple[str, int | None]:
    if isinstance(what, ShardPlan):
        return what.part, what.index
    return what.name, None


class _Tally:
    """What has been made so far, and whether it fits together.

    Attributes:
        done: Parts with indices, and names of recordings with None, that are there.
        count: Clips that are done, skipped ones included, and recordings.
    """

    def __init__(self, plan: Plan) -> None:
        self.done: set[tuple[str, int | None]] = set()
        self.count = 0
        self._plan = plan
        self._shards: dict[str, list[Mapping[str, Any]]] = {part: [] for part in plan.parts}
        self._recordings: dict[str, RecordingEntry] = {}
        self._names: set[str] = set()
        self._part_of: dict[str, str] = {}
        self._skipped: Counter[str] = Counter()
        self._planned: Counter[str] = Counter()
        for shard in plan.shards:
            self._planned[shard.part] += len(shard.specs)

    def add(self, record: Mapping[str, Any]) -> None:
        """Count what a worker has made.

        Raises:
            DatasetError: It does not fit to the rest, or too many clips were skipped.
        """
        if "recording" in record:
            name = record["recording"]
            files: tuple[FileEntry, ...] = tuple(file_entry(file) for file in record["files"])
            info = record["info"]
            if "subject" in info and "part" in info:
                self._place(info["subject"], info["part"], f"recording {name}")
            self._recordings[name] = RecordingEntry(name, files, info)
            self.done.add((name, None))
            self.count += 1
            return
        part = record["part"]
        for name, expression, _, subject, _ in record["clips"]:
            if expression not in self._plan.labels:
                raise DatasetError(
                    f"clip {name} shows {expression!r}, expected one of {list(self._plan.labels)}"
                )
            if name in self._names:
                raise DatasetError(f"two clips are named {name}; names have to differ")
            self._names.add(name)
            self._place(subject, part, f"clip {name}")
        self._shards[part].append(record)
        self.done.add((part, record["shard"]["index"]))
        self.count += len(record["clips"]) + len(record["skipped"])
        self._check_skipped(part, record["skipped"])

    def _place(self, subject: str, part: str, of: str) -> None:
        if self._part_of.setdefault(subject, part) != part:
            raise DatasetError(
                f"subject {subject} of {of} is in the parts {self._part_of[subject]} and {part}; "
                "no subject may be in two"
            )

    def _check_skipped(self, part: str, skipped: list[dict[str, Any]]) -> None:
        self._skipped[part] += len(skipped)
        if self._skipped[part] > self._plan.max_skipped * self._planned[part]:
            raise DatasetError(
                f"{self._skipped[part]} of {self._planned[part]} clips of {part} cannot be made, "
                f"at most {self._plan.max_skipped:.0%} may fail; the last: {skipped[-1]['reason']}"
            )

    def manifest(self) -> Manifest:
        """The manifest of it all."""
        plan, identity = self._plan, self._plan.identity()
        in_order = {
            part: sorted(records, key=lambda record: record["shard"]["index"])
            for part, records in sorted(self._shards.items())
        }
        skips = [skip for records in in_order.values() for r in records for skip in r["skipped"]]
        return Manifest(
            name=plan.name,
            seed=plan.seed,
            settings=identity["settings"],
            environment=identity["environment"],
            plan=identity["plan"],
            labels=tuple(plan.labels),
            parts={part: _part_entry(records) for part, records in in_order.items()},
            recordings=tuple(self._recordings[r.name] for r in plan.recordings),
            skipped=tuple(SkippedClip(**skip) for skip in skips),
        )


def _part_entry(records: list[Mapping[str, Any]]) -> PartEntry:
    shards = tuple(shard_entry(record["shard"]) for record in records)
    clips = [clip for record in records for clip in record["clips"]]
    return PartEntry(
        shards=shards,
        clips=len(clips),
        events=sum(shard.events for shard in shards),
        bytes=sum(shard.file.bytes for shard in shards),
        duration_ns=sum(clip[4] for clip in clips),
        expressions=dict(Counter(clip[1] for clip in clips)),
        lights=dict(Counter(clip[2] for clip in clips)),
        subjects=dict(Counter(clip[3] for clip in clips)),
    )
