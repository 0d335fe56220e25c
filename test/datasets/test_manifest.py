import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.manifest import (
    FileEntry,
    Manifest,
    PartEntry,
    RecordingEntry,
    ShardEntry,
    SkippedClip,
    is_whole,
    sha256_of,
)

PATH = Path("somewhere/manifest.json")
SHA = "0123456789abcdef" * 4


def some_manifest() -> Manifest:
    shards = tuple(
        ShardEntry(i, FileEntry(f"parts/train-{i:05d}.arrow", 100 + i, SHA), 4, 50) for i in (0, 1)
    )
    part = PartEntry(shards, 8, 100, 201, 8 * 10**9, {"sad": 8}, {"unknown": 8}, {"a": 3, "b": 5})
    stream = RecordingEntry("s", (FileEntry("recordings/s/s.mcap", 9, SHA),), {"part": "train"})
    skip = SkippedClip("train", 1, 2, "no face")
    return Manifest(
        name="some",
        seed=3,
        settings={"a": [1, {"b": None}]},
        environment={"numpy": "2"},
        plan=SHA,
        labels=("neutral", "sad"),
        parts={"train": part},
        recordings=(stream,),
        skipped=(skip,),
    )


def test_it_comes_back_as_it_was():
    text = some_manifest().to_json()
    assert Manifest.from_json(text, PATH) == some_manifest()
    assert Manifest.from_json(text, PATH).to_json() == text


def test_totals():
    assert some_manifest().totals == {
        "clips": 8, "events": 100, "duration_ns": 8 * 10**9, "recordings": 1, "skipped": 1,
        "bytes": 210,
    }  # fmt: skip
    assert json.loads(some_manifest().to_json())["totals"]["bytes"] == 210


def changed(**changes) -> str:
    return json.dumps({**json.loads(some_manifest().to_json()), **changes})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", '{"format": "else"}', b"\xff\xfe", "[" * 9999]
)
def test_something_else_is_refused(text):
    with pytest.raises(DatasetError, match=r"somewhere/manifest\.json: is"):
        Manifest.from_json(text, PATH)


def test_a_later_version_is_refused():
    with pytest.raises(DatasetError, match=r"has version 2 of the format, .* update the package"):
        Manifest.from_json(changed(version=2), PATH)


@pytest.mark.parametrize("file", ["/etc/passwd", "../x", "a/../../x", "", "a\0b"])
def test_files_outside_of_the_folder_are_refused(file):
    with pytest.raises(DatasetError, match="expected a path within the folder"):
        FileEntry(file, 1, SHA)


@pytest.mark.parametrize("name", ["/etc", "../..", "..", ".", "", "a/b", "other"])
def test_recordings_outside_of_their_folder_are_refused(name):
    recording = {"name": name, "files": [], "info": {}}
    for file in (f"recordings/{name}/s.mcap", "recordings/s/s.mcap"):
        recording["files"] = [{"file": file, "bytes": 9, "sha256": SHA}]
        if (name, file) != ("other", "recordings/other/s.mcap"):
            with pytest.raises(DatasetError, match=r"expected a (name|path)"):
                Manifest.from_json(changed(recordings=[recording]), PATH)
    with pytest.raises(DatasetError, match="expected a name and files"):
        Manifest.from_json(changed(recordings=[{**recording, "files": []}]), PATH)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("clips", 9), ("events", 99), ("bytes", 200), ("duration_ns", -1), ("clips", 10**400),
        ("expressions", {"sad": 7}), ("lights", {"unknown": "8"}), ("subjects", {"a": 9, "b": -1}),
    ],
)  # fmt: skip
def test_a_part_that_does_not_add_up_is_refused(name, value):
    part = json.loads(some_manifest().to_json())["parts"]["train"]
    with pytest.raises(DatasetError, match="is damaged"):
        Manifest.from_json(changed(parts={"train": {**part, name: value}}), PATH)


def test_a_file_with_less_than_no_clips_is_refused():
    part = json.loads(some_manifest().to_json())["parts"]["train"]
    part["shards"][0]["clips"], part["shards"][1]["clips"] = 10, -2
    with pytest.raises(DatasetError, match="-2 instead of a number from 0"):
        Manifest.from_json(changed(parts={"train": part}), PATH)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damage_is_refused_and_nothing_else_raised(data):
    """Any value within the manifest replaced by any other."""
    content = json.loads(some_manifest().to_json())
    where = content
    while True:
        keys = range(len(where)) if isinstance(where, list) else sorted(where)
        key = data.draw(st.sampled_from(list(keys)))
        if isinstance(where[key], dict | list) and where[key] and data.draw(st.booleans()):
            where = where[key]
            continue
        break
    values = [None, -1, 7, 1.5, True, "", "x", [], {}, [[]], {"a": {}}]
    where[key] = data.draw(st.sampled_from(values))
    with suppress(DatasetError):
        assert Manifest.from_json(json.dumps(content), PATH).to_json()


def test_a_file_is_whole_by_its_checksum(tmp_path):
    (tmp_path / "a").write_bytes(b"content")
    entry = FileEntry("a", 7, sha256_of(tmp_path / "a"))
    assert is_whole(tmp_path, entry)
    for content in (b"contenT", b"conten", b"content "):
        (tmp_path / "a").write_bytes(content)
        assert not is_whole(tmp_path, entry)
    (tmp_path / "a").unlink()
    assert not is_whole(tmp_path, entry)
