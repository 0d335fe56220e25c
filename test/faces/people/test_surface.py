import numpy as np
import pytest

from cs3d_ros.faces.people.surface import (
    clipped,
    fill_smoothly,
    grid_triangles,
    height_map,
    neighbours,
    vertex_normals,
)


def grid(rows, columns):
    y, x = np.mgrid[0:rows, 0:columns]
    return np.column_stack([x.ravel(), y.ravel(), np.zeros(rows * columns)]).astype(float)


def area(points, triangles):
    a, b, c = (points[triangles[:, k]] for k in range(3))
    return np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2


def test_normals_look_to_the_side_from_which_corners_count_against_the_clock():
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    normals = vertex_normals(corners, np.array([[0, 1, 2]]))
    assert normals == pytest.approx(np.array([[0, 0, 1]] * 3))


def test_a_height_map_shows_the_highest():
    low = np.array([[0, 0, 1], [6, 0, 1], [0, 6, 1]], float)
    high = np.array([[0, 0, 3], [2, 0, 3], [0, 2, 3]], float)
    triangles = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    heights = height_map(np.concatenate([low, high]), triangles, 5, 7)
    assert heights[0].tolist() == [3, 3, 3, 1, 1, 1, 1]
    assert heights[4].tolist() == [1, 1, 1, *[-np.inf] * 4]


def test_a_height_map_is_linear_within_a_triangle_and_leaves_out_what_is_outside():
    points = np.array([[-3, -3, 0], [9, -3, 12], [-3, 9, 0]], float)
    heights = height_map(points, np.array([[0, 1, 2]], np.int32), 3, 3)
    assert heights == pytest.approx(np.tile([3.0, 4.0, 5.0], (3, 1)))


def test_neighbours_share_an_edge():
    start, of = neighbours(np.array([[0, 1, 2], [1, 2, 3]]), 5)
    found = [sorted(of[start[i] : start[i + 1]].tolist()) for i in range(5)]
    assert found == [[1, 2], [0, 2, 3], [0, 1, 3], [1, 2], []]


def test_filling_is_even_between_two_ends():
    triangles = grid_triangles(2, 11)
    known = np.tile(np.isin(np.arange(11), (0, 10)), 2)
    values = np.where(known, np.tile(np.arange(11.0), 2), 99.0)
    fill_smoothly(values, known, *neighbours(triangles, 22), 300)
    assert values[:11] == pytest.approx(np.arange(11.0), abs=0.35)
    assert np.all(np.diff(values[:11]) > 0)


def test_filling_leaves_what_it_cannot_reach():
    values, known = np.array([1.0, 5.0, 7.0]), np.array([True, False, False])
    fill_smoothly(values, known, *neighbours(np.array([[0, 0, 1]]), 3), 10)
    assert values[2] == 7.0


@pytest.mark.parametrize("where", [2.0, 2.3, 3.999])
def test_a_clipped_mesh_ends_where_the_value_is_0(where):
    points = grid(5, 7)
    triangles, first, second, share = clipped(grid_triangles(5, 7), where - points[:, 0])
    corners = points[first] + share[:, None] * (points[second] - points[first])
    assert corners[:, 0].max() == pytest.approx(where)
    assert area(corners, triangles) == pytest.approx(4 * where)


def test_clipping_keeps_all_or_nothing():
    cells = grid_triangles(3, 3)
    assert len(clipped(cells, np.ones(9))[0]) == len(cells)
    assert len(clipped(cells, -np.ones(9))[0]) == 0


def test_a_grid_is_covered_once():
    assert area(grid(4, 6), grid_triangles(4, 6)) == pytest.approx(15)
