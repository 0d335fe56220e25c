import pytest

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.licensed import list_sources, make_clip
from cs3d_ros.simulation.settings import PRESETS
from moving_faces import KnownFinder, expression_frames, face_in, video_file

LABELS = (
    "Anger",
    "Contempt",
    "Disgust",
    "Embarrass",
    "Fear",
    "Joy",
    "Neutral",
    "Pride",
    "Sadness",
    "Surprise",
)


@pytest.fixture
def folder(tmp_path):
    for subject in ("F01", "M12"):
        for label in LABELS:
            for view in ("Face Forward", "Turn Toward", "Turn Away"):
                path = tmp_path / view / f"{subject}-{label}-{view}.mpeg"
                path.parent.mkdir(exist_ok=True)
                path.touch()
    (tmp_path / "Read me.txt").touch()
    (tmp_path / "F01-Anger.jpg").touch()
    return tmp_path


def test_expressions_that_look_into_the_camera_are_taken(folder):
    sources = list_sources("adfes", folder)
    assert [c.name for c in sources.items[:3]] == [
        "adfes-F01-anger",
        "adfes-F01-disgust",
        "adfes-F01-fear",
    ]
    assert {c.expression: c.original_label for c in sources.items} == {
        "angry": "anger",
        "disgusted": "disgust",
        "scared": "fear",
        "happy": "joy",
        "neutral": "neutral",
        "sad": "sadness",
        "surprised": "surprise",
    }
    assert {c.subject for c in sources.items} == {"adfes-F01", "adfes-M12"}
    assert sources.skipped == []


def test_what_is_left_out_is_counted(folder):
    counted = list(list_sources("adfes", folder).left_out.items())
    assert [number for _, number in counted] == [2, 2, 2, 40]
    assert counted[0][0].startswith("contempt is none of neutral, happy")
    assert counted[3][0] == "the head turns to or away from the camera"


def test_every_label_can_be_had(folder):
    sources = list_sources("adfes", folder, every_label=True)
    assert len(sources.items) == 20
    assert {"contempt", "embarrassment", "pride"} < {c.expression for c in sources.items}


def test_the_expression_begins_after_half_a_second(folder):
    onsets = {c.original_label: c.onset_s for c in list_sources("adfes", folder).items}
    assert onsets.pop("neutral") is None
    assert set(onsets.values()) == {0.5}


@pytest.mark.parametrize(
    "name",
    [
        "F01-Anger-Face Forward.mp4",
        "F01-Anger-Face Forward-3.mp4",
        "f1_anger_face_forward.AVI",
        "F01 - Anger - FaceForward.wmv",
        "F01-Anger-Face Forward_cut.mov",
    ],
)
def test_copies_with_other_names_are_understood(tmp_path, name):
    (tmp_path / name).touch()
    (clip,) = list_sources("adfes", tmp_path).items
    assert (clip.name, clip.subject, clip.expression) == ("adfes-F01-anger", "adfes-F01", "angry")


@pytest.mark.parametrize(
    "name", ["F01-Anger.mpeg", "Anger-Face Forward.mpeg", "X01-Joy-Face Forward.mp4"]
)
def test_names_that_are_not_understood_are_told(folder, name):
    (folder / name).touch()
    sources = list_sources("adfes", folder)
    assert sources.skipped == [(name, "not a name such as 'F01-Anger-Face Forward'")]
    assert len(sources.items) == 14


def test_labels_that_are_not_of_the_set_are_told(folder):
    (folder / "F06-MouthOpening-Face Forward.mpg").touch()
    ((_, reason),) = list_sources("adfes", folder).skipped
    assert reason == "'MouthOpening' is no label of the set"


def test_a_second_copy_of_a_clip_is_told(folder):
    (folder / "F01-Joy-Face Forward.mp4").touch()
    ((path, reason),) = list_sources("adfes", folder).skipped
    assert path == "Face Forward/F01-Joy-Face Forward.mpeg"
    assert reason == "the same as F01-Joy-Face Forward.mp4"


def test_hidden_files_of_other_systems_are_passed_over(folder):
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._F01-Joy-Face Forward.mpeg").touch()
    (folder / "._F01-Joy-Face Forward.mpeg").touch()
    assert list_sources("adfes", folder).skipped == []


def test_the_wrong_folder_says_what_is_in_it(tmp_path):
    (tmp_path / "clip 1.mp4").touch()
    with pytest.raises(DatasetError, match=r"F01-Anger-Face Forward\.mpeg'\. 1 are something else"):
        list_sources("adfes", tmp_path)


def test_a_clip_of_it_becomes_events(tmp_path):
    frames = expression_frames(12)
    video_file(tmp_path / "F03-Joy-Face Forward.mpeg", frames, 25.0, "PIM1")
    (source,) = list_sources("adfes", tmp_path).items
    clip = make_clip(source, KnownFinder([face_in()]), PRESETS["clean"], 0, "sufficient")
    assert clip.name == "adfes-F03-joy"
    assert clip.duration_ns == pytest.approx(11 / 25 * 1e9, rel=0.01)
    assert len(clip.events.t_ns) > 200
    assert clip.provenance["set"] == "ADFES"
    assert clip.course is None
