"""Sums over the mesh that skin and hair need: normals, heights seen by a camera, smooth filling."""

from __future__ import annotations

import numpy as np

from cs3d_ros.kernels import kernel


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Outward unit normals, weighted by area, shape (n, 3), float64.

    Args:
        vertices: Shape (n, 3).
        triangles: Counter-clockwise seen from outside, shape (m, 3).
    """
    corners = vertices[triangles].astype(np.float64)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros((len(vertices), 3))
    for corner in range(3):
        for axis in range(3):
            normals[:, axis] += np.bincount(
                triangles[:, corner], across[:, axis], minlength=len(vertices)
            )
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


@kernel
def height_map(points: np.ndarray, triangles: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Greatest height of a mesh over each pixel, shape (rows, columns), -inf where none is.

    Args:
        points: Pixels x, y and height of each corner, shape (n, 3), float64.
        triangles: Shape (m, 3), int32.
        rows: Height of the picture.
        columns: Its width.
    """
    heights = np.full((rows, columns), -np.inf)
    for k in range(len(triangles)):
        x0, y0, z0 = points[triangles[k, 0]]
        x1, y1, z1 = points[triangles[k, 1]]
        x2, y2, z2 = points[triangles[k, 2]]
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-9:
            continue
        for y in range(max(0, np.ceil(min(y0, y1, y2))), min(rows, max(y0, y1, y2) + 1)):
            for x in range(max(0, np.ceil(min(x0, x1, x2))), min(columns, max(x0, x1, x2) + 1)):
                b = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
                c = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
                if b >= 0 and c >= 0 and b + c <= 1:
                    z = z0 + b * (z1 - z0) + c * (z2 - z0)
                    if z > heights[y, x]:
                        heights[y, x] = z
    return heights


def neighbours(triangles: np.ndarray, vertices: int) -> tuple[np.ndarray, np.ndarray]:
    """Vertices that share an edge: those of vertex i are `of[start[i]:start[i + 1]]`."""
    edges = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2).astype(np.int64)
    both = np.unique(np.concatenate([edges, edges[:, ::-1]]), axis=0)
    start = np.searchsorted(both[:, 0], np.arange(vertices + 1))
    return start.astype(np.int64), both[:, 1].astype(np.int32)


@kernel
def fill_smoothly(
    values: np.ndarray, known: np.ndarray, start: np.ndarray, of: np.ndarray, sweeps: int
) -> None:
    """Give vertices that are not known the mean of their neighbours, in place.

    Args:
        values: Shape (n,), float64.
        known: Whose value stays, shape (n,), bool. Vertices that no edge leads to from a known one
            keep theirs as well.
        start: See `neighbours`.
        of: See `neighbours`.
        sweeps: Passes of Gauss-Seidel's method.
    """
    n = len(values)
    reached = known.copy()
    order = np.empty(n, np.int64)
    count = 0
    for i in range(n):
        if known[i]:
            order[count] = i
            count += 1
    first = count
    head = 0
    while head < count:
        i = order[head]
        head += 1
        for j in range(start[i], start[i + 1]):
            k = of[j]
            if not reached[k]:
                reached[k] = True
                values[k] = values[i]
                order[count] = k
                count += 1
    for sweep in range(sweeps):
        for place in range(first, count):
            # Back and forth, so that values travel quickly in both directions.
            i = order[place] if sweep % 2 == 0 else order[count - 1 - (place - first)]
            total = 0.0
            for j in range(start[i], start[i + 1]):
                total += values[of[j]]
            if start[i + 1] > start[i]:
                values[i] = total / (start[i + 1] - start[i])


def grid_triangles(rows: int, columns: int) -> np.ndarray:
    """Two triangles a cell between the points of a grid, row by row, shape (m, 3), int32."""
    n = np.arange(rows * columns, dtype=np.int32).reshape(rows, columns)
    a, b, c, d = (p.ravel() for p in (n[:-1, :-1], n[:-1, 1:], n[1:, :-1], n[1:, 1:]))
    return np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])])


def clipped(
    triangles: np.ndarray, value: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The part of a mesh where `value`, linear within triangles, is above 0.

    Args:
        triangles: Shape (m, 3).
        value: Of each corner, shape (n,).

    Returns:
        Triangles of the part, shape (k, 3), int32, and how to get its corners from those of the
        mesh: corner i is that of `first[i]` plus `share[i]` times the way to `second[i]`.
    """
    inside = value[triangles] > 0
    count = inside.sum(axis=1)
    parts = [triangles[count == 3].astype(np.int64)]
    first, second = [np.arange(len(value))], [np.arange(len(value))]
    share = [np.zeros(len(value))]
    added = len(value)
    for number in (1, 2):
        # Turn the odd corner out to the front: the only one inside, or the only one outside.
        some = triangles[count == number]
        odd = np.argmax(inside[count == number] == (number == 1), axis=1)
        p, q, r = (some[np.arange(len(some)), (odd + k) % 3] for k in range(3))
        for other in (q, r):
            first.append(p)
            second.append(other)
            share.append(value[p] / (value[p] - value[other]))
        a = added + np.arange(len(some))
        b = a + len(some)
        added += 2 * len(some)
        if number == 1:
            parts.append(np.column_stack([p, a, b]))
        else:
            parts.append(np.column_stack([a, q, r]))
            parts.append(np.column_stack([a, r, b]))
    used, renumbered = np.unique(np.concatenate(parts), return_inverse=True)
    return (
        renumbered.reshape(-1, 3).astype(np.int32),
        np.concatenate(first)[used],
        np.concatenate(second)[used],
        np.concatenate(share)[used],
    )
