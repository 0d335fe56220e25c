"""Training from beginning to end, or on from where it was interrupted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cs3d_ros.datasets.manifest import sha256_of
from cs3d_ros.errors import Cs3dError
from cs3d_ros.network import Network, build, checkpoint
from cs3d_ros.network.memory import keep_memory
from cs3d_ros.training.data import TrainingData
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.folder import CHECKPOINT, RunFolder, open_run
from cs3d_ros.training.learner import Learner, new_seed
from cs3d_ros.training.processes import products, shared, start_fabric
from cs3d_ros.training.run import Run
from cs3d_ros.training.settings import TrainingSettings


@dataclass(frozen=True)
class TrainingResult:
    """What a run came to.

    Attributes:
        checkpoint: The best network on the validation part.
        epochs: Number of epochs.
        best_epoch: The one, from 0 on, that the network is of.
        validation_accuracy: Share of the clips of the validation part that it recognises, 0 to 1.
        seconds: Duration of all epochs; what was interrupted in the middle and done again counts
            once.
        finished: Whether all epochs are done, or validation stopped getting better.
        machine: What it ran on.
    """

    checkpoint: Path
    epochs: int
    best_epoch: int
    validation_accuracy: float
    seconds: float
    finished: bool
    machine: str


def train(
    data: Path,
    out: Path,
    settings: TrainingSettings,
    *,
    resume: bool = True,
    progress: bool = True,
    initial: Path | None = None,
    command: str = "",
    report: Callable[[str], None] = print,
) -> TrainingResult:
    """Train a network on a data set, or go on with a run that was interrupted.

    A run that was interrupted and goes on gives the same weights, bit for bit on a CPU, as one that
    was not. Under torchrun, all processes call this and share each batch.

    Args:
        data: Folder of a data set with the parts train and validation.
        out: Folder of the run: new, empty, or that of the same run.
        settings: What to do.
        resume: Whether to go on with a run that is there; refuse it otherwise.
        progress: Whether to show a bar on stderr and report each epoch.
        initial: Checkpoint of the same network, classes and representation to begin with.
        command: What the user typed, to be kept with the weights.
        report: Takes one line an epoch.

    Raises:
        TrainingError: The data set or the folder cannot be used, the settings are not those of the
            run that is there, or the loss is no longer a number.
        Cs3dError: Anything else that is wrong with the input.
    """
    fabric = start_fabric(settings)
    if fabric.device.type == "cpu":
        keep_memory()
    training_data = TrainingData(Path(data), settings)
    out = Path(out)
    with _own_randomness(fabric.device), products(settings.precision), ExitStack() as stack:
        torch.manual_seed(new_seed(settings.seed))
        network = build(settings.network, len(training_data.labels), **settings.network_options())
        if initial is not None:
            _begin_with(Path(initial), network, training_data, settings)
        learner = Learner(network, settings, fabric)
        folder: RunFolder | None = None
        known: dict[str, Any] = {}
        if fabric.global_rank == 0:
            identity = _identity(settings, training_data, initial)
            folder, known = _open(stack, out, identity, resume, learner)
        # The others would wait for one that has given up.
        known = shared(known, fabric)
        if "error" in known:
            raise TrainingError(known["error"])
        learner.share()
        run = Run(training_data, settings, fabric, learner, folder, out, command, known)
        try:
            run.go(progress, report)
        except torch.cuda.OutOfMemoryError as error:
            raise TrainingError(
                f"{fabric.device} ran out of memory ({error}); take a smaller micro batch"
            ) from error
        best = run.best
        return TrainingResult(
            checkpoint=out / CHECKPOINT,
            epochs=len(run.rows),
            best_epoch=best.epoch,
            validation_accuracy=best.validation_accuracy,
            seconds=sum(row.seconds for row in run.rows),
            finished=True,
            machine="; ".join(run.machines),
        )


def _identity(
    settings: TrainingSettings, data: TrainingData, initial: Path | None
) -> dict[str, Any]:
    """What makes a run another one."""
    return {
        "settings": settings.to_dict(),
        "data": {
            "name": data.name,
            "labels": list(data.labels),
            "manifest_sha256": data.checksum,
        },
        "initial_sha256": None if initial is None else sha256_of(Path(initial)),
    }


def _open(
    stack: ExitStack, out: Path, identity: dict[str, Any], resume: bool, learner: Learner
) -> tuple[RunFolder | None, dict[str, Any]]:
    """The folder, and how far the run in it is; the learner has its state."""
    try:
        folder = stack.enter_context(open_run(out, identity, resume))
        state = folder.read_state(learner.state())
        if state is None:
            return folder, {"rows": [], "machines": [], "finished": False}
        tensors, known = state
        learner.load(tensors)
        return folder, known
    except Cs3dError as error:
        return None, {"error": str(error)}


def _begin_with(
    path: Path, network: Network, data: TrainingData, settings: TrainingSettings
) -> None:
    """Give a network the weights of a checkpoint that is of the same kind."""
    loaded, card = checkpoint.load(path)
    for what, theirs, ours in (
        ("classes", list(card.labels), list(data.labels)),
        ("representation", card.representation, settings.representation),
        ("network", str(card.network), str(network.specification)),
    ):
        if theirs != ours:
            raise TrainingError(
                f"{path}: cannot begin with it: its {what} is {theirs}, that of this run {ours}; "
                "train with what it has, or begin without it"
            )
    network.load_state_dict(loaded.state_dict())


@contextmanager
def _own_randomness(device: torch.device) -> Iterator[None]:
    """Leave torch's generators as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        yield
