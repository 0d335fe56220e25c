"""The meshes of somebody, made ready for being drawn frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.person import Mesh, Person
from cs3d_ros.faces.rendering.camera import head_rotation
from cs3d_ros.faces.rendering.facekit import VERTICES, FaceKit
from cs3d_ros.faces.rendering.shading import open_to_light
from cs3d_ros.kernels import kernel

NECK_CM = (0.0, -2.0, -1.0)
"""The point that the head turns about in the mean face: the joint of skull and neck."""

GAZE_OUT, GAZE_UP, GAZE_DOWN = math.radians(30), math.radians(22), math.radians(27)
"""How far an eye turns for a weight of 1 of eyeLookIn or eyeLookOut, eyeLookUp and eyeLookDown."""

_MAX_WORN_VERTICES = 1 << 20
_FARTHEST_CM = 1e4
_CORNEA_CM = 0.65


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """One eyeball.

    Attributes:
        vertices: Where its vertices are in the arrays of the body.
        centre: Its centre in cm.
        radius: In cm.
        looks: Blendshapes that turn it: towards the person's left, right, up, down; -1 where the
            morphable face has none.
    """

    vertices: slice
    centre: np.ndarray
    radius: float
    looks: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """All that is drawn of somebody, arrays of equal length n; triangles index them.

    Triangles of the morphable face that can never be seen, such as the back of an eyeball, are
    left out, and so are vertices without triangles.

    Attributes:
        vertices: Neutral, in cm, shape (n, 3), float32.
        albedo: Shape (n,), float32.
        follows: Share of the head's rotation that the vertex takes part in, shape (n,), float32.
        open_to_light: Share of the surroundings that it sees, shape (n,), float32.
        skin: 1 on skin, shape (n,), float32.
        corneas: 1 on the corneas, falling to 0 at their edges, shape (n,), float32.
        triangles: Those of the face itself, then those of the rest of the head, then worn ones,
            shape (m, 3), int32.
        head_from: The first triangle of the rest of the head.
        worn_from: The first worn triangle; from here on they are seen from both sides.
        worn_vertices_from: The first worn vertex.
        start: As in `FaceKit`, for these vertices.
        moved: Likewise.
        moved_by: Likewise.
        eyeballs: Left and right.
        landmarks: Vertex of each iBUG landmark, shape (68,).
    """

    vertices: np.ndarray
    albedo: np.ndarray
    follows: np.ndarray
    open_to_light: np.ndarray
    skin: np.ndarray
    corneas: np.ndarray
    triangles: np.ndarray
    head_from: int
    worn_from: int
    worn_vertices_from: int
    start: np.ndarray
    moved: np.ndarray
    moved_by: np.ndarray
    eyeballs: tuple[Eye, Eye]
    landmarks: np.ndarray


def body_of(kit: FaceKit, person: Person) -> Body:
    """The meshes of `person`.

    Raises:
        FaceError: The person's arrays do not fit the morphable face or each other.
    """
    _check(person)
    seen = _can_be_seen(kit)
    triangles = kit.triangles[seen]
    in_face = (triangles < kit.face.stop).all(axis=1)
    triangles = np.concatenate([triangles[in_face], triangles[~in_face]])
    used = np.zeros(VERTICES, bool)
    used[triangles] = True
    used[kit.landmarks68] = True
    place = np.cumsum(used, dtype=np.int32) - 1
    count = int(used.sum())

    moving = used[kit.moved]
    start = np.concatenate([[0], np.cumsum(moving)])[kit.start]
    marks = np.zeros((2, VERTICES), np.float32)
    marks[0, kit.face] = marks[0, kit.head] = 1
    for eye in (kit.left_eye, kit.right_eye):
        marks[1, eye] = _cornea(kit.vertices[eye])

    worn_vertices = [mesh.vertices for mesh in person.worn]
    sizes = [len(mesh.vertices) for mesh in person.worn]
    firsts = np.cumsum([count, *sizes])
    worn_triangles = [m.triangles + f for m, f in zip(person.worn, firsts, strict=False)]
    extra = sum(sizes)
    follows = [np.full(len(m.vertices), m.follows_head, np.float32) for m in person.worn]
    return Body(
        vertices=np.concatenate([person.vertices[used], *worn_vertices]).astype(np.float32),
        albedo=np.concatenate([person.albedo[used], *(m.albedo for m in person.worn)]).astype(
            np.float32
        ),
        follows=np.concatenate([_neck(person.vertices)[used], *follows]).astype(np.float32),
        open_to_light=_padded(open_to_light(kit)[used], extra, 0.9),
        skin=_padded(marks[0, used], extra, 0),
        corneas=_padded(marks[1, used], extra, 0),
        triangles=np.concatenate([place[triangles], *worn_triangles]).astype(np.int32),
        head_from=int(in_face.sum()),
        worn_from=len(triangles),
        worn_vertices_from=count,
        start=start.astype(np.int64),
        moved=place[kit.moved[moving]],
        moved_by=kit.moved_by[moving],
        eyeballs=(
            _eye(kit, person.vertices, kit.left_eye, place, used, "Out", "In", "L"),
            _eye(kit, person.vertices, kit.right_eye, place, used, "In", "Out", "R"),
        ),
        landmarks=place[kit.landmarks68],
    )


def turn_eye(
    eye: Eye, weights: np.ndarray, vertices: np.ndarray, open_to_light: np.ndarray
) -> None:
    """Turn an eyeball by the eyeLook… weights, and shade it by the lids above it; in place."""
    left, right, up, down = (float(weights[i]) if i >= 0 else 0.0 for i in eye.looks)
    yaw, pitch = GAZE_OUT * (left - right), GAZE_DOWN * down - GAZE_UP * up
    turned = head_rotation((yaw, pitch, 0.0))
    _turn_ball(turned, eye.centre, eye.radius, vertices[eye.vertices], open_to_light[eye.vertices])


@kernel
def _turn_ball(
    turned: np.ndarray, centre: np.ndarray, radius: float, ball: np.ndarray, light: np.ndarray
) -> None:
    for i in range(len(ball)):
        x, y, z = ball[i, 0] - centre[0], ball[i, 1] - centre[1], ball[i, 2] - centre[2]
        height = turned[1, 0] * x + turned[1, 1] * y + turned[1, 2] * z
        ball[i, 0] = centre[0] + turned[0, 0] * x + turned[0, 1] * y + turned[0, 2] * z
        ball[i, 1] = centre[1] + height
        ball[i, 2] = centre[2] + turned[2, 0] * x + turned[2, 1] * y + turned[2, 2] * z
        # The lids and the brow hide the sky from its upper part, wherever the iris is.
        light[i] = min(max(0.65 - 1.2 * height / radius, 0.15), 0.8)


@kernel
def place_body(
    vertices: np.ndarray,
    follows: np.ndarray,
    rotation: np.ndarray,
    neck: np.ndarray,
    shift: np.ndarray,
    rest: np.ndarray,
    aim: np.ndarray,
    placed: np.ndarray,
) -> None:
    """Turn the head on its neck, shift everybody, and turn all about the point `aim`.

    Args:
        vertices: In cm, shape (n, 3), float32.
        follows: Share of `rotation` that a vertex takes part in, shape (n,), float32.
        rotation: Of the head, shape (3, 3), float32.
        neck: The point that the head turns about, shape (3,), float32.
        shift: Of head and body in cm, shape (3,), float32.
        rest: Rotation of head and body before the camera, shape (3, 3), float32.
        aim: The point that the resting camera looks at, shape (3,), float32.
        placed: Result, about `aim`, shape (n, 3), float32.
    """
    for i in range(len(vertices)):
        x, y, z = vertices[i, 0] - neck[0], vertices[i, 1] - neck[1], vertices[i, 2] - neck[2]
        w = follows[i]
        tx = rotation[0, 0] * x + rotation[0, 1] * y + rotation[0, 2] * z
        ty = rotation[1, 0] * x + rotation[1, 1] * y + rotation[1, 2] * z
        tz = rotation[2, 0] * x + rotation[2, 1] * y + rotation[2, 2] * z
        x = vertices[i, 0] + w * (tx - x) - aim[0]
        y = vertices[i, 1] + w * (ty - y) - aim[1]
        z = vertices[i, 2] + w * (tz - z) - aim[2]
        placed[i, 0] = rest[0, 0] * x + rest[0, 1] * y + rest[0, 2] * z + shift[0]
        placed[i, 1] = rest[1, 0] * x + rest[1, 1] * y + rest[1, 2] * z + shift[1]
        placed[i, 2] = rest[2, 0] * x + rest[2, 1] * y + rest[2, 2] * z + shift[2]


def _check(person: Person) -> None:
    def check(
        what: str, array: np.ndarray, shape: tuple[int, ...], least: float, most: float
    ) -> None:
        # A NaN fails this comparison too.
        if array.shape != shape or not np.all((array >= least) & (array <= most)):
            raise FaceError(
                f"{what} of {person.subject!r} has the shape {array.shape}, expected {shape} with "
                f"numbers from {least:g} to {most:g}"
            )

    check("vertices", person.vertices, (VERTICES, 3), -_FARTHEST_CM, _FARTHEST_CM)
    check("albedo", person.albedo, (VERTICES,), 0, 1)
    for mesh in person.worn:
        _check_worn(person.subject, mesh)
        check("worn vertices", mesh.vertices, (len(mesh.vertices), 3), -_FARTHEST_CM, _FARTHEST_CM)
        check("worn albedo", mesh.albedo, (len(mesh.vertices),), 0, 1)


def _check_worn(subject: str, mesh: Mesh) -> None:
    n = len(mesh.vertices)
    triangles = mesh.triangles
    if n > _MAX_WORN_VERTICES or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise FaceError(
            f"{subject!r} wears {n} vertices and triangles of shape {triangles.shape}, expected up "
            f"to {_MAX_WORN_VERTICES} vertices and a shape (m, 3)"
        )
    if triangles.size and (triangles.min() < 0 or triangles.max() >= n):
        raise FaceError(
            f"{subject!r} wears triangles with indices from {triangles.min()} to "
            f"{triangles.max()}, expected 0 to {n - 1}"
        )


def _can_be_seen(kit: FaceKit) -> np.ndarray:
    """Which triangles can ever be seen, whatever the gaze and the mouth do."""
    z = kit.vertices[:, 2][kit.triangles].max(axis=1)
    first = kit.triangles.min(axis=1)
    hidden = (first >= kit.gums.start) & (first < kit.teeth.stop) & (z < 4)
    for eye in (kit.left_eye, kit.right_eye):
        middle = kit.vertices[eye, 2].mean()
        hidden |= (first >= eye.start) & (first < eye.stop) & (z < middle - 0.4)
    return ~hidden


def _neck(vertices: np.ndarray) -> np.ndarray:
    """Share of the head's rotation by height: all of it in chin and nape, none in the shoulders.

    The throat is farther forward than the nape, and lower where the same happens.
    """
    height = vertices[:, 1] + 0.5 * vertices[:, 2]
    t = np.clip((height + 16) / 7.5, 0, 1)
    return t * t * (3 - 2 * t)


def _cornea(ball: np.ndarray) -> np.ndarray:
    """Share of the cornea's mirror at the vertices of an eyeball that looks ahead, shape (n,)."""
    ahead = ball - ball[ball[:, 2].argmax()]
    edge = np.hypot(ahead[:, 0], ahead[:, 1]) / _CORNEA_CM
    return np.where(ahead[:, 2] > -_CORNEA_CM, np.clip(4 * (1 - edge), 0, 1), 0)


def _eye(
    kit: FaceKit,
    vertices: np.ndarray,
    part: slice,
    place: np.ndarray,
    used: np.ndarray,
    left: str,
    right: str,
    side: str,
) -> Eye:
    """The eyeball at `part`: its sphere by least squares."""
    ball = vertices[part].astype(np.float64)
    system = np.column_stack([2 * ball, np.ones(len(ball))])
    x, y, z, offset = np.linalg.lstsq(system, (ball**2).sum(axis=1), rcond=None)[0]
    first = int(used[: part.start].sum())
    names = [f"eyeLook{where}_{side}" for where in (left, right, "Up", "Down")]
    known = kit.expression_names
    looks = tuple(kit.index(name) if name in known else -1 for name in names)
    return Eye(
        vertices=slice(first, first + int(used[part].sum())),
        centre=np.array([x, y, z], np.float32),
        radius=math.sqrt(max(offset + x * x + y * y + z * z, 1e-6)),
        looks=(looks[0], looks[1], looks[2], looks[3]),
    )


def _padded(array: np.ndarray, extra: int, value: float) -> np.ndarray:
    return np.concatenate([array, np.full(extra, value)]).astype(np.float32)
