import argparse
import sys

import cv2
import numpy as np
import pytest

from cs3d_ros.align_cli import add_align
from cs3d_ros.errors import Cs3dError
from cs3d_ros.faces.alignment import landmarks
from cs3d_ros.faces.alignment.landmarks import Face
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.simulation.video import open_video
from moving_faces import KnownFinder, drawn_face, picture_folder, video_file


def align(*arguments):
    parser = argparse.ArgumentParser()
    add_align(parser.add_subparsers(required=True))
    parsed = parser.parse_args(["align", *map(str, arguments)])
    return parsed.run(parsed)


@pytest.fixture
def finder(monkeypatch):
    """Finds the same face in every frame."""
    finder = KnownFinder([Face(80, 80, 60, 0.1)])
    monkeypatch.setattr(landmarks, "open_finder", lambda kind: finder)
    return finder


@pytest.fixture
def video(tmp_path):
    frames = [drawn_face(160, seed=i) for i in range(20)]
    return video_file(tmp_path / "person.avi", frames, 25.0)


@pytest.mark.usefixtures("finder")
class TestOutput:
    def test_it_is_a_video_of_the_face_with_the_same_times(self, video, tmp_path, capsys):
        assert align(video, tmp_path / "face.mov") == 0
        with open_video(tmp_path / "face.mov") as faces:
            frames = list(faces)
        assert (faces.width, faces.height) == (112, 112)
        assert [t for t, _ in frames] == pytest.approx(np.arange(20) / 25)
        captured = capsys.readouterr()
        assert captured.out.splitlines() == [
            f"{video} -> {tmp_path / 'face.mov'}",
            "20 frames, 0.76 s, 160x160 -> 112x112 pixels",
            "face found by known in 100.0%, longest gap 0.00 s, 0 rejected, median width 60 pixels",
        ]
        assert captured.err == ""

    def test_a_preview_is_a_picture(self, video, tmp_path):
        align(video, tmp_path / "face.mov", "--preview", tmp_path / "p.png")
        assert cv2.imread(str(tmp_path / "p.png")).shape[0] == 4 * 172

    def test_a_folder_of_pictures_is_a_video(self, tmp_path):
        folder = picture_folder(tmp_path / "clip", [drawn_face(160)] * 5)
        align(folder, tmp_path / "face.mov", "--video-rate", 200, "--size", 64)
        with open_video(tmp_path / "face.mov") as faces:
            assert faces.frames_per_s == 200
            assert (faces.width, len(list(faces))) == (64, 5)

    def test_remarks_are_told(self, video, tmp_path, capsys):
        align(video, tmp_path / "face.mov", "--size", 200, "--face", 0.9)
        assert capsys.readouterr().err == "cs3d: the face is only 60 pixels wide: enlarged\n"

    def test_a_damaged_video_is_aligned_as_far_as_it_goes_and_an_error(self, video, tmp_path):
        video.write_bytes(video.read_bytes()[: video.stat().st_size * 2 // 3])
        with pytest.raises(Cs3dError, match="damaged; aligned is what could be decoded"):
            align(video, tmp_path / "face.mov")
        with open_video(tmp_path / "face.mov") as faces:
            assert 0 < len(list(faces)) < 20

    def test_what_was_there_is_replaced_only_where_asked_for(self, video, tmp_path):
        (tmp_path / "face.mov").write_text("mine")
        with pytest.raises(Cs3dError, match="exists already"):
            align(video, tmp_path / "face.mov")
        assert (tmp_path / "face.mov").read_text() == "mine"
        align(video, tmp_path / "face.mov", "--overwrite")
        with open_video(tmp_path / "face.mov") as faces:
            assert len(list(faces)) == 20


@pytest.mark.usefixtures("finder")
class TestRefusals:
    def left(self, tmp_path):
        return sorted(p.name for p in tmp_path.iterdir())

    def test_the_video_itself_is_not_written_over(self, video, tmp_path):
        mov = video.rename(tmp_path / "x.mov")
        with pytest.raises(Cs3dError, match="is the video to be read"):
            align(mov, mov, "--overwrite")

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (["face.mp4"], r"ends in \.mov"),
            (["face.mov", "--preview", "p.jpg"], r"ends in \.png"),
            (["face.mov", "--size", "7"], "size is 7"),
            (["face.mov", "--smoothing", "-1"], "smoothing_s is -1"),
            (["missing/face.mov"], "missing does not exist"),
        ],
    )
    def test_impossible_choices(self, video, tmp_path, monkeypatch, arguments, reason):
        monkeypatch.chdir(tmp_path)
        with pytest.raises(Cs3dError, match=reason):
            align(video, *arguments)
        assert self.left(tmp_path) == ["person.avi"]

    def test_a_folder_is_not_replaced(self, video, tmp_path):
        (tmp_path / "face.mov").mkdir()
        with pytest.raises(Cs3dError, match="is not a file"):
            align(video, tmp_path / "face.mov", "--overwrite")

    def test_a_preview_is_not_put_among_the_pictures(self, tmp_path):
        folder = picture_folder(tmp_path / "clip", [drawn_face(160)] * 3)
        before = self.left(folder)
        with pytest.raises(Cs3dError, match="lies among the pictures"):
            align(folder, tmp_path / "a.mov", "--preview", folder / "p.png", "--video-rate", 25)
        assert (self.left(folder), self.left(tmp_path)) == (before, ["clip"])

    def test_words_are_no_numbers(self, video, capsys):
        with pytest.raises(SystemExit):
            align(video, "face.mov", "--smoothing", "much")
        assert "'much' is not a number" in capsys.readouterr().err

    def test_an_interrupted_run_leaves_nothing(self, video, tmp_path, monkeypatch):
        def interrupted(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(cv2, "imencode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            align(video, tmp_path / "face.mov")
        assert self.left(tmp_path) == ["person.avi"]

    def test_a_lost_face_leaves_nothing(self, tmp_path, monkeypatch):
        finder = KnownFinder([Face(80, 80, 60, 0.1)] * 10 + [None] * 20)
        monkeypatch.setattr(landmarks, "open_finder", lambda kind: finder)
        video = video_file(tmp_path / "person.avi", [drawn_face(160)] * 30, 25.0)
        with pytest.raises(FaceError, match=r"person\.avi: the face is lost .* \(--cut\)"):
            align(video, tmp_path / "face.mov")
        assert finder.closed
        assert self.left(tmp_path) == ["person.avi"]

    def test_a_file_that_cannot_be_made_is_named_as_the_user_did(
        self, video, tmp_path, monkeypatch
    ):
        monkeypatch.setattr(
            "cs3d_ros.faces.alignment.face_file._compare",
            lambda path, *_: (_ for _ in ()).throw(FaceError(f"{path}: is full")),
        )
        with pytest.raises(FaceError, match=f"^{tmp_path}/face.mov: is full"):
            align(video, tmp_path / "face.mov")
        assert self.left(tmp_path) == ["person.avi"]


def test_without_opencv_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(Cs3dError, match=r"this needs cv2 .* pip install"):
        align("a.mp4", tmp_path / "face.mov")


def test_without_a_finder_it_says_what_to_install(video, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr(landmarks, "_cascades", lambda: None)
    with pytest.raises(FaceError, match="pip install --no-deps mediapipe"):
        align(video, tmp_path / "face.mov")
