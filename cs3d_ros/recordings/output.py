"""Where results go: outputs that appear when they are complete, and replace nothing else."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from ruamel.yaml import YAML

from cs3d_ros.recordings.recording import RecordingError

BAG = ""
"""The kind of output that is a rosbag2 folder; the other kinds are suffixes."""

_KINDS = (BAG, ".csv", ".npz", ".raw")
_METADATA = "metadata.yaml"


def kind_of(target: str | Path) -> str:
    """The kind of recording to write, by the name: `BAG`, ".raw", ".csv" or ".npz".

    Raises:
        RecordingError: A suffix of something else.
    """
    kind = BAG if str(target).endswith(("/", os.sep)) else Path(target).suffix.lower()
    if kind in (".mcap", ".db3"):
        raise RecordingError(
            f"{target}: a bag is written as a rosbag2 folder; leave the suffix {kind!r} out"
        )
    if kind not in _KINDS:
        raise RecordingError(
            f"{target}: cannot write {kind!r}, expected .raw, .csv or .npz, or no suffix for a "
            "rosbag2 folder (with a slash at the end where its name has a dot)"
        )
    return kind


def check_target(source: Path, target: Path, kind: str, overwrite: bool) -> None:
    """Refuse an output that would take away what is not its own.

    Replaced is only what is of the kind of the output: a file by a file, and by a bag a folder that
    is empty or holds its metadata.yaml and exactly the files that this lists.

    Raises:
        RecordingError: The output exists and is not to be replaced, or it and the source lie within
            each other.
    """
    if source.is_dir() and target.resolve().is_relative_to(source.resolve()):
        raise RecordingError(f"{target}: lies within what is to be read; choose another name")
    if not os.path.lexists(target):
        return
    if source.resolve().is_relative_to(target.resolve()):
        raise RecordingError(f"{target}: is what is to be read; choose another name")
    if not overwrite:
        raise RecordingError(
            f"{target}: exists already; choose another name, or replace it with --overwrite"
        )
    if kind != BAG and not target.is_file():
        raise RecordingError(f"{target}: is not a file and is not replaced; choose another name")
    if kind == BAG and not _is_one_bag(target):
        raise RecordingError(
            f"{target}: is not a folder with just the files that its metadata.yaml lists, and is "
            "not replaced; choose another name"
        )


def _is_one_bag(folder: Path) -> bool:
    """Whether all that is in a folder belongs to one rosbag2 recording, or there is nothing."""
    if not folder.is_dir():
        return False
    present = sorted(p.name for p in folder.iterdir())
    if not present:
        return True
    try:
        metadata = YAML(typ="safe").load(folder / _METADATA)
        listed = metadata["rosbag2_bagfile_information"]["relative_file_paths"]
        files = {_METADATA, *(PurePosixPath(name).name for name in listed)}
    except Exception:
        # Whatever is wrong with it: without a list nothing is known to belong to the bag.
        return False
    return present == sorted(files) and all((folder / name).is_file() for name in present)


@contextmanager
def replaced(target: Path, overwrite: bool) -> Iterator[Path]:
    """Where to write what becomes `target` when the block ends well, and is removed otherwise.

    Raises:
        RecordingError: There is no folder to write to, the target has appeared meanwhile, or it
            cannot be written. Those of the block name the target.
    """
    if not target.absolute().parent.is_dir():
        raise RecordingError(f"{target}: the folder {target.parent} does not exist; make it first")
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
    except OSError as error:
        raise RecordingError(f"{target}: cannot be written ({error})") from error
    # The name matters: a bag's files are named after their folder.
    new, old = folder / "new" / target.name, folder / "old"
    try:
        new.parent.mkdir()
        yield new
        try:
            if os.path.lexists(target):
                if not overwrite:
                    raise RecordingError(f"{target}: has appeared meanwhile; choose another name")
                target.rename(old)
            new.rename(target)
        except OSError as error:
            if os.path.lexists(old):
                old.rename(target)
            raise RecordingError(f"{target}: cannot be written ({error})") from error
    except RecordingError as error:
        raise RecordingError(str(error).replace(str(new), str(target))) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def size_on_disk(path: Path) -> int:
    """Size in bytes, of a folder with all that is in it."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
