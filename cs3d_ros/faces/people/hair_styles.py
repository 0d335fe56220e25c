"""Hair for people who do not exist: from bald to long."""

from __future__ import annotations

import numpy as np

from cs3d_ros.faces.people.painting import Tones
from cs3d_ros.faces.people.patterns import step, waves
from cs3d_ros.faces.people.surface import clipped, grid_triangles, vertex_normals
from cs3d_ros.faces.person import Mesh
from cs3d_ros.faces.rendering.facekit import FaceKit

STYLES = ("bald", "shaved", "short", "full", "fringe", "long", "long fringe")
_THICK_CM = {"short": (0.3, 1.0), "full": (1.0, 2.4)}
_ODDS = (0.08, 0.12, 0.26, 0.16, 0.12, 0.16, 0.10)

# Where hair begins on the mean head: heights in cm by how far forward the skin is.
_FORWARD_CM = (-9.0, -5.0, -3.6, -2.6, -2.0, 1.6, 2.4, 3.4, 4.4, 6.0, 8.0, 11.0)
_LINE_CM = (-6.0, -5.5, -4.0, -0.5, 5.2, 5.3, 3.0, 4.5, 7.2, 9.0, 9.8, 10.0)
_EAR_CM = 8.0
"""Ears are farther from the middle than this."""

_CURTAIN_CM = 8.5
"""Height at which long hair begins to hang, beneath the hair of the crown."""


def dress_hair(
    kit: FaceKit,
    vertices: np.ndarray,
    albedo: np.ndarray,
    tones: Tones,
    rng: np.random.Generator,
) -> list[Mesh]:
    """Hair of a style from chance, as meshes; its roots are painted on the head.

    Args:
        kit: The morphable face.
        vertices: The neutral face, shape (20198, 3), float32.
        albedo: Of its vertices, shape (20198,); painted in place.
        tones: Of hair and skin.
        rng: Where all chance comes from.
    """
    style = str(rng.choice(STYLES, p=np.array(_ODDS) / sum(_ODDS)))
    if style == "bald":
        return []
    outer = slice(0, kit.head.stop)
    points = kit.vertices[outer].astype(np.float64)
    behind = _behind_line(points, rng)
    strands = _strands(points, rng)
    shaved = style == "shaved"
    # Skin is seen through stubble.
    tone = 0.6 * tones.hair + 0.35 * tones.skin if shaved else tones.hair
    roots = step(-0.35, 0.45, behind) * (0.85 if shaved else 1.0)
    albedo[outer] = albedo[outer] * (1 - roots) + tone * (1 + 0.15 * strands) * roots
    if shaved:
        return []
    thick = rng.uniform(*_THICK_CM.get(style, (0.5, 1.5)))
    meshes = [_cap(kit, vertices, behind, thick, style, tones, rng)]
    if style.startswith("long"):
        meshes.append(_curtain(vertices, thick, tones, rng))
    return meshes


def _behind_line(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """How far in cm above or behind the hairline skin lies, negative where none grows."""
    x, y, z = points.T
    line = np.interp(z, _FORWARD_CM, _LINE_CM)
    lifted = rng.uniform(-0.8, 1.0)
    temples = rng.uniform(0.0, 1.8) * np.exp(-(((abs(x) - 4.2) / 1.5) ** 2))
    line = line + (lifted + temples) * step(3.0, 6.0, z)
    behind = y - line + 0.18 * waves(points, rng, (0.8, 3.0))
    ear = (abs(x) > _EAR_CM) & (y < 5.4) & (y > -3.5)
    return np.where(ear, -2.0, behind)


def _strands(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A field that changes quickly across strands from the crown outwards and slowly along them."""
    x, y, z = (points - (0.0, 4.0, -1.0)).T
    around = np.arctan2(x, z)
    down = np.arctan2(np.hypot(x, z), y)
    flow = np.column_stack([8 * np.sin(around), 8 * np.cos(around), 1.2 * down])
    return waves(flow, rng, (0.5, 3.0))


def _cap(
    kit: FaceKit,
    vertices: np.ndarray,
    behind: np.ndarray,
    thick: float,
    style: str,
    tones: Tones,
    rng: np.random.Generator,
) -> Mesh:
    """The scalp moved outwards, thin at the hairline."""
    outer = slice(0, kit.head.stop)
    mean, points = kit.vertices[outer].astype(np.float64), vertices[outer].astype(np.float64)
    triangles = kit.triangles[(kit.triangles < kit.head.stop).all(axis=1)]
    normals = vertex_normals(points, triangles)
    fringed = style.endswith("fringe")
    if fringed:
        # It falls over the forehead down to just above the brows.
        x, y, z = mean.T
        lowest = rng.uniform(6.9, 8.3) + 0.3 * waves(mean[:, :1], rng, (1.2, 4.0))
        lowest += rng.uniform(-0.12, 0.12) * x
        front = (z > 5.5) & (abs(x) < 6.2)
        behind = np.maximum(behind, np.where(front, y - lowest, -9.0))
    rise = step(-0.1, 2.2, behind)
    locks = waves(mean, rng, (1.5, 5.0))
    out = (0.12 + (thick - 0.12) * rise) * (1 + 0.18 * locks)
    if fringed:
        out = np.maximum(out, np.where(behind > 0, 0.4, 0.12))
    out += thick * rng.uniform(0.0, 0.5) * step(8.0, 14.0, mean[:, 1])
    cap, first, second, share = clipped(triangles, behind)
    moved = points + normals * out[:, None]
    tone = tones.hair * (1 + 0.4 * _strands(mean, rng)) * (0.75 + 0.25 * rise)

    def between(values: np.ndarray) -> np.ndarray:
        part = share if values.ndim == 1 else share[:, None]
        return values[first] + part * (values[second] - values[first])

    return Mesh(
        vertices=between(moved).astype(np.float32),
        triangles=cap,
        albedo=np.clip(between(tone), 0.006, 0.85).astype(np.float32),
    )


def _curtain(vertices: np.ndarray, thick: float, tones: Tones, rng: np.random.Generator) -> Mesh:
    """Hair that hangs from the sides and the back of the head."""
    rows, columns = 30, 90
    over_ears, length = rng.random() < 0.5, rng.uniform(9.0, 22.0)
    front = np.radians(rng.uniform(58, 78) if over_ears else rng.uniform(80, 105))
    around, down = np.meshgrid(
        np.linspace(front, 2 * np.pi - front, columns), np.linspace(0, 1, rows)
    )
    around, down = around.ravel(), down.ravel()
    # It begins beneath the hair of the crown.
    beneath = float(np.abs(vertices[FaceKit.face, 0]).max()) - 1.9 + 0.8 * thick
    out = (2.1 if over_ears else 0.7) * step(0.0, 4.5, length * down)
    bulge = rng.uniform(0.0, 1.2) * np.sin(np.pi * np.minimum(1.3 * down, 1))
    inwards = rng.uniform(-0.1, 0.25) * down**2
    outwards = np.column_stack([np.sin(around), np.zeros(len(around)), np.cos(around)])
    flow = np.column_stack([10 * np.sin(around), 10 * np.cos(around), -0.35 * length * down])
    locks = waves(flow, rng, (0.8, 4.0)) * np.minimum(1, 3 * down)
    radius = (beneath + out + bulge) * (1 - inwards) + 0.3 * locks
    points = outwards * radius[:, None] + np.array([0.0, _CURTAIN_CM, -1.0])
    points[:, 1] += (0.6 * waves(flow[:, :2], rng, (0.8, 3.0)) - length) * down
    tone = tones.hair * (1 + 0.4 * waves(flow, rng, (0.35, 2.0)))
    return Mesh(
        vertices=points.astype(np.float32),
        triangles=grid_triangles(rows, columns),
        albedo=np.clip(tone, 0.006, 0.85).astype(np.float32),
    )
