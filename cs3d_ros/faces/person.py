"""Somebody whose face is rendered: a shape, a skin, and what they wear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Triangles that go with the face but are no part of the morphable model: hair, glasses.

    Attributes:
        vertices: Corners in cm in the axes of the morphable face, shape (n, 3), float32.
        triangles: Indices of corners, shape (m, 3), int32; seen from both sides.
        albedo: Share of the light that each corner reflects, shape (n,), float32, 0…1.
        follows_head: Whether it turns with the head (hair, glasses) or stays (shoulders).
    """

    vertices: np.ndarray
    triangles: np.ndarray
    albedo: np.ndarray
    follows_head: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody whose face is rendered.

    Attributes:
        subject: Who it is; the same subject always has the same shape and skin.
        vertices: The neutral face in cm, in the order of `FaceKit.vertices`, shape (20198, 3),
            float32.
        albedo: Share of the light that each vertex reflects, shape (20198,), float32, 0…1.
        worn: Hair, glasses, shoulders.
    """

    subject: str
    vertices: np.ndarray
    albedo: np.ndarray
    worn: tuple[Mesh, ...] = ()
