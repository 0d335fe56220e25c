import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.datasets import augmentation
from cs3d_ros.datasets.augmentation import PRESETS, compose, preset
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.events.packets import Events
from dataset_helpers import random_events

NAMES = (
    "flip", "add_noise", "shift", "reverse_time", "flip_polarities", "resize_crop", "drop_by_time",
    "drop_by_area", "drop_at_random", "event_drop", "mirror",
)  # fmt: skip
ALL = {name: getattr(augmentation, name) for name in NAMES} | dict(PRESETS)


def rows(events: Events) -> list[tuple]:
    return list(zip(*(getattr(events, c).tolist() for c in ("t_ns", "x", "y", "p")), strict=True))


def copy_of(events: Events) -> Events:
    return events.take(np.arange(len(events)))


class Input:
    """Events with what an augmentation is told about them."""

    def __init__(self, seed, n, width, height, duration_ns):
        events = random_events(np.random.default_rng(seed), n, width, height, duration_ns)
        # The very last moment is within a clip, too.
        self.events = Events(
            np.sort(np.append(events.t_ns[1:], [duration_ns] * min(n, 1))), events.x, events.y,
            events.p,
        )  # fmt: skip
        self.about = width, height, duration_ns
        self.seed = seed

    def after(self, function, rng=None) -> Events:
        return function(self.events, *self.about, rng or np.random.default_rng(self.seed))


INPUTS = st.builds(
    Input,
    seed=st.integers(0, 1 << 32),
    n=st.one_of(st.integers(0, 3), st.integers(0, 300)),
    width=st.sampled_from([1, 2, 7, 112, 4096]),
    height=st.sampled_from([1, 3, 112]),
    duration_ns=st.sampled_from([1, 9, 500_000_000]),
)
BIG = Input(1, 20_000, 112, 96, 500_000_000)


@pytest.mark.parametrize("name", sorted(ALL))
class TestAll:
    @settings(max_examples=60, deadline=None)
    @given(given=INPUTS)
    def test_events_stay_in_order_in_bounds_and_of_their_types(self, name, given):
        before = copy_of(given.events)
        after = given.after(ALL[name])
        width, height, duration_ns = given.about
        assert (np.diff(after.t_ns) >= 0).all()
        assert len({len(after.t_ns), len(after.x), len(after.y), len(after.p)}) == 1
        if len(after):
            assert after.t_ns[0] >= 0
            assert after.t_ns[-1] <= duration_ns
            assert after.x.max() < width
            assert after.y.max() < height
            assert after.p.max() <= 1
        for column in ("t_ns", "x", "y", "p"):
            assert getattr(after, column).dtype == getattr(before, column).dtype
        assert rows(given.events) == rows(before)

    def test_the_same_seed_gives_the_same(self, name):
        assert rows(BIG.after(ALL[name])) == rows(BIG.after(ALL[name]))

    def test_no_events_stay_none(self, name):
        nothing = ALL[name](Events.empty(), 112, 112, 1000, np.random.default_rng(0))
        assert len(nothing) == 0


def repeated(function, times=40, given=BIG):
    rng = np.random.default_rng(0)
    return [given.after(function, rng) for _ in range(times)]


class TestFlip:
    @given(given=INPUTS)
    def test_twice_is_nothing(self, given):
        once = given.after(augmentation.flip)
        assert rows(augmentation.flip(once, *given.about, None)) == rows(given.events)

    def test_left_becomes_right(self):
        assert (BIG.after(augmentation.flip).x == 111 - BIG.events.x).all()


class TestReversal:
    @given(given=INPUTS)
    def test_twice_is_nothing(self, given):
        once = given.after(augmentation.reverse_time)
        assert rows(augmentation.reverse_time(once, *given.about, None)) == rows(given.events)

    def test_the_last_is_the_first_with_the_other_polarity(self):
        last, first = rows(BIG.events)[-1], rows(BIG.after(augmentation.reverse_time))[0]
        assert first == (500_000_000 - last[0], last[1], last[2], 1 - last[3])


class TestNoise:
    @given(given=INPUTS)
    def test_a_fifth_more_and_all_that_were_there(self, given):
        after = given.after(augmentation.add_noise)
        assert len(after) == len(given.events) + round(0.2 * len(given.events))
        left = rows(after)
        for row in rows(given.events):
            left.remove(row)

    def test_it_is_everywhere(self):
        before = {}
        for row in rows(BIG.events):
            before[row] = before.get(row, 0) + 1
        noise = [row for row in rows(BIG.after(augmentation.add_noise)) if row not in before]
        t, x, y, p = map(np.array, zip(*noise, strict=True))
        assert np.histogram(t, 4, (0, 5e8))[0].min() > 800
        assert (np.bincount(x, minlength=112) > 10).all()
        assert (np.bincount(y, minlength=96) > 10).all()
        assert 0.45 < p.mean() < 0.55


def test_a_fifth_of_the_polarities_is_flipped():
    after = BIG.after(augmentation.flip_polarities)
    assert 0.19 < np.mean(after.p != BIG.events.p) < 0.21
    for column in ("t_ns", "x", "y"):
        assert (getattr(after, column) == getattr(BIG.events, column)).all()


class TestCrop:
    def test_half_to_all_of_the_area_is_kept(self):
        shares = [len(after) / len(BIG.events) for after in repeated(augmentation.resize_crop)]
        assert 0.45 < min(shares) < 0.65
        assert 0.8 < max(shares) <= 1.0

    def test_it_fills_the_picture_without_gaps(self):
        rng = np.random.default_rng(0)
        given = Input(1, 100_000, 112, 96, 500_000_000)
        for after in (given.after(augmentation.resize_crop, rng) for _ in range(10)):
            for places, size in ((after.x, 112), (after.y, 96)):
                counts = np.bincount(places, minlength=size)
                assert counts.min() > 0.7 * counts.mean()
                assert counts.max() < 1.3 * counts.mean()

    def test_a_place_goes_where_the_enlarged_crop_has_it(self):
        n = 20_000
        rng = np.random.default_rng(0)
        before = random_events(rng, n, 112, 96, 10**9)
        before = Events(np.arange(n), before.x, before.y, before.p)
        for _ in range(20):
            after = augmentation.resize_crop(before, 112, 96, n, rng)
            for size, old, new in ((112, before.x, after.x), (96, before.y, after.y)):
                old = old[after.t_ns].astype(int)
                factor = size / (np.ptp(old) + 1)
                assert 1.0 <= factor < 1.7
                beyond = new - (old - old.min()) * factor
                assert beyond.min() > -1.0
                assert beyond.max() < factor


class TestEventDrop:
    def test_by_time_a_tenth_to_nine_tenths_in_one_piece(self):
        ratios = set()
        for after in repeated(augmentation.drop_by_time, 100):
            kept = after.t_ns
            edges = np.concatenate([[0], kept, [500_000_000]])
            gap = np.diff(edges).max() / 500_000_000
            ratio = round(gap, 1)
            assert abs(gap - ratio) < 0.002
            assert abs(len(after) / len(BIG.events) - (1 - ratio)) < 0.02
            ratios.add(ratio)
        assert ratios == {n / 10 for n in range(1, 10)}

    def test_by_area_one_rectangle(self):
        ratios = set()
        for after in repeated(augmentation.drop_by_area, 60, Input(1, 200_000, 100, 80, 10**9)):
            empty = np.ones((80, 100), bool)
            empty[after.y, after.x] = False
            rows_of, columns = np.nonzero(empty)
            h, w = np.ptp(rows_of) + 1, np.ptp(columns) + 1
            assert empty.sum() == h * w
            assert w / 100 == pytest.approx(h / 80, abs=0.01)
            ratios.add(w / 100)
        assert ratios == {0.05, 0.1, 0.15, 0.2, 0.25}

    def test_at_random_a_tenth_to_nine_tenths(self):
        kept = {len(after) for after in repeated(augmentation.drop_at_random, 100)}
        assert kept == {2000 * n for n in range(1, 10)}
        before = rows(BIG.events)
        after = iter(before)
        # The kept ones are a subsequence.
        assert all(row in after for row in rows(BIG.after(augmentation.drop_at_random)))

    def test_a_quarter_each(self):
        n = len(BIG.events)
        kept = [len(after) for after in repeated(augmentation.event_drop, 400)]
        assert 70 < sum(k == n for k in kept) < 130
        assert 70 < sum(k % 2000 == 0 and k < n for k in kept) < 130
        assert 0.93 * n < min(k for k in kept if k > 0.91 * n)


class TestMirror:
    @pytest.mark.parametrize("width", [1, 2, 111, 112])
    def test_both_halves_are_mirror_images(self, width):
        kept = set()
        for after in repeated(augmentation.mirror, 20, Input(1, 5000, width, 9, 10**9)):
            there = rows(after)
            images = sorted((t, width - 1 - x, y, p) for t, x, y, p in there)
            assert images == sorted(there)
            kept.add(len(after))
        assert len(kept) == (1 if width == 1 else 2)

    def test_one_half_is_as_it_was(self):
        after, before = rows(BIG.after(augmentation.mirror)), rows(BIG.events)
        halves = [[row for row in before if (row[1] < 56) == left] for left in (True, False)]
        same = [[row for row in after if (row[1] < 56) == left] for left in (True, False)]
        assert (same[0] == halves[0]) != (same[1] == halves[1])
        assert len(after) in (2 * len(halves[0]), 2 * len(halves[1]))


class TestPresets:
    def test_none_does_nothing(self):
        assert BIG.after(preset("none")) is BIG.events

    def test_unknown(self):
        with pytest.raises(DatasetError, match="unknown augmentation 'x', expected one of: none"):
            preset("x")

    def test_steps_come_with_their_probabilities(self):
        half = compose((0.5, augmentation.flip))
        flipped = [after.x[0] != BIG.events.x[0] for after in repeated(half, 400)]
        assert 160 < sum(flipped) < 240

    def test_what_is_drawn_is_what_was_published(self):
        common = [
            (0.5, augmentation.flip),
            (0.5, augmentation.add_noise),
            (0.2, augmentation.reverse_time),
            (1.0, augmentation.flip_polarities),
            (1.0, augmentation.resize_crop),
        ]
        drop, mirror = (1.0, augmentation.event_drop), (0.5, augmentation.mirror)
        steps = {name: list(p.__closure__[0].cell_contents) for name, p in PRESETS.items()}
        assert {name: steps[name] for name in steps.keys() - {"mild"}} == {
            "none": [],
            "spiking-fer": common,
            "eventdrop": [*common, drop],
            "eventdrop+mirror": [*common, drop, mirror],
        }

    @pytest.mark.parametrize("name", ["spiking-fer", "eventdrop", "eventdrop+mirror"])
    def test_each_has_more_than_the_one_before(self, name):
        kept = np.mean([len(after) for after in repeated(preset(name), 60)])
        expected = {"spiking-fer": 0.8, "eventdrop": 0.6, "eventdrop+mirror": 0.6}[name]
        assert abs(kept / len(BIG.events) - expected) < 0.12


class TestShift:
    def test_every_place_moves_by_the_same_step(self):
        events = Events(
            np.arange(3), np.array([40, 60, 50], np.uint16), np.array([40, 45, 50], np.uint16),
            np.ones(3, np.uint8),
        )  # fmt: skip
        for seed in range(40):
            after = augmentation.shift(events, 112, 96, 3, np.random.default_rng(seed))
            dx, dy = (np.subtract(a, b, dtype=int) for a, b in zip(
                (after.x, after.y), (events.x, events.y), strict=True
            ))  # fmt: skip
            assert len(set(dx)) == len(set(dy)) == 1
            assert abs(dx[0]) <= 8
            assert abs(dy[0]) <= 7

    def test_all_steps_are_drawn_and_what_leaves_is_lost(self):
        corner = Events(
            np.zeros(1, np.int64), np.zeros(1, np.uint16), np.zeros(1, np.uint16),
            np.ones(1, np.uint8),
        )  # fmt: skip
        places = set()
        for seed in range(2000):
            after = augmentation.shift(corner, 112, 96, 1, np.random.default_rng(seed))
            places |= set(zip(after.x.tolist(), after.y.tolist(), strict=True))
        assert places == {(x, y) for x in range(9) for y in range(8)}
