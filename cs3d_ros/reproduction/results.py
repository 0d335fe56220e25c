"""Rows of numbers, and what can be said of the order of two of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cs3d_ros.evaluation.scores import accuracy_interval
from cs3d_ros.reproduction.runs import Outcome
from cs3d_ros.reproduction.tables import Row

HOLDS, WITHIN, AGAINST_WITHIN, AGAINST = (
    "holds",
    "holds within the spread",
    "does not hold, within the spread",
    "does not hold",
)
HOLDS_ONCE, AGAINST_ONCE = "holds with one seed", "does not hold with one seed"


@dataclass(frozen=True)
class RowResult:
    """What the runs of a row came to.

    Attributes:
        row: The row.
        wanted: How many seeds there are to be.
        outcomes: The finished runs, in the order of the seeds.
    """

    row: Row
    wanted: int
    outcomes: tuple[Outcome, ...]

    @property
    def is_finished(self) -> bool:
        """Whether all of its runs are; before, nothing else here may be asked for."""
        return len(self.outcomes) == self.wanted

    @property
    def accuracies(self) -> list[float]:
        """Of each seed, 0 to 1."""
        return [outcome.measured.accuracy for outcome in self.outcomes]

    @property
    def mean(self) -> float:
        """Mean accuracy over seeds, 0 to 1."""
        return statistics.fmean(self.accuracies)

    @property
    def deviation(self) -> float | None:
        """Standard deviation over seeds (divided by n − 1); None with one seed."""
        return statistics.stdev(self.accuracies) if len(self.outcomes) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval over people of the mean accuracy; None with fewer than two people.

        People are drawn with replacement, each with the mean of all seeds.
        """
        return _over_people(_rates(self), self.outcomes[0])

    @property
    def seconds(self) -> float:
        """Duration of all trainings together."""
        return sum(outcome.trained.seconds for outcome in self.outcomes)


@dataclass(frozen=True)
class Comparison:
    """Two rows of which one is to be above the other.

    Attributes:
        higher, lower: The rows.
        difference: Mean accuracy of the one minus that of the other.
        spread: Standard deviation over seeds of the difference of two runs; None with one seed.
        interval: 95 % interval of the difference over people; None with fewer than two.
    """

    higher: Row
    lower: Row
    difference: float
    spread: float | None
    interval: tuple[float, float] | None

    @property
    def verdict(self) -> str:
        """Whether it is, measured by the spread; equal means do not hold."""
        if self.spread is None:
            return HOLDS_ONCE if self.difference > 0 else AGAINST_ONCE
        if self.difference > 0:
            return HOLDS if self.difference > self.spread else WITHIN
        return AGAINST if -self.difference > self.spread else AGAINST_WITHIN


@dataclass(frozen=True)
class DataResult:
    """A table on one data set.

    Attributes:
        data_set: Its name.
        checksum: SHA-256 of its manifest.
        clips: Number of clips of the part that the table is of.
        people: How many people they show.
        rendered: Whether its faces are rendered.
        rows: In the order of the table.
    """

    data_set: str
    checksum: str
    clips: int
    people: int
    rendered: bool
    rows: tuple[RowResult, ...]

    def row(self, name: str) -> RowResult:
        """The row of a name."""
        return next(result for result in self.rows if result.row.name == name)

    @property
    def finished(self) -> list[RowResult]:
        """The rows whose runs are all finished."""
        return [result for result in self.rows if result.is_finished]


def compare(higher: RowResult, lower: RowResult) -> Comparison:
    """Two finished rows."""
    spread = None
    if higher.deviation is not None and lower.deviation is not None:
        spread = float(np.hypot(higher.deviation, lower.deviation))
    one, other = _rates(higher), _rates(lower)
    rates = {name: one[name] - other[name] for name in one} if one.keys() == other.keys() else {}
    interval = _over_people(rates, higher.outcomes[0])
    return Comparison(higher.row, lower.row, higher.mean - lower.mean, spread, interval)


def _rates(result: RowResult) -> dict[str, float]:
    """Accuracy of each person, mean over seeds."""
    rates: dict[str, list[float]] = {}
    for outcome in result.outcomes:
        for name, (hits, clips) in outcome.measured.people.items():
            rates.setdefault(name, []).append(hits / clips)
    return {name: statistics.fmean(of_person) for name, of_person in rates.items()}


def _over_people(rates: dict[str, float], like: Outcome) -> tuple[float, float] | None:
    clips = np.array([like.measured.people[name][1] for name in rates], np.int64)
    values = np.repeat(np.array(list(rates.values())), clips)
    subjects: Sequence[str] = np.repeat(np.array(list(rates)), clips).tolist()
    low, high = accuracy_interval(values, subjects, 0)
    return None if low is None or high is None else (low, high)
