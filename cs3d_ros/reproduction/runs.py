"""One run: a network trained with one seed and evaluated, stored so that it is not done again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.evaluation.predictions import Predictions, predict_clips
from cs3d_ros.evaluation.scores import score
from cs3d_ros.network import default_options
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.recordings.output import replaced
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.training.folder import STATE, differences
from cs3d_ros.training.settings import TrainingSettings
from cs3d_ros.training.train import TrainingResult

EVALUATION = "evaluation.json"
VERSION = 1


@dataclass(frozen=True)
class Measured:
    """What a network makes of the clips of a part, one window each.

    Attributes:
        clips: Number of clips.
        accuracy: Share of them that is recognised, 0 to 1.
        macro_f1: Mean F1 of the classes.
        chance: Accuracy of always naming the most frequent class.
        lights: Accuracy by light.
        people: For each person, how many clips are recognised, and of how many.
        confusion: Rows: what was shown, columns: what was recognised.
    """

    clips: int
    accuracy: float
    macro_f1: float
    chance: float
    lights: Mapping[str, float]
    people: Mapping[str, tuple[int, int]]
    confusion: list[list[int]]


@dataclass(frozen=True)
class Trained:
    """What a training came to; see `TrainingResult`."""

    epochs: int
    best_epoch: int
    validation_accuracy: float
    seconds: float
    machine: str


@dataclass(frozen=True)
class Outcome:
    """A run that is finished.

    Attributes:
        seed: Its seed.
        measured: On the part that the table is of.
        trained: How it came to be.
    """

    seed: int
    measured: Measured
    trained: Trained


Train = Callable[..., TrainingResult]
"""As `cs3d_ros.training.train.train`."""

Evaluate = Callable[[Path, Path, str, TrainingSettings], Measured]
"""Takes a checkpoint, a data set, the name of a part, and the settings for device and threads."""


@dataclass(frozen=True)
class Job:
    """What a run is to do.

    Attributes:
        out: Its folder.
        data: The data set.
        checksum: SHA-256 of its manifest.
        part: What it is evaluated on.
        settings: What it is trained with.
    """

    out: Path
    data: Path
    checksum: str
    part: str
    settings: TrainingSettings

    def identity(self) -> dict[str, Any]:
        """What makes it another run, as JSON holds it."""
        return {
            "settings": self.settings.to_dict(),
            "network": all_options(self.settings),
            "data": {"manifest_sha256": self.checksum},
            "part": self.part,
        }


def all_options(settings: TrainingSettings) -> dict[str, object]:
    """The options of the network that the settings train, with all defaults of today."""
    return {**default_options(settings.network), **settings.network_options()}


def outcome_of(job: Job) -> Outcome | None:
    """What a run came to; None while it is not finished.

    Raises:
        ReproductionError: What is stored is damaged or of another run.
    """
    path = job.out / EVALUATION
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _damaged(path, error) from None
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise _damaged(path, f"it is no evaluation of version {VERSION}")
    found = differences(content.get("run"), job.identity())
    if found:
        raise ReproductionError(
            f"{job.out}: holds a run that was done otherwise: {'; '.join(found[:5])}. Choose "
            "another folder, or use what it was done with"
        )
    try:
        measured = _from(Measured, content["measured"])
        people = {str(name): (int(a), int(b)) for name, (a, b) in measured.people.items()}
        if sum(b for _, b in people.values()) != measured.clips or not all(
            0 <= a <= b for a, b in people.values()
        ):
            raise ValueError("the clips of all people are not all clips")
        if not math.isclose(
            sum(a for a, _ in people.values()), measured.accuracy * measured.clips, abs_tol=1e-6
        ):
            raise ValueError("the accuracy is not that of all people")
        measured = Measured(**{**vars(measured), "people": people})
        return Outcome(job.settings.seed, measured, _from(Trained, content["trained"]))
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def do(
    job: Job,
    train: Train,
    evaluate: Evaluate,
    *,
    command: str,
    progress: bool,
    report: Callable[[str], None],
) -> Outcome:
    """Train and evaluate, or go on where that was interrupted.

    Of a finished run the state to go on from is removed: for C3D it is 750 MB.

    Raises:
        Cs3dError: Training or evaluation fails, or the result cannot be written.
    """
    result = train(
        job.data, job.out, job.settings, progress=progress, command=command, report=report
    )
    if not result.finished:
        raise ReproductionError(f"{job.out}: the training is not finished; go on with it")
    measured = evaluate(result.checkpoint, job.data, job.part, job.settings)
    trained = Trained(**{f.name: getattr(result, f.name) for f in fields(Trained)})
    content = {
        "version": VERSION,
        "run": job.identity(),
        "measured": asdict(measured),
        "trained": asdict(trained),
    }
    with replaced(job.out / EVALUATION, overwrite=True) as new:
        new.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (job.out / STATE).unlink(missing_ok=True)
    return Outcome(job.settings.seed, measured, trained)


def evaluate(checkpoint: Path, data: Path, part: str, settings: TrainingSettings) -> Measured:
    """Clip accuracy of a checkpoint on a part of a data set.

    Raises:
        Cs3dError: The checkpoint or the data cannot be used.
    """
    with Classifier.from_checkpoint(
        checkpoint, device=settings.device, threads=settings.threads
    ) as classifier:
        return measure(predict_clips(classifier, open_dataset(data).part(part)))


def measure(predictions: Predictions) -> Measured:
    """The measures of predictions.

    Raises:
        EvaluationError: There are none, or all of one class.
    """
    scores = score(predictions)
    right = predictions.probabilities.argmax(axis=1) == predictions.truth
    people: dict[str, tuple[int, int]] = {}
    for subject, hit in zip(predictions.subjects, right.tolist(), strict=True):
        hits, clips = people.get(subject, (0, 0))
        people[subject] = (hits + hit, clips + 1)
    return Measured(
        clips=scores.count,
        accuracy=scores.accuracy,
        macro_f1=scores.macro_f1,
        chance=scores.chance,
        lights={light: of.accuracy for light, of in scores.groups["light"].items()},
        people=people,
        confusion=scores.confusion.tolist(),
    )


def _from(kind: type[Any], content: Any) -> Any:
    """A record from JSON, its numbers checked for being numbers."""
    if not isinstance(content, dict) or content.keys() != {f.name for f in fields(kind)}:
        raise ValueError(f"no {kind.__name__.lower()}")
    for name in ("accuracy", "validation_accuracy", "seconds"):
        value = content.get(name, 0.0)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise ValueError(f"{name} is {value!r}")
    return kind(**content)


def _damaged(path: Path, why: object) -> ReproductionError:
    return ReproductionError(
        f"{path}: cannot be used ({why}); remove the folder {path.parent} to do this run again"
    )
