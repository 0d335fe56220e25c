import cv2
import numpy as np
import pytest

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.people.fitting import CAMERA_CM, MAX_RESIDUAL_PX, fit_face
from cs3d_ros.faces.people.photographs import load_photographs
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path, photographs_path


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


@pytest.fixture(scope="module")
def photographs():
    return load_photographs(photographs_path())


def turned_by(yaw, pitch, roll):
    """A rotation matrix by angles in degrees about y, x and z."""
    rotation = np.eye(3)
    for axis, angle in (((0, 0, 1), roll), ((1, 0, 0), pitch), ((0, 1, 0), yaw)):
        rotation = rotation @ cv2.Rodrigues(np.radians(angle) * np.array(axis, float))[0]
    return rotation


def seen(points, rotation, scale=18.0, centre=(220.0, 230.0)):
    """Pixels at which a camera at CAMERA_CM sees points."""
    points = points.astype(float) @ rotation.T
    size = scale * CAMERA_CM / (CAMERA_CM - points[:, 2:])
    return np.array(centre) + size * points[:, :2] * (1, -1)


@pytest.mark.parametrize("angles", [(0, 0, 0), (8, -4, 5), (-10, 6, -12)])
def test_a_known_face_is_recovered(kit, angles):
    coefficients = np.zeros(100)
    coefficients[:12] = np.random.default_rng(1).uniform(-0.8, 0.8, 12)
    vertices = kit.identity(coefficients)
    rotation = turned_by(*angles)
    fit = fit_face(kit, seen(vertices[kit.landmarks68], rotation))
    assert fit.residual_px < 0.6
    assert np.degrees(np.linalg.norm(cv2.Rodrigues(fit.rotation @ rotation.T)[0])) < 3
    assert fit.scale == pytest.approx(18.0, rel=0.03)
    # In the picture the whole face is where it was, and its shape is nearly the same.
    expected = seen(vertices[kit.face], rotation)
    assert np.abs(fit.project(fit.vertices[kit.face].astype(float))[:, :2] - expected).mean() < 3
    off = np.linalg.norm(fit.neutral - vertices, axis=1)[kit.landmarks68].mean()
    before = np.linalg.norm(kit.vertices - vertices, axis=1)[kit.landmarks68].mean()
    assert off < 0.5 * before


def test_the_first_components_are_recovered(kit):
    coefficients = np.array([1.0, -0.8, 0.7, -0.6])
    fit = fit_face(kit, seen(kit.identity(coefficients)[kit.landmarks68], np.eye(3)))
    # The landmarks tell size from distance by perspective alone: the first components differ most.
    assert fit.coefficients[:4] == pytest.approx(coefficients, abs=0.6)
    assert np.abs(fit.coefficients[4:]).max() < 0.5


def test_a_small_expression_is_taken_out(kit):
    posed = kit.posed(kit.vertices, kit.weights({"mouthFrown_L": 0.3, "mouthFrown_R": 0.3}))
    fit = fit_face(kit, seen(posed[kit.landmarks68], np.eye(3)))
    corner = kit.landmarks68[48]
    assert fit.vertices[corner, 1] < fit.neutral[corner, 1] - 0.02


def test_pixels_go_back_to_where_they_came_from(kit):
    fit = fit_face(kit, seen(kit.vertices[kit.landmarks68], turned_by(5, 3, 2)))
    points = kit.vertices[::500].astype(float)
    pixels = fit.project(points)
    assert fit.unproject(pixels[:, :2], pixels[:, 2]) == pytest.approx(points, abs=1e-6)


def test_every_photograph_fits(kit, photographs):
    residuals = [fit_face(kit, p.landmarks).residual_px for p in photographs]
    assert max(residuals) < 2.0 < MAX_RESIDUAL_PX
    assert np.mean(residuals) < 1.5


def test_a_rolled_photograph_fits_as_well(kit, photographs):
    roll = turned_by(0, 0, 17)[:2, :2]
    rolled = (photographs[0].landmarks - 224) @ roll + 224
    assert fit_face(kit, rolled).residual_px < 2.0


def test_the_same_landmarks_give_the_same_face(kit, photographs):
    a, b = (fit_face(kit, photographs[3].landmarks) for _ in range(2))
    assert a.neutral.tobytes() == b.neutral.tobytes()
    assert a.rotation.tobytes() == b.rotation.tobytes()


WRONG = {
    "all equal": lambda given, rng: np.full((68, 2), 200.0),
    "mirrored": lambda given, rng: given * (-1, 1) + (447, 0),
    "upside down": lambda given, rng: 447 - given,
    "on its side": lambda given, rng: given[:, ::-1] * (1, -1) + (0, 447),
    "shuffled": lambda given, rng: rng.permutation(given),
    "shuffled but for the eyes": lambda given, rng: np.concatenate(
        [rng.permutation(given[:36]), given[36:48], rng.permutation(given[48:])]
    ),
    "anywhere": lambda given, rng: rng.uniform(0, 447, (68, 2)),
    "on a line": lambda given, rng: given * (1, 0.02) + (0, 200),
    "tiny": lambda given, rng: given * 0.05,
    "stretched": lambda given, rng: given * (1, 2.5),
}


@pytest.mark.parametrize("kind", WRONG)
def test_landmarks_of_no_face_seen_from_the_front_are_refused(kit, photographs, kind):
    given = WRONG[kind](photographs[0].landmarks.astype(float), np.random.default_rng(0))
    with pytest.raises(FaceError, match=r"give iBUG landmarks"):
        fit_face(kit, given)


@pytest.mark.parametrize(
    "given", [np.zeros((67, 2)), np.zeros((68, 3)), np.zeros(136), np.full((68, 2), np.nan)]
)
def test_what_is_no_68_points_is_refused(kit, given):
    with pytest.raises(FaceError, match="expected 68 pairs of finite numbers"):
        fit_face(kit, given)
