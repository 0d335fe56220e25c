"""A table from beginning to end: its runs one after another, and what they came to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cs3d_ros.datasets.dataset import Dataset, open_dataset
from cs3d_ros.errors import Cs3dError
from cs3d_ros.recordings.output import replaced
from cs3d_ros.reproduction import runs
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.reproduction.results import DataResult, RowResult
from cs3d_ros.reproduction.runs import Evaluate, Job, Train, all_options
from cs3d_ros.reproduction.tables import Row, Table
from cs3d_ros.training.data import TrainingData
from cs3d_ros.training.folder import differences
from cs3d_ros.training.settings import TrainingSettings
from cs3d_ros.training.train import train as train_network

IDENTITY = "reproduction.json"
VERSION = 1

_MOST_SEEDS = 100
_RENDERED = "facekit_sha256"


@dataclass(frozen=True)
class Source:
    """A data set that a table is made on.

    Attributes:
        path: Its folder.
        name: In its manifest.
        checksum: SHA-256 of its manifest.
        clips: Number of clips of the part that the table is of.
        people: How many people they show.
        rendered: Whether its faces are rendered.
    """

    path: Path
    name: str
    checksum: str
    clips: int
    people: int
    rendered: bool


@dataclass(frozen=True)
class Study:
    """What there is of a table.

    Attributes:
        table: The table.
        protocol: Name of the protocol that the settings began as.
        settings: The protocol of all rows.
        seeds: Those that each row is to have.
        data: Results by data set.
        failures: What went wrong in this call, one line a run.
        command: What the user typed.
    """

    table: Table
    protocol: str
    settings: TrainingSettings
    seeds: tuple[int, ...]
    data: tuple[DataResult, ...]
    failures: tuple[str, ...]
    command: str

    @property
    def is_finished(self) -> bool:
        """Whether all runs of all rows are."""
        return all(row.is_finished for result in self.data for row in result.rows)


class Reproduction:
    """A table in its folder.

    Runs lie in OUT/DATA_SET/ROW-seedK. One that is finished is not done again.

    Args:
        table: What to reproduce.
        protocol: Name of the protocol.
        settings: What all rows are trained with, but for what is their own.
        data: Folders of the data sets.
        out: The folder.
        seeds: Different ones, not negative.
        only: Rows or groups of rows to run; empty: all.
        command: What the user typed.

    Raises:
        ReproductionError: A seed, row, data set or folder that cannot be used.
        Cs3dError: A data set or settings that nothing can be trained with.
    """

    def __init__(
        self,
        table: Table,
        protocol: str,
        settings: TrainingSettings,
        data: Sequence[Path],
        out: Path,
        seeds: Sequence[int],
        only: Sequence[str] = (),
        command: str = "",
    ) -> None:
        _check_one_process()
        self.table, self.protocol, self.settings, self.out = table, protocol, settings, out
        self.seeds, self.command = _checked(seeds), command
        self._rows = table.select(only)
        # Settings that nothing can be trained with are refused before anything is.
        for row in table.rows:
            row.settings(settings, 0)
        self._sources = [_source(folder, table, settings) for folder in data]
        names = [source.name for source in self._sources]
        for name in names:
            if names.count(name) > 1:
                raise ReproductionError(
                    f"two data sets are named {name}; give each once, others in another folder"
                )
        self._failures: list[str] = []
        self._open()

    def go(
        self,
        *,
        train: Train = train_network,
        evaluate: Evaluate = runs.evaluate,
        progress: bool = True,
        report: Callable[[str], None] = print,
        after: Callable[[Study], None] = lambda study: None,
    ) -> Study:
        """Do all runs that are not finished, one after another.

        A run that fails does not keep the others from being done.

        Args:
            train: Trains.
            evaluate: Evaluates.
            progress: Whether to show bars on stderr and report each epoch.
            report: Takes lines for people.
            after: Is called after each run with all that there is.

        Raises:
            Cs3dError: What `after` raises, or what is stored of a run cannot be used.
        """
        self._failures.clear()
        jobs = [
            (source, row, seed)
            for source in self._sources
            for row in self._rows
            for seed in self.seeds
        ]
        # Runs that cannot be used are found before the first hour of training, not after.
        finished = [runs.outcome_of(self._job(*job)) is not None for job in jobs]
        for number, (job, is_finished) in enumerate(zip(jobs, finished, strict=True), 1):
            source, row, seed = job
            what = f"{source.name}, {row.name}, seed {seed}"
            if is_finished:
                continue
            report(f"run {number} of {len(jobs)}: {what}")
            try:
                outcome = runs.do(
                    self._job(*job),
                    train,
                    evaluate,
                    command=self.command,
                    progress=progress,
                    report=report,
                )
            except Cs3dError as error:
                self._failures.append(f"{what}: {error}")
                report(f"{what} failed: {error}")
                continue
            report(
                f"{what}: {outcome.measured.accuracy:.1%} of {outcome.measured.clips} clips of the "
                f"{self.table.part} part"
            )
            after(self.study())
        return self.study()

    def study(self) -> Study:
        """All that there is of the table, of this and of earlier calls.

        Raises:
            ReproductionError: What is stored of a run cannot be used.
        """
        return Study(
            self.table,
            self.protocol,
            self.settings,
            self.seeds,
            tuple(self._result(source) for source in self._sources),
            tuple(self._failures),
            self.command,
        )

    def _result(self, source: Source) -> DataResult:
        rows = []
        for row in self.table.rows:
            found = [runs.outcome_of(self._job(source, row, seed)) for seed in self.seeds]
            rows.append(RowResult(row, len(self.seeds), tuple(o for o in found if o is not None)))
        return DataResult(
            source.name,
            source.checksum,
            source.clips,
            source.people,
            source.rendered,
            tuple(rows),
        )

    def _job(self, source: Source, row: Row, seed: int) -> Job:
        out = self.out / source.name / f"{row.name}-seed{seed}"
        settings = row.settings(self.settings, seed)
        return Job(out, source.path, source.checksum, self.table.part, settings)

    def _open(self) -> None:
        """Refuse a folder of something else; say in a new one what it is of."""
        path = self.out / IDENTITY
        now = self._identity()
        if self.out.exists():
            if not self.out.is_dir():
                raise ReproductionError(f"{self.out}: is no folder; choose another name")
            present = sorted(p.name for p in self.out.iterdir() if not p.name.startswith("."))
            if present and IDENTITY not in present:
                raise ReproductionError(
                    f"{self.out}: holds something else ({', '.join(present[:5])}); choose a new "
                    "folder"
                )
            if present:
                self._check_same(path, now)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ReproductionError(
                f"{self.out}: cannot be made ({error.strerror}); choose another folder"
            ) from error
        with replaced(path, overwrite=True) as new:
            new.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")

    def _identity(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "table": self.table.name,
            "settings": self.settings.to_dict(),
            "networks": {
                row.name: all_options(row.settings(self.settings, 0)) for row in self.table.rows
            },
            "data": {source.name: source.checksum for source in self._sources},
        }

    def _check_same(self, path: Path, now: dict[str, Any]) -> None:
        try:
            before = json.loads(path.read_bytes())
            if not isinstance(before, dict) or not isinstance(before.get("data"), dict):
                raise ValueError("no JSON object of a table")
        except (OSError, ValueError) as error:
            raise ReproductionError(
                f"{path}: cannot be read ({error}); choose another folder"
            ) from None
        if before.get("table") != self.table.name:
            raise ReproductionError(
                f"{self.out}: is of {before.get('table')}, not of {self.table.name}; choose "
                "another folder"
            )
        lacking = sorted(before["data"].keys() - now["data"].keys())
        if lacking:
            raise ReproductionError(
                f"{self.out}: is of the data set {', '.join(lacking)}, which is not given; give it "
                "with the others by --data, or choose another folder"
            )
        # Further data sets may come in.
        before["data"] = {**now["data"], **before["data"]}
        found = differences(before, now)
        if found:
            more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
            raise ReproductionError(
                f"{self.out}: was begun otherwise: {'; '.join(found[:5])}{more}. Choose another "
                "folder, or use what it was begun with"
            )


def _source(folder: Path, table: Table, settings: TrainingSettings) -> Source:
    data = TrainingData(folder, settings)
    dataset = open_dataset(folder)
    _check_part(dataset, table.part)
    entry = dataset.manifest.parts[table.part]
    return Source(
        path=folder,
        name=data.name,
        checksum=data.checksum,
        clips=entry.clips,
        people=len(entry.subjects),
        rendered=_RENDERED in dataset.manifest.settings,
    )


def _check_part(dataset: Dataset, part: str) -> None:
    parts = dataset.manifest.parts
    if part not in parts:
        raise ReproductionError(
            f"{dataset.path}: has no part {part!r}, only {', '.join(parts)}; this table is judged "
            "on one, whose people are in no other part"
        )
    shown = [label for label, count in parts[part].expressions.items() if count]
    if len(shown) < 2:
        raise ReproductionError(
            f"{dataset.path}: its part {part} shows {', '.join(shown) or 'nothing'}; accuracy "
            "needs clips of two classes at least"
        )


def _checked(seeds: Sequence[int]) -> tuple[int, ...]:
    if not seeds or len(set(seeds)) != len(seeds) or len(seeds) > _MOST_SEEDS:
        raise ReproductionError(
            f"seeds {', '.join(map(str, seeds)) or 'that are none'}; give 1 to {_MOST_SEEDS} "
            "different ones, such as 0,1,2"
        )
    return tuple(sorted(seeds))


def _check_one_process() -> None:
    if torch.distributed.is_torchelastic_launched():
        raise ReproductionError(
            "tables are made by one process; start it without torchrun, or train with cs3d train"
        )
