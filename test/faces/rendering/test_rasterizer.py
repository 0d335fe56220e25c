"""Drawing triangles: coverage, edges, depth, sides."""

import numpy as np
import pytest

from cs3d_ros.faces.rendering.rasterizer import FARTHEST, draw


def drawn(points, triangles, shade=None, both_sides=True, shape=(8, 8), onto=None):
    points = np.array(points, np.float32)
    if points.shape[1] == 2:
        points = np.column_stack([points, np.ones(len(points), np.float32)])
    shade = np.ones(len(points)) if shade is None else shade
    picture, nearness = onto or (np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    draw(
        np.ascontiguousarray(points, np.float32),
        np.array(shade, np.float32),
        np.array(triangles, np.int32),
        both_sides,
        picture,
        nearness,
    )
    return picture, nearness


def covered(*args, **more):
    return drawn(*args, **more)[1] > 0


TRIANGLE = [[1, 1], [1, 5], [5, 1]]


def test_a_sample_is_covered_where_its_centre_is_inside_or_on_a_top_or_left_edge():
    expected = np.zeros((8, 8), bool)
    expected[1, 1:4] = expected[2, 1:3] = expected[3, 1] = True
    np.testing.assert_array_equal(covered(TRIANGLE, [[0, 1, 2]]), expected)
    # Now the centres of row 1 and column 1 are on its top and left edge, those of the slope on it.
    on_centres = np.array(TRIANGLE) + 0.5
    np.testing.assert_array_equal(covered(on_centres, [[0, 1, 2]])[1], [0, 1, 1, 1, 1, 0, 0, 0])
    # Turned round, row 4 and column 4 are on its bottom and right edge, those of the slope within.
    turned = covered(6 - on_centres, [[0, 1, 2]])
    assert not turned[4].any()
    np.testing.assert_array_equal(turned[3], [0, 1, 1, 1, 0, 0, 0, 0])


def test_only_triangles_that_face_the_camera_are_drawn_unless_both_sides_are_asked_for():
    assert covered(TRIANGLE, [[0, 1, 2]], both_sides=False).any()
    assert not covered(TRIANGLE, [[0, 2, 1]], both_sides=False).any()
    np.testing.assert_array_equal(
        covered(TRIANGLE, [[0, 2, 1]]), covered(TRIANGLE, [[0, 1, 2]], both_sides=False)
    )


@pytest.mark.parametrize("seed", range(30))
def test_triangles_that_share_edges_cover_each_sample_exactly_once(seed):
    rng = np.random.default_rng(seed)
    corners = np.array([[0, 0], [40, 0], [40, 40], [0, 40]])
    # Some middles on whole numbers or sample centres, where edges meet centres.
    middle = rng.uniform(1, 39, 2) if seed % 3 else np.round(2 * rng.uniform(1, 39, 2)) / 2
    fan = np.vstack([corners, middle])
    times = sum(covered(fan, [[i, (i + 1) % 4, 4]], shape=(40, 40)).astype(int) for i in range(4))
    np.testing.assert_array_equal(times, 1)


def test_a_turned_and_stretched_grid_has_neither_cracks_nor_overlaps():
    rng = np.random.default_rng(5)
    n = 24
    place = np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2)
    points = place * 1.3 + rng.uniform(-0.3, 0.3, place.shape)
    turn = np.array([[0.8, 0.6], [-0.6, 0.8]])
    points = points @ turn + [22, 4]
    cells = [r * n + c for r in range(n - 1) for c in range(n - 1)]
    triangles = [t for k in cells for t in ([k, k + 1, k + n], [k + 1, k + n + 1, k + n])]
    times = sum(covered(points, [t], shape=(64, 64)).astype(int) for t in triangles)
    assert times.max() == 1
    filled = times > 0
    # No hole: each row is one run of covered samples, but for its ragged ends.
    for row in filled[24:30]:
        inside = np.flatnonzero(row)[4:-4]
        assert len(inside) > 8
        assert row[inside[0] : inside[-1]].all()


def test_the_nearest_triangle_is_seen_whatever_the_order():
    near = [[1, 1, 0.5], [1, 7, 0.5], [7, 1, 0.5]]
    far = [[0, 0, 0.1], [0, 8, 0.1], [8, 0, 0.1]]
    shade = [2, 2, 2, 1, 1, 1]
    one, _ = drawn(near + far, [[0, 1, 2], [3, 4, 5]], shade)
    other, _ = drawn(near + far, [[3, 4, 5], [0, 1, 2]], shade)
    np.testing.assert_array_equal(one, other)
    assert one[2, 2] == 2
    assert one[0, 0] == 1


def test_shade_and_nearness_are_linear_between_the_corners():
    points = [[0, 0, 1.0], [0, 16, 0.5], [16, 0, 0.25]]
    picture, nearness = drawn(points, [[0, 1, 2]], [10, 26, 42], shape=(16, 16))
    rows, columns = np.nonzero(nearness)
    np.testing.assert_allclose(
        picture[rows, columns], 10 + (rows + 0.5) + 2 * (columns + 0.5), rtol=1e-5
    )
    np.testing.assert_allclose(
        nearness[rows, columns], 1 - (rows + 0.5) / 32 - 3 * (columns + 0.5) / 64, rtol=1e-5
    )


@pytest.mark.parametrize(
    "corner",
    [
        [5, 1, 0],
        [5, 1, -1],
        [5, 1, np.nan],
        [np.nan, 1, 1],
        [np.inf, 1, 1],
        [2.0 * FARTHEST, 1, 1],
        [5, -2.0 * FARTHEST, 1],
    ],
)
def test_a_triangle_with_a_corner_behind_the_camera_or_nowhere_is_left_out(corner):
    points = [[1, 1, 1], [1, 5, 1], corner]
    assert not covered(points, [[0, 1, 2]]).any()


def test_what_reaches_out_of_the_picture_is_cut_off():
    assert covered([[-50, -60], [-50, 200], [200, -60]], [[0, 1, 2]]).all()
    assert not covered([[-50, -60], [-50, -10], [-10, -60]], [[0, 1, 2]]).any()


def test_triangles_without_area_cover_nothing():
    assert not covered([[1, 1], [5, 5], [3, 3]], [[0, 1, 2], [0, 0, 1], [2, 2, 2]]).any()
    assert not covered(TRIANGLE, np.zeros((0, 3))).any()
