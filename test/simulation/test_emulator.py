"""Reference values were measured on the authors' emulator, with thresholds of 0.2."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.simulation import emulator as emulator_module
from cs3d_ros.simulation.emulator import Emulator, lin_log, simulate_frames
from cs3d_ros.simulation.errors import SimulationError
from cs3d_ros.simulation.settings import PRESETS, EmulatorSettings

IDEAL = replace(PRESETS["clean"], threshold_sigma=0.0)


def pixel(*values, dt_s=0.1, settings=IDEAL, dtype=np.float32):
    """The events of one pixel that sees one value after the other."""
    frames = ((i * dt_s, np.full((1, 1), value, dtype)) for i, value in enumerate(values))
    return simulate_frames(frames, settings, seed=0)


def still(value, shape, dt_s, n, **changes):
    """The events of pixels that always see the same."""
    frame = np.full(shape, value, np.uint8)
    return simulate_frames(((i * dt_s, frame) for i in range(n)), replace(IDEAL, **changes), seed=1)


def per_frame(events, n, dt_s=0.1):
    """Events of each frame; those at its very time belong to it."""
    return np.bincount((events.t_ns - 1) // round(dt_s * 1e9), minlength=n).tolist()


def columns(events):
    return [c.tolist() for c in (events.t_ns, events.x, events.y, events.p)]


class TestReferenceValues:
    def test_lin_log(self):
        found = lin_log(np.array([0, 1, 10, 20, 21, 100, 255]))
        expected = [0, 0.149787, 1.497866, 2.995732, 3.044523, 4.60517, 5.541264]
        np.testing.assert_allclose(found, expected, atol=1e-6)

    @pytest.mark.parametrize("dtype", [np.uint8, np.float32])
    def test_the_pixels_see_the_lin_log(self, dtype):
        values = np.linspace(0, 255, 4081 * 7).astype(dtype)[None, ::7]
        emulator = Emulator(IDEAL, *values.shape, seed=0)
        emulator.feed(values, 0.0)
        np.testing.assert_allclose(emulator.low_passed, lin_log(values), atol=2e-6)

    @pytest.mark.parametrize(
        ("before", "after", "on", "off"),
        [
            (50, 100, 3, 0),
            (100, 50, 0, 3),
            (10, 20, 7, 0),
            (0, 255, 27, 0),
            (255, 0, 0, 27),
            (100, 122, 0, 0),
            (100, 123, 1, 0),
        ],
    )
    @pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
    def test_steps(self, before, after, on, off, dtype):
        events = pixel(before, after, dtype=dtype)
        assert events.p.tolist() == [1] * on + [0] * off

    def test_the_events_of_a_frame_are_spread_evenly(self):
        times = [33_333_333, 66_666_667, 100_000_000]
        assert columns(pixel(50, 100)) == [times, [0] * 3, [0] * 3, [1] * 3]
        assert columns(pixel(100, 50)) == [times, [0] * 3, [0] * 3, [0] * 3]

    def test_ramp(self):
        events = pixel(*np.linspace(50, 200, 11))
        assert per_frame(events, 10) == [1, 1, 1, 0, 1, 1, 0, 1, 0, 0]
        assert events.p.all()

    def test_mismatch_of_thresholds(self):
        frames = [(t_s, np.full((512, 512), v, np.uint8)) for t_s, v in ((0.0, 50), (0.1, 100))]
        events = simulate_frames(frames, replace(IDEAL, threshold_sigma=0.03), seed=1)
        assert len(events) / 512**2 == pytest.approx(3.058, abs=0.006)

    def test_leak_without_jitter(self):
        # One frame more than 40 s, because the last event is due just then.
        events = still(128, (10, 10), 0.01, 4002, leak_rate_hz=0.1)
        assert len(events) / 100 / 40 == pytest.approx(0.1, abs=1e-9)
        assert events.p.all()

    def test_leak_with_jitter_and_spread(self):
        changes = {"leak_rate_hz": 0.1, "leak_jitter": 0.1, "leak_decades": 0.1}
        events = still(128, (150, 150), 0.1, 401, **changes)
        assert len(events) / 150**2 / 40 == pytest.approx(0.0906, abs=0.001)
        assert events.p.all()

    @pytest.mark.parametrize(
        ("value", "rate_hz"), [(0, 2.36), (64, 1.93), (128, 1.49), (255, 0.625)]
    )
    def test_shot_noise(self, value, rate_hz):
        events = still(value, (150, 150), 0.01, 1001, shot_noise_rate_hz=5.0)
        for polarity in (0, 1):
            rate = np.count_nonzero(events.p == polarity) / 150**2 / 10
            assert rate == pytest.approx(rate_hz, rel=0.01)

    @pytest.mark.parametrize(
        ("value", "gains"),
        [(40, (0.987, 0.551, 0.216, 0.067)), (120, (0.997, 0.828, 0.454, 0.152))],
    )
    def test_low_pass(self, value, gains):
        """A sine of amplitude 0.5 in the log intensity, four frequencies as four pixels."""
        hz = np.array([[1.0, 10.0, 30.0, 100.0]])
        emulator = Emulator(replace(IDEAL, cutoff_hz=30.0), 1, 4, seed=0)
        seen = []
        for i in range(20_000):
            brightness = np.log(value) + 0.5 * np.sin(2 * np.pi * hz * i * 1e-4)
            emulator.feed(np.exp(brightness).astype(np.float32), i * 1e-4)
            seen.append(emulator.low_passed[0])
        found = np.ptp(seen[10_000:], axis=0)
        np.testing.assert_allclose(found, gains, atol=0.0015)

    @pytest.mark.parametrize(
        ("refractory_ms", "counts"), [(0, [11, 0]), (20, [4, 4]), (50, [2, 2])]
    )
    def test_refractory_period(self, refractory_ms, counts):
        events = pixel(20, 200, 200, settings=replace(IDEAL, refractory_ms=refractory_ms))
        assert per_frame(events, 2) == counts


class TestModel:
    def test_a_refractory_period_below_the_steps_has_no_effect(self):
        free = pixel(20, 200, 20, 200)
        assert columns(pixel(20, 200, 20, 200, settings=replace(IDEAL, refractory_ms=9))) == (
            columns(free)
        )

    def test_an_event_just_at_the_end_of_the_refractory_period_is_suppressed(self):
        """Four events are due at steps of 25 ms."""
        for refractory_ms, times_ms in [(25, [25, 50, 75, 100]), (50, [25, 100])]:
            events = pixel(50, 115, settings=replace(IDEAL, refractory_ms=refractory_ms))
            assert (events.t_ns // 1_000_000).tolist() == times_ms

    @pytest.mark.parametrize(
        ("values", "on", "off", "polarity"),
        [((100, 50, 40), 0.5, 0.3, 0), ((40, 80, 100), 0.3, 0.5, 1)],
    )
    def test_each_polarity_has_its_threshold(self, values, on, off, polarity):
        uneven = replace(IDEAL, positive_threshold=on, negative_threshold=off)
        events = pixel(*values, settings=uneven)
        assert per_frame(events, 2) == [2, 1]
        assert set(events.p.tolist()) == {polarity}

    def test_no_threshold_is_below_the_least(self):
        frames = [(t_s, np.full((50, 50), v, np.uint8)) for t_s, v in ((0.0, 50), (0.1, 100))]
        events = simulate_frames(frames, replace(IDEAL, threshold_sigma=1.0), seed=1)
        counts = np.bincount(events.y.astype(int) * 50 + events.x)
        assert counts.max() == int(np.log(2) / 0.01)

    def test_the_leak_is_as_fast_whatever_the_threshold(self):
        events = still(128, (20, 20), 0.01, 102, leak_rate_hz=1.0, threshold_sigma=0.05)
        counts = np.bincount(events.y.astype(int) * 20 + events.x, minlength=400)
        assert set(counts.tolist()) == {1}

    def test_after_shot_noise_a_pixel_compares_with_what_it_sees_then(self):
        """A change just below the threshold is forgotten; noise is certain in each frame."""
        noisy = replace(IDEAL, shot_noise_rate_hz=1000.0)
        assert len(pixel(100, 124, settings=noisy, dt_s=1.0)) == 3
        assert len(pixel(100, 122, 124, settings=noisy, dt_s=1.0)) == 4

    def test_all_pixels_share_the_times_of_the_one_with_most_events(self):
        frames = [(0.0, np.array([[50, 50]], np.uint8)), (0.1, np.array([[100, 62]], np.uint8))]
        events = simulate_frames(frames, IDEAL, seed=0)
        assert columns(events) == [
            [33_333_333, 33_333_333, 66_666_667, 100_000_000],
            [0, 1, 0, 0],
            [0, 0, 0, 0],
            [1, 1, 1, 1],
        ]

    def test_events_lie_where_the_picture_changes(self):
        frame = np.full((5, 7), 100, np.uint8)
        after = frame.copy()
        after[3, 5], after[1, 2] = 140, 70
        events = simulate_frames([(0.0, frame), (1.0, after)], IDEAL, seed=0)
        found = set(zip(events.x.tolist(), events.y.tolist(), events.p.tolist(), strict=True))
        assert found == {(5, 3, 1), (2, 1, 0)}

    def test_the_first_frame_has_no_events(self):
        noisy = replace(PRESETS["insufficient"], shot_noise_rate_hz=1000.0)
        assert len(Emulator(noisy, 8, 8, seed=0).feed(np.full((8, 8), 200, np.uint8), 5.0)) == 0

    def test_dark_pixels_are_slower(self):
        slow = replace(IDEAL, cutoff_hz=30.0)
        dark, light = pixel(5, 10, settings=slow, dt_s=0.01), pixel(100, 200, settings=slow)
        assert len(light) == 3
        assert len(dark) < len(pixel(5, 10, dt_s=0.01))

    def test_a_full_step_of_the_low_pass_forgets_all(self):
        assert columns(pixel(0, 255, 7, settings=replace(IDEAL, cutoff_hz=1e6))) == (
            columns(pixel(0, 255, 7))
        )

    def test_shot_noise_of_low_thresholds_is_more(self):
        changes = {"shot_noise_rate_hz": 5.0, "leak_rate_hz": 0.0}
        rates = [
            len(simulate_frames(grid, replace(IDEAL, threshold_sigma=sigma, **changes), seed=1))
            for sigma in (0.0, 0.05)
            for grid in [[(i * 0.01, np.zeros((80, 80), np.uint8)) for i in range(200)]]
        ]
        # The mean of 1/x of a normal distribution cut at 0.01 is larger than 1/mean.
        assert 1.05 < rates[1] / rates[0] < 1.3

    def test_shot_noise_of_each_polarity_is_by_its_own_threshold(self):
        """Relative to 10, the deviation of the ON thresholds is none."""
        uneven = replace(IDEAL, positive_threshold=10.0, threshold_sigma=0.07)
        frames = [(i * 0.01, np.zeros((80, 80), np.uint8)) for i in range(200)]
        events = simulate_frames(frames, replace(uneven, shot_noise_rate_hz=5.0), seed=1)
        on = np.count_nonzero(events.p)
        assert 1.1 < (len(events) - on) / on < 1.5

    def test_one_frame_can_have_noise_of_both_polarities_in_a_pixel(self):
        events = still(0, (4, 4), 1.0, 2, shot_noise_rate_hz=1000.0)
        assert columns(events)[1:] == [
            [x for _ in range(4) for x in range(4) for _ in "ab"],
            [y for y in range(4) for _ in range(8)],
            [1, 0] * 16,
        ]
        assert set(events.t_ns.tolist()) == {1_000_000_000}


class TestRandomness:
    FRAMES = tuple(
        (i / 300, np.random.default_rng(i).integers(0, 256, (20, 30), np.uint8)) for i in range(20)
    )

    @pytest.mark.parametrize("name", PRESETS)
    def test_the_same_seed_gives_the_same_events(self, name):
        first, second = (simulate_frames(self.FRAMES, PRESETS[name], seed=7) for _ in range(2))
        assert len(first)
        assert columns(first) == columns(second)

    def test_another_seed_gives_others(self):
        first, second = (
            simulate_frames(self.FRAMES, PRESETS["insufficient"], seed=seed) for seed in (7, 8)
        )
        assert columns(first) != columns(second)

    def test_noise_is_not_the_same_in_every_frame_or_pixel(self):
        events = still(0, (100, 100), 0.01, 101, shot_noise_rate_hz=5.0)
        places = events.y.astype(int) * 100 + events.x
        # Poisson: variance and mean of counts are equal, over pixels and over frames.
        for counts in (np.bincount(places, minlength=10_000), per_frame(events, 100, 0.01)):
            assert np.var(counts) == pytest.approx(np.mean(counts), rel=0.4)

    def test_a_picture_of_many_pixels_has_noise_of_its_own_everywhere(self):
        """Random numbers go on where the kernel begins its next block of pixels."""
        events = still(0, (128, 128), 0.01, 51, shot_noise_rate_hz=5.0)
        blocks = [
            set(zip(b.t_ns.tolist(), (b.y % 32).tolist(), b.x.tolist(), strict=True))
            for b in (events.take(events.y // 32 == k) for k in range(4))
        ]
        shared = len(blocks[0] & blocks[1]) / len(blocks[0])
        assert shared < 0.1

    def test_the_leak_does_not_depend_on_whether_there_is_shot_noise(self):
        quiet = still(128, (20, 20), 0.1, 300, leak_rate_hz=0.1, leak_decades=0.1)
        noisy = Emulator(
            replace(IDEAL, leak_rate_hz=0.1, leak_decades=0.1, shot_noise_rate_hz=1e-9), 20, 20, 1
        )
        frame = np.full((20, 20), 128, np.uint8)
        assert sum(len(noisy.feed(frame, i * 0.1)) for i in range(300)) == len(quiet)


class TestNastyInput:
    def test_what_is_refused_leaves_the_emulator_as_it_was(self):
        emulator = Emulator(EmulatorSettings(), 4, 4, seed=3)
        good = np.full((4, 4), 50, np.float32)
        emulator.feed(good, 0.0)
        bad = good.copy()
        bad[2, 2] = np.nan
        infinite = np.full((4, 4), 1e300)
        for frame, t_s, reason in [
            (bad, 0.1, "1 values that are no finite numbers"),
            (infinite, 0.1, "16 values that are no finite numbers"),
            (good[:3], 0.1, r"shape \(3, 4\), expected \(4, 4\)"),
            (good[..., None], 0.1, "shape"),
            (good.astype(np.int32), 0.1, "int32"),
            (good > 0, 0.1, "bool"),
            (good, 0.0, "expected ascending times"),
            (good, -1.0, "expected a time from 0"),
            (good, np.nan, "expected a time from 0"),
            (good, 1e12, "expected a time from 0"),
        ]:
            with pytest.raises(SimulationError, match=reason):
                emulator.feed(frame, t_s)
        other = Emulator(EmulatorSettings(), 4, 4, seed=3)
        other.feed(good, 0.0)
        after = np.full((4, 4), 150, np.float32)
        assert columns(emulator.feed(after, 0.1)) == columns(other.feed(after, 0.1))

    @pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (5000, 5), (5, -1)])
    def test_impossible_sizes_are_refused(self, height, width):
        with pytest.raises(SimulationError, match="expected 1 to 4096"):
            Emulator(IDEAL, height, width, seed=0)

    def test_a_negative_seed_is_refused(self):
        with pytest.raises(SimulationError, match="seed of -1"):
            Emulator(IDEAL, 2, 2, seed=-1)

    def test_no_frames_are_refused(self):
        with pytest.raises(SimulationError, match="no frames"):
            simulate_frames([], IDEAL, seed=0)

    def test_a_picture_in_colour_is_refused(self):
        with pytest.raises(SimulationError, match="expected"):
            simulate_frames([(0.0, np.zeros((4, 4, 3), np.uint8))], IDEAL, seed=0)

    def test_values_outside_are_cut(self):
        assert columns(pixel(-50.0, 1e30)) == columns(pixel(0, 255))

    def test_views_of_any_layout_are_taken(self):
        wide = np.zeros((6, 8), np.uint8)
        wide[::2, ::2] = 100
        emulator, other = (Emulator(IDEAL, 3, 4, seed=0) for _ in range(2))
        for e, frame in ((emulator, wide[::2, ::2]), (other, wide[::2, ::2].copy())):
            e.feed(frame, 0.0)
        after = np.asfortranarray(wide[::2, ::2] // 2)
        assert columns(emulator.feed(after, 1.0)) == columns(other.feed(after.copy(), 1.0))

    def test_a_gap_of_hours_ends(self):
        events = still(128, (8, 8), 7200.0, 2, leak_rate_hz=0.1)
        assert len(events) == pytest.approx(64 * 720, abs=64)
        assert np.all(np.diff(events.t_ns) >= 0)

    def test_more_events_than_fit_come_later(self, monkeypatch):
        monkeypatch.setattr(emulator_module, "MAX_EVENTS_PER_FRAME", 100)
        extreme = replace(IDEAL, positive_threshold=0.01, negative_threshold=0.01)
        emulator = Emulator(extreme, 3, 3, seed=0)
        emulator.feed(np.zeros((3, 3), np.uint8), 0.0)
        counts = [
            len(emulator.feed(np.full((3, 3), 255, np.uint8), float(i))) for i in range(1, 60)
        ]
        assert max(counts) == 100
        assert sum(counts) == 9 * int(lin_log(np.array(255)) / 0.01)
        assert counts[-1] == 0
        assert emulator.deferred > 0

    @settings(max_examples=60, deadline=None)
    @given(
        values=st.lists(
            st.floats(-(2.0**100), 2.0**100, width=32) | st.floats(0, 255, width=32),
            min_size=2,
            max_size=6,
        ),
        steps=st.lists(st.floats(1e-6, 1e4), min_size=6, max_size=6),
        preset=st.sampled_from(list(PRESETS)),
    )
    def test_times_ascend_whatever_comes(self, values, steps, preset):
        emulator = Emulator(PRESETS[preset], 2, 3, seed=0)
        t_s, last_ns = 0.0, 0
        for value, step in zip(values, steps, strict=False):
            t_s += step
            events = emulator.feed(np.full((2, 3), value, np.float32), t_s)
            if len(events):
                assert events.t_ns[0] > last_ns
                assert events.t_ns[-1] <= round(t_s * 1e9)
                assert np.all(np.diff(events.t_ns) >= 0)
            last_ns = round(t_s * 1e9)
