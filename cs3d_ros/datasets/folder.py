"""The folder of a data set while it is being built: nothing in it looks whole before it is."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from cs3d_ros.datasets.engines import GO_ON
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.making import Made
from cs3d_ros.datasets.manifest import MANIFEST, Manifest, file_entry, is_whole

UNFINISHED = "unfinished"
LOG = "build.log.json"
_JOB = "job.json"
_PROGRESS = "progress.jsonl"
_OWN = {UNFINISHED, LOG, "parts", "recordings"}


class BuildFolder:
    """A folder that a data set is built in.

    `unfinished/` is there until the end. It holds job.json (what is being built), progress.jsonl (a
    line for each file or recording that is whole, with checksums) and what is half written.

    Attributes:
        path: The folder.
        finished: The manifest, where the same data set is there already.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], resume: bool) -> None:
        """Make the folder, or find an unfinished build of the same in it; see `open_folder`."""
        self.path = path
        self.finished: Manifest | None = None
        self._unfinished = path / UNFINISHED
        job = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        if (path / MANIFEST).exists():
            self.finished = self._same_data_set(identity)
            # The last thing that a build does may have been interrupted.
            shutil.rmtree(self._unfinished, ignore_errors=True)
            return
        present = {p.name for p in path.iterdir()}
        if not present:
            self._unfinished.mkdir()
            self.write(f"{UNFINISHED}/{_JOB}", job.encode())
            return
        strange = sorted(present - _OWN)
        if strange or UNFINISHED not in present:
            raise DatasetError(
                f"{path}: holds something else ({', '.join(strange or sorted(present))}); choose a "
                "new folder"
            )
        if not (self._unfinished / _JOB).exists() and present == {UNFINISHED}:
            # Interrupted before it began.
            self.write(f"{UNFINISHED}/{_JOB}", job.encode())
            return
        if not resume:
            raise DatasetError(
                f"{path}: holds an unfinished data set; go on with it, remove it, or choose "
                "another folder"
            )
        self._check_same_job(identity)

    def _same_data_set(self, identity: Mapping[str, Any]) -> Manifest:
        path = self.path / MANIFEST
        manifest = Manifest.from_json(path.read_bytes(), path)
        differences = _differences(manifest.identity(), identity)
        if differences:
            raise DatasetError(
                f"{self.path}: holds a data set already that was made otherwise: "
                f"{'; '.join(differences[:5])}. Choose another folder"
            )
        return manifest

    def _check_same_job(self, identity: Mapping[str, Any]) -> None:
        before = _read_json(self._unfinished / _JOB)
        if not isinstance(before, dict):
            raise DatasetError(
                f"{self.path}: its {UNFINISHED}/{_JOB} is damaged; remove the folder"
            )
        differences = _differences(before, identity)
        if differences:
            raise DatasetError(
                f"{self.path}: an unfinished data set lies here that was begun otherwise: "
                f"{'; '.join(differences[:5])}. Begin a new folder, or use what it was begun with"
            )

    def records(self) -> Iterator[dict[str, Any]]:
        """What is whole of an earlier run; the rest of it is forgotten.

        Files with skipped clips are not among them: what went wrong may have been put right.

        Raises:
            DatasetError: The notes of the earlier run cannot be read or written.
        """
        kept: dict[str, dict[str, Any]] = {}
        try:
            lines = (self._unfinished / _PROGRESS).read_bytes().splitlines()
        except FileNotFoundError:
            return
        except OSError as error:
            raise DatasetError(
                f"{self._unfinished / _PROGRESS}: cannot be read ({error.strerror}); whose is it?"
            ) from error
        for line in lines:
            try:
                record = json.loads(line)
                entries = [file_entry(e) for e in record.get("files") or [record["shard"]["file"]]]
            except (ValueError, KeyError, TypeError, AttributeError, DatasetError):
                # Half a line, where the machine stopped. Its file is made again.
                continue
            if not record.get("skipped") and all(is_whole(self.path, e) for e in entries):
                kept[entries[0].file] = record
        text = "".join(json.dumps(record) + "\n" for record in kept.values())
        self.write(f"{UNFINISHED}/{_PROGRESS}", text.encode())
        yield from kept.values()

    def keep(self, made: Made) -> None:
        """Write what a worker has made, then note that it is whole.

        Raises:
            DatasetError: It cannot be written, as on a full disk.
        """
        if "recording" in made.record:
            self._keep_recording(made.record["recording"], made.contents)
        else:
            for name, content in made.contents.items():
                self.write(name, content)
        self._append(_PROGRESS, made.record)

    def _keep_recording(self, name: str, contents: Mapping[str, bytes]) -> None:
        prefix = f"recordings/{name}/"
        target, new = self.path / prefix, self._unfinished / "recording"
        try:
            shutil.rmtree(new, ignore_errors=True)
            for path, content in contents.items():
                file = new / path.removeprefix(prefix)
                file.parent.mkdir(parents=True, exist_ok=True)
                _write_through(file, content)
            shutil.rmtree(target, ignore_errors=True)
            target.parent.mkdir(exist_ok=True)
            new.rename(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise _not_written(target, error) from error

    def finish(self, manifest: Manifest, log: Mapping[str, Any]) -> None:
        """Write the log and, last of all, the manifest.

        Raises:
            DatasetError: They cannot be written.
        """
        text = json.dumps(log, indent=1, sort_keys=True) + "\n"
        self.write(LOG, text.encode())
        self.write(MANIFEST, manifest.to_json().encode())
        shutil.rmtree(self._unfinished, ignore_errors=True)

    def note_run(self, run: Mapping[str, Any]) -> None:
        """Remember one run of the command, for the log."""
        self._append("runs.jsonl", run)

    def runs(self) -> list[dict[str, Any]]:
        """The runs that were noted."""
        try:
            lines = (self._unfinished / "runs.jsonl").read_text().splitlines()
            return [json.loads(line) for line in lines]
        except (OSError, ValueError):
            return []

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that it is there whole or not at all.

        Raises:
            DatasetError: It cannot be written.
        """
        target, new = self.path / name, self._unfinished / "file"
        try:
            _write_through(new, content)
            target.parent.mkdir(exist_ok=True)
            new.rename(target)
            _sync_folder(target.parent)
        except OSError as error:
            # Where nothing can be written, nothing can be removed either.
            with suppress(OSError):
                new.unlink()
            raise _not_written(target, error) from error

    def _append(self, name: str, record: Mapping[str, Any]) -> None:
        path = self._unfinished / name
        try:
            with path.open("ab") as file:
                file.write(json.dumps(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _not_written(path, error) from error


@contextmanager
def open_folder(path: Path, identity: Mapping[str, Any], resume: bool) -> Iterator[BuildFolder]:
    """Take hold of a folder to build in; no other build can meanwhile.

    Args:
        path: New, empty, or with an unfinished or finished build of the same.
        identity: `Plan.identity()`.
        resume: Whether to go on with an unfinished build; refuse it otherwise.

    Raises:
        DatasetError: The folder cannot be made or holds something else, or another build is at work
            in it.
    """
    try:
        path.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise DatasetError(f"{path}: the folder {path.parent} does not exist") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be a folder to build in ({error})") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatasetError(f"{path}: another build is at work in it") from None
        except OSError:
            # File systems of networks may have no locks for folders.
            pass
        try:
            folder = BuildFolder(path, identity, resume)
        except OSError as error:
            raise DatasetError(f"{path}: cannot be used to build in ({error})") from error
        yield folder
    finally:
        os.close(handle)


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], name: str = "") -> list[str]:
    """What differs, in words."""
    found = []
    for key in sorted({*before, *now}):
        a, b = before.get(key), now.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, f"{name}{key}.")
        elif a != b:
            found.append(f"{name}{key} was {a!r:.100}, now {b!r:.100}")
    return found


def _write_through(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _not_written(path: Path, error: OSError) -> DatasetError:
    return DatasetError(f"{path}: cannot be written ({error.strerror or error}); {GO_ON}")
