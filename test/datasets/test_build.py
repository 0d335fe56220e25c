import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import dataset_helpers
from cs3d_ros.datasets import folder as folder_module
from cs3d_ros.datasets.build import ShardPlan, build, shards_of
from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.engines import Serial
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.shards import cut_to_resolution
from cs3d_ros.errors import Cs3dError
from dataset_helpers import assert_equal, contents, make_clip, some_plan


@pytest.fixture(scope="module")
def whole_folder(tmp_path_factory):
    """What an uninterrupted build makes."""
    folder = tmp_path_factory.mktemp("built") / "whole"
    build(some_plan(folder.parent), folder)
    return folder


@pytest.fixture(scope="module")
def whole(whole_folder):
    return contents(whole_folder)


def failing_after(monkeypatch, count, error):
    """Let the build fail at the file after `count` ones."""
    keep = folder_module.BuildFolder.keep
    left = [count]

    def fail(self, made):
        if not left[0]:
            raise error
        left[0] -= 1
        keep(self, made)

    monkeypatch.setattr(folder_module.BuildFolder, "keep", fail)


class TestWhatIsBuilt:
    def test_all_clips_are_there(self, tmp_path):
        plan = some_plan(tmp_path)
        manifest = build(plan, tmp_path / "out")
        dataset = open_dataset(tmp_path / "out")
        assert dataset.manifest.to_json() == manifest.to_json()
        train = dataset.part("train")
        specs = [spec for shard in plan.shards if shard.part == "train" for spec in shard.specs]
        assert [clip.name for clip in train] == [spec["name"] for spec in specs]
        made = make_clip(({"base": 7}, {}), specs[9])
        assert_equal(train[9], replace(made, events=cut_to_resolution(made.events)))

    def test_the_manifest_counts(self, tmp_path):
        manifest = build(some_plan(tmp_path), tmp_path / "out")
        train = manifest.parts["train"]
        assert (train.clips, train.events, train.duration_ns) == (14, 2800, 14 * 10**9)
        assert train.expressions == dict.fromkeys(manifest.labels, 2)
        assert train.lights == {"sufficient": 7, "insufficient": 7}
        assert train.subjects == {"train-0": 7, "train-1": 7}
        assert [shard.clips for shard in train.shards] == [4, 4, 4, 2]
        assert manifest.totals["bytes"] == sum(e.bytes for e in manifest.files)
        assert manifest.recordings[0].info == {"subject": "streamer", "events": 3000}
        assert manifest.settings == {"base": 7, "nested": {"a": [1, 2]}}

    def test_nothing_but_the_data_set_is_left(self, whole_folder, whole):
        names = {p.name for p in whole_folder.iterdir()}
        assert names == {"manifest.json", "build.log.json", "parts", "recordings"}
        paths = str(whole_folder.parent)
        assert not any(paths in content.decode("latin1") for content in whole.values())

    def test_times_and_places_are_in_the_log_alone(self, tmp_path, whole):
        build(some_plan(tmp_path), tmp_path / "again")
        assert contents(tmp_path / "again") == whole
        log = json.loads((tmp_path / "again" / "build.log.json").read_text())
        assert log["runs"][0]["done_after"] == 21

    def test_a_finished_one_is_left_as_it_is(self, tmp_path, monkeypatch):
        manifest = build(some_plan(tmp_path), tmp_path / "out")
        failing_after(monkeypatch, 0, AssertionError)
        assert build(some_plan(tmp_path), tmp_path / "out").to_json() == manifest.to_json()


class TestSkippedClips:
    def test_they_are_counted_with_the_reason(self, tmp_path):
        manifest = build(some_plan(tmp_path, [(1, "fails"), (9, "fails")]), tmp_path / "out")
        assert [(s.part, s.shard, s.position, s.reason) for s in manifest.skipped] == [
            ("train", 0, 1, "no face in train-1"),
            ("train", 2, 1, "no face in train-9"),
        ]
        train = open_dataset(tmp_path / "out").part("train")
        assert len(train) == 12
        assert [info.name for info in train.table()][:3] == ["train-0", "train-2", "train-3"]

    def test_too_many_are_an_error(self, tmp_path):
        plan = some_plan(tmp_path, [(i, "fails") for i in range(8)])
        with pytest.raises(DatasetError, match=r"8 of 14 clips of train.*50%.*no face in train-7"):
            build(plan, tmp_path / "out")
        assert not (tmp_path / "out" / "manifest.json").exists()

    def test_they_are_tried_again_when_it_goes_on(self, tmp_path, monkeypatch):
        plan = some_plan(tmp_path, [(1, "fails")])
        failing_after(monkeypatch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(plan, tmp_path / "out")
        monkeypatch.undo()
        (tmp_path / "mended").touch()
        manifest = build(plan, tmp_path / "out")
        assert manifest.skipped == ()
        assert manifest.parts["train"].clips == 14


class TestGoingOn:
    @pytest.mark.parametrize("count", [0, 1, 4])
    def test_it_ends_with_the_same_bytes(self, tmp_path, whole, monkeypatch, count):
        failing_after(monkeypatch, count, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        with pytest.raises(DatasetError, match="unfinished; run the command that began it again"):
            open_dataset(tmp_path / "out")
        build(some_plan(tmp_path), tmp_path / "out")
        assert contents(tmp_path / "out") == whole

    def test_what_is_whole_is_not_made_again(self, tmp_path, monkeypatch):
        failing_after(monkeypatch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        engine = CountingEngine()
        build(some_plan(tmp_path), tmp_path / "out", engine)
        assert engine.files == ["parts/train-00003.arrow", "parts/test-00000.arrow",
                                "parts/test-00001.arrow"]  # fmt: skip

    @pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
    def test_what_is_damaged_meanwhile_is_made_again(self, tmp_path, whole, monkeypatch, damage):
        failing_after(monkeypatch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        for name in ("parts/train-00001.arrow", "recordings/stream-0/stream-0.mcap"):
            path = tmp_path / "out" / name
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content[:-1] if damage == "truncate" else content)
            if damage == "remove":
                path.unlink()
        build(some_plan(tmp_path), tmp_path / "out")
        assert contents(tmp_path / "out") == whole

    @pytest.mark.parametrize("tail", [b'{"part": "tr', b"\x00\x00\x00", b"[]\n7\n{}\n"])
    def test_half_a_line_of_progress_does_no_harm(self, tmp_path, whole, monkeypatch, tail):
        failing_after(monkeypatch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        with (tmp_path / "out" / "unfinished" / "progress.jsonl").open("ab") as file:
            file.write(tail)
        build(some_plan(tmp_path), tmp_path / "out")
        assert contents(tmp_path / "out") == whole

    def test_damaged_notes_are_told(self, tmp_path, monkeypatch):
        failing_after(monkeypatch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        progress = tmp_path / "out" / "unfinished" / "progress.jsonl"
        progress.write_text(progress.read_text().replace('"clips": [[', '"clops": [['))
        with pytest.raises(DatasetError, match=r"notes of an earlier run are damaged \(KeyError"):
            build(some_plan(tmp_path), tmp_path / "out")

    def test_other_arguments_are_refused_by_name(self, tmp_path, monkeypatch):
        failing_after(monkeypatch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        changed = some_plan(tmp_path, settings={"base": 8, "nested": {"a": [1, 2]}})
        with pytest.raises(DatasetError, match=r"begun otherwise: settings\.base was 7, now 8"):
            build(changed, tmp_path / "out")
        with pytest.raises(DatasetError, match="go on with it, remove it"):
            build(some_plan(tmp_path), tmp_path / "out", resume=False)

    def test_other_versions_are_refused_by_name(self, tmp_path, monkeypatch):
        failing_after(monkeypatch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        job = tmp_path / "out" / "unfinished" / "job.json"
        content = json.loads(job.read_text())
        content["environment"]["numpy"] = "1.0"
        job.write_text(json.dumps(content))
        with pytest.raises(DatasetError, match=r"environment\.numpy was '1\.0', now"):
            build(some_plan(tmp_path), tmp_path / "out")


class CountingEngine:
    def __init__(self):
        self.files = []

    def map_unordered(self, function, tasks):
        for task in tasks:
            self.files.append(getattr(task.what, "file", None) or task.what.folder)
            yield function(task)


class TestTheFolder:
    def test_something_else_in_it_stays(self, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        (out / "thesis.tex").write_text("mine")
        with pytest.raises(DatasetError, match=r"holds something else \(thesis\.tex\)"):
            build(some_plan(tmp_path), out)
        assert [p.name for p in out.iterdir()] == ["thesis.tex"]

    def test_a_stranger_in_an_unfinished_one_stays(self, tmp_path, monkeypatch):
        failing_after(monkeypatch, 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        (tmp_path / "out" / "notes.txt").touch()
        with pytest.raises(DatasetError, match=r"holds something else \(notes\.txt\)"):
            build(some_plan(tmp_path), tmp_path / "out")

    def test_another_data_set_stays(self, tmp_path, whole_folder, whole):
        with pytest.raises(DatasetError, match="made otherwise: seed was 5, now 6"):
            build(some_plan(tmp_path, seed=6), whole_folder)
        assert contents(whole_folder) == whole

    def test_a_file_is_no_folder(self, tmp_path):
        (tmp_path / "out").touch()
        with pytest.raises(DatasetError, match="cannot be a folder to build in"):
            build(some_plan(tmp_path), tmp_path / "out")

    def test_its_parent_has_to_be_there(self, tmp_path):
        with pytest.raises(DatasetError, match=f"the folder {tmp_path / 'a'} does not exist"):
            build(some_plan(tmp_path), tmp_path / "a" / "b")

    def test_one_build_at_a_time(self, tmp_path):
        class Nested(CountingEngine):
            def map_unordered(self, function, tasks):
                with pytest.raises(DatasetError, match="another build is at work in it"):
                    build(some_plan(tmp_path), tmp_path / "out")
                return super().map_unordered(function, tasks)

        build(some_plan(tmp_path), tmp_path / "out", Nested())

    def test_a_full_disk_is_told_and_nothing_looks_whole(self, tmp_path, whole, monkeypatch):
        write, left = folder_module._write_through, [6]

        def full(path, content):
            left[0] -= 1
            if left[0] < 0:
                path.write_bytes(content[: len(content) // 2])
                raise OSError(28, "No space left on device")
            write(path, content)

        monkeypatch.setattr(folder_module, "_write_through", full)
        with pytest.raises(DatasetError, match=r"cannot be written \(No space left on device\)"):
            build(some_plan(tmp_path), tmp_path / "out")
        monkeypatch.undo()
        with pytest.raises(DatasetError, match="unfinished"):
            open_dataset(tmp_path / "out")
        build(some_plan(tmp_path), tmp_path / "out")
        assert contents(tmp_path / "out") == whole

    def test_a_disk_that_cannot_be_written_to_is_one_error(self, tmp_path, monkeypatch):
        def refuse(path, *arguments):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(folder_module, "_write_through", refuse)
        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(DatasetError, match=r"cannot be written \(Read-only file system\)"):
            build(some_plan(tmp_path), tmp_path / "out")


class TestFaultyPlans:
    def test_an_unexpected_error_names_the_clip(self, tmp_path):
        plan = some_plan(tmp_path, [(5, "odd")])
        message = r"clip 1 of parts/train-00001\.arrow .*train-5.*Odd: this and that"
        with pytest.raises(DatasetError, match=message):
            build(plan, tmp_path / "out")
        (tmp_path / "mended").touch()
        assert build(plan, tmp_path / "out").totals["clips"] == 20

    def test_one_name_twice(self, tmp_path):
        spec = some_plan(tmp_path).shards[0].specs[0]
        shards = shards_of("train", [spec, spec], 1)
        with pytest.raises(DatasetError, match="two clips are named train-0"):
            build(some_plan(tmp_path, shards=shards), tmp_path / "out")

    def test_one_subject_in_two_parts(self, tmp_path):
        spec = some_plan(tmp_path).shards[0].specs[0]
        shards = [ShardPlan("a", 0, [spec]), ShardPlan("b", 0, [{**spec, "name": "other"}])]
        with pytest.raises(DatasetError, match="subject train-0 of clip other is in the parts a"):
            build(some_plan(tmp_path, shards=shards), tmp_path / "out")

    def test_an_unknown_class(self, tmp_path):
        with pytest.raises(DatasetError, match="shows 'happy', expected one of"):
            build(some_plan(tmp_path, labels=("neutral", "angry")), tmp_path / "out")

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"name": "a/b"}, "the name 'a/b'"),
            ({"name": "../x"}, "the name"),
            ({"settings": {"a": {1, 2}}}, "not what JSON can hold"),
            ({"settings": {"a": float("nan")}}, "not what JSON can hold"),
            ({"make_clip": lambda context, spec: None}, "top of a module"),
            ({"shards": [ShardPlan("train", 1, [])]}, r"shards \[1\] of train"),
            ({"shards": [], "recordings": []}, "nothing to build"),
            ({"make_recording": None}, "without make_recording"),
        ],
    )
    def test_they_are_refused_at_once(self, tmp_path, changes, message):
        with pytest.raises(DatasetError, match=message):
            some_plan(tmp_path, **changes)

    def test_a_context_that_cannot_be_loaded(self, tmp_path):
        with pytest.raises(Cs3dError, match="no such kit"):
            build(some_plan(tmp_path, make_context=no_kit), tmp_path / "out")


def no_kit(settings, sources):
    raise Cs3dError("no such kit")


class TestInterrupted:
    """The real thing: a process that is ended by a signal."""

    def start(self, folder, workers):
        temporary = folder.parent / "temporary"
        temporary.mkdir()
        process = subprocess.Popen(
            [sys.executable, dataset_helpers.__file__, str(folder), str(workers), "waits"],
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join([*sys.path]),
                "TMPDIR": str(temporary),
            },
            start_new_session=True,
        )
        for line in process.stderr:
            if line.startswith("pid "):
                return process, int(line.split()[1])
        raise AssertionError(f"ended with {process.wait()}")

    @pytest.mark.parametrize(
        ("workers", "number", "status"),
        [
            (2, signal.SIGINT, -signal.SIGINT),
            (2, signal.SIGTERM, 128 + signal.SIGTERM),
            (2, signal.SIGKILL, -signal.SIGKILL),
        ],
    )
    def test_it_ends_at_once_and_goes_on(self, tmp_path, whole, workers, number, status):
        process, worker = self.start(tmp_path / "out", workers)
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        ended = process.wait(timeout=30)
        process.stderr.close()
        assert ended == status
        wait_until_gone(worker)
        assert list((tmp_path / "temporary").iterdir()) == []
        with pytest.raises(DatasetError, match="unfinished"):
            open_dataset(tmp_path / "out")
        (tmp_path / "mended").touch()
        build(some_plan(tmp_path, [(9, "waits")]), tmp_path / "out", Serial())
        files = {k: v for k, v in contents(tmp_path / "out").items() if k != "manifest.json"}
        assert files == {k: v for k, v in whole.items() if k != "manifest.json"}


def wait_until_gone(pid):
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()
