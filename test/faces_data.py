"""Faces for tests: where real ones lie, which are no part of the repository, and made-up ones."""

import os
from pathlib import Path

import numpy as np
import pytest

from cs3d_ros.faces.person import Person
from cs3d_ros.faces.rendering.facekit import VERTICES, FaceKit

_SHARED = Path(__file__).resolve().parents[2] / "shared"


def facekit_path() -> Path:
    """Path of the morphable face. Skips the test where it is absent.

    The environment variable CS3D_SHARED replaces the `shared` folder beside the repository.
    """
    return _path("facekit/facekit.npz")


def photographs_path() -> Path:
    """The folder of the photographs, with their faces.json; skips likewise."""
    return _path("faces")


def _path(name: str) -> Path:
    path = Path(os.environ.get("CS3D_SHARED", _SHARED)) / name
    if not path.exists():
        pytest.skip(f"nothing at {path}; set CS3D_SHARED to the folder that has {name}")
    return path


def painted_person(kit: FaceKit) -> Person:
    """The mean face with skin, brows, irises, pupils, teeth and the dark of the mouth."""
    albedo = np.full(len(kit.vertices), 0.4, np.float32)
    mean, marks = kit.vertices, kit.landmarks68
    for brow in (marks[17:22], marks[22:27]):
        distance = np.linalg.norm(mean[kit.face, None] - mean[brow], axis=2).min(axis=1)
        albedo[kit.face][distance < 0.7] = 0.1
    albedo[kit.mouth_socket] = 0.04
    albedo[kit.gums] = 0.2
    albedo[kit.teeth] = 0.8
    for eye in (kit.left_eye, kit.right_eye):
        ball = mean[eye]
        front = ball[ball[:, 2].argmax()]
        distance = np.hypot(*(ball - front)[:, :2].T)
        albedo[eye] = np.where(distance < 0.6, 0.05, 0.8)
    return Person("painted", np.array(kit.vertices), albedo)


def facekit_arrays() -> dict[str, np.ndarray]:
    """The arrays of a morphable face of the right shape: a bent sheet with two blendshapes."""
    rng = np.random.default_rng(0)
    vertices = rng.uniform(-10, 10, (VERTICES, 3)).astype(np.float32)
    deltas = np.zeros((2, VERTICES, 3), np.int16)
    deltas[0, 5] = 10, -20, 30
    deltas[1, 3:6, 1] = 100
    return {
        "vertices": vertices,
        "triangles": np.arange(300, dtype=np.uint16).reshape(100, 3),
        "triangle_material": np.zeros(100, np.uint8),
        "material_names": np.array(["M_Face"]),
        "expression_names": np.array(["jawOpen", "eyeBlink_L"]),
        "expression_deltas": deltas,
        "expression_scale": np.float32(0.01),
        "identity_deltas": np.ones((1, VERTICES, 3), np.int8),
        "identity_scale": np.array([0.5], np.float32),
        "landmarks68": np.arange(68, dtype=np.uint16),
    }
