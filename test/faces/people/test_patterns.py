import numpy as np
import pytest

from cs3d_ros.faces.people.patterns import distance_to_line, step, waves


def test_waves_are_centred_and_of_unit_spread():
    points = np.random.default_rng(0).uniform(-50, 50, (4000, 3))
    field = waves(points, np.random.default_rng(1), (1.0, 3.0))
    assert field.mean() == pytest.approx(0, abs=0.1)
    assert field.std() == pytest.approx(1, abs=0.2)


def test_waves_are_smooth_over_less_than_their_length():
    points = np.linspace(0, 20, 2000)[:, None] * (1, 0, 0)
    field = waves(points, np.random.default_rng(1), (2.0, 4.0))
    # At a length of 2 the steepest slope of all waves together is 24 · π · √(2/24).
    assert np.abs(np.diff(field)).max() < 0.01 * np.pi * 24 * np.sqrt(2 / 24) * 1.01


def test_the_same_state_gives_the_same_waves():
    points = np.random.default_rng(0).uniform(-5, 5, (50, 2))
    a, b, c = (waves(points, np.random.default_rng(s), (1.0, 3.0)) for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_step_rises_or_falls():
    x = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert step(0.0, 1.0, x).tolist() == [0, 0, 0.5, 1, 1]
    assert step(1.0, 0.0, x).tolist() == [1, 1, 0.5, 0, 0]


def test_distance_to_a_line_and_where_it_is_nearest():
    line = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 2.0]])
    points = np.array([[1.0, 1.0], [-3.0, 4.0], [3.0, 1.0], [2.0, 0.0], [2.0, 5.0]])
    distance, place = distance_to_line(points, line)
    assert distance == pytest.approx([1, 5, 1, 0, 3])
    assert place[1:] == pytest.approx([0, 1.5, 1, 2])
