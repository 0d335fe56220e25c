"""What a network says about clips and windows of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cs3d_ros.datasets.loading import ClipWindowDataset, GridWindowDataset
from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.expressions import NEUTRAL
from cs3d_ros.extras import load_extra

if TYPE_CHECKING:
    from cs3d_ros.datasets.dataset import Part
    from cs3d_ros.datasets.shards import ClipInfo
    from cs3d_ros.network.classifier import Classifier

STILL, MOVING = "still apex", "elsewhere"
"""Windows that lie wholly within an apex, where the face is held still; and the others."""

INTENSITIES = ("full", "micro")
"""How strongly an expression is shown, where the data set says it."""

_PEOPLE = {"photo-": "photographed", "random-": "random"}


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Truth and probabilities of n items, each a window of a clip.

    Attributes:
        labels: The k classes, in the order of the data set.
        truth: int64 (n,), index of the class that each item shows.
        probabilities: float32 (n, k), each row sums to 1.
        subjects: Who it is, of each item.
        lights: Light condition of each item, one of `cs3d_ros.datasets.clip.LIGHTS`.
        names: Name of the clip of each item.
        groups: Other things that items are told apart by: a name for each item. "intensity" (full,
            micro; neutral clips: neutral), "people" (photographed, random), and for windows "place"
            (still apex, elsewhere); only where the data set knows them.

    Raises:
        EvaluationError: Lengths, classes or numbers that do not fit.
    """

    labels: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    subjects: list[str]
    lights: list[str]
    names: list[str]
    groups: Mapping[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n, k = len(self.truth), len(self.labels)
        if self.probabilities.shape != (n, k):
            raise EvaluationError(
                f"probabilities of shape {self.probabilities.shape} for {n} items of {k} classes"
            )
        if not np.isfinite(self.probabilities).all():
            raise EvaluationError("probabilities that are not finite")
        if n and (self.truth.min() < 0 or self.truth.max() >= k):
            raise EvaluationError(f"a true class outside of 0…{k - 1}")
        for what in (self.subjects, self.lights, self.names, *self.groups.values()):
            if len(what) != n:
                raise EvaluationError(f"{len(what)} names for {n} items")

    def __len__(self) -> int:
        return len(self.truth)

    def take(self, chosen: np.ndarray) -> Predictions:
        """Some of the items, by a boolean mask (n,) or by indices."""
        which = np.arange(len(self))[chosen]
        groups = {kind: [of[i] for i in which] for kind, of in self.groups.items()}
        return Predictions(
            self.labels,
            self.truth[which],
            self.probabilities[which],
            [self.subjects[i] for i in which],
            [self.lights[i] for i in which],
            [self.names[i] for i in which],
            groups,
        )


def predict_clips(
    classifier: Classifier, part: Part, *, batch: int = 8, progress: bool = False
) -> Predictions:
    """What a network says about each clip of a part: one window a clip, in its middle of the rise.

    See `ClipWindowDataset`. Size, bins, representation, window length and background-activity
    filter are those of the network.

    Args:
        classifier: The network.
        part: The clips.
        batch: Windows that the network sees at once.
        progress: Whether to show a progress bar on stderr.

    Raises:
        EvaluationError: The part is empty, or its classes are not the network's.
        DatasetError: A clip cannot be read.
        NetworkError: The network does not answer with finite numbers.
    """
    columns = label_columns(classifier.labels, part.labels)
    card = classifier.card
    dataset = ClipWindowDataset(
        part,
        round(card.window_ms * 1e6),
        card.bins,
        card.size,
        card.representation,
        background_activity_us=card.background_activity_us,
    )
    truth, probabilities = _predict(classifier, dataset, batch, "clips" if progress else None)
    table = part.table()
    return Predictions(
        part.labels,
        truth,
        probabilities[:, columns],
        [info.subject for info in table],
        [info.light for info in table],
        [info.name for info in table],
        _groups(table),
    )


def predict_windows(
    classifier: Classifier,
    part: Part,
    *,
    hop_ms: float = 500.0,
    batch: int = 8,
    progress: bool = False,
) -> Predictions:
    """What a network says about windows at a fixed distance, all over the clips of a part.

    Windows of which it cannot be said what they show are left out: see
    `cs3d_ros.datasets.clip_windows.window_label`. The group "place" tells apart windows that lie
    wholly within an apex, where the face is held still and makes few events of its own.

    Args:
        classifier: The network.
        part: The clips.
        hop_ms: From the beginning of one window to that of the next.
        batch: Windows that the network sees at once.
        progress: Whether to show a progress bar on stderr.

    Raises:
        EvaluationError, DatasetError, NetworkError: As in `predict_clips`.
    """
    columns = label_columns(classifier.labels, part.labels)
    card = classifier.card
    window_ns = round(card.window_ms * 1e6)
    dataset = GridWindowDataset(
        part,
        window_ns,
        round(hop_ms * 1e6),
        card.bins,
        card.size,
        card.representation,
        background_activity_us=card.background_activity_us,
    )
    truth, probabilities = _predict(classifier, dataset, batch, "windows" if progress else None)
    table = part.table()
    shown = [table[index] for index, _, _ in dataset.places]
    starts = [start_ns for _, start_ns, _ in dataset.places]
    places = [
        STILL if _is_still(info, start_ns, start_ns + window_ns) else MOVING
        for info, start_ns in zip(shown, starts, strict=True)
    ]
    return Predictions(
        part.labels,
        truth,
        probabilities[:, columns],
        [info.subject for info in shown],
        [info.light for info in shown],
        [info.name for info in shown],
        {**_groups(shown), "place": places},
    )


def label_columns(network: Sequence[str], data: Sequence[str]) -> list[int]:
    """For each class of the data, which output of the network it is.

    Raises:
        EvaluationError: They are not the same classes.
    """
    if set(network) != set(data):
        raise EvaluationError(
            f"the network knows {', '.join(network)}; the data have {', '.join(data)}: not the "
            "same classes; choose a checkpoint that was trained on the classes of these data"
        )
    return [list(network).index(label) for label in data]


def _predict(
    classifier: Classifier, dataset: Any, batch: int, name: str | None
) -> tuple[np.ndarray, np.ndarray]:
    """Truth and probabilities of all items, these in the order of the network's labels."""
    count = len(dataset)
    if not count:
        raise EvaluationError(
            f"the part {dataset.part.name!r} has nothing to evaluate on; choose another part, or "
            "make the data set again"
        )
    if batch < 1:
        raise EvaluationError(f"batches of {batch}, expected at least 1")
    truth = np.empty(count, np.int64)
    probabilities = np.empty((count, len(classifier.labels)), np.float32)
    with progress_bar(name, count, "window") as advance:
        for begin in range(0, count, batch):
            items = [dataset[i] for i in range(begin, min(begin + batch, count))]
            end = begin + len(items)
            tensors = np.stack([tensor.numpy() for tensor, _ in items])
            truth[begin:end] = [label for _, label in items]
            probabilities[begin:end] = classifier.predict(tensors)
            advance(len(items))
    return truth, probabilities


@contextmanager
def progress_bar(name: str | None, total: int | None, unit: str) -> Iterator[Any]:
    """A function that advances a bar on stderr; without a name, one that does nothing.

    Raises:
        Cs3dError: tqdm is not installed.
    """
    if name is None:
        yield lambda steps: None
        return
    tqdm = load_extra("tqdm", "train").tqdm
    # Shown on a terminal only.
    with tqdm(desc=name, total=total, unit=f" {unit}", disable=None) as bar:
        yield bar.update


def _groups(table: Sequence[ClipInfo]) -> dict[str, list[str]]:
    groups = {}
    intensities = [info.provenance.get("intensity") for info in table]
    if any(intensity in INTENSITIES for intensity in intensities):
        groups["intensity"] = [
            NEUTRAL
            if info.expression == NEUTRAL
            else intensity
            if intensity in INTENSITIES
            else "unknown"
            for info, intensity in zip(table, intensities, strict=True)
        ]
    kinds = [_kind_of_person(info.subject) for info in table]
    if all(kinds):
        groups["people"] = kinds
    return groups


def _kind_of_person(subject: str) -> str:
    """Empty where the name does not say it."""
    return next((kind for prefix, kind in _PEOPLE.items() if subject.startswith(prefix)), "")


def _is_still(info: ClipInfo, start_ns: int, end_ns: int) -> bool:
    course = info.course
    if course is None or course.release_ns is None:
        return False
    return course.apex_ns <= start_ns and end_ns <= course.release_ns
