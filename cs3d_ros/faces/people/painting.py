"""Painted skin for people who do not exist."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.people.patterns import distance_to_line, step, waves
from cs3d_ros.faces.rendering.facekit import FaceKit

_NECK_CM = -13.0
"""Height below which clothes may begin."""


@dataclass(frozen=True, slots=True)
class Tones:
    """Shares of the light that are reflected.

    Attributes:
        skin: By the skin.
        hair: By the hair.
        cloth: By the clothes.
    """

    skin: float
    hair: float
    cloth: float


def draw_tones(rng: np.random.Generator) -> Tones:
    """Tones from chance.

    Skin reflects from 0.05 to 0.38, evenly in the logarithm, which is the range of the photographed
    people; hair is mostly darker, and gray at times.
    """
    skin = float(np.exp(rng.uniform(np.log(0.05), np.log(0.38))))
    fair = rng.random() < 0.6 * step(0.12, 0.3, np.array(skin))
    hair = rng.uniform(0.05, 0.17) if fair else rng.uniform(0.008, 0.03)
    if rng.random() < 0.1:
        hair = rng.uniform(0.12, 0.3)
    return Tones(skin, float(hair), draw_cloth(rng))


def draw_cloth(rng: np.random.Generator) -> float:
    """Share of the light that clothes reflect: from black to white."""
    return float(np.exp(rng.uniform(np.log(0.02), np.log(0.6))))


def paint_skin(kit: FaceKit, tones: Tones, rng: np.random.Generator) -> np.ndarray:
    """Albedo of all vertices, shape (20198,), float64: skin with brows, lips, beard, clothes.

    Hair of the head and inner parts are painted by others.
    """
    points = kit.vertices.astype(np.float64)
    albedo = np.full(len(points), tones.skin)
    outer = slice(0, kit.head.stop)
    albedo[outer] *= _complexion(kit, points[outer], rng)
    face = slice(0, kit.face.stop)
    front = points[face, 2] > 3
    marks = points[kit.landmarks68]
    paint = _Painter(points[face], marks, tones, rng)
    albedo[face] *= np.where(front, paint.eyes() * paint.lips() * paint.wrinkles(), 1)
    for share, tone in (paint.beard(), paint.brows()):
        share = np.where(front, share, 0)
        albedo[face] = albedo[face] * (1 - share) + tone * share
    dress(albedo, kit, tones.cloth, rng)
    return albedo


def _complexion(kit: FaceKit, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    x, y, z = points.T
    factor = 1 + 0.04 * waves(points, rng, (4.0, 9.0)) + 0.015 * waves(points, rng, (0.7, 2.0))
    factor += rng.uniform(0.01, 0.035) * rng.standard_normal(len(points))
    # Blood shows in cheeks, nose and ears.
    red = rng.uniform(0.02, 0.16)
    for place, size in (((4.2, 0.0, 9.0), 2.0), ((-4.2, 0.0, 9.0), 2.0), ((0.0, 0.3, 12.5), 1.3)):
        factor -= red * np.exp(-((np.linalg.norm(points - place, axis=1) / size) ** 2))
    tired = rng.uniform(0.0, 0.2)
    for side in (-1, 1):
        below = np.hypot((x - side * 3.0) / 1.5, (y - 2.3) / 0.6)
        factor -= tired * np.exp(-(below**2)) * (z > 5)
    if rng.random() < 0.35:
        number = int(rng.integers(3, 60))
        spots = points[rng.integers(0, kit.face.stop, number)]
        sizes = rng.uniform(0.1, 0.25, number)
        depths = rng.uniform(0.15, 0.5, number)
        for spot, size, depth in zip(spots, sizes, depths, strict=True):
            factor *= 1 - depth * np.exp(-(((points - spot) / size) ** 2).sum(axis=1))
    return np.clip(factor, 0.3, 1.6)


class _Painter:
    """Paints in the plane of the mean face seen from the front."""

    def __init__(
        self, points: np.ndarray, marks: np.ndarray, tones: Tones, rng: np.random.Generator
    ) -> None:
        self._points = points
        self._flat = points[:, :2]
        self._marks = marks[:, :2]
        self._tones = tones
        self._rng = rng

    def brows(self) -> tuple[np.ndarray, float]:
        """Share of hair and its tone."""
        rng, share = self._rng, np.zeros(len(self._flat))
        width, raised, arch = rng.uniform(0.25, 0.6), rng.uniform(-0.25, 0.25), rng.uniform(0, 0.3)
        density, inner = rng.uniform(0.6, 1.0), rng.uniform(-0.5, 0.15)
        for first, sign in ((17, 1), (22, -1)):
            line = self._marks[first : first + 5].copy()
            line[:, 1] += raised + arch * np.array([0.0, 1.0, 0.8, 0.2, -0.3][::sign])
            line[4 if sign > 0 else 0, 0] += sign * inner
            distance, place = distance_to_line(self._flat, line)
            along = place if sign > 0 else 4 - place
            # Thin at the temples, thickest at a third from the nose.
            local = width * (0.35 + 0.65 * step(0.0, 2.4, along)) * (1 - 0.25 * step(3.4, 4, along))
            share = np.maximum(share, step(1.3, 0.4, distance / local))
        hairs = waves(self._flat * (3.0, 1.2), rng, (0.4, 1.2))
        share *= np.clip(density * (1 + 0.22 * hairs), 0, 1)
        tone = min(0.8 * self._tones.hair, 0.45 * self._tones.skin)
        return np.clip(share, 0, 1), tone

    def lips(self) -> np.ndarray:
        """Factor to the albedo."""
        rng = self._rng
        outline = self._marks[[48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 48]]
        distance, _ = distance_to_line(self._flat, outline)
        inside = _winding(self._flat, outline[:-1])
        signed = np.where(inside, distance, -distance)
        covered = step(-0.12, 0.1, signed) * (self._points[:, 2] > 8)
        dark = rng.uniform(0.5, 0.85) if rng.random() < 0.8 else rng.uniform(0.25, 0.5)
        upper = self._flat[:, 1] > self._marks[[60, 62, 64], 1].mean()
        factor = np.where(upper, dark * 0.88, dark)
        seam, _ = distance_to_line(self._flat, self._marks[[48, 60, 61, 62, 63, 64, 54]])
        return (1 - covered * (1 - factor)) * (1 - 0.45 * np.exp(-((seam / 0.1) ** 2)))

    def eyes(self) -> np.ndarray:
        """Lashes and the dark of the lids, as a factor to the albedo."""
        rng = self._rng
        lashes, shadow = rng.uniform(0.3, 0.85), rng.uniform(0.0, 0.35)
        factor = np.ones(len(self._flat))
        for first in (36, 42):
            ring = self._marks[first : first + 6]
            upper, _ = distance_to_line(self._flat, ring[[0, 1, 2, 3]])
            lower, _ = distance_to_line(self._flat, ring[[3, 4, 5, 0]])
            factor *= 1 - lashes * np.exp(-((upper / 0.13) ** 2))
            factor *= 1 - 0.5 * lashes * np.exp(-((lower / 0.09) ** 2))
            above = self._flat[:, 1] > ring[:, 1].mean()
            factor *= 1 - shadow * np.exp(-((upper / 0.55) ** 2)) * above
        return factor

    def wrinkles(self) -> np.ndarray:
        """Lines of the forehead, beside the mouth and between the brows, as a factor."""
        rng, (x, y) = self._rng, self._flat.T
        age = rng.beta(1.2, 2.0)
        bend = 0.25 * waves(self._flat, rng, (4.0, 9.0)) - 0.02 * x**2
        forehead = np.sin(2 * np.pi * (y + bend) / rng.uniform(0.9, 1.3))
        forehead *= step(7.0, 7.8, y) * step(11.0, 10.0, y) * step(5.0, 3.0, abs(x))
        factor = 1 - 0.12 * age * np.maximum(forehead, 0)
        for side in (-1.0, 1.0):
            fold = np.array([[1.6, -0.4], [2.5, -1.6], [3.1, -2.9], [3.2, -3.8]]) * (side, 1)
            factor *= 1 - 0.2 * age * np.exp(-((distance_to_line(self._flat, fold)[0] / 0.22) ** 2))
            frown = np.array([[0.5, 5.2], [0.6, 6.6]]) * (side, 1)
            factor *= 1 - 0.15 * age * np.exp(
                -((distance_to_line(self._flat, frown)[0] / 0.2) ** 2)
            )
        return factor

    def beard(self) -> tuple[np.ndarray, float]:
        """Share of hair and its tone: none, stubble, moustache, chin or a full beard."""
        rng, (x, y) = self._rng, self._flat.T
        kind = rng.choice(
            ["none", "stubble", "moustache", "chin", "full"], p=[0.6, 0.18, 0.06, 0.06, 0.1]
        )
        tone = min(1.1 * self._tones.hair, 0.6 * self._tones.skin)
        if kind == "none":
            return np.zeros(len(x)), tone
        edge = 0.35 * waves(self._flat, rng, (1.0, 4.0))
        cheek = step(0.5, -0.8, y - (-2.6 + 0.55 * np.maximum(abs(x) - 2.6, 0) + edge))
        throat = step(-9.3, -8.0, y + edge)
        moustache = step(-1.4, -1.8, y) * step(-3.4, -3.0, y) * step(2.9, 2.3, abs(x))
        chin = step(-4.7, -5.2, y) * step(2.9, 2.1, abs(x)) * throat
        share = {
            "stubble": np.maximum(moustache, cheek * throat),
            "moustache": moustache,
            "chin": np.maximum(chin, moustache * (rng.random() < 0.7)),
            "full": np.maximum(moustache, cheek * throat),
        }[kind]
        lips = distance_to_line(self._flat, self._marks[48:60])[0]
        inside = _winding(self._flat, self._marks[48:60])
        share = share * np.where(inside, 0, step(0.05, 0.3, lips))
        density = rng.uniform(0.15, 0.45) if kind == "stubble" else rng.uniform(0.6, 0.9)
        hairs = waves(self._points, rng, (0.8, 3.0)) + rng.standard_normal(len(x))
        return np.clip(share * density * (1 + 0.07 * hairs), 0, 1), tone


def _winding(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Whether points (n, 2) lie in the polygon with these corners (m, 2)."""
    inside = np.zeros(len(points), bool)
    x, y = points.T
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (a[1] > y) != (b[1] > y)
        inside ^= crosses & (x < a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1] + 1e-12))
    return inside


def dress(albedo: np.ndarray, kit: FaceKit, cloth: float, rng: np.random.Generator) -> None:
    """Clothes with a round or pointed neckline, painted on the bust in place.

    Args:
        albedo: Of all vertices, shape (20198,).
        kit: The morphable face.
        cloth: Share of the light that the cloth reflects.
        rng: Where all chance comes from.
    """
    outer = slice(0, kit.head.stop)
    points = kit.vertices[outer].astype(np.float64)
    x, y, z = points.T
    open_cm, pointed = rng.uniform(0.0, 2.5), rng.uniform(0.0, 1.0)
    neckline = _NECK_CM - 0.25 * z - open_cm * (z > 0) + pointed * 0.35 * np.minimum(abs(x), 5)
    share = step(0.15, -0.15, y - neckline)
    tone = cloth * (1 + 0.06 * waves(points, rng, (0.8, 3.0)))
    albedo[outer] = albedo[outer] * (1 - share) + np.clip(tone, 0.01, 0.9) * share
