import json
import pickle
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.shards import ShardReader, ShardWriter, cut_to_resolution
from cs3d_ros.events.packets import Events
from cs3d_ros.expressions import Course
from dataset_helpers import assert_equal, random_events, some_clip


def written(*clips) -> bytes:
    writer = ShardWriter()
    for clip in clips:
        writer.add(clip)
    return writer.finish()


def reader_of(path, *clips) -> ShardReader:
    path.write_bytes(written(*clips))
    return ShardReader(path)


def as_kept(clip: Clip) -> Clip:
    values = {name: getattr(clip, name) for name in Clip.__dataclass_fields__}
    return Clip(**{**values, "events": cut_to_resolution(clip.events)})


CLIPS = st.builds(
    lambda seed, n, width, height, course, duration_ns: Clip(
        name=f"clip-{seed}",
        events=random_events(np.random.default_rng(seed), n, width, height, duration_ns),
        width=width,
        height=height,
        duration_ns=duration_ns,
        expression="sad",
        subject="søren",
        light="unknown",
        course=course,
        provenance={"seed": seed},
    ),
    seed=st.integers(0, 1 << 30),
    n=st.integers(0, 40),
    width=st.sampled_from([1, 112, 256, 257, 4096]),
    height=st.sampled_from([1, 112, 256, 257]),
    course=st.sampled_from([None, Course(0, 0, 0, 0), Course(1, 2, None, 3), Course(5, 5, 7, 9)]),
    duration_ns=st.sampled_from([1, 999, 1000, 10**9, 3600 * 10**9]),
)


class TestRoundTrip:
    @settings(max_examples=60, deadline=None)
    @given(clips=st.lists(CLIPS, max_size=4))
    def test_clips_come_back_exactly_but_for_fractions_of_a_microsecond(
        self, tmp_path_factory, clips
    ):
        reader = reader_of(tmp_path_factory.mktemp("shard") / "x.arrow", *clips)
        assert len(reader) == len(clips)
        for index, clip in enumerate(clips):
            assert_equal(reader.clip(index), as_kept(clip))

    def test_what_is_known_without_events(self, tmp_path):
        clips = [some_clip(0, n=7), some_clip(1, n=0, course=None, light="unknown")]
        infos = list(reader_of(tmp_path / "x.arrow", *clips).infos())
        assert [i.name for i in infos] == ["clip-0", "clip-1"]
        assert [i.event_count for i in infos] == [7, 0]
        assert [i.course for i in infos] == [clips[0].course, None]
        assert infos[0].provenance == clips[0].provenance
        assert (infos[1].light, infos[1].subject, infos[1].width) == ("unknown", "someone", 112)

    def test_an_hour_without_events_fits(self, tmp_path):
        one = np.ones(2, np.uint16)
        events = Events(np.array([0, 3600 * 10**9]), one, one, one.astype(np.uint8))
        clip = some_clip(events=events, duration_ns=3601 * 10**9)
        assert_equal(reader_of(tmp_path / "x.arrow", clip).clip(0), clip)

    def test_numbers_of_numpy_are_numbers(self, tmp_path):
        course = Course(np.int64(1), np.int64(2), None, np.int64(3))
        clip = some_clip(width=np.int64(112), duration_ns=np.int64(10**9), course=course)
        assert_equal(reader_of(tmp_path / "x.arrow", clip).clip(0), as_kept(clip))

    def test_it_can_be_sent_to_another_process(self, tmp_path):
        reader = reader_of(tmp_path / "x.arrow", some_clip())
        reader.clip(0)
        assert_equal(pickle.loads(pickle.dumps(reader)).clip(0), reader.clip(0))


class TestTheFile:
    def test_the_same_clips_make_the_same_bytes(self):
        clips = [some_clip(seed, n=1000 * seed) for seed in range(4)]
        assert written(*clips) == written(*clips)

    def test_any_arrow_reads_it(self, tmp_path):
        clip = some_clip(3, n=1001)
        (tmp_path / "x.arrow").write_bytes(written(clip))
        row = pa.ipc.open_file(tmp_path / "x.arrow").read_all().to_pylist()[0]
        assert json.loads(row["info"]) == {
            "name": "clip-3", "expression": "happy", "subject": "someone", "light": "sufficient",
            "width": 112, "height": 112, "duration_ns": 10**9, "event_count": 1001,
            "onset_ns": 100_000_000, "apex_ns": 300_000_000, "release_ns": None,
            "offset_ns": 900_000_000, "provenance": clip.provenance,
        }  # fmt: skip
        assert np.cumsum(row["dt_us"]).tolist() == (clip.events.t_ns // 1000).tolist()
        assert row["x"] == clip.events.x.tolist()
        assert row["p"] == clip.events.p.astype(bool).tolist()

    def test_a_byte_a_coordinate_up_to_256_pixels(self, tmp_path):
        for width, kind in ((256, pa.uint8()), (257, pa.uint16())):
            (tmp_path / "x.arrow").write_bytes(written(some_clip(width=width)))
            schema = pa.ipc.open_file(tmp_path / "x.arrow").schema
            assert schema.field("x").type == pa.list_(kind)

    def test_its_version_and_columns_are_what_is_documented(self, tmp_path):
        (tmp_path / "x.arrow").write_bytes(written(some_clip()))
        schema = pa.ipc.open_file(tmp_path / "x.arrow").schema
        assert schema.metadata == {b"format": b"cs3d_ros clips", b"version": b"1"}
        assert schema.names == ["info", "dt_us", "x", "y", "p"]


class TestClipsThatCannotBeKept:
    @pytest.mark.parametrize("name", ["", "a/b", "a b", "é", "x" * 201])
    def test_names(self, name):
        with pytest.raises(DatasetError, match="expected 1 to 200 letters"):
            written(some_clip(name=name))

    @pytest.mark.parametrize("value", [{1, 2}, float("nan"), b"bytes", np.float32(1)])
    def test_provenance(self, value):
        with pytest.raises(DatasetError, match="not what JSON can hold"):
            written(some_clip(provenance={"x": value}))

    def test_gaps(self):
        one = np.ones(2, np.uint16)
        events = Events(np.array([0, 4300 * 10**9]), one, one, one.astype(np.uint8))
        with pytest.raises(DatasetError, match="4300 s without events"):
            written(some_clip(events=events, duration_ns=4300 * 10**9))


# Damaged files are read in a process of their own: what Arrow does not catch would end this one.
_READ_DAMAGED = """
import sys
import numpy as np
from pathlib import Path
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.shards import ShardReader

path = Path(sys.argv[1])
whole, rng = path.read_bytes(), np.random.default_rng(0)
outcomes = {"read": 0, "refused": 0}
for n in range(int(sys.argv[2])):
    content = bytearray(whole)
    # Most of a file is compressed events, most of what can go wrong is not.
    region = len(content) if n % 2 else 2500
    for _ in range(rng.integers(1, 4)):
        place = rng.integers(region) if n % 4 else len(content) - 1 - rng.integers(region)
        content[place] = rng.integers(256)
    if n % 5 == 0:
        del content[rng.integers(len(content)) :]
    path.write_bytes(content)
    reader = ShardReader(path)
    for read in (lambda: [reader.clip(i) for i in range(len(reader))], lambda: [*reader.infos()]):
        try:
            read()
            outcomes["read"] += 1
        except DatasetError:
            outcomes["refused"] += 1
print(outcomes["read"], outcomes["refused"])
"""


class TestDamagedFiles:
    def test_flipped_and_missing_bytes_are_refused_or_harmless(self, tmp_path):
        path = tmp_path / "x.arrow"
        path.write_bytes(written(*(some_clip(seed, n=300) for seed in range(3))))
        run = subprocess.run(
            [sys.executable, "-c", _READ_DAMAGED, str(path), "600"],
            capture_output=True, text=True, timeout=120, env={"PYTHONPATH": ":".join(sys.path)},
        )  # fmt: skip
        assert run.returncode == 0, run.stderr[-2000:]
        read, refused = map(int, run.stdout.split())
        assert read + refused == 1200
        assert refused > 300

    @pytest.mark.parametrize("content", [b"", b"ARROW1", b"ARROW1\0\0" + b"\xff" * 64, b"x" * 99])
    def test_something_else(self, tmp_path, content):
        (tmp_path / "x.arrow").write_bytes(content)
        with pytest.raises(DatasetError, match=r"x\.arrow: no file of clips, or a damaged one"):
            len(ShardReader(tmp_path / "x.arrow"))

    @pytest.mark.parametrize(
        "course", [Course(1, None, None, 3), Course(None, 1, 2, 3), Course(1, 2, 2, None)]
    )
    def test_courses_with_gaps(self, tmp_path, course):
        reader = reader_of(tmp_path / "x.arrow", some_clip(course=course))
        for read in (lambda: reader.clip(0), lambda: list(reader.infos())):
            with pytest.raises(DatasetError, match="or a damaged one"):
                read()

    def test_another_arrow_file(self, tmp_path):
        batch = pa.record_batch({"name": ["a"]})
        with pa.ipc.new_file(tmp_path / "x.arrow", batch.schema) as writer:
            writer.write_batch(batch)
        with pytest.raises(DatasetError, match="other columns than a file of clips has"):
            ShardReader(tmp_path / "x.arrow").clip(0)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(DatasetError, match="No such file"):
            ShardReader(tmp_path / "x.arrow").clip(0)
