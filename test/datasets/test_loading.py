from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cs3d_ros.datasets import augmentation, loading
from cs3d_ros.datasets.build import build
from cs3d_ros.datasets.clip_windows import cut_window, rise_window
from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.loading import ClipWindowDataset, GridWindowDataset, WindowDataset
from cs3d_ros.events.noise import NoiseError, NoiseFilter, NoiseSettings
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.tensors import TensorError, bin_window
from cs3d_ros.expressions import EXPRESSIONS, Course
from dataset_helpers import some_clip, some_plan

MS = 1_000_000
SMALL = {"bins": 4, "size": 28}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    build(some_plan(folder), folder / "out")
    return folder / "out"


@pytest.fixture
def train(folder):
    return open_dataset(folder).part("train")


class OneClip:
    """A part of a single clip."""

    def __init__(self, clip, labels):
        self.clip, self.labels = clip, labels

    def __len__(self):
        return 1

    def __getitem__(self, index):
        return self.clip

    def table(self):
        return [self.clip]


@pytest.fixture(scope="module")
def dense():
    """A clip of much noise."""
    return OneClip(some_clip(3, n=200_000), EXPRESSIONS)


def all_of(dataset):
    tensors, labels = zip(*(dataset[i] for i in range(len(dataset))), strict=True)
    return torch.stack(tensors), list(labels)


class TestTraining:
    def test_one_window_a_clip_as_the_network_takes_it(self, train):
        dataset = WindowDataset(train, 300 * MS)
        tensor, label = dataset[3]
        assert tensor.shape == (3, 16, 112, 112)
        assert tensor.dtype == torch.float32
        assert tensor.any()
        assert len(dataset) == 14
        assert label in (3, 0)

    def test_labels_are_what_the_windows_show(self, train):
        """The clips show their expression from 100 to 900 of 1000 ms."""
        dataset = WindowDataset(train, 50 * MS, **SMALL)
        seen = {index: set() for index in range(14)}
        for epoch in range(30):
            dataset.epoch = epoch
            for index in range(14):
                seen[index].add(dataset[index][1])
        assert all({i % 7} <= seen[i] <= {0, i % 7} for i in range(14))
        assert sum(len(labels) == 2 for labels in seen.values()) > 8

    def test_epochs_differ_and_come_again(self, train):
        dataset = WindowDataset(train, 300 * MS, augmentation="eventdrop+mirror", **SMALL)
        first, _ = all_of(dataset)
        dataset.epoch = 1
        second, _ = all_of(dataset)
        dataset.epoch = 0
        again, _ = all_of(dataset)
        assert torch.equal(first, again)
        assert not torch.equal(first, second)

    def test_seeds_differ(self, train):
        first, second = (
            all_of(WindowDataset(train, 300 * MS, seed=seed, **SMALL))[0] for seed in (0, 1)
        )
        assert not torch.equal(first, second)

    @pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
    def test_workers_make_the_same_in_every_epoch(self, train, start, workers):
        dataset = WindowDataset(train, 300 * MS, augmentation="spiking-fer", **SMALL)
        dataset[0]
        loader = DataLoader(
            dataset, batch_size=4, num_workers=workers, multiprocessing_context=start,
            persistent_workers=True,
        )  # fmt: skip
        for epoch in (0, 1):
            dataset.epoch = epoch
            batches = list(loader)
            tensors, labels = all_of(dataset)
            assert torch.equal(torch.cat([batch for batch, _ in batches]), tensors)
            assert torch.cat([batch for _, batch in batches]).tolist() == labels

    def test_no_event_of_a_reversed_window_is_lost(self, train, monkeypatch):
        monkeypatch.setattr(loading, "preset", lambda name: augmentation.reverse_time)
        dataset = WindowDataset(train, 1000 * MS, 1, 112, "polarity_counts")
        assert dataset[2][0].sum() == len(train[2].events)

    def test_clips_shorter_than_the_window(self, train):
        tensor, label = WindowDataset(train, 3000 * MS, **SMALL)[2]
        assert tensor.any()
        assert label == 2

    def test_what_is_wrong_is_told_at_once(self, train):
        with pytest.raises(TensorError, match="unknown representation"):
            WindowDataset(train, 300 * MS, representation="x")
        with pytest.raises(DatasetError, match="unknown augmentation"):
            WindowDataset(train, 300 * MS, augmentation="x")
        with pytest.raises(DatasetError, match="a seed of -1"):
            WindowDataset(train, 300 * MS, seed=-1)

    def test_windows_that_show_no_class_are_an_error(self, folder):
        train = open_dataset(folder).part("train")
        train.labels = EXPRESSIONS[1:]
        with pytest.raises(DatasetError, match="clip train-0: no window of 300 ms clearly shows"):
            WindowDataset(train, 300 * MS)[0]

    def test_a_moment_in_a_long_clip_is_found(self, folder, monkeypatch):
        moment = Course(700 * MS, 702 * MS, None, 704 * MS)
        clip = replace(open_dataset(folder).part("train")[1], course=moment)
        train = OneClip(clip, EXPRESSIONS[1:])
        dataset = WindowDataset(train, 16 * MS, **SMALL)
        drawn = [dataset._draw(clip, np.random.default_rng(n)) for n in range(400)]
        assert all(start < 704 * MS and end > 700 * MS for start, end, _ in drawn)
        assert {label for _, _, label in drawn} == {0}
        assert len({start for start, _, _ in drawn}) > 8


class TestEvaluation:
    def test_all_clear_windows_in_order(self, train):
        dataset = GridWindowDataset(train, 100 * MS, 150 * MS, **SMALL)
        # Windows begin at 0, 150, …, 900 ms; the expression lasts from 100 to 900.
        for index in range(14):
            places = [(start // MS, label) for i, start, label in dataset.places if i == index]
            label = index % 7
            assert places == [(0, 0), *((s, label) for s in range(150, 900, 150)), (900, 0)]
        tensor, label = dataset[1]
        window = cut_window(train[0], 150 * MS, 250 * MS)
        expected = bin_window(window, Roi(0, 0, 112, 112), 4, 28)
        np.testing.assert_array_equal(tensor.numpy(), expected)
        assert label == 0

    def test_with_workers(self, train):
        dataset = GridWindowDataset(train, 500 * MS, 250 * MS, **SMALL)
        tensors, labels = all_of(dataset)
        batches = list(DataLoader(dataset, batch_size=5, num_workers=2))
        assert torch.equal(torch.cat([batch for batch, _ in batches]), tensors)
        assert torch.cat([batch for _, batch in batches]).tolist() == labels


class TestBalance:
    """The clips show their expression from 100 to 900 of 1000 ms; two of fourteen are neutral."""

    def labels(self, train, **options):
        dataset = WindowDataset(train, 50 * MS, bins=1, size=8, **options)
        for epoch in range(8):
            dataset.epoch = epoch
            yield from ((index % 7, dataset[index][1]) for index in range(14))

    @pytest.mark.parametrize("share", [0.0, 1.0])
    def test_all_or_none_show_the_expression(self, train, share):
        for expression, label in self.labels(train, expression_share=share):
            assert label == (expression if share else 0)

    def test_a_share_of_them_does(self, train):
        shown = [e == label for e, label in self.labels(train, expression_share=0.3) if e]
        assert 0.15 < np.mean(shown) < 0.45

    def test_a_share_out_of_range_is_refused(self, train):
        with pytest.raises(DatasetError, match=r"share of 1\.5"):
            WindowDataset(train, 50 * MS, expression_share=1.5)

    def one_expression(self, folder, course):
        part = open_dataset(folder).part("train")
        clip = next(clip for clip in part if clip.expression != "neutral")
        return OneClip(replace(clip, course=course), part.labels)

    def test_what_is_held_still_is_left_out(self, folder):
        one = self.one_expression(folder, Course(100 * MS, 200 * MS, 700 * MS, 900 * MS))
        still = WindowDataset(one, 50 * MS, expression_share=1.0)
        moving = WindowDataset(one, 50 * MS, expression_share=1.0, moving=True)

        def drawn(dataset):
            rng = np.random.default_rng(0)
            return [dataset._draw(one.clip, rng)[0] // MS for _ in range(300)]

        assert any(200 <= start <= 600 for start in drawn(still))
        assert not any(176 <= start <= 699 for start in drawn(moving))

    def test_a_share_of_them_lies_about_the_rise(self, folder):
        one = self.one_expression(folder, Course(100 * MS, 200 * MS, 700 * MS, 900 * MS))
        dataset = WindowDataset(one, 60 * MS, moving=True, expression_share=1.0, rise_share=0.5)
        rng = np.random.default_rng(0)
        starts = [dataset._draw(one.clip, rng)[0] / MS for _ in range(400)]
        # The middle of the rise, at 150 ms, in the middle third of the window.
        about = np.array([110 <= start <= 130 for start in starts])
        assert 0.5 < np.mean(about) < 0.7
        assert any(start > 640 for start in starts)

    @pytest.mark.parametrize("onset", [0, 960])
    def test_a_window_about_the_rise_stays_in_its_clip(self, folder, onset):
        one = self.one_expression(folder, Course(onset * MS, (onset + 20) * MS, None, 1000 * MS))
        dataset = WindowDataset(one, 300 * MS, expression_share=1.0, rise_share=1.0)
        rng = np.random.default_rng(0)
        windows = [dataset._draw(one.clip, rng)[:2] for _ in range(50)]
        assert all(0 <= start < end <= one.clip.duration_ns for start, end in windows)
        assert len(set(windows)) > 1

    def test_a_clip_shorter_than_the_window_about_its_rise_stays_within(self, folder):
        one = self.one_expression(folder, Course(100 * MS, 200 * MS, 700 * MS, 900 * MS))
        dataset = WindowDataset(one, 1050 * MS, expression_share=1.0, rise_share=1.0)
        rng = np.random.default_rng(0)
        starts = [dataset._draw(one.clip, rng)[0] for _ in range(50)]
        assert all(-50 * MS <= start <= 0 for start in starts)
        assert len(set(starts)) > 1

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"expression_share": 1.0, "rise_share": -0.1}, r"rise share of -0\.1"),
            ({"rise_share": 0.5}, "without an expression share"),
        ],
    )
    def test_a_rise_share_that_makes_no_sense_is_refused(self, train, options, message):
        with pytest.raises(DatasetError, match=message):
            WindowDataset(train, 50 * MS, **options)

    def test_where_nothing_else_is_there_the_share_does_not_matter(self, folder):
        one = self.one_expression(folder, Course(0, 500 * MS, None, 1000 * MS))
        dataset = WindowDataset(one, 300 * MS, expression_share=0.0)
        _, _, label = dataset._draw(one.clip, np.random.default_rng(0))
        assert one.labels[label] == one.clip.expression


class TestBackgroundActivity:
    """The windows of a dense clip of noise, of which the filter removes half."""

    US = 5_000
    WINDOW_NS = 300 * MS

    def expected(self, clip, start_ns, filtered=True):
        """The window cut out of the clip that went through the filter from its beginning on."""
        noise = NoiseFilter(NoiseSettings(background_activity_us=self.US), clip.width, clip.height)
        clip = replace(clip, events=noise.apply(clip.events)) if filtered else clip
        window = cut_window(clip, start_ns, start_ns + self.WINDOW_NS)
        roi = Roi.centred_square(clip.width, clip.height)
        return window.event_count, bin_window(window, roi, **SMALL)

    def drawn_start(self, dataset, clip):
        return dataset._draw(clip, np.random.default_rng([dataset.seed, dataset.epoch, 0]))[0]

    def test_windows_of_a_grid_are_those_of_a_filtered_stream(self, dense):
        options = {**SMALL, "background_activity_us": self.US}
        dataset = GridWindowDataset(dense, self.WINDOW_NS, 200 * MS, **options)
        assert [start for _, start, _ in dataset.places] == [0, 200 * MS, 400 * MS, 600 * MS]
        for i, (_, start_ns, _) in enumerate(dataset.places):
            count, expected = self.expected(dense.clip, start_ns)
            assert np.array_equal(dataset[i][0].numpy(), expected)
            plain_count, plain = self.expected(dense.clip, start_ns, filtered=False)
            assert 0.3 * plain_count < count < 0.6 * plain_count
            assert not np.array_equal(expected, plain)

    def test_so_are_those_of_clips(self, dense):
        dataset = ClipWindowDataset(dense, self.WINDOW_NS, **SMALL, background_activity_us=self.US)
        start_ns, _ = rise_window(dense.clip.course, dense.clip.duration_ns, self.WINDOW_NS)
        assert start_ns > 0
        assert np.array_equal(dataset[0][0].numpy(), self.expected(dense.clip, start_ns)[1])

    def test_and_those_to_train_on_while_nothing_is_augmented(self, dense):
        dataset = WindowDataset(dense, self.WINDOW_NS, **SMALL, background_activity_us=self.US)
        start_ns = self.drawn_start(dataset, dense.clip)
        assert start_ns > 0
        assert np.array_equal(dataset[0][0].numpy(), self.expected(dense.clip, start_ns)[1])

    def test_what_is_augmented_was_filtered_before(self, dense, monkeypatch):
        """As many events as are recognised with, whatever augmentation makes of them."""
        given = []

        def keep(events, *_):
            given.append(len(events))
            return events

        monkeypatch.setattr(loading, "preset", lambda name: keep)
        dataset = WindowDataset(dense, self.WINDOW_NS, **SMALL, background_activity_us=self.US)
        start_ns = self.drawn_start(dataset, dense.clip)
        dataset[0]
        assert given == [self.expected(dense.clip, start_ns)[0]]

    def test_a_time_that_is_none_is_refused_at_once(self, train):
        with pytest.raises(NoiseError, match="background_activity_us is -1, expected 0"):
            WindowDataset(train, 300 * MS, background_activity_us=-1)
        with pytest.raises(NoiseError, match="background_activity_us is 2000000"):
            ClipWindowDataset(train, 300 * MS, background_activity_us=2_000_000)
        with pytest.raises(NoiseError, match="background_activity_us is -5"):
            GridWindowDataset(train, 300 * MS, 100 * MS, background_activity_us=-5)


class TestClips:
    def test_one_window_a_clip_about_its_rise(self, train):
        dataset = ClipWindowDataset(train, 300 * MS, **SMALL)
        tensors, labels = all_of(dataset)
        assert labels == [EXPRESSIONS.index(clip.expression) for clip in train]
        for tensor, clip in zip(tensors, train, strict=True):
            start, end = rise_window(clip.course, clip.duration_ns, 300 * MS)
            roi = Roi.centred_square(clip.width, clip.height)
            expected = bin_window(cut_window(clip, start, end), roi, **SMALL)
            assert np.array_equal(tensor.numpy(), expected)

    def test_there_is_none_after_the_last(self, train):
        with pytest.raises(IndexError):
            ClipWindowDataset(train, 300 * MS, **SMALL)[14]
