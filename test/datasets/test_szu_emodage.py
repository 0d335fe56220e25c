import pytest

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.licensed import list_sources, make_clip
from cs3d_ros.simulation.settings import PRESETS
from moving_faces import KnownFinder, expression_frames, face_in, video_file

EXPECTED = {
    "neutral": "neutral",
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "fear": "scared",
    "disgust": "disgusted",
    "anger": "angry",
}


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return list_sources("szu-emodage", folder)


def test_a_folder_for_each_person(tmp_path):
    names = [f"Dynamic_faces/Dynamic_faces/{p}/{e}.mp4" for p in ("001", "002") for e in EXPECTED]
    sources = touch(tmp_path, *names)
    assert {c.original_label: c.expression for c in sources.items} == EXPECTED
    assert {c.subject for c in sources.items} == {"szu-001", "szu-002"}
    assert len(sources.items) == 14
    assert sources.skipped == []
    assert sources.items[0].name == "szu-001-anger"


@pytest.mark.parametrize(
    ("path", "subject", "expression"),
    [
        ("001_anger.avi", "szu-001", "angry"),
        ("anger-001.avi", "szu-001", "angry"),
        ("anger/001.avi", "szu-001", "angry"),
        ("Dynamic_faces/Fear/female_12.mp4", "szu-female-12", "scared"),
        ("young/001_happy_high.mp4", "szu-young-001", "happy"),
        ("001/hapiness.mp4", "szu-001", "happy"),
        ("001/Suprise.mp4", "szu-001", "surprised"),
        ("001/disgest.mp4", "szu-001", "disgusted"),
        ("001/anger to/fear.mp4", "szu-001-to", "scared"),
    ],
)
def test_other_layouts_are_understood(tmp_path, path, subject, expression):
    (clip,) = touch(tmp_path, path).items
    assert (clip.subject, clip.expression) == (subject, expression)


def test_two_videos_of_one_person_are_never_of_two(tmp_path):
    sources = touch(tmp_path, "7_anger_low.mp4", "7_anger_high.mp4", "7_sad.mp4")
    assert [c.name for c in sources.items] == [
        "szu-7-high-anger",
        "szu-7-low-anger",
        "szu-7-sadness",
    ]
    assert {c.subject for c in sources.items} == {"szu-7"}


def test_a_word_is_not_found_within_another(tmp_path):
    sources = touch(tmp_path, "001/anger.mp4", "001/danger.mp4")
    assert sources.skipped == [("001/danger.mp4", "no emotion in its path")]


def test_what_is_not_understood_is_told(tmp_path):
    sources = touch(
        tmp_path, "001/anger.mp4", "anger.mp4", "002/video.mp4", "002/anger_or_fear.mp4"
    )
    assert len(sources.items) == 1
    assert sources.skipped == [
        ("002/anger_or_fear.mp4", "several emotions in its name: anger, fear"),
        ("002/video.mp4", "no emotion in its path"),
        ("anger.mp4", "nothing in its path tells who is seen"),
    ]


def test_pictures_are_no_clips(tmp_path):
    with pytest.raises(DatasetError, match="nothing in it is of szu-emodage"):
        touch(tmp_path, "Emotional_faces/001/anger.jpg")


def test_a_clip_of_it_becomes_events(tmp_path):
    video_file(
        tmp_path / "Dynamic_faces" / "012" / "happiness.mp4", expression_frames(), 25.0, "mp4v"
    )
    (source,) = list_sources("szu-emodage", tmp_path).items
    clip = make_clip(source, KnownFinder([face_in()]), PRESETS["clean"], 0, "sufficient")
    assert (clip.name, clip.expression, clip.subject) == ("szu-012-happiness", "happy", "szu-012")
    assert len(clip.events.t_ns) > 200
