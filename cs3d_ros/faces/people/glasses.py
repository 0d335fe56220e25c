"""Glasses: frames before the eyes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cs3d_ros.faces.person import Mesh
from cs3d_ros.faces.rendering.facekit import FaceKit

_CORNERS = 40
_EAR_CM = np.array([7.9, 4.6, 0.0])
"""Where a temple lies on the left ear of the mean face."""


class _Part(NamedTuple):
    vertices: np.ndarray
    triangles: np.ndarray


def draw_glasses(kit: FaceKit, vertices: np.ndarray, rng: np.random.Generator) -> Mesh:
    """Glasses that fit a face, of a form, thickness and tone from chance.

    Args:
        kit: The morphable face.
        vertices: The neutral face, shape (20198, 3), float32.
        rng: Where all chance comes from.
    """
    marks = vertices[kit.landmarks68].astype(np.float64)
    right, left = marks[36:42].mean(axis=0), marks[42:48].mean(axis=0)
    apart = float(np.linalg.norm(left - right))
    width = apart * rng.uniform(0.38, 0.44)
    height = width * rng.uniform(0.6, 0.98)
    power = float(rng.choice([2.0, 2.6, 4.0, 6.0]))
    bar, deep = rng.uniform(0.12, 0.5), rng.uniform(0.15, 0.4)
    tone = float(np.exp(rng.uniform(np.log(0.012), np.log(0.45))))
    lowered, droop = rng.uniform(0.1, 0.45), rng.uniform(-0.15, 0.35)
    plane = max(marks[27, 2] + 0.35, marks[[37, 38, 43, 44], 2].max() + 0.9)
    parts = []
    for eye, side in ((right, -1), (left, 1)):
        centre = np.array([eye[0] + side * 0.15, eye[1] - lowered, plane])
        lens = _lens(width, height, power, droop * side)
        # Lenses turn a little towards the temples.
        loop = centre + np.column_stack([lens, -0.12 * np.maximum(side * lens[:, 0], 0)])
        parts.append(_frame(loop, centre, bar, deep))
        hinge = centre + np.array([side * width, 0.45 * height, -0.12 * width])
        ear = _ear(kit, vertices, side)
        bend = np.array([hinge[0] + 0.25 * (ear[0] - hinge[0]), hinge[1], hinge[2] - 1.2])
        parts.append(_rod(np.stack([hinge, bend, ear]), 0.5 * bar + 0.1))
    parts.append(_rod(_bridge(right, left, lowered, width, height, plane), 0.6 * bar + 0.06))
    first = np.cumsum([0, *(len(part.vertices) for part in parts)])
    triangles = [part.triangles + f for part, f in zip(parts, first, strict=False)]
    return Mesh(
        vertices=np.concatenate([part.vertices for part in parts]).astype(np.float32),
        triangles=np.concatenate(triangles).astype(np.int32),
        albedo=np.full(first[-1], tone, np.float32),
    )


def _ear(kit: FaceKit, vertices: np.ndarray, side: int) -> np.ndarray:
    place = _EAR_CM * (side, 1, 1)
    nearest = int(np.linalg.norm(kit.vertices - place, axis=1).argmin())
    return vertices[nearest] + np.array([side * 0.25, 0.3, 0.0])


def _bridge(
    right: np.ndarray, left: np.ndarray, lowered: float, width: float, height: float, plane: float
) -> np.ndarray:
    middle = (right + left) / 2 + np.array([0, 0.3 * height - lowered, 0])
    middle[2] = plane + 0.15
    half = np.array([(left[0] - right[0]) / 2 - width + 0.15, 0, 0])
    return np.stack([middle - half, middle + np.array([0, 0.12, 0.1]), middle + half])


def _lens(width: float, height: float, power: float, droop: float) -> np.ndarray:
    """Outline of a lens about its centre: a superellipse that droops to one side, (n, 2)."""
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    x = np.sign(c) * np.abs(c) ** (2 / power) * width
    y = np.sign(s) * np.abs(s) ** (2 / power) * height
    return np.column_stack([x * (1 - 0.15 * np.abs(droop) * (y < 0)), y + 0.15 * droop * x])


def _frame(loop: np.ndarray, centre: np.ndarray, bar: float, deep: float) -> _Part:
    """A frame of rectangular section around a lens."""
    outwards = (loop - centre) * (1, 1, 0)
    outwards *= bar / 2 / np.linalg.norm(outwards, axis=1, keepdims=True)
    forward = np.array([0, 0, deep / 2])
    return _tube(
        [
            loop + outwards + forward,
            loop + outwards - forward,
            loop - outwards - forward,
            loop - outwards + forward,
        ],
        closed=True,
    )


def _rod(line: np.ndarray, thick: float) -> _Part:
    """A bar along a line."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.array([0, thick / 2, 0])
    side = np.cross(along, (0, 1, 0)) * 0.12
    edges = [line + up + side, line - up + side, line - up - side, line + up - side]
    return _tube(edges, closed=False)


def _tube(edges: list[np.ndarray], closed: bool) -> _Part:
    """The sides of a tube with four edges of n corners each."""
    n = len(edges[0])
    i = np.arange(n if closed else n - 1)
    triangles = []
    for k in range(4):
        a, b = k * n + i, ((k + 1) % 4) * n + i
        c, d = k * n + (i + 1) % n, ((k + 1) % 4) * n + (i + 1) % n
        triangles += [np.column_stack([a, b, c]), np.column_stack([b, d, c])]
    return _Part(np.concatenate(edges), np.concatenate(triangles))
