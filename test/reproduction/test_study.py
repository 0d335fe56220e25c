import json
import shutil
from dataclasses import replace

import pytest
import torch

from cs3d_ros.errors import Cs3dError
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.reproduction.study import Reproduction
from cs3d_ros.reproduction.tables import table_of
from reproduction_helpers import SETTINGS, Fake
from training_helpers import make_data

SMALL = replace(SETTINGS, clips=0, batch=8)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Parts of 16, 8 and 4 clips."""
    return make_data(tmp_path_factory.mktemp("sets"))


def begin(data, out, name="table2", seeds=(0, 1), only=(), settings=SMALL):
    paths = data if isinstance(data, list) else [data]
    table = table_of(name, settings)
    return Reproduction(table, "quick", settings, paths, out, seeds, only, "cs3d")


def renamed(data, folder):
    """The same data set under another name."""
    shutil.copytree(data, folder)
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": "adfes"}))
    return folder


def go(data, out, fake, **changes):
    reproduction = begin(data, out, **changes)
    return reproduction.go(
        train=fake.train, evaluate=fake.evaluate, progress=False, report=lambda line: None
    )


class TestRuns:
    def test_each_row_is_trained_with_each_seed_and_nothing_else_differs(self, data, tmp_path):
        fake = Fake()
        study = go(data, tmp_path / "out", fake)
        folders = [str(out.relative_to(tmp_path)) for out, _ in fake.trained]
        networks = ("rnn", "transformer", "lstm", "c3d", "cs3d")
        assert folders == [f"out/some/{name}-seed{seed}" for name in networks for seed in (0, 1)]
        wanted = [replace(SMALL, network=name, seed=seed) for name in networks for seed in (0, 1)]
        assert [settings for _, settings in fake.trained] == wanted
        assert {part for _, part in fake.evaluated} == {"test"}
        assert study.is_finished
        assert study.data[0].row("rnn").accuracies == [0.4, 0.45]
        assert (study.data[0].data_set, study.data[0].clips, study.data[0].people) == ("some", 4, 2)

    def test_forks_never_see_the_test_part(self, data, tmp_path):
        fake = Fake()
        study = go(data, tmp_path / "out", fake, name="forks", seeds=(0,), only=("base", "pool"))
        assert [out.name for out, _ in fake.trained] == [
            "base-seed0", "pool=max-seed0", "pool=average-seed0",
        ]  # fmt: skip
        assert {part for _, part in fake.evaluated} == {"validation"}
        assert study.data[0].clips == 8

    def test_an_interrupted_table_goes_on_where_it_was(self, data, tmp_path):
        first, second = Fake(stops_after=3), Fake()
        with pytest.raises(KeyboardInterrupt):
            go(data, tmp_path / "out", first)
        so_far = begin(data, tmp_path / "out").study().data[0]
        assert [row.row.name for row in so_far.finished] == ["rnn"]
        assert len(so_far.row("transformer").outcomes) == 1
        study = go(data, tmp_path / "out", second)
        done = [out.name for out, _ in first.trained]
        assert done == ["rnn-seed0", "rnn-seed1", "transformer-seed0"]
        assert len(second.trained) == 7
        assert not set(done) & {out.name for out, _ in second.trained}
        assert study.is_finished
        third = Fake()
        assert go(data, tmp_path / "out", third) == study
        assert third.trained == []

    def test_only_some_rows_leave_the_others_open(self, data, tmp_path):
        fake = Fake()
        study = go(data, tmp_path / "out", fake, only=("rnn",), seeds=(1,))
        assert [out.name for out, _ in fake.trained] == ["rnn-seed1"]
        assert [row.row.name for row in study.data[0].finished] == ["rnn"]
        assert len(study.data[0].rows) == 5

    def test_more_seeds_need_the_new_ones_only(self, data, tmp_path):
        go(data, tmp_path / "out", Fake(), only=("rnn",), seeds=(0,))
        fake = Fake()
        study = go(data, tmp_path / "out", fake, only=("rnn",), seeds=(2, 0))
        assert [out.name for out, _ in fake.trained] == ["rnn-seed2"]
        assert [o.seed for o in study.data[0].row("rnn").outcomes] == [0, 2]

    def test_one_that_fails_does_not_keep_the_others_from_being_done(self, data, tmp_path):
        study = go(data, tmp_path / "out", Fake(fails=["lstm"]), seeds=(0,))
        assert study.failures == ("some, lstm, seed 0: the loss is no longer a number",)
        open_rows = [row.row.name for row in study.data[0].rows if not row.is_finished]
        assert open_rows == ["lstm"]
        mended = go(data, tmp_path / "out", Fake(), seeds=(0,))
        assert mended.failures == ()
        assert mended.is_finished

    def test_after_each_run_the_table_can_be_written(self, data, tmp_path):
        seen, fake = [], Fake()
        begin(data, tmp_path / "out", only=("rnn",)).go(
            train=fake.train,
            evaluate=fake.evaluate,
            report=lambda line: None,
            after=lambda study: seen.append(len(study.data[0].row("rnn").outcomes)),
        )
        assert seen == [1, 2]

    def test_a_damaged_run_is_found_before_any_training(self, data, tmp_path):
        go(data, tmp_path / "out", Fake(), only=("cs3d",), seeds=(0,))
        (tmp_path / "out/some/cs3d-seed0/evaluation.json").write_text("{")
        fake = Fake()
        with pytest.raises(ReproductionError, match="cannot be used"):
            go(data, tmp_path / "out", fake, seeds=(0,))
        assert fake.trained == []


class TestDataSets:
    def test_two_have_their_own_runs_and_results(self, data, tmp_path):
        other = renamed(data, tmp_path / "other")
        fake = Fake()
        study = go([data, other], tmp_path / "out", fake, only=("rnn",), seeds=(0,))
        folders = [str(out.relative_to(tmp_path / "out")) for out, _ in fake.trained]
        assert folders == ["some/rnn-seed0", "adfes/rnn-seed0"]
        assert [result.data_set for result in study.data] == ["some", "adfes"]

    def test_another_may_come_in_but_none_be_left_out(self, data, tmp_path):
        other = renamed(data, tmp_path / "other")
        begin(data, tmp_path / "out")
        begin([other, data], tmp_path / "out")
        with pytest.raises(ReproductionError, match="is of the data set adfes, which is not given"):
            begin(data, tmp_path / "out")

    def test_the_same_twice_is_refused(self, data, tmp_path):
        with pytest.raises(ReproductionError, match="two data sets are named some"):
            begin([data, data], tmp_path / "out")

    def test_one_without_a_test_part_is_refused_but_for_forks(self, tmp_path):
        without = make_data(tmp_path, train=16, validation=8)
        with pytest.raises(ReproductionError, match="has no part 'test', only train, validation"):
            begin(without, tmp_path / "out")
        begin(without, tmp_path / "out", name="forks")

    def test_a_test_part_of_one_class_is_refused(self, tmp_path):
        one = make_data(tmp_path, train=16, validation=8, test=1)
        with pytest.raises(ReproductionError, match=r"its part test shows .*; accuracy needs"):
            begin(one, tmp_path / "out")

    def test_one_class_to_train_on_is_refused(self, tmp_path):
        one = make_data(tmp_path, ["happy"])
        with pytest.raises(Cs3dError, match="one class"):
            begin(one, tmp_path / "out")

    def test_what_is_no_data_set_is_refused_and_makes_no_folder(self, tmp_path):
        with pytest.raises(Cs3dError, match="no data set"):
            begin(tmp_path, tmp_path / "out")
        assert not (tmp_path / "out").exists()


class TestFolder:
    def test_one_of_another_table_is_refused(self, data, tmp_path):
        begin(data, tmp_path / "out")
        with pytest.raises(ReproductionError, match="is of table2, not of table4; choose another"):
            begin(data, tmp_path / "out", name="table4")

    def test_one_of_another_protocol_is_refused_with_the_difference(self, data, tmp_path):
        begin(data, tmp_path / "out")
        with pytest.raises(
            ReproductionError, match=rf"settings.epochs was {SETTINGS.epochs}, is 13"
        ):
            begin(data, tmp_path / "out", settings=replace(SMALL, epochs=13))

    def test_another_machine_may_go_on(self, data, tmp_path):
        begin(data, tmp_path / "out")
        begin(data, tmp_path / "out", settings=replace(SMALL, threads=1, device="cpu", workers=2))

    def test_one_of_another_data_set_is_refused(self, data, tmp_path):
        begin(data, tmp_path / "out")
        path = tmp_path / "out/reproduction.json"
        content = json.loads(path.read_text())
        path.write_text(json.dumps({**content, "data": {"adfes": "ab" * 32}}))
        with pytest.raises(ReproductionError, match="is of the data set adfes, which is not given"):
            begin(data, tmp_path / "out")
        path.write_text(json.dumps({**content, "data": {"some": "ab" * 32}}))
        with pytest.raises(ReproductionError, match=r'data.some was "abab'):
            begin(data, tmp_path / "out")

    def test_other_defaults_of_a_network_are_refused(self, data, tmp_path):
        begin(data, tmp_path / "out")
        path = tmp_path / "out/reproduction.json"
        content = json.loads(path.read_text())
        content["networks"]["cs3d"]["threshold"] = 0.7
        path.write_text(json.dumps(content))
        with pytest.raises(ReproductionError, match=r"networks.cs3d.threshold was 0.7, is 0.1"):
            begin(data, tmp_path / "out")

    def test_one_of_something_else_is_refused_and_left_alone(self, data, tmp_path):
        out = tmp_path / "out"
        out.mkdir()
        (out / "thesis.tex").write_text("x")
        with pytest.raises(ReproductionError, match=r"holds something else \(thesis.tex\)"):
            begin(data, out)
        assert [path.name for path in out.iterdir()] == ["thesis.tex"]
        with pytest.raises(ReproductionError, match="is no folder"):
            begin(data, out / "thesis.tex")

    @pytest.mark.parametrize("content", ["{", "[]", '{"data": 3}'])
    def test_a_damaged_one_is_refused(self, data, tmp_path, content):
        (tmp_path / "out").mkdir()
        (tmp_path / "out/reproduction.json").write_text(content)
        with pytest.raises(ReproductionError, match=r"reproduction\.json: cannot be read"):
            begin(data, tmp_path / "out")


@pytest.mark.parametrize("seeds", [(), (1, 1), tuple(range(101))])
def test_seeds_that_are_none_or_too_many_are_refused(data, tmp_path, seeds):
    with pytest.raises(ReproductionError, match="give 1 to 100 different ones"):
        begin(data, tmp_path / "out", seeds=seeds)


def test_several_processes_are_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_torchelastic_launched", lambda: True)
    with pytest.raises(ReproductionError, match="by one process; start it without torchrun"):
        begin(data, tmp_path / "out")
