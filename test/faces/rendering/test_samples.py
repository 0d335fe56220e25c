"""The turned grid of samples."""

import numpy as np
import pytest

from cs3d_ros.faces.rendering.rasterizer import draw
from cs3d_ros.faces.rendering.samples import PER_PIXEL, begin, gather, side_of, to_samples


def blank(size):
    samples = np.zeros((side_of(size), side_of(size)), np.float32)
    nearness = np.full_like(samples, np.inf)
    begin(np.zeros((size, size), np.float32), samples, nearness)
    return samples, nearness


def polygon(size, corners):
    """The share of each pixel that a convex polygon covers, by drawing it."""
    samples, nearness = blank(size)
    points = np.column_stack([corners, np.ones(len(corners))]).astype(np.float32)
    to_samples(points, size)
    fan = np.array([[0, i, i + 1] for i in range(1, len(corners) - 1)], np.int32)
    draw(points, np.ones(len(corners), np.float32), fan, True, samples, nearness)
    picture = np.empty((size, size), np.float32)
    gather(samples, picture)
    return picture


def rectangle(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def test_every_sample_belongs_to_one_pixel_of_five():
    size = 7
    picture = np.arange(size * size, dtype=np.float32).reshape(size, size)
    samples, nearness = blank(size)
    samples[:] = -1
    begin(picture, samples, nearness)
    values, times = np.unique(samples, return_counts=True)
    np.testing.assert_array_equal(values[1:], picture.ravel())
    np.testing.assert_array_equal(times[1:], PER_PIXEL)
    assert (nearness == 0).sum() == PER_PIXEL * size * size
    back = np.empty_like(picture)
    gather(samples, back)
    np.testing.assert_allclose(back, picture, rtol=1e-6)


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 8), (8, 0), (8, 8), (3, 5)])
def test_a_square_over_one_pixel_fills_it_and_no_other(row, column):
    expected = np.zeros((9, 9))
    expected[row, column] = 1
    picture = polygon(9, rectangle(column, row, column + 1, row + 1))
    np.testing.assert_allclose(picture, expected, atol=1e-6)


@pytest.mark.parametrize("upright", [True, False])
def test_an_edge_along_an_axis_moves_through_a_pixel_in_five_equal_steps(upright):
    covered = []
    for place in np.arange(4.0, 5.01, 0.1):
        corners = np.array(rectangle(-2, -2, place, 12))
        picture = polygon(9, corners if upright else corners[:, ::-1])
        # Every pixel along the edge alike.
        along = picture[:, 4] if upright else picture[4]
        assert np.ptp(along) < 1e-6
        covered.append(along[0])
    steps = np.floor(np.arange(0, 11) / 2 + 0.5)
    assert np.abs(np.array(covered) - steps / 5).max() <= 0.2 + 1e-6
    assert len(np.unique(np.round(covered, 3))) == 6


def test_nothing_is_drawn_outside_of_the_picture():
    samples, nearness = blank(9)
    before = nearness == np.inf
    points = np.array([[-99, -99, 1], [300, -99, 1], [-99, 300, 1]], np.float32)
    to_samples(points, 9)
    shade = np.ones(3, np.float32)
    draw(points, shade, np.array([[0, 1, 2]], np.int32), True, samples, nearness)
    assert not samples[before].any()
    assert (samples[~before] == 1).all()
