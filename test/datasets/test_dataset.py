import json
import pickle
import shutil

import pytest

from cs3d_ros import extras
from cs3d_ros.datasets.build import build
from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.errors import Cs3dError
from cs3d_ros.recordings import open_recording
from dataset_helpers import assert_equal, some_plan

FIRST = "parts/train-00000.arrow"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(some_plan(folder), folder / "out")
    return folder / "out"


@pytest.fixture
def copied(built, tmp_path):
    shutil.copytree(built, tmp_path / "copy")
    return tmp_path / "copy"


def change(path, place, to=None):
    content = bytearray(path.read_bytes())
    content[place] = content[place] ^ 1 if to is None else to
    path.write_bytes(content)


class TestReading:
    def test_parts_and_labels(self, built):
        dataset = open_dataset(built)
        assert dataset.parts == ("test", "train")
        assert dataset.labels[0] == "neutral"
        assert len(dataset.part("train")) == 14
        with pytest.raises(DatasetError, match="no part 'dev', expected one of: test, train"):
            dataset.part("dev")

    def test_clips_by_index(self, built):
        train = open_dataset(built).part("train")
        names = [f"train-{i}" for i in range(14)]
        assert [train[i].name for i in range(14)] == names
        assert [train[i].name for i in range(-14, 0)] == names
        assert [clip.name for clip in train] == names
        assert [clip.name for clip in reversed(train)] == names[::-1]
        for index in (14, -15):
            with pytest.raises(IndexError, match="train, which has 14"):
                train[index]

    def test_the_table_tells_what_the_clips_say(self, built):
        test = open_dataset(built).part("test")
        for info, clip in zip(test.table(), test, strict=True):
            for name in ("name", "expression", "subject", "light", "width", "course"):
                assert getattr(info, name) == getattr(clip, name)
            assert info.event_count == len(clip.events)

    def test_it_can_be_sent_to_another_process(self, built):
        train = open_dataset(built).part("train")
        train[0]
        assert_equal(pickle.loads(pickle.dumps(train))[5], train[5])

    def test_recordings_are_recordings(self, built):
        path = open_dataset(built).recordings["stream-0"]
        with open_recording(path) as recording:
            assert len(list(recording)) == 5

    def test_whole_files_are_verified(self, built):
        open_dataset(built).verify()


class TestDamage:
    @pytest.mark.parametrize("name", [FIRST, "recordings/stream-0/stream-0.mcap"])
    def test_a_truncated_file_is_seen_when_it_is_opened(self, copied, name):
        path = copied / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(DatasetError, match=rf"{name}: has \d+ bytes instead of \d+; copy or"):
            open_dataset(copied)

    def test_a_missing_file_is_seen_when_it_is_opened(self, copied):
        (copied / FIRST).unlink()
        with pytest.raises(DatasetError, match=f"{FIRST}: cannot be read"):
            open_dataset(copied)

    def test_a_flipped_bit_is_seen_when_it_is_verified(self, copied):
        change(copied / FIRST, 5000)
        change(copied / "recordings/stream-0/metadata.yaml", 9)
        dataset = open_dataset(copied)
        with pytest.raises(DatasetError, match=rf"2 of 8 files .*{FIRST}, recordings/stream-0/met"):
            dataset.verify()

    def test_a_shard_with_other_clips_than_said(self, copied):
        manifest = json.loads((copied / "manifest.json").read_text())
        part = manifest["parts"]["train"]
        part["shards"][0]["clips"] = 5
        part["clips"] += 1
        for counts in (part["expressions"], part["lights"], part["subjects"]):
            counts[min(counts)] += 1
        (copied / "manifest.json").write_text(json.dumps(manifest))
        train = open_dataset(copied).part("train")
        with pytest.raises(DatasetError, match="holds another number of clips"):
            train.table()
        with pytest.raises(DatasetError, match="damaged"):
            train[4]


class TestNoDataSet:
    def test_no_manifest(self, copied):
        (copied / "manifest.json").unlink()
        with pytest.raises(DatasetError, match=r"no data set, there is no manifest\.json in it"):
            open_dataset(copied)

    def test_unfinished(self, copied):
        (copied / "manifest.json").unlink()
        (copied / "unfinished").mkdir()
        with pytest.raises(DatasetError, match="unfinished; run the command that began it again"):
            open_dataset(copied)

    @pytest.mark.parametrize("name", ["nowhere", "file", "file/below"])
    def test_no_folder(self, tmp_path, name):
        (tmp_path / "file").touch()
        with pytest.raises(DatasetError, match="no data set"):
            open_dataset(tmp_path / name)

    def test_a_later_version(self, copied):
        manifest = json.loads((copied / "manifest.json").read_text())
        (copied / "manifest.json").write_text(json.dumps({**manifest, "version": 9}))
        with pytest.raises(DatasetError, match="has version 9 of the format"):
            open_dataset(copied)

    def test_pyarrow_is_not_installed(self, built, monkeypatch):
        def missing(name):
            raise ImportError(f"No module named {name!r}")

        monkeypatch.setattr(extras.importlib, "import_module", missing)
        with pytest.raises(Cs3dError, match=r"pip install 'cs3d_ros\[train\]'"):
            open_dataset(built)
