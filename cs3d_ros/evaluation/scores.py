"""Measures of classification, each from the confusion matrix or the probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.predictions import Predictions

BINS = 15
"""Bins of confidence that calibration is measured in, of equal width."""

DRAWS = 2000
"""How often people are drawn for the interval of the accuracy."""

LEAST_PROBABILITY = 1e-12
"""What a probability of 0 counts as in the logarithm."""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Measures of one class.

    Attributes:
        label: The class.
        support: Items that show it.
        predicted: Items that were taken for it.
        precision: Of the items taken for it, the share that shows it; None where there are none.
        recall: Of the items that show it, the share taken for it; None where there are none.
        f1: 2·TP / (support + predicted), TP the items of both kinds; None where there are neither.
    """

    label: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Items whose confidence, the largest probability, is in (low, high].

    Attributes:
        low, high: The range.
        count: Number of items.
        confidence: Their mean confidence; None where there are none.
        accuracy: Share of them that is right; None where there are none.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Measures of all predictions, or of a group of them.

    Attributes:
        labels: The k classes.
        count: Number n of items.
        people: Number of people.
        accuracy: Share of items that are right.
        accuracy_low, accuracy_high: 95 % interval of the accuracy over people: percentiles 2.5 and
            97.5 of the accuracy of as many people drawn with replacement, each with all their
            items, `DRAWS` times; None with fewer than two people.
        chance: Share of the most frequent class: the accuracy of always naming that one.
        balanced_accuracy: Mean recall of the classes that are shown.
        macro_f1: Mean F1 of the classes that are shown.
        per_class: Measures of each class.
        confusion: int64 (k, k); rows: what was shown, columns: what was predicted.
        ece: Expected calibration error: mean distance of confidence and accuracy of the bins,
            weighted by their numbers of items (Naeini et al. 2015, with 15 bins).
        brier: Mean over items of the sum over classes of (probability − truth)², 0 to 2.
        nll: Mean of −ln of the probability of the true class, at least `LEAST_PROBABILITY`.
        reliability: The bins of ece.
        groups: For each kind of group, such as "light", the scores of each group.
    """

    labels: tuple[str, ...]
    count: int
    people: int
    accuracy: float
    accuracy_low: float | None
    accuracy_high: float | None
    chance: float
    balanced_accuracy: float
    macro_f1: float
    per_class: tuple[ClassScores, ...]
    confusion: np.ndarray
    ece: float
    brier: float
    nll: float
    reliability: tuple[ReliabilityBin, ...]
    groups: Mapping[str, Mapping[str, Scores]] = field(default_factory=dict)


def score(predictions: Predictions, seed: int = 0) -> Scores:
    """Measure predictions, all together and by light and the other groups that they have.

    Args:
        predictions: What to measure.
        seed: Of the drawing of people, not negative.

    Raises:
        EvaluationError: No items, all of one class, or a negative seed.
    """
    check_seed(seed)
    if not len(predictions):
        raise EvaluationError("nothing to evaluate: there are no predictions")
    shown = np.unique(predictions.truth)
    if len(shown) < 2:
        raise EvaluationError(
            f"all {len(predictions)} items show {predictions.labels[shown[0]]!r}; accuracy says "
            "something about two or more classes only: choose data with more"
        )
    kinds = {"light": predictions.lights, **predictions.groups}
    groups = {
        kind: {
            name: _score(predictions.take(np.array(names) == name), seed, {})
            for name in sorted(set(names))
        }
        for kind, names in kinds.items()
    }
    return _score(predictions, seed, groups)


def check_seed(seed: int) -> None:
    """Refuse a negative seed.

    Raises:
        EvaluationError: It is one.
    """
    if seed < 0:
        raise EvaluationError(f"a seed of {seed}, expected a whole number from 0 on")


def _score(
    predictions: Predictions, seed: int, groups: Mapping[str, Mapping[str, Scores]]
) -> Scores:
    truth = predictions.truth
    # In float64, so that sums over many items do not depend on their order.
    probabilities = predictions.probabilities.astype(np.float64)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix(truth, predicted, len(predictions.labels))
    classes = per_class(matrix, predictions.labels)
    low, high = accuracy_interval(predicted == truth, predictions.subjects, seed)
    bins = reliability(probabilities.max(axis=1), predicted == truth)
    n = len(truth)
    shown = [c for c in classes if c.recall is not None and c.f1 is not None]
    one_hot = np.eye(len(predictions.labels))[truth]
    true_probability = np.maximum(probabilities[np.arange(n), truth], LEAST_PROBABILITY)
    return Scores(
        labels=predictions.labels,
        count=n,
        people=len(set(predictions.subjects)),
        accuracy=float((predicted == truth).mean()),
        accuracy_low=low,
        accuracy_high=high,
        chance=float(matrix.sum(axis=1).max() / n),
        balanced_accuracy=float(np.mean([c.recall for c in shown])),
        macro_f1=float(np.mean([c.f1 for c in shown])),
        per_class=classes,
        confusion=matrix,
        ece=calibration_error(bins),
        brier=float(((probabilities - one_hot) ** 2).sum(axis=1).mean()),
        nll=float(-np.log(true_probability).mean()),
        reliability=bins,
        groups=groups,
    )


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts, int64 (classes, classes): rows what was shown, columns what was predicted.

    Args:
        truth: Indices of classes (n,).
        predicted: Likewise.
        classes: Number of classes.
    """
    matrix = np.zeros((classes, classes), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def per_class(confusion: np.ndarray, labels: Sequence[str]) -> tuple[ClassScores, ...]:
    """Measures of each class from a confusion matrix."""
    hits = np.diag(confusion).tolist()
    supports = confusion.sum(axis=1).tolist()
    counts = confusion.sum(axis=0).tolist()
    return tuple(
        ClassScores(
            label=label,
            support=support,
            predicted=predicted,
            precision=hit / predicted if predicted else None,
            recall=hit / support if support else None,
            f1=2 * hit / (support + predicted) if support + predicted else None,
        )
        for label, hit, support, predicted in zip(labels, hits, supports, counts, strict=True)
    )


def accuracy_interval(
    right: np.ndarray, subjects: Sequence[str], seed: int
) -> tuple[float | None, float | None]:
    """95 % interval of the accuracy over people; see `Scores`.

    Clips of one person are not independent, so that people are drawn rather than clips.

    Args:
        right: bool (n,).
        subjects: Who it is, of each item.
        seed: Of the drawing.

    Returns:
        Both ends, or None twice with fewer than two people.
    """
    people, who = np.unique(np.array(subjects), return_inverse=True)
    if len(people) < 2:
        return None, None
    items = np.bincount(who)
    hits = np.bincount(who, weights=right)
    chosen = np.random.default_rng(seed).integers(len(people), size=(DRAWS, len(people)))
    accuracies = hits[chosen].sum(axis=1) / items[chosen].sum(axis=1)
    low, high = np.percentile(accuracies, (2.5, 97.5))
    return float(low), float(high)


def reliability(confidence: np.ndarray, right: np.ndarray) -> tuple[ReliabilityBin, ...]:
    """Confidence and accuracy in `BINS` bins of equal width, each without its lower end.

    Args:
        confidence: float (n,), above 0 and at most 1.
        right: bool (n,).
    """
    edges = np.linspace(0, 1, BINS + 1)
    which = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    bins = []
    for i in range(BINS):
        of_bin = which == i
        count = int(of_bin.sum())
        bins.append(
            ReliabilityBin(
                low=float(edges[i]),
                high=float(edges[i + 1]),
                count=count,
                confidence=float(confidence[of_bin].mean()) if count else None,
                accuracy=float(right[of_bin].mean()) if count else None,
            )
        )
    return tuple(bins)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Mean distance of confidence and accuracy, each bin weighted by its number of items."""
    distances = [
        b.count * abs(b.accuracy - b.confidence)
        for b in bins
        if b.accuracy is not None and b.confidence is not None
    ]
    return sum(distances) / sum(b.count for b in bins)
