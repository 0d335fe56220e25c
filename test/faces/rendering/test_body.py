"""What is drawn of somebody: eyeballs, neck, worn things; and who is refused."""

import dataclasses

import numpy as np
import pytest

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.person import Mesh
from cs3d_ros.faces.rendering.body import GAZE_DOWN, GAZE_OUT, body_of, place_body, turn_eye
from cs3d_ros.faces.rendering.camera import head_rotation
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path, painted_person


@pytest.fixture(scope="module")
def kit():
    return load_facekit(facekit_path())


@pytest.fixture(scope="module")
def person(kit):
    return painted_person(kit)


@pytest.fixture(scope="module")
def body(kit, person):
    return body_of(kit, person)


GLASS = Mesh(
    np.array([[0, 0, 14], [1, 0, 14], [0, 1, 14]], np.float32),
    np.array([[0, 1, 2]], np.int32),
    np.full(3, 0.3, np.float32),
)


def irises(body, kit, **weights):
    """Angles of both eyes, to the person's left and up, in radians."""
    vertices, light = body.vertices.copy(), body.open_to_light.copy()
    angles = []
    for eye in body.eyeballs:
        turn_eye(eye, kit.weights(weights), vertices, light)
        ball = vertices[eye.vertices] - eye.centre
        x, y, z = ball[body.albedo[eye.vertices] < 0.1].mean(axis=0)
        angles.append((np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))))
    return np.array(angles)


def test_blendshapes_move_the_same_vertices_after_hidden_ones_are_left_out(kit, person, body):
    for name in ("jawOpen", "eyeBlink_R"):
        i = kit.index(name)
        moved = body.moved[body.start[i] : body.start[i + 1]]
        dense = np.zeros_like(body.vertices)
        dense[moved] = body.moved_by[body.start[i] : body.start[i + 1]]
        marks = dense[body.landmarks]
        np.testing.assert_array_equal(marks, kit.displacement(i)[kit.landmarks68])
    np.testing.assert_array_equal(body.vertices[body.landmarks], person.vertices[kit.landmarks68])


def test_eyes_look_where_the_blendshapes_say(kit, body):
    rest = irises(body, kit)
    left = irises(body, kit, eyeLookOut_L=1, eyeLookIn_R=1) - rest
    np.testing.assert_allclose(left[:, 0], GAZE_OUT, atol=0.02)
    right = irises(body, kit, eyeLookIn_L=0.5, eyeLookOut_R=0.5) - rest
    np.testing.assert_allclose(right[:, 0], -0.5 * GAZE_OUT, atol=0.02)
    down = irises(body, kit, eyeLookDown_L=1, eyeLookDown_R=0) - rest
    np.testing.assert_allclose(down[:, 1], [-GAZE_DOWN, 0], atol=0.02)
    assert (irises(body, kit, eyeLookUp_L=1, eyeLookUp_R=1)[:, 1] > rest[:, 1] + 0.3).all()


def test_eyeballs_keep_their_shape_and_place(kit, body):
    vertices, light = body.vertices.copy(), body.open_to_light.copy()
    eye = body.eyeballs[0]
    before = np.linalg.norm(vertices[eye.vertices] - eye.centre, axis=1)
    turn_eye(eye, kit.weights({"eyeLookOut_L": 1, "eyeLookUp_L": 1}), vertices, light)
    after = np.linalg.norm(vertices[eye.vertices] - eye.centre, axis=1)
    np.testing.assert_allclose(after, before, atol=1e-4)
    others = np.r_[0 : eye.vertices.start, eye.vertices.stop : len(vertices)]
    np.testing.assert_array_equal(vertices[others], body.vertices[others])


def test_lids_shade_the_upper_part_of_an_eye_wherever_it_looks(kit, body):
    for weights in ({}, {"eyeLookUp_L": 1.0}):
        vertices, light = body.vertices.copy(), body.open_to_light.copy()
        eye = body.eyeballs[0]
        turn_eye(eye, kit.weights(weights), vertices, light)
        height, light = vertices[eye.vertices, 1] - eye.centre[1], light[eye.vertices]
        assert light[height > 0.3].max() < 0.5 < 0.7 < light[height < -0.3].min()


def test_only_corneas_mirror(kit, person, body):
    eyes = [body.vertices[eye.vertices] for eye in body.eyeballs]
    mirrors = [body.corneas[eye.vertices] for eye in body.eyeballs]
    for ball, mirror in zip(eyes, mirrors, strict=True):
        across = np.hypot(*(ball - ball[ball[:, 2].argmax()])[:, :2].T)
        assert mirror[ball[:, 2].argmax()] == 1
        assert mirror[across < 0.45].min() == mirror.max() == 1
        assert mirror[across > 0.65].max() == 0
    assert body.corneas.sum() == pytest.approx(sum(mirror.sum() for mirror in mirrors))


def placed(body, angles=(0, 0, 0), shift=(0, 0, 0)):
    result = np.empty_like(body.vertices)
    place_body(
        body.vertices,
        body.follows,
        head_rotation(angles),
        np.array([0, -2, -1], np.float32),
        np.array(shift, np.float32),
        np.eye(3, dtype=np.float32),
        np.zeros(3, np.float32),
        result,
    )
    return result


def test_the_head_turns_as_one_and_the_shoulders_stay(body):
    turned = placed(body, (0.3, 0.1, -0.1))
    marks = body.landmarks
    before = np.linalg.norm(body.vertices[marks][:, None] - body.vertices[marks], axis=2)
    after = np.linalg.norm(turned[marks][:, None] - turned[marks], axis=2)
    np.testing.assert_allclose(after, before, atol=1e-3)
    shoulders = body.vertices[:, 1] < -17.5
    np.testing.assert_allclose(turned[shoulders], body.vertices[shoulders], atol=0.2)
    assert np.abs(turned[marks] - body.vertices[marks]).max() > 3


def test_a_shift_moves_everybody(body):
    moved = placed(body, shift=(1, 2, 3)) - body.vertices
    np.testing.assert_allclose(moved, np.tile([1, 2, 3], (len(moved), 1)), atol=1e-5)


def test_worn_things_come_last_and_turn_with_the_head_or_stay(kit, person, body):
    stays = dataclasses.replace(GLASS, follows_head=False)
    dressed = body_of(kit, dataclasses.replace(person, worn=(GLASS, stays)))
    n = dressed.worn_vertices_from
    assert len(dressed.vertices) == n + 6 == len(body.vertices) + 6
    np.testing.assert_array_equal(
        dressed.triangles[dressed.worn_from :], [[n, n + 1, n + 2], [n + 3, n + 4, n + 5]]
    )
    moved = placed(dressed, (0.2, 0, 0))[n:] - dressed.vertices[n:]
    assert np.abs(moved[:3]).max() > 1
    assert not moved[3:].any()


@pytest.mark.parametrize(
    "changes",
    [
        {"vertices": np.zeros((5, 3), np.float32)},
        {"vertices": np.full((20198, 3), np.nan, np.float32)},
        {"albedo": np.zeros(5, np.float32)},
        {"albedo": np.full(20198, 1.5, np.float32)},
        {"albedo": np.full(20198, -0.1, np.float32)},
        {"worn": (dataclasses.replace(GLASS, triangles=np.array([[0, 1, 3]])),)},
        {"worn": (dataclasses.replace(GLASS, triangles=np.array([[0, 1, -1]])),)},
        {"worn": (dataclasses.replace(GLASS, triangles=np.array([0, 1, 2])),)},
        {"worn": (dataclasses.replace(GLASS, albedo=np.zeros(2, np.float32)),)},
        {"worn": (dataclasses.replace(GLASS, vertices=np.full((3, 3), np.inf)),)},
    ],
)
def test_a_person_whose_arrays_do_not_fit_is_refused_by_name(kit, person, changes):
    with pytest.raises(FaceError, match="'painted'"):
        body_of(kit, dataclasses.replace(person, **changes))
