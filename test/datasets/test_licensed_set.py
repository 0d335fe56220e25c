from collections import Counter

import cv2
import pytest

from cs3d_ros.cli import main
from cs3d_ros.dataset_cli import LICENSED as COMMANDS
from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.licensed import LICENSED, list_sources
from cs3d_ros.datasets.licensed_set import make_plan
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.alignment.landmarks import INSTALL
from moving_faces import expression_frames, video_file

LABELS = ("Anger", "Disgust", "Fear", "Joy", "Neutral", "Sadness", "Surprise", "Pride")


@pytest.fixture
def listed(tmp_path):
    """Six people of ADFES, whose videos are empty files."""
    folder = tmp_path / "adfes"
    folder.mkdir()
    for subject in ("F01", "F02", "F03", "M02", "M03", "M04"):
        for label in LABELS:
            (folder / f"{subject}-{label}-Face Forward.mpeg").touch()
    return folder


@pytest.fixture
def small(tmp_path):
    """Three people of ADFES with one short video each, one of which does not decode."""
    folder = tmp_path / "adfes"
    frames = expression_frames(8)
    for subject in ("F01", "F02"):
        video_file(folder / f"{subject}-Joy-Face Forward.mpeg", frames, codec="MPG2")
    (folder / "F03-Joy-Face Forward.mpeg").write_bytes(b"no video")
    (folder / "F03-Pride-Face Forward.mpeg").write_bytes(b"no video")
    return folder


def specs(plan):
    return [(shard.part, spec) for shard in plan.shards for spec in shard.specs]


def test_the_commands_know_every_set():
    assert COMMANDS == LICENSED


def test_no_person_is_in_two_parts_and_nobody_is_missing(listed):
    plan = make_plan("adfes", listed, list_sources("adfes", listed))
    parts = {}
    for part, spec in specs(plan):
        parts.setdefault(spec["subject"], set()).add(part)
    assert len(parts) == 6
    assert all(len(of) == 1 for of in parts.values())
    assert Counter(part for of in parts.values() for part in of) == {
        "train": 4, "validation": 1, "test": 1,
    }  # fmt: skip
    assert len(specs(plan)) == 6 * 7


def test_another_seed_puts_other_people_into_the_parts(listed):
    sources = list_sources("adfes", listed)
    first, second = (
        {s["subject"] for p, s in specs(make_plan("adfes", listed, sources, seed=n)) if p == "test"}
        for n in (0, 1)
    )
    assert first != second


def test_where_the_set_lies_does_not_matter(listed, tmp_path):
    plan = make_plan("adfes", listed, list_sources("adfes", listed))
    moved = listed.rename(tmp_path / "elsewhere")
    assert make_plan("adfes", moved, list_sources("adfes", moved)).identity() == plan.identity()


def test_other_labels_come_behind_the_seven(listed):
    sources = list_sources("adfes", listed, every_label=True)
    assert make_plan("adfes", listed, sources).labels == [*EXPRESSIONS, "pride"]


def test_two_people_are_too_few(listed):
    for path in listed.iterdir():
        if not path.name.startswith(("F01", "M02")):
            path.unlink()
    with pytest.raises(DatasetError, match="2 people"):
        make_plan("adfes", listed, list_sources("adfes", listed))


@pytest.mark.parametrize(("choice", "message"), [({"seed": -1}, "seed"), ({"light": "x"}, "'x'")])
def test_impossible_choices_are_refused(listed, choice, message):
    with pytest.raises(DatasetError, match=message):
        make_plan("adfes", listed, list_sources("adfes", listed), **choice)


def test_a_command_makes_the_set_and_tells_what_it_could_not_use(small, tmp_path, capsys):
    pytest.importorskip("mediapipe", reason=f"MediaPipe is not installed: {INSTALL}")
    out = tmp_path / "out"
    status = main(["dataset", "make", "adfes", str(small), str(out), "--workers", "1"])
    err = capsys.readouterr().err
    # One of three parts has nothing that could be made, which is more than half of it.
    assert status == 1
    assert "pride" in err
    assert not (out / "manifest.json").exists()
    (small / "F03-Joy-Face Forward.mpeg").write_bytes(
        (small / "F01-Joy-Face Forward.mpeg").read_bytes()
    )
    assert main(["dataset", "make", "adfes", str(small), str(out), "--workers", "1"]) == 0
    dataset = open_dataset(out)
    dataset.verify()
    clips = [clip for part in dataset.parts for clip in dataset.part(part)]
    assert sorted(clip.subject for clip in clips) == ["adfes-F01", "adfes-F02", "adfes-F03"]
    for clip in clips:
        assert (clip.expression, clip.provenance["label"]) == ("happy", "joy")
        assert len(clip.events) > 20


def test_without_a_finder_the_command_says_how_to_get_one(small, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delattr(cv2, "CascadeClassifier", raising=False)
    arguments = ["dataset", "make", "adfes", str(small), str(tmp_path / "out"), "--workers", "1"]
    assert main(arguments) == 1
    assert "mediapipe" in capsys.readouterr().err
