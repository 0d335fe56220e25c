import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.training.data import TrainingData, choose_clips
from cs3d_ros.training.errors import TrainingError
from training_helpers import QUICK, make_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("sets"), train=29, validation=8, test=4)


def say_that_people_are(folder, **people):
    """Change a manifest: making a data set refuses people in two parts itself."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    for part, names in people.items():
        entry = content["parts"][part]
        entry["subjects"] = {name: 0 for name in names} | {names[0]: entry["clips"]}
    path.write_text(json.dumps(content))


class TestOrder:
    def test_each_epoch_sees_each_clip_once_at_most_in_whole_batches(self, folder):
        data = TrainingData(folder, QUICK)
        order = data.order(0)
        assert order.shape == (data.steps, 8) == (3, 8)
        assert len(np.unique(order)) == 24

    def test_it_depends_on_seed_and_epoch_alone(self, folder):
        orders = [
            TrainingData(folder, replace(QUICK, seed=seed)).order(epoch).tolist()
            for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))
        ]
        assert orders[0] == orders[1]
        assert orders[0] != orders[2]
        assert orders[0] != orders[3]

    def test_a_processs_windows_are_those_of_the_clips_that_it_asks_for(self, folder):
        data = TrainingData(folder, QUICK)
        (both,) = data.train_windows(1, [[3, 5]], "cpu")
        ones = list(data.train_windows(1, [[3], [5]], "cpu"))
        assert both[0].shape == (2, 3, 16, 32, 32)
        for i, (window, label) in enumerate(ones):
            assert (both[0][i] == window[0]).all()
            assert both[1][i] == label[0]
        (later,) = data.train_windows(2, [[3, 5]], "cpu")
        assert (later[0] != both[0]).any()

    def test_all_windows_go_through_the_background_activity_filter(self, folder):
        """Of the clips' 200 events in a second next to none has a neighbour within 1 ms."""
        plain, filtered = (
            TrainingData(folder, replace(QUICK, background_activity_us=us)) for us in (0, 1000)
        )
        for windows_of in (
            lambda data: data.train_windows(0, [[3, 5]], "cpu"),
            lambda data: data.validation_windows(32, 0, 1, "cpu"),
        ):
            before, after = (next(windows_of(data))[0] for data in (plain, filtered))
            assert 0 <= (after != 0).sum() < 0.05 * (before != 0).sum()

    def test_the_rise_share_says_where_windows_lie(self, folder):
        anywhere, rise = (TrainingData(folder, replace(QUICK, rise_share=r)) for r in (0.0, 1.0))
        (one,), (other,) = (data.train_windows(0, [[3, 5]], "cpu") for data in (anywhere, rise))
        assert (one[0] != other[0]).any()

    def test_ranks_share_the_validation_part(self, folder):
        data = TrainingData(folder, QUICK)
        alone = [
            label for _, labels in data.validation_windows(32, 0, 1, "cpu") for label in labels
        ]
        shares = [
            [label for _, labels in data.validation_windows(32, rank, 3, "cpu") for label in labels]
            for rank in range(3)
        ]
        assert [len(share) for share in shares] == [3, 3, 2]
        together = Counter(int(label) for share in shares for label in share)
        assert together == Counter(map(int, alone))


class TestChoice:
    def test_all_clips_unless_told(self, folder):
        part = open_dataset(folder).part("train")
        assert choose_clips(part, 0, 0).tolist() == list(range(29))
        assert choose_clips(part, 1000, 0).tolist() == list(range(29))

    def test_as_many_of_each_class_and_light(self, folder):
        part = open_dataset(folder).part("train")
        table = part.table()
        chosen = choose_clips(part, 14, 3)
        kinds = Counter((table[i].expression, table[i].light) for i in chosen)
        assert len(chosen) == len(set(chosen.tolist())) == 14
        assert set(kinds.values()) == {1}
        assert len(kinds) == 14

    def test_the_seed_decides_which(self, folder):
        part = open_dataset(folder).part("train")
        choices = [choose_clips(part, 14, seed).tolist() for seed in (0, 0, 1)]
        assert choices[0] == choices[1] != choices[2]


class TestRefused:
    def refused(self, folder, message, **changes):
        with pytest.raises(TrainingError, match=message):
            TrainingData(folder, replace(QUICK, **changes))

    def test_people_of_two_parts(self, tmp_path):
        folder = make_data(tmp_path)
        say_that_people_are(folder, train=("ann", "bob", "cem"), test=("cem", "dora", "ann"))
        self.refused(folder, "2 people are in test as well as in train: ann, cem; a network")

    def test_people_of_validation_and_test(self, tmp_path):
        folder = make_data(tmp_path)
        people = [f"person-{i}" for i in range(8)]
        say_that_people_are(folder, validation=people, test=people)
        named = "person-0, person-1, person-2, person-3, person-4 and 3 more"
        self.refused(folder, f"8 people are in test as well as in validation: {named}")

    def test_no_validation_part(self, tmp_path):
        folder = make_data(tmp_path, train=16, test=8)
        self.refused(folder, "no part 'validation', only test, train")

    def test_an_empty_part(self, tmp_path):
        folder = make_data(tmp_path, validation=8, test=8)
        self.refused(folder, "no part 'train'")

    def test_one_class(self, tmp_path):
        folder = make_data(tmp_path, expressions=("sad",))
        self.refused(folder, r"part train has 16 clips, of one class \(sad\)")

    def test_less_than_a_batch(self, folder):
        self.refused(folder, "29 clips to train on are less than a batch of 32", batch=32)
        self.refused(folder, "7 clips to train on are less than a batch of 8", clips=7)

    def test_no_data_set(self, tmp_path):
        with pytest.raises(DatasetError, match="no data set"):
            TrainingData(tmp_path, QUICK)
