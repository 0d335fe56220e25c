"""Which morphable face, seen from where, has its landmarks where a photograph has them.

Gauss-Newton on the pose, the identity and a small expression at once, as in Blanz and Vetter, "Face
Recognition Based on Fitting a 3D Morphable Model" (PAMI 2003), on landmarks alone. The prior of
every coefficient of identity is N(0, 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.facekit import FaceKit

MAX_RESIDUAL_PX = 4.0
"""Mean distance of the landmarks at which a fit is refused, in a picture of 448 pixels."""

CAMERA_CM = 150.0
"""Assumed distance of the camera from the origin of the face; a portrait's is 1 to 2 m."""

_CURVES = (
    (range(0, 17), range(0, 17)),
    (range(17, 22), range(17, 22)),
    (range(22, 27), range(22, 27)),
    (range(27, 31), range(27, 31)),
    ((60, 61, 62, 63, 64), (61, 63)),
    ((64, 65, 66, 67, 60), (65, 67)),
)
"""Landmarks along a contour, and those of them whose place along it is arbitrary: jaw, brows,
bridge of the nose, inner lips."""

_JAW = slice(0, 17)
_JAW_TRUST = 0.7
"""The jaw's contour is not one line of vertices: where it is seen depends on the pose."""

_NOISE_PX = 2.0
_ROUNDS = 12
_MAX_ANGLE = np.radians(30)
_LEAST_EYES_PX = 40.0

# A neutral face on a photograph is rarely quite neutral. The eyes are left to the identity: how
# far they are open is much of what somebody looks like.
_EXPRESSION = {
    "jawOpen": 0.05,
    "mouthClose": 0.05,
    "mouthPress_L": 0.15,
    "mouthPress_R": 0.15,
    "mouthSmile_L": 0.1,
    "mouthSmile_R": 0.1,
    "mouthFrown_L": 0.15,
    "mouthFrown_R": 0.15,
    "browInnerUp_L": 0.1,
    "browInnerUp_R": 0.1,
    "browDown_L": 0.1,
    "browDown_R": 0.1,
    "browOuterUp_L": 0.1,
    "browOuterUp_R": 0.1,
}
"""Standard deviation that a blendshape's weight is expected to have."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A morphable face and a perspective camera that sees it as a photograph shows it.

    Attributes:
        coefficients: Of the components of identity, shape (c,), float64.
        neutral: The neutral face, without the photograph's expression, shape (20198, 3), float32.
        vertices: The face as photographed, shape (20198, 3), float32.
        rotation: From the axes of the face to those of the camera (x right, y up, z towards it),
            shape (3, 3).
        scale: Pixels per cm at the origin of the face.
        centre: Pixel of the origin of the face, shape (2,).
        landmarks: Pixels of the face's landmarks, shape (68, 2).
        residual_px: Mean length of `offsets`.
        offsets: What is left at each landmark, given minus projected, shape (68, 2); where the
            place of a landmark along a contour is arbitrary, only the part across it.
    """

    coefficients: np.ndarray
    neutral: np.ndarray
    vertices: np.ndarray
    rotation: np.ndarray
    scale: float
    centre: np.ndarray
    landmarks: np.ndarray
    residual_px: float
    offsets: np.ndarray

    def turned(self, points: np.ndarray) -> np.ndarray:
        """Points (n, 3) of the axes of the face in those of the camera, in cm."""
        return points @ self.rotation.T

    def project(self, points: np.ndarray) -> np.ndarray:
        """Pixels x, y and height z towards the camera in cm of points in cm, shape (n, 3)."""
        return _seen(self.turned(points), self.scale, self.centre)

    def unproject(self, pixels: np.ndarray, z: np.ndarray) -> np.ndarray:
        """The points of the face's axes at pixels (n, 2) and heights z (n,), shape (n, 3)."""
        size = self.scale * CAMERA_CM / (CAMERA_CM - z)
        x = (pixels[:, 0] - self.centre[0]) / size
        y = (self.centre[1] - pixels[:, 1]) / size
        return np.column_stack([x, y, z]) @ self.rotation


def fit_face(kit: FaceKit, landmarks: np.ndarray) -> Fit:
    """Fit pose and identity to the landmarks of a face that is seen from the front.

    Args:
        kit: The morphable face.
        landmarks: The 68 iBUG landmarks, x right and y down in pixels, shape (68, 2).

    Raises:
        FaceError: They are no 68 finite points, or no face seen from the front has them there.
    """
    given = np.asarray(landmarks, np.float64)
    if given.shape != (68, 2) or not np.isfinite(given).all():
        raise FaceError(f"landmarks of shape {given.shape}, expected 68 pairs of finite numbers")
    eyes = given[42:48].mean(axis=0) - given[36:42].mean(axis=0)
    if np.hypot(*eyes) < _LEAST_EYES_PX or abs(np.arctan2(eyes[1], eyes[0])) > _MAX_ANGLE:
        raise FaceError(
            f"the eyes' landmarks lie {eyes[0]:.0f}, {eyes[1]:.0f} pixels apart (right, down), "
            f"expected at least {_LEAST_EYES_PX:.0f} from the person's right eye to the left one, "
            "about level; give iBUG landmarks of an upright face that fills the picture"
        )
    return _Fitting(kit, given).fit()


class _Fitting:
    """The unknowns: shift (2), log of the scale, turn (3), identity (c), expression (e)."""

    def __init__(self, kit: FaceKit, given: np.ndarray) -> None:
        self._kit = kit
        self._given = given
        at = kit.landmarks68
        self._mean = kit.vertices[at].astype(np.float64)
        identity = kit.identity_deltas[:, at].astype(np.float64)
        identity *= kit.identity_scale[:, None, None]
        self._blendshapes = [kit.index(name) for name in _EXPRESSION]
        expression = np.array([kit.displacement(i)[at] for i in self._blendshapes], np.float64)
        self._modes = np.concatenate([identity, expression])
        self._identities = len(identity)
        sigma = np.concatenate([np.ones(len(identity)), np.array(list(_EXPRESSION.values()))])
        self._prior = np.concatenate([np.zeros(6), 1 / sigma**2])

    def fit(self) -> Fit:
        weights = np.zeros(len(self._modes))
        rotation = np.eye(3)
        centre, scale = self._first_guess()
        for _ in range(_ROUNDS):
            shape = self._mean + np.tensordot(weights, self._modes, 1)
            turned = shape @ rotation.T
            seen = _seen(turned, scale, centre)[:, :2]
            jacobian = self._jacobian(turned, rotation, scale, centre)
            measured = self._measured(seen)
            left = np.einsum("lij,lj->li", measured, self._given - seen).ravel()
            jacobian = np.einsum("lij,ljk->lik", measured, jacobian).reshape(len(left), -1)
            unknown = np.concatenate([np.zeros(6), weights])
            step = np.linalg.solve(
                jacobian.T @ jacobian + np.diag(self._prior + 1e-9),
                jacobian.T @ left - self._prior * unknown,
            )
            centre = centre + step[:2]
            scale *= float(np.exp(np.clip(step[2], -0.3, 0.3)))
            rotation = cv2.Rodrigues(np.clip(step[3:6], -0.3, 0.3))[0] @ rotation
            weights = weights + np.clip(step[6:], -2, 2)
        return self._result(weights, rotation, scale, centre)

    def _first_guess(self) -> tuple[np.ndarray, float]:
        """Centre and scale at which mean face and landmarks have the same place and size."""
        flat, given = self._mean[:, :2] * (1, -1), self._given
        scale = float(given.std(axis=0).sum() / flat.std(axis=0).sum())
        return given.mean(axis=0) - scale * flat.mean(axis=0), scale

    def _measured(self, seen: np.ndarray) -> np.ndarray:
        """The part of each residual that counts, by its noise, shape (68, 2, 2)."""
        measured = _across(seen, 0.15) / _NOISE_PX
        measured[_JAW] *= _JAW_TRUST
        return measured

    def _jacobian(
        self, turned: np.ndarray, rotation: np.ndarray, scale: float, centre: np.ndarray
    ) -> np.ndarray:
        """Derivative of the seen landmarks by the unknowns, shape (68, 2, 6 + c + e)."""
        size = scale * CAMERA_CM / (CAMERA_CM - turned[:, 2])
        seen = _seen(turned, scale, centre)[:, :2] - centre
        by_point = np.zeros((68, 2, 3))
        by_point[:, 0, 0], by_point[:, 1, 1] = size, -size
        by_point[:, :, 2] = seen / (CAMERA_CM - turned[:, 2])[:, None]
        by_turn = np.stack([np.cross(axis, turned) for axis in np.eye(3)], axis=2)
        by_modes = np.einsum("ij,klj->lik", rotation, self._modes)
        return np.concatenate(
            [
                np.tile(np.eye(2), (68, 1, 1)),
                seen[:, :, None],
                by_point @ by_turn,
                by_point @ by_modes,
            ],
            axis=2,
        )

    def _result(
        self, weights: np.ndarray, rotation: np.ndarray, scale: float, centre: np.ndarray
    ) -> Fit:
        shape = self._mean + np.tensordot(weights, self._modes, 1)
        seen = _seen(shape @ rotation.T, scale, centre)[:, :2]
        offsets = self._given - seen
        offsets = np.einsum("lij,lj->li", _across(seen, 0.0), offsets)
        residual = float(np.linalg.norm(offsets, axis=1).mean())
        identity = weights[: self._identities]
        angle = float(np.linalg.norm(cv2.Rodrigues(rotation)[0]))
        far = float(np.sqrt((identity**2).mean()))
        # A NaN fails these comparisons too.
        if not (residual <= MAX_RESIDUAL_PX and angle <= _MAX_ANGLE and far <= 1.5):
            raise FaceError(
                f"no face fits the landmarks: {residual:.1f} pixels off on average (at most "
                f"{MAX_RESIDUAL_PX:g}), turned by {np.degrees(angle):.0f}° (at most "
                f"{np.degrees(_MAX_ANGLE):.0f}°), {far:.1f} standard deviations from the mean face "
                "(at most 1.5); give iBUG landmarks of a face seen from the front"
            )
        neutral = self._kit.identity(identity)
        by_blendshape = dict(zip(_EXPRESSION, weights[self._identities :], strict=True))
        return Fit(
            coefficients=identity,
            neutral=neutral,
            vertices=self._kit.posed(neutral, self._kit.weights(by_blendshape)),
            rotation=rotation,
            scale=scale,
            centre=centre,
            landmarks=seen,
            residual_px=residual,
            offsets=offsets,
        )


def _seen(turned: np.ndarray, scale: float, centre: np.ndarray) -> np.ndarray:
    """Pixels and heights of points in the axes of the camera, shape (n, 3)."""
    size = scale * CAMERA_CM / (CAMERA_CM - turned[:, 2])
    x = centre[0] + size * turned[:, 0]
    y = centre[1] - size * turned[:, 1]
    return np.column_stack([x, y, turned[:, 2]])


def _across(seen: np.ndarray, along: float) -> np.ndarray:
    """Matrices that keep the share `along` of what lies along a landmark's contour, (68, 2, 2).

    Where on a jaw or a brow an annotator puts a point is arbitrary: only the distance across the
    contour means something there.
    """
    kept = np.tile(np.eye(2), (68, 1, 1))
    for curve, arbitrary in _CURVES:
        direction = np.gradient(seen[list(curve)], axis=0)
        direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-9
        for landmark, d in zip(curve, direction, strict=True):
            if landmark in arbitrary:
                kept[landmark] -= (1 - along) * np.outer(d, d)
    return kept
