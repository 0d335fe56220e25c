import math
from dataclasses import fields

import numpy as np
import pytest

from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.predictions import Predictions
from cs3d_ros.evaluation.scores import (
    accuracy_interval,
    confusion_matrix,
    per_class,
    reliability,
    score,
)

LABELS = ("neutral", "happy", "sad")

# Ten items. Rows: truth and probabilities.
TABLE = [
    (0, (0.8, 0.1, 0.1)),
    (0, (0.6, 0.3, 0.1)),
    (0, (0.2, 0.7, 0.1)),
    (0, (0.5, 0.2, 0.3)),
    (1, (0.1, 0.8, 0.1)),
    (1, (0.1, 0.9, 0.0)),
    (1, (0.6, 0.4, 0.0)),
    (2, (0.2, 0.2, 0.6)),
    (2, (0.1, 0.7, 0.2)),
    (2, (0.0, 0.0, 1.0)),
]


def predictions(table=TABLE, **changes):
    values = {
        "labels": LABELS,
        "truth": np.array([truth for truth, _ in table], np.int64),
        "probabilities": np.array([row for _, row in table], np.float32),
        "subjects": [f"person-{i % 3}" for i in range(len(table))],
        "lights": ["sufficient" if i < 6 else "insufficient" for i in range(len(table))],
        "names": [f"clip-{i}" for i in range(len(table))],
    }
    return Predictions(**{**values, **changes})


class TestByHand:
    """Every number here is worked out by hand from TABLE."""

    def test_confusion(self):
        expected = [[3, 1, 0], [1, 2, 0], [0, 1, 2]]
        np.testing.assert_array_equal(score(predictions()).confusion, expected)

    def test_accuracy_and_means_over_classes(self):
        scores = score(predictions())
        assert scores.count == 10
        assert scores.people == 3
        assert scores.accuracy == pytest.approx(7 / 10)
        assert scores.chance == pytest.approx(4 / 10)
        assert scores.balanced_accuracy == pytest.approx((3 / 4 + 2 / 3 + 2 / 3) / 3)
        assert scores.macro_f1 == pytest.approx((6 / 8 + 4 / 7 + 4 / 5) / 3)

    def test_each_class(self):
        neutral, happy, sad = score(predictions()).per_class
        assert (neutral.precision, neutral.recall, neutral.f1) == (3 / 4, 3 / 4, 6 / 8)
        assert (happy.precision, happy.recall, happy.f1) == (2 / 4, 2 / 3, 4 / 7)
        assert (sad.precision, sad.recall, sad.f1) == (1.0, 2 / 3, 4 / 5)
        assert [c.support for c in (neutral, happy, sad)] == [4, 3, 3]
        assert [c.predicted for c in (neutral, happy, sad)] == [4, 4, 2]

    def test_brier_and_likelihood(self):
        squares = [0.06, 0.26, 1.14, 0.38, 0.06, 0.02, 0.72, 0.24, 1.14, 0.0]
        scores = score(predictions())
        assert scores.brier == pytest.approx(sum(squares) / 10, abs=1e-6)
        true = [0.8, 0.6, 0.2, 0.5, 0.8, 0.9, 0.4, 0.6, 0.2, 1.0]
        assert scores.nll == pytest.approx(-sum(map(math.log, true)) / 10, abs=1e-6)

    def test_calibration(self):
        # Confidences 0.8 0.6 0.7 0.5 0.8 0.9 0.6 0.6 0.7 1.0; right 1 1 0 1 1 1 0 1 0 1. The 15
        # bins end at 8/15 (0.5), 9/15 (three of 0.6), 11/15 (two of 0.7), 12/15 (two of 0.8),
        # 14/15 (0.9), 1 (1.0).
        gaps = 1 * 0.5 + 3 * abs(2 / 3 - 0.6) + 2 * 0.7 + 2 * 0.2 + 1 * 0.1 + 0
        table = [(t, tuple(np.float64(p) for p in row)) for t, row in TABLE]
        exact = predictions(table, probabilities=np.array([row for _, row in table]))
        assert score(exact).ece == pytest.approx(gaps / 10)


def test_a_class_that_is_neither_shown_nor_predicted_has_no_numbers():
    table = [(0, (0.9, 0.1, 0.0)), (1, (0.1, 0.9, 0.0)), (1, (0.9, 0.1, 0.0))]
    scores = score(predictions(table))
    sad = scores.per_class[2]
    assert (sad.precision, sad.recall, sad.f1, sad.support) == (None, None, None, 0)
    assert scores.balanced_accuracy == pytest.approx((1 + 1 / 2) / 2)
    assert scores.macro_f1 == pytest.approx((2 / 3 + 2 / 3) / 2)


def test_a_class_that_is_predicted_and_never_shown_does_not_count_in_the_means():
    table = [(0, (0.9, 0.1, 0.0)), (1, (0.1, 0.8, 0.1)), (1, (0.1, 0.1, 0.8))]
    scores = score(predictions(table))
    sad = scores.per_class[2]
    assert (sad.precision, sad.recall, sad.f1) == (0.0, None, 0.0)
    assert scores.balanced_accuracy == pytest.approx((1 + 1 / 2) / 2)
    assert scores.macro_f1 == pytest.approx((1 + 2 / 3) / 2)


def test_a_class_that_is_never_predicted_has_no_precision():
    scores = per_class(confusion_matrix(np.array([0, 1]), np.array([0, 0]), 2), ("a", "b"))
    assert scores[1].precision is None
    assert scores[1].recall == 0.0
    assert scores[1].f1 == 0.0


def test_groups_are_scored_alone():
    kinds = {"intensity": ["full"] * 4 + ["micro"] * 6}
    scores = score(predictions(groups=kinds))
    assert list(scores.groups) == ["light", "intensity"]
    light = scores.groups["light"]
    assert light["sufficient"].accuracy == pytest.approx(5 / 6)
    assert light["insufficient"].accuracy == pytest.approx(2 / 4)
    full = scores.groups["intensity"]["full"]
    assert (full.count, full.accuracy, full.chance) == (4, 3 / 4, 1.0)
    assert full.groups == {}


class TestInterval:
    def test_it_is_the_same_for_the_same_seed_only(self):
        rng = np.random.default_rng(0)
        right = rng.random(500) < 0.7
        people = [f"{i}" for i in rng.integers(0, 40, 500)]
        first = accuracy_interval(right, people, 0)
        assert first == accuracy_interval(right, people, 0)
        assert first != accuracy_interval(right, people, 1)
        assert 0 <= first[0] <= right.mean() <= first[1] <= 1

    def test_people_are_drawn_and_not_clips(self):
        """Two people, one always right and one never: 0, ½ or 1 whoever is drawn."""
        right = np.array([True] * 500 + [False] * 500)
        assert accuracy_interval(right, ["a"] * 500 + ["b"] * 500, 0) == (0.0, 1.0)
        # The same clips of a thousand people leave little doubt.
        low, high = accuracy_interval(right, [str(i) for i in range(1000)], 0)
        assert low == pytest.approx(0.5 - 1.96 * 0.0158, abs=0.004)
        assert high == pytest.approx(0.5 + 1.96 * 0.0158, abs=0.004)

    def test_one_person_has_none(self):
        assert accuracy_interval(np.array([True, False]), ["a", "a"], 0) == (None, None)


class TestReliability:
    def test_bins_hold_their_upper_end(self):
        bins = reliability(np.array([1 / 15, 2 / 15, 1.0]), np.array([True, False, True]))
        assert [b.count for b in bins] == [1, 1, *[0] * 12, 1]
        assert bins[0].accuracy == 1.0
        assert bins[1].accuracy == 0.0
        assert bins[2].accuracy is None
        assert (bins[0].low, bins[-1].high) == (0.0, 1.0)

    def test_rounding_beyond_1_is_in_the_last_bin(self):
        assert reliability(np.array([1.0000001]), np.array([True]))[-1].count == 1


def test_a_probability_of_0_costs_much_and_is_finite():
    scores = score(predictions([(0, (0.0, 1.0, 0.0)), (1, (0.0, 1.0, 0.0))]))
    assert scores.nll == pytest.approx(-math.log(1e-12) / 2)


def test_all_numbers_are_finite_where_everything_is_wrong():
    table = [(0, (0.0, 1.0, 0.0)), (1, (1.0, 0.0, 0.0))]
    scores = score(predictions(table))
    numbers = [getattr(scores, field.name) for field in fields(scores)]
    assert all(math.isfinite(n) for n in numbers if isinstance(n, float))
    assert scores.accuracy == scores.macro_f1 == 0.0


def test_nothing_and_one_class_are_refused():
    with pytest.raises(EvaluationError, match="nothing to evaluate"):
        score(predictions(TABLE).take(np.zeros(10, bool)))
    with pytest.raises(EvaluationError, match="all 4 items show 'neutral'"):
        score(predictions(TABLE[:4]))
    with pytest.raises(EvaluationError, match="seed of -1"):
        score(predictions(), seed=-1)


@pytest.mark.parametrize(
    "changes",
    [
        {"probabilities": np.ones((10, 2), np.float32)},
        {"probabilities": np.full((10, 3), np.nan, np.float32)},
        {"truth": np.full(10, 3)},
        {"truth": np.full(10, -1)},
        {"subjects": ["a"]},
        {"groups": {"x": ["a"]}},
    ],
)
def test_predictions_that_do_not_fit_together_are_refused(changes):
    with pytest.raises(EvaluationError):
        predictions(**changes)
