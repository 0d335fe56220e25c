"""The skin of somebody on a photograph: the share of light that each vertex reflects."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.people.cutout import MARGIN_PX, cut_out, go_on_beyond_borders
from cs3d_ros.faces.people.fitting import Fit
from cs3d_ros.faces.people.photographs import Photograph
from cs3d_ros.faces.people.surface import fill_smoothly, height_map, neighbours, vertex_normals
from cs3d_ros.faces.rendering.facekit import FaceKit
from cs3d_ros.faces.rendering.shading import open_to_light

GAMMA = 2.2
"""Exponent from gray values as displayed to light."""

_SIDEWAYS = 0.2
"""Cosine of the angle to the camera below which a vertex shows too little of itself."""

_REACH_PX = 22.0
"""How far what the fit leaves at a landmark moves the photograph around it."""

_EYE_OPENINGS = (slice(36, 42), slice(42, 48))
ALBEDO_LIMITS = (0.004, 0.9)
"""The blackest hair and the whitest cloth."""

_LEAST_LIGHT = 0.003
"""A gray value of 18: what is darker shows no face."""

_BRIGHTEST, _OF_HIGHLIGHTS = 1.4, 0.3
"""What is brighter than this times the skin is a highlight, and how much of it is kept."""

_EYE_SHADE = 0.75
"""Part of the light that reaches an eye between its lids."""

_UNSHADED = 0.75
"""Part of the photograph's shading that is taken out; the estimate has some error."""


class PhotographedSkin:
    """A photograph as seen from the fitted face.

    The pictures have `cutout.MARGIN_PX` more pixels above and on both sides than the photograph.

    Attributes:
        mask: How far each pixel belongs to the person, float32, 0…1.
        light: The person's light, gone on where the background was, float32.
        heights: Greatest height of face and head towards the camera in cm, -inf where none is.
        albedo: Of all vertices of face and head, (20198,), float64; the inner parts are not
            painted.
    """

    def __init__(self, kit: FaceKit, photograph: Photograph, fit: Fit) -> None:
        """Project the photograph on the face; raises FaceError where it shows none."""
        surface = _outer_triangles(kit)
        seen = fit.project(fit.vertices.astype(np.float64))
        margin = np.array([MARGIN_PX, MARGIN_PX, 0.0])
        side = len(photograph.gray)
        self.heights = height_map(seen + margin, surface, side + MARGIN_PX, side + 2 * MARGIN_PX)
        head = np.isfinite(self.heights[MARGIN_PX:, MARGIN_PX:-MARGIN_PX])
        mask, gray = cut_out(photograph.gray, photograph.landmarks, head)
        light = ((gray / 255.0) ** GAMMA).astype(np.float32)
        self.mask, self.light = go_on_beyond_borders(mask, light)
        # Hair hides the skull, and where the border cuts it off it goes on at least over the skull.
        above = self.mask[: MARGIN_PX + 4]
        np.maximum(above, np.isfinite(self.heights[: MARGIN_PX + 4]), out=above)
        places = seen[:, :2] + _moved(seen[:, :2], fit) + MARGIN_PX
        normals = vertex_normals(fit.turned(fit.vertices.astype(np.float64)), surface)
        shown = self._shown(seen + margin, places, normals, photograph.landmarks + MARGIN_PX)
        # A vertex stands for the skin around it: without that, single pores would become spots.
        light = sampled(cv2.GaussianBlur(self.light, (0, 0), 1.2), places).astype(np.float64)
        light /= _reached(kit)
        if not shown[kit.face].any() or np.median(light[kit.face][shown[kit.face]]) < _LEAST_LIGHT:
            raise FaceError(
                f"{photograph.name}: there is no light on the face where the landmarks are; give a "
                "photograph with its own landmarks"
            )
        self._lamps = _lamps(light[kit.face], normals[kit.face], shown[kit.face])
        albedo = _without_highlights(self.unshaded(light, normals), shown[kit.face])
        start, of = _around(kit)
        fill_smoothly(albedo, shown, start, of, 60)
        self.albedo = albedo

    def eyes(self, landmarks: np.ndarray) -> tuple[float, float]:
        """Shares of the light that irises and the whites of the eyes reflect.

        Args:
            landmarks: Of the photograph, shape (68, 2).
        """
        levels = []
        for opening in _EYE_OPENINGS:
            corners = landmarks[opening] + MARGIN_PX
            eye = np.zeros(self.light.shape, np.uint8)
            cv2.fillConvexPoly(eye, np.round(corners).astype(np.int32), 1)
            levels.append(np.percentile(self.light[eye > 0], [20, 85]))
        dark, bright = np.mean(levels, axis=0) / _EYE_SHADE
        return float(np.clip(1.3 * dark, 0.02, 0.2)), float(np.clip(bright, 0.12, 0.65))

    def unshaded(self, light: np.ndarray, normals: np.ndarray) -> np.ndarray:
        """The share of light that is reflected, by the light in the photograph.

        Args:
            light: Shape (n,).
            normals: Of length 1 in the axes of the camera, shape (n, 3).
        """
        relative = np.clip(_harmonics(normals) @ self._lamps, 0.35, 1.4)
        return np.clip(light / relative**_UNSHADED, *ALBEDO_LIMITS)

    def _shown(
        self, seen: np.ndarray, places: np.ndarray, normals: np.ndarray, landmarks: np.ndarray
    ) -> np.ndarray:
        """Which vertices of face and head the photograph shows well."""
        size = np.array(self.mask.shape[::-1])
        inside = ((places > 2) & (places < size - 3)).all(axis=1)
        nearest = np.clip(np.round(seen[:, :2]).astype(int), 0, size - 1)
        covered = self.heights[nearest[:, 1], nearest[:, 0]] > seen[:, 2] + 0.25
        person = sampled(self.mask, places) > 0.9
        shown = inside & ~covered & person & (normals[:, 2] > _SIDEWAYS)
        for opening in _EYE_OPENINGS:
            shown &= ~_within(places, landmarks[opening], 0.5)
        shown[FaceKit.head.stop :] = False
        return shown


def sampled(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Values of a picture between its pixels at places x, y of shape (n, 2), shape (n,)."""
    at = places.astype(np.float32)
    # remap takes pictures, not lists, of up to 32767 rows.
    return cv2.remap(
        picture, at[:, :1], at[:, 1:], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )[:, 0]


def _moved(points: np.ndarray, fit: Fit) -> np.ndarray:
    """What brings landmarks of the face onto those of the photograph, smooth between, (n, 2)."""
    at = fit.landmarks
    between = np.linalg.norm(at[:, None] - at[None], axis=2)
    kernel = np.exp(-((between / _REACH_PX) ** 2))
    shares = np.linalg.solve(kernel + 0.1 * np.eye(len(at)), fit.offsets)
    # In float32, and by (a − b)² = a² + b² − 2ab: there are over a million distances.
    a, b = (points / _REACH_PX).astype(np.float32), (at / _REACH_PX).astype(np.float32)
    squares = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1) - 2 * a @ b.T
    return np.exp(-squares) @ shares


def _within(places: np.ndarray, corners: np.ndarray, margin: float) -> np.ndarray:
    """Whether each place lies within a convex polygon, at least `margin` from its border."""
    middle = corners.mean(axis=0)
    inside = np.ones(len(places), bool)
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        across = np.array([a[1] - b[1], b[0] - a[0]]) / (np.hypot(*(b - a)) + 1e-9)
        across *= np.sign((middle - a) @ across)
        inside &= (places - a) @ across > margin
    return inside


def _lamps(light: np.ndarray, normals: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """What shines on the face, as weights of `_harmonics`: 1 on what looks at the camera.

    Fitted by least squares that trust neither hair and shadow nor highlights.
    """
    a, b = _harmonics(normals[shown]), light[shown]
    middle = float(np.median(b))
    weight = (np.abs(b - middle) < 0.6 * middle).astype(np.float64)
    ridge = 0.02 * len(b) * np.diag([0.0, *[0.1] * 3, *[1.0] * 5])
    for _ in range(6):
        found = np.linalg.solve(a.T @ (weight[:, None] * a) + ridge, a.T @ (weight * b))
        weight = 1 / (1 + ((b - a @ found) / (0.12 * middle)) ** 2) ** 2
    front = float((_harmonics(np.array([[0.0, 0.0, 1.0]])) @ found)[0])
    return found / max(front, 0.2 * middle)


def _without_highlights(albedo: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Bend what is much brighter than the skin towards it: lamps mirrored there, mostly."""
    knee = _BRIGHTEST * float(np.median(albedo[: len(shown)][shown]))
    return np.where(albedo > knee, knee + _OF_HIGHLIGHTS * (albedo - knee), albedo)


def _harmonics(normals: np.ndarray) -> np.ndarray:
    """Spherical harmonics up to order 2, not normalised, shape (n, 9).

    They span what diffuse surfaces make of any light (Ramamoorthi and Hanrahan, "An Efficient
    Representation for Irradiance Environment Maps", 2001).
    """
    x, y, z = normals.T
    return np.column_stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, z * z])


def _reached(kit: FaceKit) -> np.ndarray:
    """The part of the photograph's light that reaches each vertex, less than 1 in hollows.

    Half of it is taken to come from all around and half from one lamp.
    """
    light = open_to_light(kit).astype(np.float64)
    return np.maximum(0.5 * light + 0.5 * np.minimum(1, 1.6 * light), 0.45) ** _UNSHADED


@lru_cache(maxsize=2)
def _outer_triangles(kit: FaceKit) -> np.ndarray:
    return kit.triangles[(kit.triangles < FaceKit.head.stop).all(axis=1)]


@lru_cache(maxsize=2)
def _around(kit: FaceKit) -> tuple[np.ndarray, np.ndarray]:
    return neighbours(_outer_triangles(kit), len(kit.vertices))
