"""Reading a data set."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.folder import UNFINISHED
from cs3d_ros.datasets.manifest import MANIFEST, Manifest, PartEntry, is_whole
from cs3d_ros.datasets.shards import ClipInfo, ShardReader
from cs3d_ros.extras import load_pyarrow


class Part(Sequence[Clip]):
    """The clips of one part, read from memory mapped files when they are asked for.

    It can be pickled, and used by processes that were forked: no file is open before the first clip
    is read.

    Attributes:
        name: Such as "train".
        labels: The classes of the data set.
        entry: What the manifest says about it.
    """

    def __init__(self, folder: Path, name: str, labels: Sequence[str], entry: PartEntry) -> None:
        """See `Dataset.part`."""
        self.name = name
        self.labels = tuple(labels)
        self.entry = entry
        self._shards = [ShardReader(folder / shard.file.file) for shard in entry.shards]
        self._ends = list(accumulate(shard.clips for shard in entry.shards))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, index: int) -> Clip:  # type: ignore[override]
        """The clip at an index; negative ones count from the end.

        Raises:
            IndexError: There is no such clip.
            DatasetError: Its file is damaged.
        """
        n = len(self)
        if not -n <= index < n:
            raise IndexError(f"clip {index} of {self.name}, which has {n}")
        index %= n
        which = bisect.bisect_right(self._ends, index)
        shard, first = self._shards[which], self._ends[which] - self.entry.shards[which].clips
        return shard.clip(index - first)

    def __iter__(self) -> Iterator[Clip]:
        return (self[index] for index in range(len(self)))

    def table(self) -> list[ClipInfo]:
        """All that is known of all clips without their events, in the order of the clips.

        Raises:
            DatasetError: A file is damaged, or holds other clips than the manifest says.
        """
        return self._table

    @cached_property
    def _table(self) -> list[ClipInfo]:
        table: list[ClipInfo] = []
        for shard, end in zip(self._shards, self._ends, strict=True):
            table += shard.infos()
            if len(table) != end:
                raise DatasetError(f"{shard.path}: holds another number of clips than {MANIFEST}")
        return table


class Dataset:
    """A finished data set; see `open_dataset`.

    Attributes:
        path: Its folder.
        manifest: What it says of itself.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes, in the order of a network's outputs."""
        return self.manifest.labels

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts."""
        return tuple(self.manifest.parts)

    @property
    def recordings(self) -> dict[str, Path]:
        """The folders of the continuous recordings, by name."""
        return {r.name: self.path / "recordings" / r.name for r in self.manifest.recordings}

    def part(self, name: str) -> Part:
        """The clips of one part.

        Raises:
            DatasetError: There is no such part.
        """
        if name not in self.manifest.parts:
            raise DatasetError(
                f"{self.path}: no part {name!r}, expected one of: {', '.join(self.parts)}"
            )
        return Part(self.path, name, self.labels, self.manifest.parts[name])

    def verify(self) -> None:
        """Compare all files with their checksums.

        Raises:
            DatasetError: Files are missing or damaged; the message names them.
        """
        bad = [e.file for e in self.manifest.files if not is_whole(self.path, e)]
        if bad:
            raise DatasetError(
                f"{self.path}: {len(bad)} of {len(self.manifest.files)} files are missing or "
                f"damaged: {', '.join(bad[:10])}{', …' if len(bad) > 10 else ''}; copy or make the "
                "data set again"
            )


def open_dataset(folder: str | Path) -> Dataset:
    """Open a data set. Its files have to be there with their sizes; `Dataset.verify` checks more.

    Raises:
        DatasetError: There is no finished data set, files are missing or truncated, it has a later
            version of the format, or pyarrow is not installed.
    """
    load_pyarrow()
    folder = Path(folder).expanduser()
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        if (folder / UNFINISHED).is_dir():
            raise DatasetError(
                f"{folder}: unfinished; run the command that began it again to go on"
            ) from None
        raise DatasetError(f"{folder}: no data set, there is no {MANIFEST} in it") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error})") from error
    manifest = Manifest.from_json(text, path)
    for entry in manifest.files:
        try:
            size = (folder / entry.file).stat().st_size
        except OSError as error:
            raise DatasetError(
                f"{folder / entry.file}: cannot be read ({error.strerror}); copy or make the data "
                "set again"
            ) from error
        if size != entry.bytes:
            raise DatasetError(
                f"{folder / entry.file}: has {size} bytes instead of {entry.bytes}; copy or make "
                "the data set again"
            )
    return Dataset(folder, manifest)
