"""What opens and closes: eyes and mouth, and what is seen in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.people.patterns import distance_to_line, step
from cs3d_ros.faces.people.surface import height_map
from cs3d_ros.faces.rendering.facekit import FaceKit

_IRIS_CM = 0.60
_LIMBUS_CM = 0.09

# The kit's blink closes an eye that is open by 0.85 cm, measured between the lids' landmarks.
_CLOSED_CM = 0.84
_LID_CM = 0.03
_STRETCHES = 25
_FARTHEST_BACK_CM = 0.35
_LIDS = {"L": ((43, 47), (44, 46)), "R": ((37, 41), (38, 40))}


@dataclass(frozen=True, slots=True)
class Eyes:
    """How somebody's eyes look.

    Attributes:
        iris: Share of the light that the iris reflects.
        sclera: Share that the white of the eye reflects.
        pupil_cm: Radius of the pupil.
        teeth: Share that the teeth reflect.
    """

    iris: float
    sclera: float
    pupil_cm: float
    teeth: float


def draw_eyes(rng: np.random.Generator, skin: float) -> Eyes:
    """Eyes for a skin that reflects the share `skin`.

    The whites are the darker, the darker the skin, and dark skin goes with dark irises; the ranges
    are those of photographed people.
    """
    brown = rng.random() < np.clip(1.5 - 4 * skin, 0.2, 0.98)
    return Eyes(
        iris=float(rng.uniform(0.016, 0.045) if brown else rng.uniform(0.05, 0.13)),
        sclera=float(rng.uniform(0.8, 1.15) * (0.16 + 1.0 * skin)),
        pupil_cm=float(rng.uniform(0.17, 0.27)),
        teeth=float(rng.uniform(0.85, 1.1) * (0.38 + 0.9 * skin)),
    )


def paint_inner_parts(
    albedo: np.ndarray, kit: FaceKit, eyes: Eyes, rng: np.random.Generator
) -> None:
    """Paint eyeballs, eye sockets, teeth, gums and the mouth socket into (20198,) albedo."""
    albedo[kit.mouth_socket] = 0.015
    albedo[kit.eye_sockets] = 0.12
    _paint_mouth(albedo, kit, eyes)
    # Both eyes have the same streaks: they are never seen from near enough to tell.
    phases = rng.uniform(0, 2 * np.pi, 4)
    for part in (kit.left_eye, kit.right_eye):
        albedo[part] = _eyeball(kit.vertices[part].astype(np.float64), eyes, phases)


def closable(kit: FaceKit, neutral: np.ndarray) -> np.ndarray:
    """The neutral face with eyes that a blink can close, shape (20198, 3), float32.

    The displacement of the blink is the same for everybody: lids that are wider open than those of
    the mean face are lowered, and eyeballs that closed lids would cut are moved back.
    """
    weights = {}
    for side, lids in _LIDS.items():
        blink = kit.displacement(kit.index(f"eyeBlink_{side}"))
        gaps, closings = [], []
        for upper, lower in lids:
            a, b = kit.landmarks68[upper], kit.landmarks68[lower]
            gaps.append(neutral[a, 1] - neutral[b, 1])
            closings.append(blink[b, 1] - blink[a, 1])
        excess = float(np.mean(gaps)) - _CLOSED_CM
        weights[f"eyeBlink_{side}"] = float(np.clip(excess / np.mean(closings), 0, 0.4))
    lowered = kit.posed(neutral, kit.weights(weights))
    closed = kit.posed(lowered, kit.weights({"eyeBlink_L": 1.0, "eyeBlink_R": 1.0}))
    for part in (kit.left_eye, kit.right_eye):
        lowered[part, 2] -= _excess_cm(kit, closed, part)
    return lowered


def lips_closed(kit: FaceKit, neutral: np.ndarray) -> np.ndarray:
    """The neutral face with lips that meet as those of the mean face do, same shape.

    Some components of identity part the lips, but it is the jaw that opens a mouth.
    """
    mean = kit.vertices[kit.face].astype(np.float64)
    marks = kit.vertices[kit.landmarks68].astype(np.float64)
    seam = marks[[60, 61, 62, 63, 64]]
    seam[1:4] = (seam[1:4] + marks[[67, 66, 65]]) / 2
    near, place = distance_to_line(mean, seam)
    side = np.where(mean[:, 1] > np.interp(place, range(5), seam[:, 1]), -1, 1)
    pull = 0.5 * side * np.exp(-((near / 1.2) ** 2))
    moved = neutral.copy()
    # Lips are not flat: what has been measured from the front closes them in a few steps.
    for _ in range(4):
        parted = _parted_cm(kit, moved)
        if parted.max() == 0:
            break
        moved[kit.face, 1] += np.interp(place, np.linspace(0, 4, len(parted)), parted) * pull
    return moved


def _parted_cm(kit: FaceKit, face: np.ndarray) -> np.ndarray:
    """Height of the gap between the lips from the right corner of the mouth to the left, (n,)."""
    corners = face[kit.landmarks68[[60, 64]]].astype(np.float64)
    left, low = corners[0, 0], corners[:, 1].mean() - 1.2
    columns, rows = _STRETCHES, 100
    per_cm = np.array([(columns - 1) / (corners[1, 0] - left), rows / 2.4])
    seen = face.astype(np.float64)
    seen[:, :2] = (seen[:, :2] - (left, low)) * per_cm
    near = (seen[:, 0] > -20) & (seen[:, 0] < columns + 20) & (seen[:, 2] > 6)
    near &= (seen[:, 1] > -40) & (seen[:, 1] < rows + 40)
    triangles = kit.triangles[near[kit.triangles].all(axis=1)]
    skin = (triangles < kit.face.stop).all(axis=1)
    outside = height_map(seen, triangles[skin], rows, columns)
    inside = height_map(seen, triangles[~skin], rows, columns)
    parted = (inside > outside).sum(axis=0) / per_cm[1]
    return np.maximum(parted, np.maximum(np.roll(parted, 1), np.roll(parted, -1)))


def _excess_cm(kit: FaceKit, closed: np.ndarray, part: slice) -> float:
    """How far an eyeball sticks out of the closed lids."""
    ball = closed[part].astype(np.float64)
    corner, pixels_per_cm, side = ball[:, :2].min(axis=0) - 0.5, 24.0, 100
    seen = closed * (pixels_per_cm, pixels_per_cm, 1) - (*(corner * pixels_per_cm), 0)
    near = (np.abs(closed[:, :2] - ball[:, :2].mean(axis=0)) < 2.5).all(axis=1)
    near[kit.face.stop :] = False
    skin = height_map(seen, kit.triangles[near[kit.triangles].all(axis=1)], side, side)
    front = ball[ball[:, 2] > ball[:, 2].max() - 0.7]
    column, row = np.round((front[:, :2] - corner) * pixels_per_cm).astype(int).T
    out = front[:, 2] - skin[row, column] + _LID_CM
    return float(np.clip(out[np.isfinite(out)].max(initial=0), 0, _FARTHEST_BACK_CM))


def _paint_mouth(albedo: np.ndarray, kit: FaceKit, eyes: Eyes) -> None:
    """Gums, tongue and teeth, the darker the deeper in the mouth: little light gets there."""
    front = float(kit.vertices[kit.teeth, 2].max())
    for part, tone, depth in ((kit.gums, 0.16, 2.5), (kit.teeth, eyes.teeth, 3.0)):
        behind = front - kit.vertices[part, 2]
        albedo[part] = tone * np.exp(-((np.maximum(behind - 0.3, 0) / depth) ** 2))


def _eyeball(ball: np.ndarray, eyes: Eyes, phases: np.ndarray) -> np.ndarray:
    apex = ball[ball[:, 2].argmax()]
    x, y = (ball - apex)[:, 0], (ball - apex)[:, 1]
    behind = apex[2] - ball[:, 2]
    radius = np.hypot(x, y)
    angle = np.arctan2(y, x)
    streaks = sum(np.sin(k * angle + p) for k, p in zip((7, 11, 17, 23), phases, strict=True))
    iris = eyes.iris * (1 + 0.12 * streaks) * (0.75 + 0.5 * radius / _IRIS_CM)
    white = eyes.sclera * (1 - 0.5 * step(0.55, 1.25, abs(x)))
    # The limbus: the iris ends in a dark and unsharp ring.
    ring = 0.55 * np.exp(-(((radius - 0.92 * _IRIS_CM) / _LIMBUS_CM) ** 2))
    skin = iris * (1 - ring)
    outside = step(_IRIS_CM - _LIMBUS_CM / 2, _IRIS_CM + _LIMBUS_CM, radius)
    albedo = white * outside + skin * (1 - outside)
    inside = step(eyes.pupil_cm + 0.04, eyes.pupil_cm - 0.04, radius)
    albedo = albedo * (1 - inside) + 0.012 * inside
    return np.where(behind > 1.4, eyes.sclera, albedo)
