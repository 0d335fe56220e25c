"""What was measured for Table I, and what follows from it."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cs3d_ros.energy import EnergyWindow, above_idle

_CLEARLY = 2.0
# A power that reads the same all the time has no uncertainty from sampling, and rounding is left.
_LEAST_SHARE = 1e-3


@dataclass(frozen=True)
class Settings:
    """How the networks are measured; `table1.settings.settings` makes and checks them.

    Attributes:
        networks: Names; each is compared with the first.
        device: Such as "cpu" or "cuda:0".
        precisions: Of `table1.settings.PRECISIONS`.
        batches: How many inputs go through a network together.
        size: Rows and columns of an input.
        repeats: How often each network has its turn.
        seconds: How long a turn is, and how long is idled before each repeat.
        lead_in_s: How many seconds of the same come before, and are not measured.
        threads: CPU threads; 0: all.
    """

    networks: tuple[str, ...]
    device: str
    precisions: tuple[str, ...]
    batches: tuple[int, ...]
    size: int
    repeats: int
    seconds: float
    lead_in_s: float
    threads: int


@dataclass(frozen=True)
class Power:
    """Where the energy comes from.

    Attributes:
        source: Name of the power source.
        scope: What it covers; see `PowerSource`.
        averaging_s: As of `PowerSource`.
        interval_ms: Asked for from one reading to the next, in milliseconds.
        sample_period_s: What this came to, in seconds.
        estimated: Whether no sensor measures the total, so that it is a sum of rails.
        rails: Names of the rails.
    """

    source: str
    scope: str
    averaging_s: float
    interval_ms: int
    sample_period_s: float
    estimated: bool
    rails: tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    """One network for some seconds.

    Attributes:
        inferences: How many inputs went through it: of a batch, each counts.
        duration_s: For how long, in seconds.
        energy: Of this time; None where there is no power source.
        idle: The energy while nothing ran, before; None where there is no power source.
        peak_memory_bytes: Of the network on the GPU: its weights, an input, and what an inference
            adds at most. None on a CPU.
    """

    inferences: int
    duration_s: float
    energy: EnergyWindow | None = None
    idle: EnergyWindow | None = None
    peak_memory_bytes: int | None = None

    @property
    def time_s(self) -> float:
        """Time for an inference, in seconds."""
        return self.duration_s / self.inferences

    @property
    def energy_j(self) -> float | None:
        """Energy above idle for an inference, in joules; None where it was not measured."""
        return None if (found := self._above_idle()) is None else found[0] / self.inferences

    @property
    def uncertainty_j(self) -> float | None:
        """Standard uncertainty of `energy_j` from the sampling alone, in joules."""
        return None if (found := self._above_idle()) is None else found[1] / self.inferences

    @property
    def is_above_idle(self) -> bool:
        """As of `Row`."""
        found = self._above_idle()
        if found is None or self.energy is None:
            return False
        above_j, uncertainty_j = found
        return above_j > max(_CLEARLY * uncertainty_j, _LEAST_SHARE * self.energy.energy_j)

    def _above_idle(self) -> tuple[float, float] | None:
        if self.energy is None or self.idle is None:
            return None
        return above_idle(self.energy, self.idle)


class Spread(NamedTuple):
    """Mean and standard deviation (divided by n − 1); the latter is None of a single value."""

    mean: float
    deviation: float | None


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(frozen=True)
class Row:
    """One network in one precision and batch; its turns so far, at least one."""

    network: str
    precision: str
    batch: int
    turns: tuple[Turn, ...]

    @property
    def times_s(self) -> tuple[float, ...]:
        """Time for an inference in seconds, of each turn."""
        return tuple(turn.time_s for turn in self.turns)

    @property
    def energies_j(self) -> tuple[float, ...] | None:
        """Energy above idle for an inference in joules, of each turn; None: not measured."""
        found = tuple(turn.energy_j for turn in self.turns)
        return None if None in found else found  # type: ignore[return-value]

    @property
    def uncertainty_j(self) -> float | None:
        """The largest uncertainty of `energies_j` from the sampling, in joules."""
        found = [turn.uncertainty_j for turn in self.turns]
        return None if None in found else max(u for u in found if u is not None)

    @property
    def peak_memory_bytes(self) -> int | None:
        """The most of all turns; None on a CPU."""
        found = [turn.peak_memory_bytes for turn in self.turns]
        return max((n for n in found if n is not None), default=None)

    @property
    def is_above_idle(self) -> bool:
        """Whether the energy of each turn is clearly more than of idling.

        By two standard uncertainties, and by a thousandth of what was drawn.
        """
        return all(turn.is_above_idle for turn in self.turns)


@dataclass(frozen=True)
class Ratio:
    """One network by another, both in the same precision and batch.

    Attributes:
        row: Of the network.
        reference: Of the one that it is compared with.
    """

    row: Row
    reference: Row

    @property
    def times(self) -> tuple[float, ...]:
        """Time by time, of each repeat."""
        return _by(self.row.times_s, self.reference.times_s)

    @property
    def energies(self) -> tuple[float, ...] | None:
        """Energy by energy, of each repeat; None where it is not known or close to nothing."""
        one, other = self.row.energies_j, self.reference.energies_j
        if one is None or other is None or not self.is_above_idle:
            return None
        return _by(one, other)

    @property
    def is_above_idle(self) -> bool:
        """Whether the energy of both is."""
        return self.row.is_above_idle and self.reference.is_above_idle


def _by(these: Sequence[float], those: Sequence[float]) -> tuple[float, ...]:
    return tuple(one / other for one, other in zip(these, those, strict=True))


@dataclass(frozen=True)
class Operations:
    """What THOP counts of a network; see `cs3d_ros.network.complexity`."""

    macs: int
    parameters: int
    paper_gmacs: float | None


@dataclass(frozen=True)
class Results:
    """Table I, as far as it has come.

    Attributes:
        settings: How it was measured.
        machine: What on: processor or GPU, and the version of torch.
        board: The board as its firmware names it; empty where it does not.
        versions: Of what runs the networks, by name.
        operations: By network.
        power: Where the energy comes from; None where there is no power source.
        no_power: Why there is none.
        rows: Those that have been measured.
        command: What the user typed; empty where it was no command.
    """

    settings: Settings
    machine: str
    board: str
    versions: Mapping[str, str]
    operations: Mapping[str, Operations]
    power: Power | None
    no_power: str
    rows: tuple[Row, ...]
    command: str

    @property
    def is_finished(self) -> bool:
        """Whether all has been measured."""
        s = self.settings
        return len(self.rows) == len(s.networks) * len(s.precisions) * len(s.batches) and all(
            len(row.turns) == s.repeats for row in self.rows
        )

    @property
    def ratios(self) -> tuple[Ratio, ...]:
        """Each network by the first, in each precision and batch."""
        first = {
            (row.precision, row.batch): row
            for row in self.rows
            if row.network == self.settings.networks[0]
        }
        return tuple(
            Ratio(row, first[row.precision, row.batch])
            for row in self.rows
            if row.network != self.settings.networks[0]
        )
