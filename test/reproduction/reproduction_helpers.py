"""Made-up results, and training and evaluation that take no time."""

from dataclasses import replace
from pathlib import Path

from cs3d_ros.reproduction.protocols import protocol
from cs3d_ros.reproduction.results import DataResult, RowResult
from cs3d_ros.reproduction.runs import Measured, Outcome, Trained
from cs3d_ros.reproduction.study import Study
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
