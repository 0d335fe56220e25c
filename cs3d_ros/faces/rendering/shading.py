"""How bright each vertex is."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from cs3d_ros.faces.rendering.facekit import FaceKit
from cs3d_ros.faces.rendering.rasterizer import draw
from cs3d_ros.kernels import kernel


class Lights(NamedTuple):
    """What shines on a face: Lambert's law with a key light and light from all around.

    Attributes:
        x: The direction to the key light, of length 1, in the axes of the morphable face.
        y: Likewise.
        z: Likewise.
        key: Irradiance by the key light on a surface that faces it.
        above: Irradiance from all around on a surface that faces up.
        below: The same for one that faces down.
        wrap: How far the key light reaches round an edge, as in translucent skin, 0…1.
    """

    x: float
    y: float
    z: float
    key: float
    above: float
    below: float
    wrap: float


@kernel
def add_normals(placed: np.ndarray, triangles: np.ndarray, normals: np.ndarray) -> None:
    """Normals of the vertices, weighted by the areas of their triangles, not of length 1.

    Args:
        placed: Vertices, shape (n, 3), float32.
        triangles: Their triangles, shape (m, 3), int32, counter-clockwise seen from outside.
        normals: Result, shape (n, 3), float32.
    """
    normals[:] = 0
    for m in range(len(triangles)):
        a, b, c = triangles[m, 0], triangles[m, 1], triangles[m, 2]
        ux, uy, uz = (
            placed[b, 0] - placed[a, 0],
            placed[b, 1] - placed[a, 1],
            placed[b, 2] - placed[a, 2],
        )
        vx, vy, vz = (
            placed[c, 0] - placed[a, 0],
            placed[c, 1] - placed[a, 1],
            placed[c, 2] - placed[a, 2],
        )
        x, y, z = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for i in (a, b, c):
            normals[i, 0] += x
            normals[i, 1] += y
            normals[i, 2] += z


@kernel
def shade_vertices(
    normals: np.ndarray,
    albedo: np.ndarray,
    open_to_light: np.ndarray,
    gloss: np.ndarray,
    sharpness: np.ndarray,
    both_sides_from: int,
    lights: Lights,
    shade: np.ndarray,
) -> None:
    """Radiance towards the camera of each vertex: Lambert's law and a highlight (Blinn-Phong).

    Args:
        normals: Of `add_normals`, shape (n, 3), float32.
        albedo: Share of the light that is reflected, shape (n,), float32.
        open_to_light: Share of the surroundings that reaches the vertex, shape (n,), float32.
        gloss: Radiance of the highlight for an irradiance of 1, shape (n,), float32.
        sharpness: Exponent of the highlight, a whole power of two, shape (n,), int32.
        both_sides_from: Vertices from here on are seen from both sides.
        lights: What shines.
        shade: Result, shape (n,), float32.
    """
    lx, ly, lz = np.float32(lights.x), np.float32(lights.y), np.float32(lights.z)
    key, wrap = np.float32(lights.key), np.float32(lights.wrap)
    middle = np.float32(0.5) * np.float32(lights.above + lights.below)
    slope = np.float32(0.5) * np.float32(lights.above - lights.below)
    # Half-way between the light and a camera far away in front.
    h = np.sqrt(lx * lx + ly * ly + (lz + np.float32(1)) ** 2) + np.float32(1e-6)
    hx, hy, hz = lx / h, ly / h, (lz + np.float32(1)) / h
    for i in range(len(normals)):
        x, y, z = normals[i, 0], normals[i, 1], normals[i, 2]
        length = np.sqrt(x * x + y * y + z * z) + np.float32(1e-12)
        x, y, z = x / length, y / length, z / length
        if i >= both_sides_from and z < 0:
            x, y, z = -x, -y, -z
        facing = x * lx + y * ly + z * lz
        direct = max(np.float32(0), (facing + wrap) / (np.float32(1) + wrap))
        light = open_to_light[i] * (middle + slope * y)
        # Where little of the surroundings is seen, the key light is mostly hidden, too.
        reached = min(np.float32(1), np.float32(1.6) * open_to_light[i]) * key
        radiance = albedo[i] * (light + reached * direct)
        if gloss[i] > 0 and facing > 0:
            highlight = max(np.float32(0), x * hx + y * hy + z * hz)
            power = 1
            while power < sharpness[i]:
                highlight *= highlight
                power *= 2
            radiance += gloss[i] * reached * highlight
        shade[i] = radiance


@lru_cache(maxsize=2)
def open_to_light(kit: FaceKit) -> np.ndarray:
    """Share of the surroundings that each vertex of the mean face sees, 0…1; kept for later calls.

    Inside of the mouth it is that of an open mouth, elsewhere that of a neutral face. Each of many
    directions is drawn as a picture, in which what is nearest gets its light.

    Returns:
        Shape (20198,), float32, read-only.
    """
    inside = np.r_[kit.mouth_socket, kit.gums, kit.teeth]
    neutral = _seen_from_around(kit, kit.vertices)
    names = {"jawOpen": 0.6, "mouthUpperUp_L": 0.6, "mouthUpperUp_R": 0.6}
    weights = kit.weights({n: w for n, w in names.items() if n in kit.expression_names})
    neutral[inside] = _seen_from_around(kit, kit.posed(kit.vertices, weights))[inside]
    neutral.flags.writeable = False
    return neutral


_DIRECTIONS = 48
_SIDE = 192
_TOLERANCE_CM = 0.25


def _seen_from_around(kit: FaceKit, vertices: np.ndarray) -> np.ndarray:
    # Kernels are compiled anew for arrays that are read-only.
    triangles, vertices = kit.triangles.copy(), np.array(vertices)
    normals = np.zeros_like(vertices)
    add_normals(vertices, triangles, normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    centred = vertices - 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    radius = float(np.linalg.norm(centred, axis=1).max())
    seen = np.zeros(len(vertices), np.float32)
    total = np.full(len(vertices), 1e-6, np.float32)
    for i in range(_DIRECTIONS):
        # Evenly on the sphere: the spiral of Vogel.
        z = 1 - (2 * i + 1) / _DIRECTIONS
        turn, ring = math.pi * (3 - math.sqrt(5)) * i, math.sqrt(1 - z * z)
        direction = np.array([ring * math.cos(turn), ring * math.sin(turn), z])
        side = np.cross([0.0, 1.0, 0.0], direction)
        side /= np.linalg.norm(side)
        up = np.cross(direction, side)
        axes = np.stack([side, -up, direction], axis=1).astype(np.float32)
        points = centred @ axes
        points[:, :2] = (points[:, :2] / radius + 1) * (0.5 * _SIDE)
        # Nearness here is a distance along the direction, which is linear in the picture, too.
        points[:, 2] += radius + 1
        points = np.ascontiguousarray(points, np.float32)
        nearness = np.zeros((_SIDE, _SIDE), np.float32)
        draw(points, total, triangles, True, np.zeros_like(nearness), nearness)
        columns, rows = np.clip(points[:, :2].astype(int), 0, _SIDE - 1).T
        visible = points[:, 2] >= nearness[rows, columns] - _TOLERANCE_CM
        facing = np.maximum(0, normals @ direction.astype(np.float32))
        seen += facing * visible
        total += facing
    return seen / total
