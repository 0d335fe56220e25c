"""What a face, the light and the camera do in every frame of a rendered clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.errors import FaceError


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """The course of a rendered clip, arrays of equal length n, one row a frame.

    Axes are those of the morphable face: +x the face's left, +y up, +z forward. A face at rest
    looks straight into the camera.

    Attributes:
        time_s: Time of each frame from the clip's beginning, shape (n,), float64, ascending.
        weights: Weights of the blendshapes, in the order of `FaceKit.expression_names`, shape
            (n, 53), float32, 0…1.
        rotation: The head's yaw (positive: towards its left), pitch (positive: chin down) and roll
            (positive: towards its left shoulder) in radians about its own centre, shape (n, 3),
            float32.
        position: Shift of the head in cm from its place at rest, shape (n, 3), float32.
        camera: The camera's pan (positive: to its right, so that the picture moves left), tilt
            (positive: up, the picture moves down) and roll (positive: clockwise as it looks, the
            picture turns counter-clockwise) in radians; the background moves with the face. Shape
            (n, 3), float32.
        zoom: Factor to the focal length, shape (n,), float32, positive.
        light: Factor to the light on face and background, shape (n,), float32, positive.
        background: Shift of what is behind the head in widths of the picture, right and down,
            shape (n, 2), float32.
    """

    time_s: np.ndarray
    weights: np.ndarray
    rotation: np.ndarray
    position: np.ndarray
    camera: np.ndarray
    zoom: np.ndarray
    light: np.ndarray
    background: np.ndarray

    def __len__(self) -> int:
        return len(self.time_s)

    def __post_init__(self) -> None:
        n = len(self.time_s)
        expected = {
            "time_s": (n,),
            "weights": (n, self.weights.shape[-1]),
            "rotation": (n, 3),
            "position": (n, 3),
            "camera": (n, 3),
            "zoom": (n,),
            "light": (n,),
            "background": (n, 2),
        }
        for name, shape in expected.items():
            given = getattr(self, name)
            if given.shape != shape:
                raise FaceError(f"motion.{name} has the shape {given.shape}, expected {shape}")
            if not np.isfinite(given).all():
                raise FaceError(f"motion.{name} has a value that is no finite number")
        if n == 0 or np.any(np.diff(self.time_s) <= 0):
            raise FaceError("motion.time_s is empty or not ascending, expected one time a frame")
        if np.any(self.zoom <= 0) or np.any(self.light <= 0):
            raise FaceError("motion.zoom and motion.light have to be positive in every frame")

    @staticmethod
    def still(time_s: np.ndarray, blendshapes: int = 53) -> Motion:
        """A neutral face at rest before a camera at rest, at the given times."""
        n = len(time_s)
        return Motion(
            time_s=np.asarray(time_s, np.float64),
            weights=np.zeros((n, blendshapes), np.float32),
            rotation=np.zeros((n, 3), np.float32),
            position=np.zeros((n, 3), np.float32),
            camera=np.zeros((n, 3), np.float32),
            zoom=np.ones(n, np.float32),
            light=np.ones(n, np.float32),
            background=np.zeros((n, 2), np.float32),
        )
