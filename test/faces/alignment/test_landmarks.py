import importlib.util
import math
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.faces.alignment import landmarks
from cs3d_ros.faces.alignment.landmarks import CascadeFinder, MeshFinder, face_of_mesh, open_finder
from cs3d_ros.faces.errors import FaceError
from moving_faces import landmarks68, moved, photograph

NAMES = ("001", "042", "099", "135")


@pytest.fixture(scope="module")
def mesh():
    pytest.importorskip("mediapipe")
    finder = MeshFinder()
    yield finder
    finder.close()


@pytest.fixture(scope="module")
def cascade():
    if not hasattr(cv2, "CascadeClassifier"):
        pytest.skip("this OpenCV has no cascades")
    return CascadeFinder()


def find_one(finder, gray):
    finder.start()
    (face,) = finder.find(gray)
    return face


def eyes68(name):
    points = landmarks68(name)
    return points[36:42].mean(axis=0), points[42:48].mean(axis=0)


class TestMesh:
    @pytest.mark.parametrize("name", NAMES)
    def test_it_agrees_with_landmarks_set_by_others(self, mesh, name):
        face = find_one(mesh, photograph(name))
        right, left = eyes68(name)
        points = landmarks68(name)
        assert face.size == pytest.approx(np.linalg.norm(points[16] - points[0]), rel=0.06)
        assert face.roll == pytest.approx(math.atan2(*(left - right)[::-1]), abs=0.03)
        middle = (right + left) / 2
        assert face.x == pytest.approx(middle[0], abs=0.03 * face.size)
        assert middle[1] + 0.15 * face.size < face.y < points[62, 1]

    @pytest.mark.parametrize("roll", [-0.4, 0.3])
    def test_a_tilted_face_is_tilted(self, mesh, roll):
        straight = find_one(mesh, photograph())
        tilted = find_one(mesh, moved(photograph(), 448, 448, 223.5, 223.5, roll=roll))
        assert tilted.roll - straight.roll == pytest.approx(roll, abs=0.04)
        assert tilted.size == pytest.approx(straight.size, rel=0.04)

    def test_a_smaller_face_is_smaller(self, mesh):
        whole = find_one(mesh, photograph())
        half = find_one(mesh, moved(photograph(), 300, 260, 150, 130, scale=0.5))
        assert half.size == pytest.approx(whole.size / 2, rel=0.04)
        assert half.x == pytest.approx(150 + (whole.x - 223.5) / 2, abs=3)
        assert half.y == pytest.approx(130 + (whole.y - 223.5) / 2, abs=3)

    def test_an_open_mouth_or_another_gaze_hardly_move_it(self, mesh):
        # What stays is what the cut is made from: a face without its chin is where it was.
        face = photograph()
        covered = face.copy()
        covered[300:, :] = 0
        before, after = find_one(mesh, face), find_one(mesh, covered)
        assert after.size == pytest.approx(before.size, rel=0.08)
        assert (after.x, after.y) == pytest.approx((before.x, before.y), abs=0.06 * before.size)

    def test_two_people_are_two_faces(self, mesh):
        mesh.start()
        two = np.hstack([photograph("001"), photograph("042")])
        for _ in range(3):
            faces = mesh.find(two)
        assert sorted(face.x > 448 for face in faces) == [False, True]

    def test_a_picture_without_a_face_has_none(self, mesh):
        mesh.start()
        noise = np.random.default_rng(0).integers(0, 256, (200, 300), dtype=np.uint8)
        assert mesh.find(noise) == []
        assert mesh.find(np.zeros((1, 1), np.uint8)) == []

    def test_what_was_seen_before_the_start_changes_nothing(self, mesh):
        frames = [moved(photograph(), 400, 400, 200 + 3 * i, 200) for i in range(4)]
        mesh.start()
        first = [mesh.find(frame) for frame in frames]
        mesh.find(photograph("042"))
        mesh.start()
        assert [mesh.find(frame) for frame in frames] == first

    def test_it_loads_without_a_word_and_a_network(self, mesh):
        code = (
            "import numpy, socket\n"
            "def refuse(*_): raise AssertionError('the network')\n"
            "socket.socket.connect = socket.getaddrinfo = refuse\n"
            "from cs3d_ros.faces.alignment.landmarks import open_finder\n"
            "from moving_faces import photograph\n"
            "finder = open_finder('mediapipe')\n"
            "for _ in range(2):\n"
            "    finder.start()\n"
            "    assert len(finder.find(photograph())) == 1\n"
            "finder.close()\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestFaceOfMesh:
    @pytest.fixture
    def points(self):
        return np.random.default_rng(0).normal(size=(468, 3)) * [40, 50, 20] + [100, 120, 0]

    @given(
        x=st.floats(-500, 500),
        y=st.floats(-500, 500),
        scale=st.floats(0.3, 5),
        roll=st.floats(-0.8, 0.8),
    )
    def test_it_moves_as_the_face_moves(self, x, y, scale, roll):
        rng = np.random.default_rng(0)
        points = rng.normal(size=(468, 3)) * [5, 5, 5]
        points[landmarks._PAIRS[:, 0], 0] -= 60
        points[landmarks._PAIRS[:, 1], 0] += 60
        turn = np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
        there = points.copy()
        there[:, :2] = scale * points[:, :2] @ turn + [x, y]
        there[:, 2] *= scale
        one, other = face_of_mesh(points), face_of_mesh(there)
        assert other.size == pytest.approx(scale * one.size)
        assert other.roll - one.roll == pytest.approx(roll, abs=1e-6)
        middle = scale * np.array([one.x, one.y]) @ turn + [x, y]
        assert (other.x, other.y) == pytest.approx(tuple(middle), abs=1e-6)

    def test_a_face_that_turns_aside_keeps_its_size(self):
        points = np.random.default_rng(0).normal(size=(468, 3)) * [40, 50, 20]
        c, s = math.cos(0.6), math.sin(0.6)
        turned = points @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        assert face_of_mesh(turned).size == pytest.approx(face_of_mesh(points).size)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_landmarks_that_are_no_numbers_are_no_face(self, points, bad):
        points[33, 0] = bad
        assert face_of_mesh(points) is None

    def test_landmarks_in_one_spot_are_no_face(self):
        assert face_of_mesh(np.full((468, 3), 7.0)) is None


class TestCascade:
    @pytest.mark.parametrize("name", ["001", "043", "099", "135"])
    def test_its_box_is_about_where_the_landmarks_are(self, cascade, name):
        face = find_one(cascade, photograph(name))
        right, left = eyes68(name)
        points = landmarks68(name)
        assert face.size == pytest.approx(np.linalg.norm(points[16] - points[0]), rel=0.12)
        assert face.x == pytest.approx((right[0] + left[0]) / 2, abs=0.06 * face.size)
        assert face.roll == 0
        assert not cascade.finds_roll

    def test_a_picture_without_a_face_has_none(self, cascade):
        assert cascade.find(np.zeros((120, 160), np.uint8)) == []


class TestOpening:
    def test_an_unknown_one_is_refused(self):
        with pytest.raises(FaceError, match=r"finder 'dlib': expected one of auto, mediapipe"):
            open_finder("dlib")

    @pytest.mark.parametrize("kind", ["auto", "mediapipe"])
    def test_without_any_it_says_what_to_install(self, monkeypatch, kind):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        monkeypatch.setattr(landmarks, "_cascades", lambda: None)
        with pytest.raises(FaceError, match=r"pip install --no-deps mediapipe==0\.10\."):
            open_finder(kind)

    def test_without_cascades_it_says_which_opencv_has_them(self, monkeypatch):
        monkeypatch.setattr(landmarks, "_cascades", lambda: None)
        with pytest.raises(FaceError, match=r"version 5 dropped them"):
            open_finder("haar")
        with pytest.raises(FaceError, match=r"has no cascades"):
            CascadeFinder()

    def test_boxes_stand_in_for_landmarks(self, monkeypatch, cascade):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        assert open_finder().name == "haar"

    def test_a_mediapipe_without_the_models_is_refused(self, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
        monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.face_mesh", None)
        with pytest.raises(FaceError, match="MediaPipe does not load"):
            open_finder()
