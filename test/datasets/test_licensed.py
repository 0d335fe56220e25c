import json

import numpy as np
import pytest

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.licensed import (
    LICENSED,
    LicensedClip,
    clip_name,
    list_sources,
    make_clip,
)
from cs3d_ros.errors import Cs3dError
from cs3d_ros.faces.alignment.landmarks import open_finder
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.simulation.errors import VideoError
from cs3d_ros.simulation.settings import PRESETS
from moving_faces import KnownFinder, expression_frames, face_in, picture_folder, video_file

CLEAN = PRESETS["clean"]


@pytest.fixture(scope="module")
def smile():
    return expression_frames(12)


@pytest.fixture
def source(tmp_path, smile):
    return LicensedClip(
        name="set-01-joy",
        path=picture_folder(tmp_path / "clip", smile),
        frame_rate=50.0,
        subject="set-01",
        expression="happy",
        original_label="joy",
        onset_s=0.08,
        apex_s=0.16,
        offset_s=0.22,
        provenance={"set": "a set", "file": "clip"},
    )


def changed(source, **fields):
    return LicensedClip.from_json({**source.to_json(), **fields})


def make(source, finder=None, seed=0, settings=CLEAN, **options):
    finder = finder or KnownFinder([face_in()])
    return make_clip(source, finder, settings, seed, "sufficient", **options)


class TestMakingClips:
    def test_a_video_becomes_events_with_all_that_is_known_of_it(self, source):
        clip = make(source)
        assert (clip.name, clip.subject, clip.expression) == ("set-01-joy", "set-01", "happy")
        assert (clip.width, clip.height, clip.light) == (112, 112, "sufficient")
        assert clip.duration_ns == 220_000_000
        assert (clip.course.onset_ns, clip.course.apex_ns) == (80_000_000, 160_000_000)
        assert (clip.course.release_ns, clip.course.offset_ns) == (None, 220_000_000)
        assert clip.provenance["label"] == "joy"
        assert clip.provenance["finder"] == "known"
        json.dumps(dict(clip.provenance))

    def test_its_events_are_where_and_when_the_face_moves(self, source):
        events = make(source).events
        assert len(events.t_ns) > 200
        # The mouth is in the lower half, and rests until the onset.
        assert np.mean(events.y > 56) > 0.9
        assert events.t_ns.min() > 60_000_000

    def test_the_same_seed_makes_the_same_events(self, source):
        def noisy(seed):
            return make(source, seed=seed, settings=PRESETS["insufficient"]).events

        one, same, other = noisy(3), noisy(3), noisy(4)
        assert all((getattr(one, k) == getattr(same, k)).all() for k in ("t_ns", "x", "y", "p"))
        assert len(one.t_ns) != len(other.t_ns)

    def test_the_size_can_be_chosen(self, source):
        clip = make(source, size=64)
        assert (clip.width, clip.height) == (64, 64)
        assert clip.events.x.max() < 64

    def test_without_an_apex_the_course_is_unknown(self, source):
        assert make(changed(source, apex_s=None)).course is None

    def test_times_beyond_the_video_end_with_it(self, source):
        course = make(changed(source, offset_s=9.0)).course
        assert course.offset_ns == 220_000_000

    def test_it_can_be_sent_as_json(self, source):
        again = LicensedClip.from_json(json.loads(json.dumps(source.to_json())))
        assert again.to_json() == source.to_json()
        assert again.path == source.path

    def test_landmarks_find_the_face_of_a_photograph(self, source):
        pytest.importorskip("mediapipe")
        clip = make(source, open_finder("mediapipe"))
        assert np.mean(clip.events.y > 56) > 0.8


class TestBadVideos:
    def test_one_that_does_not_decode(self, tmp_path, source):
        path = tmp_path / "bad.mpeg"
        path.write_bytes(b"\x00\x00\x01\xba" + bytes(300))
        with pytest.raises(VideoError):
            make(changed(source, path=str(path), frame_rate=None))

    def test_one_that_is_truncated(self, tmp_path, source, smile):
        path = video_file(tmp_path / "x.avi", smile * 4)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(DatasetError, match="truncated or damaged"):
            make(changed(source, path=str(path), frame_rate=None))

    def test_one_without_a_face(self, source):
        with pytest.raises(FaceError, match="no face was found"):
            make(source, KnownFinder([None]))

    def test_one_that_loses_the_face(self, source):
        finder = KnownFinder([face_in()] * 4 + [None] * 8)
        with pytest.raises(FaceError, match="is lost from"):
            make(changed(source, frame_rate=10.0), finder)

    def test_one_of_one_frame(self, tmp_path, source, smile):
        path = picture_folder(tmp_path / "one", smile[:1])
        with pytest.raises(DatasetError, match="a single frame"):
            make(changed(source, path=str(path)))

    def test_one_that_is_much_too_long(self, source):
        with pytest.raises(DatasetError, match="110 s long, expected a clip of a few seconds"):
            make(changed(source, frame_rate=0.1), KnownFinder([face_in()]))


class TestListing:
    def test_an_unknown_set_is_refused(self, tmp_path):
        with pytest.raises(DatasetError, match="expected adfes, casme2, szu-emodage"):
            list_sources("ck+", tmp_path)

    @pytest.mark.parametrize("name", LICENSED)
    def test_a_folder_that_is_not_there_is_refused(self, tmp_path, name):
        with pytest.raises(DatasetError, match=f"no such folder; give the one that {name}"):
            list_sources(name, tmp_path / "missing")

    @pytest.mark.parametrize("name", LICENSED)
    def test_an_empty_folder_is_refused(self, tmp_path, name):
        with pytest.raises(DatasetError, match="expected"):
            list_sources(name, tmp_path)

    @pytest.mark.parametrize("name", LICENSED)
    def test_a_folder_of_something_else_is_refused(self, tmp_path, name):
        for file in ("holiday.mp4", "notes.txt", "casme.csv"):
            (tmp_path / file).write_text("x")
        with pytest.raises(Cs3dError, match="expected"):
            list_sources(name, tmp_path)


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        (("adfes", "F01", "joy"), "adfes-F01-joy"),
        (("a b", "ü/ö", "..c"), "a_b--..c"),
    ],
)
def test_names_are_of_few_characters(parts, name):
    assert clip_name(*parts) == name
