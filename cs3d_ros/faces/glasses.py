"""Glasses: frames before the eyes."""

from __future__ import annotations

import numpy as np

from cs3d_ros.faces.facekit import FaceKit
from cs3d_ros.faces.person import Mesh

_AROUND = 40
_EAR_VERTEX_CM = (7.9, 4.6, 0.0)


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
    power = rng.choice([2.0, 2.6, 4.0, 6.0])
    bar, deep = rng.uniform(0.12, 0.5), rng.uniform(0.15, 0.4)
    tone = float(np.exp(rng.uniform(np.log(0.012), np.log(0.45))))
    lifted = rng.uniform(-0.3, 0.05) - 0.15
    plane = max(marks[27, 2] + 0.35, marks[[37, 38, 43, 44], 2].max() + 0.9)
    droop = rng.uniform(-0.15, 0.35)
    parts = []
    for eye, side in ((right, -1), (left, 1)):
        centre = np.array([eye[0] + side * 0.15, eye[1] + lifted, plane])
        loop = _lens(width, height, power, droop * side)
        # Lenses turn a little towards the temples.
        loop = np.column_stack([loop, -0.12 * np.maximum(side * loop[:, 0], 0)])
        parts.append(_ring(centre + loop, centre, bar, deep))
        hinge = centre + (side * width, 0.45 * height, -0.12 * width)
        nearest = np.linalg.norm(kit.vertices - (side * _EAR_VERTEX_CM[0], *_EAR_VERTEX_CM[1:]), axis=1)
        ear = vertices[nearest.argmin()] + (side * 0.25, 0.3, 0.0)
        corner = np.array([hinge[0] + 0.25 * (ear[0] - hinge[0]), hinge[1], hinge[2] - 1.2])
        parts.append(_rod(np.stack([hinge, corner, ear]), 0.5 * bar + 0.1))
    inner = [s * np.array([1, 0, 0]) * (apart / 2 - width + 0.15) for s in (-1, 1)]
    middle = np.array([(right[0] + left[0]) / 2, (right[1] + left[1]) / 2 + lifted + 0.3 * height, plane + 0.15])
    parts.append(_rod(np.stack([middle + inner[0], middle + (0, 0.12, 0.1), middle + inner[1]]), 0.6 * bar + 0.06))
    return _together(parts, tone)


def _lens(width: float, height: float, power: float, droop: float) -> np.ndarray:
    """Outline of a lens about its centre: a superellipse that droops to one side, (n, 2)."""
    angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    x = np.sign(c) * np.abs(c) ** (2 / power) * width
    y = np.sign(s) * np.abs(s) ** (2 / power) * height
    return np.column_stack([x * (1 - 0.15 * np.abs(droop) * (y < 0)), y + 0.15 * droop * x])


def _ring(loop: np.ndarray, centre: np.ndarray, bar: float, deep: float) -> tuple:
    """A frame of rectangular section on a closed loop: vertices and triangles."""
    outwards = (loop - centre) * (1, 1, 0)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    forward = np.array([0, 0, deep / 2])
    corners = [
        loop + outwards * bar / 2 + forward,
        loop + outwards * bar / 2 - forward,
        loop - outwards * bar / 2 - forward,
        loop - outwards * bar / 2 + forward,
    ]
    return _tube(corners, closed=True)


def _rod(line: np.ndarray, thick: float) -> tuple:
    """A bar along a line: vertices and triangles."""
    along = np.gradient(line, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    up = np.array([0, thick / 2, 0])
    side = np.cross(along, (0, 1, 0)) * 0.12
    return _tube([line + up + side, line - up + side, line - up - side, line + up - side], False)


def _tube(corners: list[np.ndarray], closed: bool) -> tuple:
    n = len(corners[0])
    steps = n if closed else n - 1
    i = np.arange(steps)
    triangles = []
    for k in range(4):
        a, b = k * n + i, ((k + 1) % 4) * n + i
        c, d = k * n + (i + 1) % n, ((k + 1) % 4) * n + (i + 1) % n
        triangles += [np.column_stack([a, b, c]), np.column_stack([b, d, c])]
    return np.concatenate(corners), np.concatenate(triangles)


def _together(parts: list[tuple], tone: float) -> Mesh:
    first = np.cumsum([0, *(len(p[0]) for p in parts)])
    vertices = np.concatenate([p[0] for p in parts])
    return Mesh(
        vertices=vertices.astype(np.float32),
        triangles=np.concatenate(
            [p[1] + f for p, f in zip(parts, first, strict=False)]
        ).astype(np.int32),
        albedo=np.full(len(vertices), tone, np.float32),
    )
