import numpy as np
import pytest

from cs3d_ros.faces.alignment.landmarks import Face
from cs3d_ros.faces.alignment.tracking import track_face
from cs3d_ros.faces.errors import FaceError
from moving_faces import KnownFinder

BLANK = np.zeros((100, 200), np.uint8)


def track(frames, rate=30.0):
    return track_face(((i / rate, BLANK) for i in range(len(frames))), KnownFinder(frames))


def test_times_places_and_size_of_the_picture_are_kept():
    faces = [Face(50 + i, 40, 30, 0.1) for i in range(4)]
    found = track(faces)
    assert found.time_s == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])
    assert found.faces == pytest.approx(np.array([[50 + i, 40, 30, 0.1] for i in range(4)]))
    assert (found.width, found.height) == (200, 100)


def test_a_frame_without_a_face_is_not_a_number():
    found = track([Face(50, 40, 30, 0), None, Face(50, 40, 30, 0)])
    assert found.found.tolist() == [True, False, True]
    assert np.isnan(found.faces[1]).all()


def test_of_two_people_the_larger_is_followed_whatever_order_they_are_named_in():
    left = [Face(40 + i, 40, 30, 0) for i in range(10)]
    right = [Face(150, 40, 36, 0) for _ in range(10)]
    frames = [pair if i % 2 else pair[::-1] for i, pair in enumerate(zip(left, right, strict=True))]
    found = track(frames)
    assert found.faces[:, 0].tolist() == [150] * 10
    assert found.others == 10


def test_who_is_there_all_the_time_is_preferred_to_a_larger_face_that_passes():
    frames = [[Face(40, 40, 30, 0)] for _ in range(30)]
    for i in range(5):
        frames[10 + i].append(Face(150, 40, 50, 0))
    assert track(frames).faces[:, 0].tolist() == [40] * 30


def test_people_who_pass_each_other_keep_their_identity():
    frames = [[Face(40 + 4 * i, 30, 30, 0), Face(160 - 4 * i, 60, 34, 0)] for i in range(30)]
    assert track(frames).faces[:, 1].tolist() == [60] * 30


def test_a_face_elsewhere_is_another_one():
    frames = [Face(40, 40, 30, 0)] * 6 + [Face(150, 40, 30, 0)] * 4
    assert track(frames).found.tolist() == [True] * 6 + [False] * 4


def test_somebody_who_was_gone_for_less_than_a_second_is_the_same():
    frames = [Face(40, 40, 30, 0)] * 4 + [None] * 20 + [Face(44, 40, 30, 0)] * 4
    assert track(frames).found.sum() == 8


def test_a_crowd_that_comes_and_goes_does_not_hide_who_stays():
    steady = Face(20, 20, 30, 0)
    frames = [[steady, Face(1000.0 * i, 500, 20, 0)] for i in range(1, 400)]
    assert track(frames).faces[:, 0].tolist() == [20] * 399


def test_progress_is_told_frame_by_frame():
    told = []
    finder = KnownFinder([Face(1, 1, 9, 0)])
    track_face(((i / 10, BLANK) for i in range(3)), finder, told.append)
    assert told == [1, 2, 3]


def test_a_video_without_a_face_is_refused():
    with pytest.raises(FaceError, match="no face was found in any of 3 frames of 200x100"):
        track([None, None, None])


def test_a_video_without_frames_is_refused():
    with pytest.raises(FaceError, match="without a single frame"):
        track([])
