"""Small data sets to train on, and quick settings."""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from cs3d_ros.datasets.build import build, shards_of
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.training.learner import Learner
from cs3d_ros.training.settings import TrainingSettings
from cs3d_ros.training.train import train
from dataset_helpers import some_plan

QUICK = TrainingSettings(
    network="rnn", sizes=((0, 32),), epochs=2, batch=8, micro_batch=4, device="cpu", threads=1
)
SMALL = replace(QUICK, clips=8, batch=4, micro_batch=2)
"""Two steps an epoch."""

GROWING = replace(QUICK, sizes=((0, 32), (1, 40)))
"""The settings of `finished_run`."""


def make_data(folder: Path, expressions=EXPRESSIONS, **clips) -> Path:
    """A data set with parts of that many clips; 16, 8 and 4 unless told.

    Args:
        folder: Where to put it.
        expressions: What the clips show, in turn.
        clips: Numbers by part.
    """
    shards = []
    for number, (part, n) in enumerate(
        (clips or {"train": 16, "validation": 8, "test": 4}).items()
    ):
        specs = [
            {
                "name": f"{part}-{i}",
                "seed": 1000 * number + i,
                "expression": expressions[i % len(expressions)],
                "subject": f"{part}-{i % 2}",
                "light": ("sufficient", "insufficient")[i // len(expressions) % 2],
            }
            for i in range(n)
        ]
        shards += shards_of(part, specs, 8)
    out = folder / "data"
    build(some_plan(folder, shards=shards, recordings=[]), out)
    return out


def weights(out: Path):
    """The tensors of the last epoch, with the optimizer's."""
    return load_file(out / "state.safetensors")


def assert_same(one, other):
    """The same tensors, bit for bit."""
    assert one.keys() == other.keys()
    assert [key for key in one if not torch.equal(one[key], other[key])] == []


def copied(run, folder: Path) -> Path:
    """A copy of `finished_run` to do harm to."""
    return Path(shutil.copytree(run[0], folder / "run"))


def again(data: Path, out: Path, **changes):
    """The command of `finished_run` again."""
    return train(data, out, replace(GROWING, **changes), progress=False)


def kill_in_step(number: int):
    """Let this process be killed in that step, counted from 0."""
    step = Learner.step

    def counting(self, *arguments):
        nonlocal number
        if number == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        number -= 1
        return step(self, *arguments)

    Learner.step = counting


if __name__ == "__main__":
    # Data set, folder for the runs, what to train on top of QUICK by name of the run, kill in step.
    changes = json.loads(sys.argv[3])
    if len(sys.argv) > 4:
        kill_in_step(int(sys.argv[4]))
    for name, change in changes.items():
        train(Path(sys.argv[1]), Path(sys.argv[2]) / name, replace(QUICK, **change), progress=False)
