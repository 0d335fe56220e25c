"""The work on a data set that any process or machine can do: one file of it at a time."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.manifest import FileEntry, ShardEntry, SkippedClip
from cs3d_ros.datasets.plan import Plan, RecordingPlan, ShardPlan, environment
from cs3d_ros.datasets.shards import ShardWriter
from cs3d_ros.errors import Cs3dError
from cs3d_ros.extras import load_extra

_turn = Lock()


@dataclass(frozen=True, slots=True)
class Task:
    """One shard or recording, with all that a worker needs to make it.

    Attributes:
        what: Which one.
        make: The plan's function for it.
        make_context: The plan's.
        arguments: JSON of the plan's settings and sources.
        environment: Versions that the worker has to have.
    """

    what: ShardPlan | RecordingPlan
    make: Callable[..., Any]
    make_context: Callable[..., Any] | None
    arguments: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Made:
    """What came out of a task.

    Attributes:
        record: What is to be remembered of it, as JSON can hold it.
        contents: The files' contents by their paths within the data set's folder.
    """

    record: Mapping[str, Any]
    contents: Mapping[str, bytes]


def tasks_of(plan: Plan) -> list[Task]:
    """All work of a plan; the recordings first, because one takes longer than a shard."""
    arguments = json.dumps([dict(plan.settings), dict(plan.sources)], sort_keys=True)
    tasks = [
        Task(recording, plan.make_recording, plan.make_context, arguments, environment())
        for recording in plan.recordings
        if plan.make_recording is not None
    ]
    return tasks + [
        Task(shard, plan.make_clip, plan.make_context, arguments, environment())
        for shard in plan.shards
    ]


def make(task: Task) -> Made:
    """Do a task. Threads of one process take turns.

    Raises:
        DatasetError: This machine has other versions, or the plan's functions failed other than by
            an error of the package for a single clip.
    """
    theirs, ours = dict(task.environment), environment()
    if theirs != ours:
        differences = [f"{k} {ours.get(k)} instead of {v}" for k, v in theirs.items()]
        differences = [d for d, k in zip(differences, theirs, strict=True) if ours[k] != theirs[k]]
        raise DatasetError(
            f"a worker on {ours['machine']} has {', '.join(differences)}: its files would differ; "
            "install the same versions on all machines"
        )
    # The context is not made for several threads, and the number of OpenCV's is the process's.
    with _turn, one_thread():
        try:
            context = _context(task.make_context, task.arguments)
        except Cs3dError:
            raise
        except Exception as error:
            raise _unexpected("what the clips are made from cannot be loaded", error) from error
        if isinstance(task.what, ShardPlan):
            return _make_shard(task.what, task.make, context)
        return _make_recording(task.what, task.make, context)


@lru_cache(maxsize=1)
def _context(function: Callable[..., Any] | None, arguments: str) -> Any:
    return None if function is None else function(*json.loads(arguments))


def _make_shard(shard: ShardPlan, make_clip: Callable[..., Clip], context: Any) -> Made:
    writer = ShardWriter()
    skipped: list[SkippedClip] = []
    for position, spec in enumerate(shard.specs):
        try:
            clip = make_clip(context, spec)
        except Cs3dError as error:
            skipped.append(SkippedClip(shard.part, shard.index, position, str(error)))
            continue
        except Exception as error:
            raise _unexpected(f"clip {position} of {shard.file} ({_short(spec)})", error) from error
        if not isinstance(clip, Clip):
            raise DatasetError(
                f"clip {position} of {shard.file} ({_short(spec)}): make_clip returned "
                f"{type(clip).__name__} instead of a Clip"
            )
        writer.add(clip)
    content = writer.finish()
    clips = writer.clips
    entry = ShardEntry(
        shard.index,
        _file_entry(shard.file, content),
        len(clips),
        sum(clip.event_count for clip in clips),
    )
    record = {
        "part": shard.part,
        "shard": asdict(entry),
        "clips": [
            [clip.name, clip.expression, clip.light, clip.subject, clip.duration_ns]
            for clip in clips
        ],
        "skipped": [asdict(skip) for skip in skipped],
    }
    return Made(record, {shard.file: content})


def _make_recording(
    recording: RecordingPlan, make_recording: Callable[..., Mapping[str, Any]], context: Any
) -> Made:
    with tempfile.TemporaryDirectory(prefix="cs3d-recording-") as temporary:
        # The name matters: a bag's files are named after their folder.
        path = Path(temporary) / recording.name
        try:
            info = json.loads(json.dumps(dict(make_recording(context, recording.spec, path))))
        except Exception as error:
            where = f"{recording.folder} ({_short(recording.spec)})"
            if isinstance(error, Cs3dError):
                raise DatasetError(f"{where}: {error}") from error
            raise _unexpected(where, error) from error
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else []
        if not files:
            raise DatasetError(f"{recording.folder}: make_recording wrote no folder with files")
        contents = {
            f"{recording.folder}/{file.relative_to(path).as_posix()}": file.read_bytes()
            for file in files
        }
    record = {
        "recording": recording.name,
        "files": [asdict(_file_entry(name, content)) for name, content in contents.items()],
        "info": info,
    }
    return Made(record, contents)


def _file_entry(name: str, content: bytes) -> FileEntry:
    return FileEntry(name, len(content), hashlib.sha256(content).hexdigest())


def _unexpected(where: str, error: Exception) -> DatasetError:
    # Only text goes back: an exception of another library may not survive the way.
    return DatasetError(f"{where}: {type(error).__name__}: {error}")


def _short(spec: Any) -> str:
    text = json.dumps(spec)
    return text if len(text) <= 200 else text[:200] + "…"


@contextmanager
def one_thread() -> Iterator[None]:
    """Let linear algebra and OpenCV use one thread within the block.

    Their results depend on the number of threads in the last bits, and workers are one a core
    already.
    """
    threadpoolctl = load_extra("threadpoolctl", "train")
    try:
        cv2 = load_extra("cv2", "train")
    except Cs3dError:
        cv2 = None
    before = cv2.getNumThreads() if cv2 is not None else 0
    with threadpoolctl.threadpool_limits(limits=1):
        try:
            if cv2 is not None:
                cv2.setNumThreads(1)
            yield
        finally:
            if cv2 is not None:
                cv2.setNumThreads(before)
