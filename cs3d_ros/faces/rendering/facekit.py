"""The morphable face, read from a file that the user gives.

The file is a compact form of the ICT-FaceKit (Li et al., "Learning Formation of Physically-Based
Face Attributes", CVPR 2020): a neutral mesh, blendshapes named after FACS-like movements, and
principal components of identity. Lengths are cm; +x is the face's left, +y up, +z forward.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.kernels import kernel

VERTICES = 20198
"""Vertices of the mesh; which part of the face each belongs to is fixed."""

MAX_TRIANGLES = 1 << 18
MAX_COMPONENTS = 256

_HELP = "give the facekit.npz that docs/faces.md tells how to get"
_FARTHEST_CM = 1000.0


@dataclass(frozen=True, slots=True, eq=False)
class FaceKit:
    """A morphable face; its arrays are read-only.

    The displacements of the blendshapes are kept sparse: blendshape i moves the vertices
    `moved[start[i]:start[i + 1]]`, each by the row of `moved_by` at the same place.

    Attributes:
        vertices: Neutral mean face in cm, shape (20198, 3), float32.
        triangles: Indices of vertices, shape (m, 3), int32; counter-clockwise seen from outside.
        material: Index into `material_names` of each triangle, shape (m,), uint8.
        material_names: Names such as "M_Face".
        expression_names: Names of the k blendshapes, such as "jawOpen".
        start: Where each blendshape begins in `moved`, shape (k + 1,), int64.
        moved: Vertices that a blendshape moves, ascending within each, int32.
        moved_by: Displacement of each in cm at weight 1, shape (len(moved), 3), float32.
        identity_deltas: Principal components of identity, shape (c, 20198, 3), whole numbers.
        identity_scale: Displacement in cm of a delta of 1 for a coefficient of 1, shape (c,),
            float32; coefficients are distributed as N(0, 1).
        landmarks68: Vertex of each iBUG landmark, shape (68,), int32.
    """

    vertices: np.ndarray
    triangles: np.ndarray
    material: np.ndarray
    material_names: tuple[str, ...]
    expression_names: tuple[str, ...]
    start: np.ndarray
    moved: np.ndarray
    moved_by: np.ndarray
    identity_deltas: np.ndarray
    identity_scale: np.ndarray
    landmarks68: np.ndarray

    face: ClassVar[slice] = slice(0, 9409)
    head: ClassVar[slice] = slice(9409, 11248)
    mouth_socket: ClassVar[slice] = slice(11248, 13294)
    eye_sockets: ClassVar[slice] = slice(13294, 14062)
    gums: ClassVar[slice] = slice(14062, 17039)
    teeth: ClassVar[slice] = slice(17039, 18658)
    left_eye: ClassVar[slice] = slice(18658, 19428)
    right_eye: ClassVar[slice] = slice(19428, 20198)

    def index(self, name: str) -> int:
        """Place of the blendshape `name` in `expression_names` and in weights.

        Raises:
            FaceError: There is no such blendshape.
        """
        try:
            return self.expression_names.index(name)
        except ValueError:
            raise FaceError(
                f"no blendshape {name!r}, expected one of: {', '.join(self.expression_names)}"
            ) from None

    def weights(self, by_name: Mapping[str, float]) -> np.ndarray:
        """Weights of all blendshapes, shape (k,), float32; those not named are 0.

        Raises:
            FaceError: There is no such blendshape.
        """
        weights = np.zeros(len(self.expression_names), np.float32)
        for name, weight in by_name.items():
            weights[self.index(name)] = weight
        return weights

    def identity(self, coefficients: np.ndarray) -> np.ndarray:
        """A neutral face in cm, shape (20198, 3), float32.

        Args:
            coefficients: Of the first components of identity, shape (n,), n ≤ c.

        Raises:
            FaceError: Too many coefficients, or one that is no finite number.
        """
        given = np.asarray(coefficients, np.float32)
        n = len(self.identity_scale)
        if given.ndim != 1 or len(given) > n or not np.isfinite(given).all():
            raise FaceError(
                f"identity coefficients of shape {given.shape}, expected up to {n} finite numbers"
            )
        factors = given * self.identity_scale[: len(given)]
        vertices = self.vertices.copy()
        for factor, deltas in zip(factors, self.identity_deltas, strict=False):
            vertices += np.multiply(deltas, factor, dtype=np.float32)
        return vertices

    def displacement(self, blendshape: int) -> np.ndarray:
        """What one blendshape adds at weight 1, in cm, shape (20198, 3), float32."""
        part = slice(self.start[blendshape], self.start[blendshape + 1])
        dense = np.zeros_like(self.vertices)
        dense[self.moved[part]] = self.moved_by[part]
        return dense

    def posed(self, vertices: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """A neutral face with an expression, shape (20198, 3), float32.

        Args:
            vertices: A neutral face, shape (20198, 3), float32.
            weights: Of all blendshapes, shape (k,), float32.
        """
        posed = np.array(vertices, np.float32)
        add_blendshapes(
            posed, np.asarray(weights, np.float32), self.start, self.moved, self.moved_by
        )
        return posed


@kernel
def add_blendshapes(
    vertices: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    moved: np.ndarray,
    moved_by: np.ndarray,
) -> None:
    """Add the weighted blendshapes of `FaceKit` to (n, 3) float32 vertices, in place."""
    for i in range(len(weights)):
        weight = weights[i]
        if weight == 0:
            continue
        for j in range(start[i], start[i + 1]):
            vertex = moved[j]
            vertices[vertex, 0] += weight * moved_by[j, 0]
            vertices[vertex, 1] += weight * moved_by[j, 1]
            vertices[vertex, 2] += weight * moved_by[j, 2]


def load_facekit(path: Path | str) -> FaceKit:
    """The morphable face of the file at `path`; nothing in it is executed.

    The file is an .npz archive with the arrays vertices, triangles, triangle_material,
    material_names, expression_names, expression_deltas, expression_scale, identity_deltas,
    identity_scale and landmarks68; others are ignored. A displacement is delta × scale × weight.

    Raises:
        FaceError: There is no such file, it is damaged, an array is missing, or one is not what it
            should be.
    """
    return _File(Path(path)).facekit()


class _File:
    """Reads and checks one file; sizes are checked before memory is taken for them."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def facekit(self) -> FaceKit:
        try:
            with zipfile.ZipFile(self._path) as archive:
                return self._facekit(archive)
        except FaceError:
            raise
        except FileNotFoundError:
            raise FaceError(f"no morphable face at {self._path}; {_HELP}") from None
        except Exception as error:
            # A damaged archive raises errors of many kinds, down to those of the decompressor.
            raise FaceError(
                f"{self._path} is no morphable face in an .npz file, or it is damaged "
                f"({type(error).__name__}: {error}); {_HELP}"
            ) from error

    def _facekit(self, archive: zipfile.ZipFile) -> FaceKit:
        vertices = self._real(archive, "vertices", (VERTICES, 3), _FARTHEST_CM)
        triangles = self._indices(archive, "triangles", (-MAX_TRIANGLES, 3), VERTICES)
        material_names = self._names(archive, "material_names")
        material = self._indices(
            archive, "triangle_material", (len(triangles),), len(material_names)
        )
        names = self._names(archive, "expression_names")
        deltas = self._read(archive, "expression_deltas", (len(names), VERTICES, 3), "i")
        scale = self._real(archive, "expression_scale", (), 1.0)
        identity = self._read(archive, "identity_deltas", (-MAX_COMPONENTS, VERTICES, 3), "i")
        identity_scale = self._real(archive, "identity_scale", (len(identity),), 1.0)
        landmarks = self._indices(archive, "landmarks68", (68,), VERTICES)
        start, moved, moved_by = _sparse(deltas, float(scale))
        kit = FaceKit(
            vertices=vertices,
            triangles=triangles.astype(np.int32),
            material=material.astype(np.uint8),
            material_names=material_names,
            expression_names=names,
            start=start,
            moved=moved,
            moved_by=moved_by,
            identity_deltas=identity,
            identity_scale=identity_scale,
            landmarks68=landmarks.astype(np.int32),
        )
        for name in FaceKit.__slots__:
            value = getattr(kit, name)
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        return kit

    def _bad(self, text: str) -> FaceError:
        return FaceError(f"{self._path}: {text}; {_HELP}")

    def _read(
        self, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], kinds: str
    ) -> np.ndarray:
        """An array of the given shape and kind of numbers; -n is a length of 1 to n."""
        if f"{name}.npy" not in archive.namelist():
            raise self._bad(f"the array {name!r} is missing")
        with archive.open(f"{name}.npy") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise self._bad(f"the array {name!r} is of version {version}, expected (1, 0)")
            given, _, dtype = np.lib.format.read_array_header_1_0(file)
        fits = len(given) == len(shape) and all(
            g == s if s >= 0 else 1 <= g <= -s for g, s in zip(given, shape, strict=True)
        )
        if not fits or dtype.kind not in kinds or dtype.itemsize > 256:
            lengths = ", ".join(str(s) if s >= 0 else f"1…{-s}" for s in shape)
            raise self._bad(
                f"the array {name!r} is of shape {given} and dtype {dtype}, expected the shape "
                f"({lengths}) and a dtype of kind {' or '.join(kinds)}"
            )
        with archive.open(f"{name}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)

    def _real(
        self, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], largest: float
    ) -> np.ndarray:
        array = self._read(archive, name, shape, "f")
        # A NaN fails this comparison too.
        if not np.all(np.abs(array) <= largest):
            raise self._bad(
                f"the array {name!r} has values beyond ±{largest:g} or that are no number"
            )
        return array.astype(np.float32)

    def _indices(
        self, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], end: int
    ) -> np.ndarray:
        array = self._read(archive, name, shape, "iu")
        if array.min() < 0 or array.max() >= end:
            raise self._bad(
                f"the array {name!r} has values from {array.min()} to {array.max()}, expected "
                f"indices from 0 to {end - 1}"
            )
        return array

    def _names(self, archive: zipfile.ZipFile, name: str) -> tuple[str, ...]:
        names = tuple(self._read(archive, name, (-MAX_COMPONENTS,), "U").tolist())
        if len(set(names)) < len(names):
            raise self._bad(f"the array {name!r} has a name twice")
        return names


def _sparse(deltas: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`FaceKit.start`, `.moved` and `.moved_by` of (k, 20198, 3) deltas."""
    moves = deltas.any(axis=2)
    start = np.zeros(len(deltas) + 1, np.int64)
    np.cumsum(moves.sum(axis=1), out=start[1:])
    moved = np.nonzero(moves)[1].astype(np.int32)
    return start, moved, np.multiply(deltas[moves], scale, dtype=np.float32)
