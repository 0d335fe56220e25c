"""Draws triangles with a depth buffer.

Coordinates are snapped to 1/256 of a sample and edges are tested in whole numbers with the top-left
fill rule (Direct3D's and OpenGL's), so that triangles that share an edge cover each sample along it
exactly once: no cracks, no sample drawn twice.
"""

from __future__ import annotations

import numpy as np

from cs3d_ros.kernels import kernel

_STEP = 256
_HALF = _STEP // 2
_NOWHERE = 1 << 40
FARTHEST = 1 << 15
"""Triangles with a corner farther out than this many samples are not drawn."""


@kernel
def draw(
    points: np.ndarray,
    shade: np.ndarray,
    triangles: np.ndarray,
    both_sides: bool,
    picture: np.ndarray,
    nearness: np.ndarray,
) -> None:
    """Draw triangles into a picture of samples, in place.

    A sample is covered where its centre, at whole numbers plus one half, is inside of a triangle
    or on its top or left edge. The nearest triangle is seen. A triangle is left out as a whole if a
    corner is behind the camera (nearness not above 0) or farther out than FARTHEST.

    Args:
        points: Corners as column and row in samples and nearness (one over the depth, which is
            linear in the picture), shape (n, 3), float32.
        shade: What is drawn at each corner, linear between them, shape (n,), float32.
        triangles: Indices of corners, shape (m, 3), int32; clockwise in the picture, where rows
            count downwards, if seen from behind.
        both_sides: Whether those seen from behind are drawn too.
        picture: The samples, shape (rows, columns), float32.
        nearness: Nearness of what each sample shows, of the same shape, float32; 0 where nothing
            was drawn yet.
    """
    rows, columns = picture.shape
    snapped = np.empty((len(points), 2), np.int64)
    for i in range(len(points)):
        x, y, near = points[i, 0], points[i, 1], points[i, 2]
        if near > 0 and abs(x) <= FARTHEST and abs(y) <= FARTHEST:
            snapped[i, 0] = _snapped(x)
            snapped[i, 1] = _snapped(y)
        else:
            snapped[i] = _NOWHERE
    for m in range(len(triangles)):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ax, ay = snapped[a, 0], snapped[a, 1]
        bx, by = snapped[b, 0], snapped[b, 1]
        cx, cy = snapped[c, 0], snapped[c, 1]
        area = (cx - ax) * (by - ay) - (bx - ax) * (cy - ay)
        if area == 0 or (area < 0 and not both_sides):
            continue
        if ax == _NOWHERE or bx == _NOWHERE or cx == _NOWHERE:
            continue
        # The samples whose centres are within the bounds; many triangles have none.
        left = max(0, (min(ax, bx, cx) + _HALF - 1) >> 8)
        right = min(columns - 1, (max(ax, bx, cx) - _HALF) >> 8)
        top = max(0, (min(ay, by, cy) + _HALF - 1) >> 8)
        bottom = min(rows - 1, (max(ay, by, cy) - _HALF) >> 8)
        if left > right or top > bottom:
            continue
        if area > 0:
            # Turn it round: inside is where all edge functions are positive.
            b, c = c, b
            bx, by, cx, cy = cx, cy, bx, by
        else:
            area = -area
        scale = np.float32(1.0) / np.float32(area)
        na, nb, nc = points[a, 2], points[b, 2], points[c, 2]
        sa, sb, sc = shade[a], shade[b], shade[c]
        x, y = left * _STEP + _HALF, top * _STEP + _HALF
        # On an edge that is neither top nor left, zero is outside.
        ea = _edge(bx, by, cx, cy, x, y) - _least(bx, by, cx, cy)
        eb = _edge(cx, cy, ax, ay, x, y) - _least(cx, cy, ax, ay)
        ec = _edge(ax, ay, bx, by, x, y) - _least(ax, ay, bx, by)
        for row in range(top, bottom + 1):
            wa, wb, wc = ea, eb, ec
            for column in range(left, right + 1):
                if (wa | wb | wc) >= 0:
                    # The weights sum to 1, so that the result is within the corners' values.
                    ra, rb = np.float32(wa) * scale, np.float32(wb) * scale
                    near = nc + ra * (na - nc) + rb * (nb - nc)
                    if near > nearness[row, column]:
                        nearness[row, column] = near
                        picture[row, column] = sc + ra * (sa - sc) + rb * (sb - sc)
                wa -= (cy - by) * _STEP
                wb -= (ay - cy) * _STEP
                wc -= (by - ay) * _STEP
            ea += (cx - bx) * _STEP
            eb += (ax - cx) * _STEP
            ec += (bx - ax) * _STEP


@kernel
def _snapped(coordinate: float) -> int:
    return int(np.floor(coordinate * np.float32(_STEP) + np.float32(0.5)))


@kernel
def _edge(ax: int, ay: int, bx: int, by: int, x: int, y: int) -> int:
    """Positive to the right of the way from a to b, rows counting downwards."""
    return (bx - ax) * (y - ay) - (by - ay) * (x - ax)


@kernel
def _least(ax: int, ay: int, bx: int, by: int) -> int:
    """The least edge function that is inside: 0 on top and left edges, else 1."""
    return 0 if by < ay or (by == ay and bx > ax) else 1
