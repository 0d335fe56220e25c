import statistics
from math import hypot

import pytest

from cs3d_ros.reproduction.results import compare
from cs3d_ros.reproduction.tables import table_of
from reproduction_helpers import SETTINGS, row_result

ROW, OTHER = table_of("table2", SETTINGS).rows[-2:]


def constant(row, *shares):
    """A row of one person with 10 clips, of those hits by seed."""
    return row_result(row, len(shares), *[(hits,) for hits in shares])


def test_mean_and_deviation_are_over_seeds():
    result = row_result(ROW, 3, (5, 5), (6, 8), (9, 9))
    assert result.is_finished
    assert result.accuracies == [0.5, 0.7, 0.9]
    assert result.mean == pytest.approx(0.7)
    # Of a sample: (0.2² + 0 + 0.2²) / 2.
    assert result.deviation == pytest.approx(0.2)
    assert result.seconds == 180.0


def test_one_seed_has_no_deviation():
    assert row_result(ROW, 1, (5, 5)).deviation is None


def test_a_row_without_all_seeds_is_not_finished():
    assert not row_result(ROW, 3, (5, 5), (6, 8)).is_finished
    assert not row_result(ROW, 1).is_finished


def test_the_interval_is_over_people_of_the_mean_over_seeds():
    # Each person is half right on the mean of both seeds: no drawing of people changes that.
    assert row_result(ROW, 2, (0, 10), (10, 0)).interval == (0.5, 0.5)
    low, high = row_result(ROW, 2, (0, 10), (0, 10)).interval
    assert (low, high) == (0.0, 1.0)


def test_one_person_has_no_interval():
    assert constant(ROW, 5, 6).interval is None


class TestOrder:
    @pytest.mark.parametrize(
        ("higher", "lower", "verdict"),
        [
            ((9, 9), (5, 5), "holds"),
            ((8, 9), (5, 6), "holds"),
            ((5, 9), (5, 7), "holds within the spread"),
            ((5, 7), (5, 9), "does not hold, within the spread"),
            ((5, 6), (8, 9), "does not hold"),
            ((5, 5), (5, 5), "does not hold, within the spread"),
            ((9,), (5,), "holds with one seed"),
            ((5,), (9,), "does not hold with one seed"),
            ((5,), (5,), "does not hold with one seed"),
        ],
    )
    def test_is_judged_by_the_spread_over_seeds(self, higher, lower, verdict):
        assert compare(constant(ROW, *higher), constant(OTHER, *lower)).verdict == verdict

    def test_the_spread_is_that_of_the_difference_of_two_runs(self):
        found = compare(constant(ROW, 5, 9), constant(OTHER, 5, 6))
        assert found.difference == pytest.approx(0.15)
        assert found.spread == pytest.approx(
            hypot(statistics.stdev([0.5, 0.9]), statistics.stdev([0.5, 0.6]))
        )

    def test_the_interval_is_of_the_difference_person_by_person(self):
        # Both people are better by 0.2, whoever is drawn, though they differ from each other.
        found = compare(row_result(ROW, 1, (10, 4)), row_result(OTHER, 1, (8, 2)))
        assert found.interval == pytest.approx((0.2, 0.2))

    def test_rows_of_other_people_have_no_interval(self):
        found = compare(row_result(ROW, 1, (10, 4, 4)), row_result(OTHER, 1, (8, 2)))
        assert found.interval is None
