"""Where within each pixel a picture is sampled.

The samples make a square grid that is turned against the pixels by atan(1/2), with five in each
pixel, so that all five differ in column and in row: columns and rows of .1, .3, .5, .7 and .9 of a
pixel. An edge along either axis that moves through a pixel thus changes it in five small steps,
for little more than half of the samples that an upright grid of 3×3 takes to do so in three.
"""

from __future__ import annotations

import numpy as np

from cs3d_ros.kernels import kernel

PER_PIXEL = 5

# Column 2x + y and row 2y − x + size of the grid for a place x, y in pixels; the five samples of a
# pixel as steps of column and row from where its upper left corner comes to lie.
_COLUMN_STEPS = (0, 1, 1, 1, 2)
_ROW_STEPS = (0, -1, 0, 1, 0)


def side_of(size: int) -> int:
    """Rows and columns of the grid of samples for a picture of `size` pixels a side."""
    return 3 * size


@kernel
def to_samples(points: np.ndarray, size: int) -> None:
    """Turn columns and rows in pixels, points[:, :2], to those of the grid of samples, in place."""
    for i in range(len(points)):
        x, y = points[i, 0], points[i, 1]
        points[i, 0] = x + x + y
        points[i, 1] = y + y - x + np.float32(size)


@kernel
def begin(picture: np.ndarray, samples: np.ndarray, nearness: np.ndarray) -> None:
    """Give all samples of each pixel its value, and the nearness 0.

    Args:
        picture: Shape (size, size), float32.
        samples: Shape (side, side), float32, with `side_of(size)`.
        nearness: Of the same shape, float32.
    """
    size = len(picture)
    for row in range(size):
        for column in range(size):
            left, top = 2 * column + row, 2 * row - column + size
            for k in range(PER_PIXEL):
                samples[top + _ROW_STEPS[k], left + _COLUMN_STEPS[k]] = picture[row, column]
                nearness[top + _ROW_STEPS[k], left + _COLUMN_STEPS[k]] = 0


@kernel
def gather(samples: np.ndarray, picture: np.ndarray) -> None:
    """The mean of each pixel's samples; shapes as in `begin`."""
    size = len(picture)
    share = np.float32(1 / PER_PIXEL)
    for row in range(size):
        for column in range(size):
            left, top = 2 * column + row, 2 * row - column + size
            total = np.float32(0)
            for k in range(PER_PIXEL):
                total += samples[top + _ROW_STEPS[k], left + _COLUMN_STEPS[k]]
            picture[row, column] = share * total
