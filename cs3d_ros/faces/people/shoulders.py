"""Shoulders in a plain cloth, which go on where the morphable model's bust ends."""

from __future__ import annotations

import numpy as np

from cs3d_ros.faces.people.patterns import waves
from cs3d_ros.faces.people.surface import grid_triangles
from cs3d_ros.faces.person import Mesh
from cs3d_ros.faces.rendering.facekit import FaceKit

_COLUMNS = 48
_LOWEST_CM = 16.47
"""How far the mean face reaches down."""

# Height, half width, half depth and how far forward the middle is, in cm.
_RINGS = np.array(
    [
        (-13.5, 7.0, 5.0, -2.5),
        (-15.0, 11.5, 5.5, -2.5),
        (-16.5, 16.0, 6.2, -2.5),
        (-18.0, 19.0, 6.8, -2.2),
        (-20.5, 21.0, 7.6, -1.8),
        (-25.0, 22.0, 8.5, -1.5),
        (-34.0, 21.5, 9.0, -1.5),
        (-48.0, 20.5, 9.0, -1.5),
    ]
)


def shoulders(vertices: np.ndarray, cloth: float, rng: np.random.Generator) -> Mesh:
    """Shoulders that stay while the head turns.

    Args:
        vertices: The neutral face, whose neck they meet, shape (20198, 3).
        cloth: Share of the light that the cloth reflects.
        rng: Where all chance comes from.
    """
    size = rng.uniform(0.9, 1.1)
    angle = np.linspace(0, 2 * np.pi, _COLUMNS + 1)
    height, width, depth, forward = (r[:, None] for r in _RINGS.T)
    x = size * width * np.sin(angle)
    z = forward + size * depth * np.cos(angle)
    # Shoulders slope down to their sides.
    y = height - 0.1 * np.abs(x) * np.clip((x / 21) ** 2, 0, 1)
    points = np.column_stack([x.ravel(), y.ravel(), z.ravel()])
    points += 0.12 * waves(points, rng, (2.5, 8.0))[:, None]
    # Collars are at the height of the person's own neck.
    points[:, 1] += vertices[FaceKit.face, 1].min() + _LOWEST_CM
    albedo = cloth * (1 + 0.08 * waves(points * (1, 0.4, 1), rng, (0.8, 4.0)))
    return Mesh(
        vertices=points.astype(np.float32),
        triangles=grid_triangles(len(_RINGS), _COLUMNS + 1),
        albedo=np.clip(albedo, 0.01, 0.9).astype(np.float32),
        follows_head=False,
    )
