"""Made-up results, and training and evaluation that take no time."""

from dataclasses import replace
from pathlib import Path

from cs3d_ros.energy import EnergyWindow
from cs3d_ros.reproduction.protocols import protocol
from cs3d_ros.reproduction.results import DataResult, RowResult
from cs3d_ros.reproduction.runs import Measured, Outcome, Trained
from cs3d_ros.reproduction.study import Study
from cs3d_ros.reproduction.table1.results import (
    Operations,
    Power,
    Results,
    Row,
    Settings,
    Turn,
)
from cs3d_ros.reproduction.tables import table_of
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.train import TrainingResult

SETTINGS = protocol("quick")


def measured(*hits, clips=10) -> Measured:
    """What is measured where person i has hits[i] of that many clips right."""
    n = clips * len(hits)
    return Measured(
        clips=n,
        accuracy=sum(hits) / n,
        macro_f1=0.5,
        chance=1 / 7,
        lights={"sufficient": 0.5},
        people={f"p{i}": (hit, clips) for i, hit in enumerate(hits)},
        confusion=[[sum(hits), n - sum(hits)], [0, 0]],
    )


def outcome(seed, *hits, seconds=60.0) -> Outcome:
    return Outcome(seed, measured(*hits), Trained(3, 2, 0.5, seconds, "a machine"))


def row_result(row, wanted, *hits) -> RowResult:
    """A row of that many seeds, finished for the first few; hits: of each of these, by person."""
    return RowResult(row, wanted, tuple(outcome(s, *of_seed) for s, of_seed in enumerate(hits)))


def study_of(name, hits, data_set="facekit-7", wanted=2, **changes) -> Study:
    """A study on one data set.

    Args:
        name: Of the table.
        hits: By name of the row, for each seed that is finished the hits of each person.
        data_set: Its name.
        wanted: How many seeds there are to be.
    """
    table = table_of(name, SETTINGS)
    rows = tuple(row_result(row, wanted, *hits.get(row.name, ())) for row in table.rows)
    study = Study(
        table=table,
        protocol="quick",
        settings=SETTINGS,
        seeds=tuple(range(wanted)),
        data=(DataResult(data_set, "ab" * 32, 20, 2, True, rows),),
        failures=(),
        command=f"cs3d reproduce {name}",
    )
    return replace(study, **changes)


class Fake:
    """Training and evaluation that write what the real ones do, and count.

    Args:
        fails: Networks whose training fails.
        stops_after: Runs after which the next one is interrupted.
    """

    def __init__(self, fails=(), stops_after=None):
        self.fails, self.stops_after = fails, stops_after
        self.trained, self.evaluated = [], []

    def train(self, data, out, settings, *, progress, command, report):
        if settings.network in self.fails:
            raise TrainingError("the loss is no longer a number")
        if len(self.trained) == self.stops_after:
            raise KeyboardInterrupt
        out.mkdir(parents=True, exist_ok=True)
        for name in ("settings.json", "state.safetensors", "checkpoint.safetensors"):
            (out / name).write_text(settings.network)
        self.trained.append((out, settings))
        return TrainingResult(
            checkpoint=out / "checkpoint.safetensors",
            epochs=settings.epochs,
            best_epoch=1,
            validation_accuracy=0.5,
            seconds=60.0,
            finished=True,
            machine="a machine",
        )

    def evaluate(self, checkpoint: Path, data: Path, part: str, settings) -> Measured:
        self.evaluated.append((checkpoint, part))
        return measured(5 + settings.seed, 3)


def energy_window(energy_j, seconds=10.0, uncertainty_j=0.01, method="trapezoid") -> EnergyWindow:
    return EnergyWindow(energy_j, uncertainty_j, seconds, 100, method)


def turns(*energies_j, n=100, idle_j=20.0, seconds=10.0, uncertainty_j=0.01) -> tuple[Turn, ...]:
    """One turn for each energy in joules; None: time only."""
    return tuple(
        Turn(n, seconds)
        if energy_j is None
        else Turn(
            n,
            seconds,
            energy_window(energy_j, seconds, uncertainty_j),
            energy_window(idle_j, seconds, uncertainty_j),
        )
        for energy_j in energies_j
    )


def table1_of(rows, *, power=True, no_power="", repeats=2, device="cpu", **of_power) -> Results:
    """Table I of two networks.

    Args:
        rows: Turns by (network, precision, batch).
        power: Whether there is a power source.
        no_power: Why there is none.
        repeats: How many there are to be.
        device: Of the settings.
        of_power: Changes of the power source.
    """
    given = {"source": "tegrastats", "scope": "module", "averaging_s": 0.0, "interval_ms": 100}
    given |= {"sample_period_s": 0.1, "estimated": False, "rails": ("VDD_IN", "VDD_SOC")}
    settings = Settings(
        networks=("c3d", "cs3d"),
        device=device,
        precisions=tuple(dict.fromkeys(precision for _, precision, _ in rows)),
        batches=tuple(dict.fromkeys(batch for _, _, batch in rows)),
        size=112,
        repeats=repeats,
        seconds=10.0,
        lead_in_s=2.0,
        threads=1,
    )
    return Results(
        settings=settings,
        machine="a processor, 1 thread, torch 2.1",
        board="",
        versions={"torch": "2.1"},
        operations={
            "c3d": Operations(21_291_466_752, 62_000_000, 21.29),
            "cs3d": Operations(4_270_000_000, 1_300_000, 4.68),
        },
        power=Power(**{**given, **of_power}) if power else None,
        no_power=no_power,
        rows=tuple(Row(*key, found) for key, found in rows.items()),
        command="cs3d reproduce table1 --out o",
    )
