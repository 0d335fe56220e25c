"""What a data set says of itself: its files with checksums, counts, and how it was made."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cs3d_ros.datasets.errors import DatasetError

MANIFEST = "manifest.json"
FORMAT = "cs3d_ros data set"
VERSION = 1

_SHA256 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of the data set.

    Attributes:
        file: Path relative to the data set's folder, with slashes.
        bytes: Its size.
        sha256: Its checksum, 64 hexadecimal digits.
    """

    file: str
    bytes: int
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.file)
        if not self.file or path.is_absolute() or ".." in path.parts or "\0" in self.file:
            raise DatasetError(f"a file named {self.file!r}, expected a path within the folder")
        if self.bytes < 0 or not _SHA256.fullmatch(self.sha256):
            raise DatasetError(f"{self.file}: a size or checksum that no file has")


@dataclass(frozen=True, slots=True)
class ShardEntry:
    """One file of clips.

    Attributes:
        index: Place within its part.
        file: The file.
        clips: Number of clips.
        events: Number of events of all clips.
    """

    index: int
    file: FileEntry
    clips: int
    events: int


@dataclass(frozen=True, slots=True)
class PartEntry:
    """One part, such as "train".

    Attributes:
        shards: Its files, in order.
        clips: Number of clips.
        events: Number of events.
        bytes: Size of the files.
        duration_ns: Length of all clips together.
        expressions: Number of clips by what they show.
        lights: Number of clips by light.
        subjects: Number of clips by subject.

    Raises:
        DatasetError: Its numbers are not those of its files.
    """

    shards: tuple[ShardEntry, ...]
    clips: int
    events: int
    bytes: int
    duration_ns: int
    expressions: Mapping[str, int]
    lights: Mapping[str, int]
    subjects: Mapping[str, int]

    def __post_init__(self) -> None:
        summed = (
            sum(shard.clips for shard in self.shards),
            sum(shard.events for shard in self.shards),
            sum(shard.file.bytes for shard in self.shards),
        )
        if summed != (self.clips, self.events, self.bytes):
            raise DatasetError(
                f"a part of {self.clips} clips, {self.events} events, {self.bytes} bytes, whose "
                f"files have {summed[0]}, {summed[1]}, {summed[2]}"
            )
        for counts in (self.expressions, self.lights, self.subjects):
            if sum(counts.values()) != self.clips:
                raise DatasetError(f"a part of {self.clips} clips that counts {dict(counts)}")


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """One continuous recording, a folder.

    Attributes:
        name: Its name; the folder is recordings/NAME.
        files: All that is in the folder, at least one.
        info: What its maker says about it.

    Raises:
        DatasetError: Its files lie elsewhere, or its name leads out of the data set's folder.
    """

    name: str
    files: tuple[FileEntry, ...]
    info: Mapping[str, Any]

    def __post_init__(self) -> None:
        folder = f"recordings/{self.name}/"
        is_name = self.name and PurePosixPath(self.name).name == self.name
        if not (is_name and self.files and all(f.file.startswith(folder) for f in self.files)):
            raise DatasetError(
                f"a recording named {self.name!r}, expected a name and files in recordings/NAME"
            )


@dataclass(frozen=True, slots=True)
class SkippedClip:
    """A clip that could not be made.

    Attributes:
        part: The part that it was meant for.
        shard: Index of the file that it was meant for.
        position: Its place among the clips planned for that file.
        reason: The error.
    """

    part: str
    shard: int
    position: int
    reason: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All of a data set but the clips.

    Attributes:
        name: Name of the data set.
        seed: The number that all its randomness comes from.
        settings: Arguments that it was made with.
        environment: Versions and architecture that its bytes depend on.
        plan: Checksum of the functions' names and of what each clip was to be.
        labels: The classes, in the order of a network's outputs.
        parts: By name.
        recordings: Continuous recordings that belong to it.
        skipped: What could not be made.
    """

    name: str
    seed: int
    settings: Mapping[str, Any]
    environment: Mapping[str, str]
    plan: str
    labels: tuple[str, ...]
    parts: Mapping[str, PartEntry]
    recordings: tuple[RecordingEntry, ...] = ()
    skipped: tuple[SkippedClip, ...] = ()

    def identity(self) -> dict[str, Any]:
        """What decided on its bytes; the same as `Plan.identity()` of the plan."""
        return {
            "name": self.name,
            "seed": self.seed,
            "settings": dict(self.settings),
            "labels": list(self.labels),
            "environment": dict(self.environment),
            "plan": self.plan,
        }

    @property
    def files(self) -> list[FileEntry]:
        """All files of the data set."""
        shards = [shard.file for part in self.parts.values() for shard in part.shards]
        return shards + [file for recording in self.recordings for file in recording.files]

    @property
    def totals(self) -> dict[str, int]:
        """Clips, events and ns of all parts, and bytes of all files."""
        parts = self.parts.values()
        return {
            "clips": sum(part.clips for part in parts),
            "events": sum(part.events for part in parts),
            "duration_ns": sum(part.duration_ns for part in parts),
            "recordings": len(self.recordings),
            "skipped": len(self.skipped),
            "bytes": sum(file.bytes for file in self.files),
        }

    def to_json(self) -> str:
        """As it is written; the same manifest makes the same text."""
        content = asdict(self) | {"format": FORMAT, "version": VERSION, "totals": self.totals}
        return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str | bytes, path: Path) -> Manifest:
        """Read what `to_json` wrote.

        Args:
            text: The content.
            path: Where it comes from, for messages.

        Raises:
            DatasetError: It is something else, damaged, or of a later version.
        """
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DatasetError(f"{path}: is damaged, not JSON ({error})") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise DatasetError(f"{path}: is not the manifest of a data set of this package")
        if content.get("version") != VERSION:
            raise DatasetError(
                f"{path}: has version {content.get('version')!r} of the format, this package reads "
                f"version {VERSION}; update the package, or make the data set again"
            )
        try:
            return _manifest(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DatasetError(
                f"{path}: is damaged ({type(error).__name__}: {error}); copy or make the data set "
                "again"
            ) from None
        except DatasetError as error:
            raise DatasetError(f"{path}: is damaged ({error})") from None


def _manifest(content: dict[str, Any]) -> Manifest:
    return Manifest(
        name=_a(str, content["name"]),
        seed=_a(int, content["seed"]),
        settings=_a(dict, content["settings"]),
        environment=_a(dict, content["environment"]),
        plan=_a(str, content["plan"]),
        labels=tuple(_a(str, label) for label in _a(list, content["labels"])),
        parts={name: _part(part) for name, part in _a(dict, content["parts"]).items()},
        recordings=tuple(_recording(r) for r in _a(list, content["recordings"])),
        skipped=tuple(_skipped(s) for s in _a(list, content["skipped"])),
    )


def _part(content: dict[str, Any]) -> PartEntry:
    return PartEntry(
        shards=tuple(shard_entry(shard) for shard in _a(list, content["shards"])),
        clips=_count(content["clips"]),
        events=_count(content["events"]),
        bytes=_count(content["bytes"]),
        duration_ns=_count(content["duration_ns"]),
        expressions=_counts(content["expressions"]),
        lights=_counts(content["lights"]),
        subjects=_counts(content["subjects"]),
    )


def shard_entry(content: dict[str, Any]) -> ShardEntry:
    """The entry of a shard as JSON holds it; raises KeyError, TypeError or DatasetError."""
    return ShardEntry(
        index=_count(content["index"]),
        file=file_entry(content["file"]),
        clips=_count(content["clips"]),
        events=_count(content["events"]),
    )


def file_entry(content: dict[str, Any]) -> FileEntry:
    """The entry of a file as JSON holds it; raises KeyError, TypeError or DatasetError."""
    return FileEntry(_a(str, content["file"]), _count(content["bytes"]), _a(str, content["sha256"]))


def _recording(content: dict[str, Any]) -> RecordingEntry:
    return RecordingEntry(
        name=_a(str, content["name"]),
        files=tuple(file_entry(file) for file in _a(list, content["files"])),
        info=_a(dict, content["info"]),
    )


def _skipped(content: dict[str, Any]) -> SkippedClip:
    return SkippedClip(
        part=_a(str, content["part"]),
        shard=_count(content["shard"]),
        position=_count(content["position"]),
        reason=_a(str, content["reason"]),
    )


def _a(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r:.80} instead of a value of type {kind.__name__}")
    return value


def _count(value: Any) -> int:
    if not 0 <= _a(int, value) <= _LARGEST:
        raise ValueError(f"{value!r:.80} instead of a number from 0 to {_LARGEST}")
    return int(value)


def _counts(content: Any) -> dict[str, int]:
    return {name: _count(value) for name, value in _a(dict, content).items()}


def sha256_of(path: Path) -> str:
    """Checksum of a file.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def is_whole(folder: Path, entry: FileEntry) -> bool:
    """Whether a file is there and has the checksum of its entry."""
    path = folder / entry.file
    try:
        return path.stat().st_size == entry.bytes and sha256_of(path) == entry.sha256
    except OSError:
        return False
