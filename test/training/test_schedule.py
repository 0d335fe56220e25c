from itertools import pairwise

import pytest

from cs3d_ros.training.schedule import learning_rate


def test_a_constant_learning_rate_is_constant():
    assert {learning_rate("constant", 1e-4, step, 50) for step in range(50)} == {1e-4}


def test_one_cycle_rises_for_a_tenth_of_the_steps_then_falls_to_nearly_nothing():
    rates = [learning_rate("one-cycle", 1.0, step, 100) for step in range(100)]
    assert rates[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert all(a > b > 0 for a, b in pairwise(rates[9:]))
    # Half a cosine over what is left: its middle is half of the peak.
    assert (rates[9 + 45] + rates[9 + 46]) / 2 == pytest.approx(0.5, abs=0.01)
    assert rates[-1] < 0.001


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_run_of_few_steps_has_learning_rates_too(steps):
    rates = [learning_rate("one-cycle", 1.0, step, steps) for step in range(steps)]
    assert rates[0] == 1.0
    assert all(0 < rate <= 1 for rate in rates)
