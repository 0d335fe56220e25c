import math

import cv2
import numpy as np
import pytest

from cs3d_ros.faces.alignment.align_preview import preview_bytes
from cs3d_ros.faces.alignment.aligned_video import align
from cs3d_ros.faces.alignment.alignment import AlignSettings
from cs3d_ros.faces.alignment.face_file import write_faces
from cs3d_ros.faces.alignment.landmarks import Face, open_finder
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.simulation.emulator import simulate_frames
from cs3d_ros.simulation.errors import VideoError
from cs3d_ros.simulation.settings import PRESETS
from moving_faces import KnownFinder, drawn_face, moved, photograph, picture_folder, video_file

N = 60
RATE = 100.0


def poses(n=N, moves=1.0):
    t = np.arange(n) / RATE
    return [
        (
            160 + moves * 20 * math.sin(3 * s),
            120 + moves * 10 * math.sin(4 * s + 1),
            1 + moves * 0.1 * math.sin(2 * s),
            moves * 0.3 * math.sin(3 * s),
        )
        for s in t
    ]


def clip(tmp_path, picture, moves=1.0, n=N):
    frames = [moved(picture, 320, 240, *pose) for pose in poses(n, moves)]
    return picture_folder(tmp_path / f"clip{moves}", frames)


def knowing(jitter=0.0, moves=1.0, size=100.0):
    noise = np.random.default_rng(0).normal(size=(N, 4)) * jitter
    return KnownFinder(
        [
            Face(x + dx, y + dy, size * scale * (1 + ds / 100), roll + dr / 100)
            for (x, y, scale, roll), (dx, dy, ds, dr) in zip(poses(moves=moves), noise, strict=True)
        ]
    )


def events(frames):
    return len(simulate_frames(frames, PRESETS["clean"], 0).t_ns)


def test_a_moving_tilting_growing_face_stands_still(tmp_path):
    faces = align(clip(tmp_path, drawn_face()), knowing(), frame_rate=RATE)
    pictures = [face.astype(float) for _, face in faces]
    assert {p.shape for p in pictures} == {(112, 112)}
    apart = [np.abs(p - pictures[0]).mean() for p in pictures]
    contrast = np.abs(pictures[0] - pictures[0].mean()).mean()
    assert max(apart) < 0.06 * contrast


def test_the_cut_shows_what_was_asked_for(tmp_path):
    picture = drawn_face()
    settings = AlignSettings(size=80, face_share=0.5, smoothing_s=math.inf)
    folder = clip(tmp_path, picture, moves=0.0, n=3)
    # A face of 40 pixels in 80: one pixel for one.
    faces = align(folder, knowing(moves=0.0, size=40.0), settings, frame_rate=RATE)
    frame = moved(picture, 320, 240, *poses(1, 0.0)[0])
    whole = frame[120 - 40 : 120 + 40, 160 - 40 : 160 + 40].astype(int)
    _, face = next(iter(faces))
    between = (whole + np.roll(whole, -1, 0) + np.roll(whole, -1, 1)) / 3
    assert np.abs(face[1:-1, 1:-1] - between[1:-1, 1:-1]).mean() < 4
    corners = faces.corners(0)
    assert corners == pytest.approx(np.array([[120, 80], [200, 80], [200, 160], [120, 160]]))


def test_smoothing_takes_the_events_of_shaking_landmarks_away(tmp_path):
    folder = clip(tmp_path, drawn_face(), moves=0.0)
    finder = knowing(jitter=0.5, moves=0.0)
    counts = {
        s: events(align(folder, finder, AlignSettings(smoothing_s=s), frame_rate=RATE))
        for s in (0.0, 0.06)
    }
    assert counts[0.0] > 2000
    assert counts[0.06] < counts[0.0] / 20


def test_fine_structure_does_not_alias_when_it_is_made_smaller(tmp_path):
    stripes = np.tile(np.array([0, 255], np.uint8), (400, 200))
    folder = picture_folder(tmp_path / "stripes", [stripes] * 2)
    finder = KnownFinder([Face(199.5, 199.5, 200, 0.0)])
    faces = align(folder, finder, AlignSettings(size=50), frame_rate=RATE)
    _, face = next(iter(faces))
    assert np.abs(face[5:-5, 5:-5].astype(int) - 127).max() < 20


def test_times_that_vary_are_kept(tmp_path):
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.05, 20))
    path = tmp_path / "varying.mov"
    if not hasattr(cv2, "VIDEOWRITER_PROP_PTS"):
        pytest.skip("this OpenCV writes no such video")
    write_faces(path, times, [drawn_face(160)] * 20, 30.0)
    faces = align(path, KnownFinder([Face(80, 80, 60, 0)]))
    assert [t for t, _ in faces] == pytest.approx(times - times[0], abs=2e-5)
    assert "the frame rate varies: the frames' time stamps are used" in faces.remarks


def test_a_lost_face_leaves_the_rest_where_asked_for(tmp_path):
    folder = picture_folder(tmp_path / "lost", [drawn_face(160)] * 30)
    finder = KnownFinder([Face(80, 80, 60, 0)] * 20 + [None] * 10)
    with pytest.raises(FaceError, match=r"lost: the face is lost from 1\.90 to 2\.90 s"):
        align(folder, finder, frame_rate=10.0)
    faces = align(folder, finder, frame_rate=10.0, cut=True)
    assert [t for t, _ in faces] == pytest.approx(np.arange(20) / 10)


def test_a_late_face_begins_at_its_time(tmp_path):
    folder = picture_folder(tmp_path / "late", [drawn_face(160, seed=i) for i in range(30)])
    finder = KnownFinder([None] * 10 + [Face(80, 80, 60, 0)] * 20)
    faces = align(folder, finder, frame_rate=10.0, cut=True)
    times, _, frames = zip(*faces.beside(), strict=True)
    assert times == pytest.approx(np.arange(10, 30) / 10)
    assert (frames[0] == drawn_face(160, seed=10)).all()


def test_no_face_in_any_frame_is_an_error_that_names_the_video(tmp_path):
    folder = picture_folder(tmp_path / "nobody", [drawn_face(160)] * 3)
    with pytest.raises(FaceError, match="nobody: no face was found in any of 3 frames"):
        align(folder, KnownFinder([None]), frame_rate=10.0)


def test_a_file_that_is_no_video_is_an_error(tmp_path):
    path = tmp_path / "x.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(VideoError, match="not a video"):
        align(path, KnownFinder([None]))


def test_a_truncated_video_is_told(tmp_path):
    path = video_file(tmp_path / "x.avi", [drawn_face(160, seed=i) for i in range(40)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    faces = align(path, KnownFinder([Face(80, 80, 60, 0)]))
    assert "truncated or damaged" in faces.damage
    assert len(list(faces)) == len(faces) < 40


def test_a_video_that_has_changed_is_noticed(tmp_path):
    folder = picture_folder(tmp_path / "changing", [drawn_face(160)] * 5)
    faces = align(folder, KnownFinder([Face(80, 80, 60, 0)]), frame_rate=10.0)
    (folder / "img3.png").unlink()
    with pytest.raises(FaceError, match="has changed"):
        list(faces)


def test_the_preview_shows_frames_and_faces(tmp_path):
    faces = align(clip(tmp_path, drawn_face(), n=7), knowing(), frame_rate=RATE)
    sheet = cv2.imdecode(np.frombuffer(preview_bytes(faces), np.uint8), cv2.IMREAD_COLOR)
    assert sheet.shape == (3 * 172, 3 * (224 + 168 + 12), 3)
    green = (sheet[..., 1].astype(int) - sheet[..., 2] > 100).sum(axis=(0, 1))
    assert green > 7 * 200


def test_a_photograph_that_moves_is_brought_to_rest_by_landmarks(tmp_path):
    pytest.importorskip("mediapipe")
    frames = [moved(photograph(), 480, 400, x + 80, y + 80, s * 0.6, r) for x, y, s, r in poses()]
    folder = picture_folder(tmp_path / "photograph", frames)
    finder = open_finder("mediapipe")
    counts = {
        s: events(align(folder, finder, AlignSettings(smoothing_s=s), frame_rate=RATE))
        for s in (0.0, 0.06, math.inf)
    }
    finder.close()
    assert counts[0.06] < counts[0.0]
    assert counts[0.06] < counts[math.inf] / 10
