"""The morphable face, made of the files that the ICT-FaceKit is published as.

Those are Wavefront OBJ files of one mesh in centimetres: generic_neutral_mesh.obj, one for each
blendshape, and identity000.obj to identity099.obj for the principal components of identity; beside
them vertex_indices.json names blendshapes and landmarks. Here they become the arrays that
`cs3d_ros.faces.rendering.facekit.load_facekit` reads.

Not all of the mesh is kept. Left out are what lies too deep in the mouth to be seen (the teeth
behind the first bicuspids), the irises, which are painted onto the eyeballs, and the thin sheets on
the eyes: lacrimal fluid, eye blend, occlusion and lashes.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.facekit import VERTICES

COMPONENTS = 100
"""Principal components of identity that are published."""

EXPRESSION_SCALE = np.float32(0.0005)
"""Displacement in cm of a delta of 1: rounding moves a vertex by at most 2.5 µm along an axis."""

PUBLISHED_VERTICES = 26719

_TRIANGLES = 40118
# Face, head, mouth socket, eye sockets, gums and tongue; upper and lower teeth up to the first
# bicuspids; left and right eyeball. The last vertex of the upper right bicuspid, 18555, is not
# among them, at the cost of six triangles: existing files of the face fix the number of vertices.
_KEPT = np.r_[0:17039, 17730:18555, 19952:20746, 21451:22221, 23021:23791]
_PLACE = np.full(PUBLISHED_VERTICES, -1)
_PLACE[_KEPT] = np.arange(VERTICES)

_NEUTRAL = "generic_neutral_mesh.obj"
_INDICES = "vertex_indices.json"
_CORNER = rb"(\d{1,9})/(\d{1,9})"
_NEXT = rb"[ \t]+" + _CORNER
_FACE = re.compile(_CORNER + _NEXT + _NEXT + rb"(?:" + _NEXT + rb")?[ \t]*")
_LARGEST_FILE = 8 << 20
_LARGEST_INDEX = 1 << 16
_MOST_NAMES = 256
_LONGEST_NAME = 64
_FARTHEST_CM = 1000.0
_FARTHEST_MOVE_CM = 16.0
_HELP = "expected the files of FaceXModel in a clone of the public repository ICT-VGL/ICT-FaceKit"


def convert_facekit(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of a facekit.npz, from the published files.

    Displacements are differences from the neutral mesh, rounded to whole multiples of a scale: of
    blendshapes 0.0005 cm, of each component of identity a 127th of its largest coordinate. Polygons
    become fans of triangles around their first corner; a triangle with a vertex that is left out is
    left out. The same files make the same arrays.

    Args:
        folder: A clone of the repository, or its folder FaceXModel.

    Returns:
        vertices (20198, 3) float32, triangles (40118, 3) uint16, triangle_material (40118,) uint8,
        material_names, uv (n, 2) float32, triangle_uv (40118, 3) uint16, expression_names (k,),
        expression_deltas (k, 20198, 3) int16, expression_scale () float32, identity_deltas
        (100, 20198, 3) int8, identity_scale (100,) float32, landmarks68 (68,) uint16.

    Raises:
        FaceError: A file is missing, cannot be read, is damaged, or is of another mesh.
    """
    if (folder / "FaceXModel").is_dir():
        folder = folder / "FaceXModel"
    names, landmarks = _indices(folder / _INDICES)
    data = _read(folder / _NEUTRAL)
    neutral = _vertices(folder / _NEUTRAL, data)
    arrays = {"vertices": neutral.astype(np.float32), **_mesh(folder / _NEUTRAL, data)}

    expressions = np.zeros((len(names), VERTICES, 3), np.int16)
    for i, name in enumerate(names):
        moves = _displacement(folder / f"{name}.obj", neutral)
        expressions[i] = np.rint(moves / EXPRESSION_SCALE)

    identity = np.zeros((COMPONENTS, VERTICES, 3), np.int8)
    scales = np.zeros(COMPONENTS, np.float32)
    for i in range(COMPONENTS):
        path = folder / f"identity{i:03d}.obj"
        moves = _displacement(path, neutral)
        scales[i] = np.abs(moves).max() / np.float32(127)
        # Below that are no differences between people; a scale near 0 would overflow the deltas.
        if scales[i] < 1e-6:
            raise FaceError(f"{path}: does not differ from {_NEUTRAL}; {_HELP}")
        identity[i] = np.rint(moves / scales[i])

    arrays |= {
        "expression_names": np.array(names),
        "expression_deltas": expressions,
        "expression_scale": np.array(EXPRESSION_SCALE),
        "identity_deltas": identity,
        "identity_scale": scales,
        "landmarks68": landmarks,
    }
    return arrays


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise FaceError(f"no file {path}; {_HELP}")
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise FaceError(f"{path}: has {size} bytes, expected up to {_LARGEST_FILE}; {_HELP}")
        return path.read_bytes()
    except OSError as error:
        raise FaceError(f"{path}: cannot be read ({error})") from error


def _indices(path: Path) -> tuple[list[str], np.ndarray]:
    """Names of the blendshapes, and where in the kept vertices the 68 landmarks are."""
    try:
        content = json.loads(_read(path))
        names, landmarks = content["expressions"], content["idx_to_landmark_verts"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FaceError(
            f"{path}: is no JSON object with 'expressions' and 'idx_to_landmark_verts' "
            f"({type(error).__name__}: {error}); {_HELP}"
        ) from error
    # The names become names of files.
    fits = isinstance(names, list) and 1 <= len(names) <= _MOST_NAMES
    if not fits or not all(isinstance(n, str) and re.fullmatch(r"\w{1,64}", n) for n in names):
        raise FaceError(f"{path}: 'expressions' is no list of up to {_MOST_NAMES} names; {_HELP}")
    if len(set(names)) < len(names):
        raise FaceError(f"{path}: 'expressions' has a name twice; {_HELP}")
    fits = isinstance(landmarks, list) and len(landmarks) == 68
    if not fits or not all(
        type(i) is int and 0 <= i < PUBLISHED_VERTICES and _PLACE[i] >= 0 for i in landmarks
    ):
        raise FaceError(
            f"{path}: 'idx_to_landmark_verts' is no list of 68 vertices of the face; {_HELP}"
        )
    return names, _PLACE[landmarks].astype(np.uint16)


def _numbers(path: Path, data: bytes, key: bytes, columns: int) -> np.ndarray:
    """The first numbers of all lines that begin with `key`, shape (n, columns), float64."""
    lines = re.findall(rb"^%b[ \t]+([^\r\n]*)" % key, data, re.MULTILINE)
    begin = f"lines that begin with {key.decode()!r}"
    if not any(lines):
        raise FaceError(f"{path}: has no {begin}; {_HELP}")
    try:
        numbers = np.loadtxt(lines, usecols=range(columns), ndmin=2, comments=None)
    except ValueError as error:
        raise FaceError(f"{path}: {begin} are damaged ({error}); {_HELP}") from error
    if len(numbers) != len(lines):
        raise FaceError(f"{path}: {begin} are empty; {_HELP}")
    # A NaN fails this comparison too.
    if not np.all(np.abs(numbers) <= _FARTHEST_CM):
        raise FaceError(
            f"{path}: {begin} have values beyond ±{_FARTHEST_CM:g} or that are no number; {_HELP}"
        )
    return numbers


def _vertices(path: Path, data: bytes) -> np.ndarray:
    """Positions of the kept vertices in cm, shape (20198, 3), float64."""
    vertices = _numbers(path, data, b"v", 3)
    if len(vertices) != PUBLISHED_VERTICES:
        raise FaceError(
            f"{path}: has {len(vertices)} vertices, expected {PUBLISHED_VERTICES}; {_HELP}"
        )
    return vertices[_KEPT]


def _displacement(path: Path, neutral: np.ndarray) -> np.ndarray:
    """By how much the mesh at `path` differs from the neutral one, (20198, 3) float32, cm."""
    moves = (_vertices(path, _read(path)) - neutral).astype(np.float32)
    farthest = np.abs(moves).max()
    if farthest > _FARTHEST_MOVE_CM:
        raise FaceError(
            f"{path}: moves a vertex by {farthest:g} cm, expected up to {_FARTHEST_MOVE_CM:g}; "
            f"{_HELP}"
        )
    return moves


def _mesh(path: Path, data: bytes) -> dict[str, np.ndarray]:
    """Triangles, their materials and texture coordinates, of the kept vertices."""
    uv = _numbers(path, data, b"vt", 2)
    materials: dict[str, int] = {}
    of_triangles: list[int] = []
    corners: list[list[int]] = []
    for key, text in re.findall(rb"^(usemtl|f)[ \t]+([^\r\n]*)", data, re.MULTILINE):
        if key == b"usemtl":
            name = text.decode("utf-8", "replace").strip()
            current = materials.setdefault(name, len(materials))
            continue
        if not materials:
            raise FaceError(f"{path}: has a face before the first material; {_HELP}")
        face = _face(path, text)
        for i in range(2, len(face) - 2, 2):
            corners.append(face[:2] + face[i : i + 4])
            of_triangles.append(current)
    indices = np.array(corners, np.int64).reshape(-1, 3, 2) - 1
    ends = (PUBLISHED_VERTICES, len(uv))
    if (indices < 0).any() or (indices >= ends).any():
        raise FaceError(
            f"{path}: a face has an index beyond the {ends[0]} vertices or the {ends[1]} texture "
            f"coordinates; {_HELP}"
        )
    triangles = _PLACE[indices[..., 0]]
    kept = (triangles >= 0).all(axis=1)
    if kept.sum() != _TRIANGLES:
        raise FaceError(
            f"{path}: the parts to keep have {kept.sum()} triangles, expected {_TRIANGLES}; {_HELP}"
        )
    used, triangle_uv = np.unique(indices[kept, :, 1], return_inverse=True)
    if len(materials) > _MOST_NAMES or max(map(len, materials)) > _LONGEST_NAME:
        raise FaceError(
            f"{path}: has {len(materials)} materials, expected up to {_MOST_NAMES} with names of "
            f"up to {_LONGEST_NAME} letters; {_HELP}"
        )
    if len(used) > _LARGEST_INDEX:
        raise FaceError(
            f"{path}: has {len(used)} texture coordinates, expected up to {_LARGEST_INDEX}; {_HELP}"
        )
    return {
        "triangles": triangles[kept].astype(np.uint16),
        "triangle_material": np.array(of_triangles)[kept].astype(np.uint8),
        "material_names": np.array(list(materials)),
        "uv": uv[used].astype(np.float32),
        "triangle_uv": triangle_uv.reshape(-1, 3).astype(np.uint16),
    }


def _face(path: Path, text: bytes) -> list[int]:
    """Vertex and texture coordinate of each corner in turn, as in the file, which begins at 1."""
    corners = _FACE.fullmatch(text)
    if not corners:
        raise FaceError(
            f"{path}: a face is {text[:80].decode('latin-1')!r}, expected three or four corners "
            f"as VERTEX/TEXTURE; {_HELP}"
        )
    return [int(number) for number in corners.groups() if number]
