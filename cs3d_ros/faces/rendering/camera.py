"""Where points in space appear in the picture, and what lies behind each pixel.

Space has the axes of the morphable face: +x right in the picture, +y up, +z towards the camera,
lengths in cm. Pictures have rows that count downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cs3d_ros.kernels import kernel

NEAREST_CM = 1.0
"""What is nearer to the camera than this, or behind it, is not drawn."""


def head_rotation(angles: Sequence[float]) -> np.ndarray:
    """The matrix of `Motion.rotation`, shape (3, 3), float32: roll, then pitch, then yaw.

    Args:
        angles: Yaw (positive: towards the face's left), pitch (positive: chin down) and roll
            (positive: towards its left shoulder) in radians.
    """
    return _turned(float(angles[0]), float(angles[1]), float(angles[2]))


def camera_rotation(angles: Sequence[float]) -> np.ndarray:
    """The matrix from space to the axes of a turned camera, shape (3, 3), float32.

    Args:
        angles: Of `Motion.camera` in radians: pan (positive: to its right, so that the picture
            moves left), tilt (positive: up, the picture moves down) and roll (positive: clockwise
            as it looks, the picture turns counter-clockwise).
    """
    return np.ascontiguousarray(_turned(-float(angles[0]), float(angles[1]), float(angles[2])).T)


@kernel
def _turned(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """About +y by yaw after about +x by pitch after about +z by −roll."""
    cy, sy = math.cos(yaw), math.sin(yaw)
    cx, sx = math.cos(pitch), math.sin(pitch)
    cz, sz = math.cos(roll), math.sin(roll)
    turned = np.empty((3, 3), np.float32)
    turned[0, 0], turned[0, 1], turned[0, 2] = (
        cy * cz - sy * sx * sz,
        cy * sz + sy * sx * cz,
        sy * cx,
    )
    turned[1, 0], turned[1, 1], turned[1, 2] = -cx * sz, cx * cz, -sx
    turned[2, 0], turned[2, 1], turned[2, 2] = (
        -sy * cz - cy * sx * sz,
        cy * sx * cz - sy * sz,
        cy * cx,
    )
    return turned


@kernel
def project(
    placed: np.ndarray,
    rotation: np.ndarray,
    distance: float,
    focal: float,
    column: float,
    row: float,
    points: np.ndarray,
) -> None:
    """Perspective picture of points in space.

    Args:
        placed: Points in cm about the point that the resting camera looks at, shape (n, 3),
            float32.
        rotation: `camera_rotation` of the camera, which turns about its lens.
        distance: From the camera to that point in cm.
        focal: Focal length in pixels.
        column: Where the camera's axis meets the picture, in pixels.
        row: Likewise.
        points: Result: column, row and nearness (cm over the depth; 0 for what is not in front of
            the camera), shape (n, 3), float32.
    """
    away, scale = np.float32(distance), np.float32(focal)
    middle_column, middle_row = np.float32(column), np.float32(row)
    for i in range(len(placed)):
        x, y, z = placed[i, 0], placed[i, 1], placed[i, 2] - away
        depth = -(rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z)
        if depth >= NEAREST_CM:
            near = np.float32(1.0) / depth
            points[i, 0] = middle_column + scale * near * (
                rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
            )
            points[i, 1] = middle_row - scale * near * (
                rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
            )
            points[i, 2] = near
        else:
            points[i] = 0


@kernel
def look_through(
    texture: np.ndarray,
    texels: float,
    rotation: np.ndarray,
    focal: float,
    focal_at_rest: float,
    column: float,
    row: float,
    right: float,
    down: float,
    level: float,
    picture: np.ndarray,
) -> None:
    """What a camera sees of a background far away, which is mirrored where it ends.

    Args:
        texture: The background, shape (m, m), float32; its middle is on the axis of the resting
            camera.
        texels: Texels of the background for each pixel of the resting camera.
        rotation: `camera_rotation`.
        focal: Focal length in pixels.
        focal_at_rest: Focal length in pixels that `texels` holds for.
        column: Where the camera's axis meets the picture, in pixels.
        row: Likewise.
        right: Shift of the background in texels.
        down: Likewise.
        level: Factor to the texture.
        picture: Result, shape (size, size), float32.
    """
    rows, columns = picture.shape
    m = len(texture)
    middle = np.float32(0.5 * m - 0.5)
    scale, each = np.float32(focal_at_rest * texels), np.float32(1 / focal)
    first_u, first_v = np.float32((0.5 - column) / focal), np.float32((row - 0.5) / focal)
    right_shift, down_shift, bright = np.float32(right), np.float32(down), np.float32(level)
    for i in range(rows):
        v = first_v - np.float32(i) * each
        for j in range(columns):
            u = first_u + np.float32(j) * each
            # From the camera's axes back to space, onto a plane at depth 1.
            x = rotation[0, 0] * u + rotation[1, 0] * v - rotation[2, 0]
            y = rotation[0, 1] * u + rotation[1, 1] * v - rotation[2, 1]
            z = rotation[0, 2] * u + rotation[1, 2] * v - rotation[2, 2]
            away = scale / max(-z, np.float32(0.1))
            s, t = (
                _mirrored(middle + away * x - right_shift, m),
                _mirrored(middle - away * y - down_shift, m),
            )
            a, b = min(int(s), m - 2), min(int(t), m - 2)
            p, q = s - a, t - b
            above = texture[b, a] + p * (texture[b, a + 1] - texture[b, a])
            below = texture[b + 1, a] + p * (texture[b + 1, a + 1] - texture[b + 1, a])
            picture[i, j] = bright * (above + q * (below - above))


@kernel
def _mirrored(place: np.float32, m: int) -> np.float32:
    """The place within 0…m − 1 that a place on an axis mirrored at both ends shows."""
    last = np.float32(m - 1)
    if not 0 <= place <= last:
        place = last - abs(place - 2 * last * np.floor(place / (2 * last)) - last)
    # Far away rounding leaves nothing of the place, down to what is no number.
    return place if place >= 0 else np.float32(0)
