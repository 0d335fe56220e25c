from pathlib import Path

import cv2
import numpy as np
import pytest

from cs3d_ros.faces.alignment.face_file import check_face_file, write_faces
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.simulation.video import open_video

PICTURES = list(np.random.default_rng(0).integers(0, 256, (12, 48, 64), dtype=np.uint8))


def read(path):
    with open_video(path) as video:
        frames = list(video)
        return [t for t, _ in frames], np.array([gray for _, gray in frames]), video


@pytest.fixture
def path(tmp_path):
    return tmp_path / "face.mov"


@pytest.mark.parametrize("rate", [25.0, 30000 / 1001, 200.0])
def test_a_steady_video_comes_back_as_it_was(path, rate):
    write_faces(path, np.arange(12) / rate, PICTURES, rate)
    times, pictures, video = read(path)
    assert times == pytest.approx(np.arange(12) / rate, abs=1e-6)
    assert (pictures == PICTURES).all()
    assert video.frames_per_s == pytest.approx(rate, rel=2e-6)
    assert video.remarks == []


@pytest.mark.skipif(not hasattr(cv2, "VIDEOWRITER_PROP_PTS"), reason="needs OpenCV 4.11")
def test_times_that_vary_come_back_as_they_were(path):
    times = 3.0 + np.cumsum(np.random.default_rng(1).uniform(0.004, 0.2, 12))
    write_faces(path, times, PICTURES, 30.0)
    read_times, pictures, video = read(path)
    assert read_times == pytest.approx(times - times[0], abs=2e-5)
    assert (pictures == PICTURES).all()
    assert video.remarks == ["the frame rate varies: the frames' time stamps are used"]


def test_times_rounded_by_a_container_are_made_even(path):
    times = np.round(np.arange(12) / 29.97, 3)
    write_faces(path, times, PICTURES, 29.97)
    assert read(path)[0] == pytest.approx(np.arange(12) / 29.97, abs=1e-6)


def test_a_rate_that_opencv_rounds_is_no_error_in_a_long_video(path):
    times = np.arange(6000) * 1001 / 30000
    write_faces(path, times, [PICTURES[0]] * 6000, 30000 / 1001)
    assert read(path)[0] == pytest.approx(times, abs=1e-3)


def test_a_single_frame_is_a_video(path):
    write_faces(path, np.array([0.7]), PICTURES[:1], 25.0)
    times, pictures, _ = read(path)
    assert times == [0.0]
    assert (pictures == PICTURES[:1]).all()


def test_where_opencv_writes_steady_videos_only_others_are_refused(path, monkeypatch):
    monkeypatch.delattr(cv2, "VIDEOWRITER_PROP_PTS", raising=False)
    write_faces(path, np.arange(12) / 25, PICTURES, 25.0)
    assert (read(path)[1] == PICTURES).all()
    with pytest.raises(FaceError, match="the frame rate varies, and OpenCV"):
        write_faces(path, np.arange(12) ** 1.1, PICTURES, 25.0)


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(FaceError, match=r"cannot be written"):
        write_faces(tmp_path / "missing" / "x.mov", np.arange(12) / 25, PICTURES, 25.0)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_a_full_disk_is_noticed(path):
    path.symlink_to("/dev/full")
    with pytest.raises(FaceError, match=r"face\.mov: "):
        write_faces(path, np.arange(12) / 25, PICTURES, 25.0)


def test_frames_that_are_not_in_the_file_are_noticed(path, monkeypatch):
    monkeypatch.setattr(cv2, "imencode", lambda *_: (True, np.zeros(3, np.uint8)))
    monkeypatch.setattr(cv2, "VIDEOWRITER_PROP_PTS", 10, raising=False)
    with pytest.raises(FaceError, match="is the disk full"):
        write_faces(path, np.arange(12) / 25, PICTURES, 25.0)


def test_another_number_of_frames_than_times_is_refused(path):
    with pytest.raises(FaceError, match="12 times for another number of frames"):
        write_faces(path, np.arange(12) / 25, PICTURES[:11], 25.0)
    with pytest.raises(FaceError, match="no frames to write"):
        write_faces(path, np.zeros(0), [], 25.0)


@pytest.mark.parametrize("name", ["x.mp4", "x.avi", "x", "mov"])
def test_names_of_other_files_are_refused(tmp_path, name):
    with pytest.raises(FaceError, match=r"ends in \.mov"):
        check_face_file(tmp_path / name)
