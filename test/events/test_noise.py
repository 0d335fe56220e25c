"""Noise filters against brute force, known noise, hot pixels and times that step back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events.noise import (
    BackgroundActivityFilter,
    HotPixelFilter,
    NoiseError,
    NoiseFilter,
    NoiseSettings,
    RefractoryFilter,
)
from cs3d_ros.events.packets import Events
from cs3d_ros.events.stream import EventStream
from cs3d_ros.events.windows import JITTER_NS
from cs3d_ros.recordings import open_recording
from event_helpers import events, rows
from moving_source import HOT, NOISE, SIGNAL, Scene, face, packets
from recordings_data import recording_path

US, MS, S = 1_000, 1_000_000, 1_000_000_000
WIDTH, HEIGHT = 6, 5


def at(*places):
    """Events of (time in µs, x, y), polarity 1."""
    return events([(t * US, x, y, 1) for t, x, y in places])


def times_us(kept: Events) -> list[int]:
    return (kept.t_ns // US).tolist()


@st.composite
def streams(draw):
    """Chunks of events whose times step back by up to the jitter."""
    newest, chunks = draw(st.integers(0, 10**6)) * US, []
    for _ in range(draw(st.integers(1, 4))):
        rows_ = []
        for _ in range(draw(st.integers(0, 25))):
            newest += draw(st.integers(0, 60)) * US
            t_ns = newest - draw(st.integers(0, JITTER_NS))
            x, y = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
            rows_.append((t_ns, x, y, draw(st.integers(0, 1))))
        chunks.append(events(rows_))
    return chunks


def through(filter_, chunks):
    kept = rows(*(filter_.apply(chunk) for chunk in chunks))
    assert filter_.removed == sum(len(chunk) for chunk in chunks) - len(kept)
    return kept


# --- refractory period -------------------------------------------------------------------------


def test_a_pixel_rests_after_each_event_that_is_kept():
    # 600 and 1200 are dropped without restarting the rest that began at 0 and at 1000.
    stream = at((0, 2, 2), (600, 2, 2), (1000, 2, 2), (1200, 2, 2), (1999, 2, 2), (2000, 2, 2))
    assert times_us(RefractoryFilter(WIDTH, HEIGHT, MS).apply(stream)) == [0, 1000, 2000]


def test_the_rest_is_the_pixels_own_and_of_both_polarities():
    stream = events([(0, 1, 1, 1), (10, 1, 1, 0), (10, 2, 1, 0), (10, 1, 2, 0)])
    kept = RefractoryFilter(WIDTH, HEIGHT, MS).apply(stream)
    assert rows(kept) == [(0, 1, 1, 1), (10, 2, 1, 0), (10, 1, 2, 0)]


@given(streams(), st.integers(1, 200))
def test_refractory_agrees_with_brute_force(chunks, period_us):
    last, expected = {}, []
    for t, x, y, p in rows(*chunks):
        if (x, y) not in last or abs(t - last[x, y]) >= period_us * US:
            last[x, y] = t
            expected.append((t, x, y, p))
    assert through(RefractoryFilter(WIDTH, HEIGHT, period_us * US), chunks) == expected


def test_no_pixel_waits_for_a_clock_that_went_back():
    filter_ = RefractoryFilter(WIDTH, HEIGHT, MS)
    kept = filter_.apply(at((10_000_000, 1, 1), (5, 1, 1), (500, 1, 1), (1005, 1, 1)))
    assert times_us(kept) == [10_000_000, 5, 1005]


# --- background activity -----------------------------------------------------------------------

NEIGHBOURS = [(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1) if (x, y) != (0, 0)]


@pytest.mark.parametrize(("dx", "dy"), NEIGHBOURS)
def test_each_of_the_eight_neighbours_supports(dx, dy):
    filter_ = BackgroundActivityFilter(WIDTH, HEIGHT, 2 * MS)
    assert times_us(filter_.apply(at((0, 2 + dx, 2 + dy), (1999, 2, 2)))) == [1999]


@pytest.mark.parametrize(("x", "y", "t"), [(2, 2, 10), (4, 2, 10), (2, 0, 10), (1, 1, 2000)])
def test_neither_itself_nor_far_nor_old_events_support(x, y, t):
    filter_ = BackgroundActivityFilter(WIDTH, HEIGHT, 2 * MS)
    assert len(filter_.apply(at((0, x, y), (t, 2, 2)))) == 0
    assert filter_.removed == 2


def test_rows_do_not_run_into_each_other():
    filter_ = BackgroundActivityFilter(WIDTH, HEIGHT, MS)
    # Neighbours in memory, at opposite edges of the sensor.
    assert len(filter_.apply(at((0, WIDTH - 1, 1), (1, 0, 2), (2, WIDTH - 1, 3), (3, 0, 4)))) == 0


@given(streams(), st.integers(1, 200))
def test_background_activity_agrees_with_brute_force(chunks, support_us):
    last, expected = {}, []
    for t, x, y, p in rows(*chunks):
        near = [last.get((x + dx, y + dy)) for dx, dy in NEIGHBOURS]
        if any(seen is not None and abs(t - seen) < support_us * US for seen in near):
            expected.append((t, x, y, p))
        last[x, y] = t
    assert through(BackgroundActivityFilter(WIDTH, HEIGHT, support_us * US), chunks) == expected


def test_of_even_noise_as_much_passes_as_chance_brings_together():
    scene = Scene(320, 240, 1.0, noise_hz=2.0)
    stream, _ = scene.events()
    kept = BackgroundActivityFilter(320, 240, 10 * MS).apply(stream)
    expected = 1 - np.exp(-8 * 2.0 * 0.01)
    # A part of the first 10 ms and of the rim has less support.
    assert len(kept) / len(stream) == pytest.approx(expected, rel=0.03)


# --- hot pixels --------------------------------------------------------------------------------


def firing(x, y, rate_hz, seconds=2.0):
    t_ns = (np.arange(round(rate_hz * seconds)) * (S / rate_hz)).astype(np.int64)
    n = len(t_ns)
    return Events(t_ns, np.full(n, x, np.uint16), np.full(n, y, np.uint16), np.ones(n, np.uint8))


def merged(*streams_):
    columns = [
        np.concatenate([getattr(stream, name) for stream in streams_])
        for name in ("t_ns", "x", "y", "p")
    ]
    order = np.argsort(columns[0], kind="stable")
    return Events(*(column[order] for column in columns))


def hot_places(filter_):
    ys, xs = np.nonzero(filter_.mask)
    return sorted(zip(xs.tolist(), ys.tolist(), strict=True))


def test_a_pixel_that_fires_alone_all_the_time_is_hot_once_learned():
    filter_ = HotPixelFilter(WIDTH, HEIGHT, S)
    stream = merged(firing(3, 2, 100), firing(0, 0, 5))
    kept = filter_.apply(stream)
    assert hot_places(filter_) == [(3, 2)]
    assert (filter_.n_hot, filter_.learning) == (1, False)
    # While learning everything passes; the end of learning lies within this one call.
    assert rows(kept) == [r for r in rows(stream) if r[0] < S or r[1] == 0]
    assert filter_.removed == 100


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ([(0, 0)], [(0, 0)]),
        ([(5, 4)], [(5, 4)]),
        ([(2, 2), (3, 2)], [(2, 2), (3, 2)]),
        ([(2, 2), (3, 2), (3, 3)], []),
    ],
)
def test_hot_pixels_in_corners_and_pairs_are_found_but_not_clusters(places, expected):
    filter_ = HotPixelFilter(WIDTH, HEIGHT, S)
    filter_.apply(merged(*(firing(x, y, 200) for x, y in places)))
    assert hot_places(filter_) == expected


def test_rare_and_short_activity_is_not_hot():
    filter_ = HotPixelFilter(WIDTH, HEIGHT, S)
    burst = firing(1, 1, 5_000, seconds=0.5)
    filter_.apply(merged(firing(4, 3, 15), burst, at((1_500_000, 0, 0))))
    assert (filter_.n_hot, filter_.learning) == (0, False)


def test_hot_pixels_are_found_behind_a_moving_face_and_the_face_is_kept():
    path = [(0, 60, 60, 90, 0), (1, 100, 60, 90, 1), (2, 60, 60, 90, 0)]
    scene = Scene(160, 120, 2.0, [face(path)], noise_hz=1.0, hot=10)
    stream, labels = scene.events()
    stream.p[:] |= labels << 1
    kept = NoiseFilter(NoiseSettings(hot_pixel_learning_s=1.0), 160, 120).apply(stream)
    # Learning began with the first event, some µs after 0.
    learned_ns = 1_001 * MS
    after = np.bincount(kept.p[kept.t_ns >= learned_ns] >> 1, minlength=3)
    before = np.bincount(labels[stream.t_ns >= learned_ns], minlength=3)
    assert before[HOT] > 9_000
    assert after[HOT] == 0
    assert after[SIGNAL] > 0.999 * before[SIGNAL]
    assert after[NOISE] > 0.99 * before[NOISE]


def test_a_new_epoch_keeps_the_mask_but_not_what_was_learned_by_half():
    half = HotPixelFilter(WIDTH, HEIGHT, S)
    half.apply(firing(1, 1, 100, seconds=0.5))
    half.reset()
    half.apply(firing(2, 2, 100))
    assert hot_places(half) == [(2, 2)]
    half.reset()
    assert len(half.apply(firing(2, 2, 100))) == 0
    assert len(half.apply(firing(1, 1, 100))) == 200


# --- together ----------------------------------------------------------------------------------


def test_off_is_the_default_and_hands_the_same_object_through():
    filter_ = NoiseFilter(NoiseSettings(), WIDTH, HEIGHT)
    stream = at((0, 1, 1))
    assert filter_.apply(stream) is stream
    assert filter_.removed == {}


def test_hot_pixels_come_first_then_refractory_then_background():
    filter_ = NoiseFilter(NoiseSettings(1.0, 1_000, 2_000), WIDTH, HEIGHT)
    assert list(filter_.filters) == ["hot_pixels", "refractory", "background_activity"]
    filter_.apply(merged(firing(2, 2, 1_000, seconds=1.001)))
    # The neighbour of a hot pixel finds no support in it.
    assert len(filter_.apply(at((1_002_000, 2, 2), (1_002_001, 3, 2)))) == 0
    # (4, 2) is supported by (3, 2); its second event comes too early.
    assert times_us(filter_.apply(at((1_002_500, 4, 2), (1_002_600, 4, 2)))) == [1_002_500]
    removed = filter_.removed
    assert (removed["hot_pixels"], removed["refractory"]) == (2, 1)


def test_a_new_epoch_forgets_the_times_and_keeps_the_counts():
    filter_ = NoiseFilter(NoiseSettings(0, 1_000, 0), WIDTH, HEIGHT)
    filter_.apply(at((100, 1, 1), (200, 1, 1)))
    filter_.reset()
    assert len(filter_.apply(at((100, 1, 1)))) == 1
    assert filter_.removed == {"refractory": 1}


@given(streams(), st.integers(0, 100))
def test_filters_do_not_care_how_the_stream_is_cut(chunks, cut):
    settings = NoiseSettings(1e-3, 50, 100)
    whole = merged(*chunks) if sum(map(len, chunks)) else Events.empty()
    first = Events(whole.t_ns[:cut], whole.x[:cut], whole.y[:cut], whole.p[:cut])
    second = Events(whole.t_ns[cut:], whole.x[cut:], whole.y[cut:], whole.p[cut:])
    one, other = NoiseFilter(settings, WIDTH, HEIGHT), NoiseFilter(settings, WIDTH, HEIGHT)
    assert rows(one.apply(whole)) == rows(other.apply(first), other.apply(second))
    assert one.removed == other.removed


def test_no_events_and_events_off_the_sensor_do_no_harm():
    filter_ = NoiseFilter(NoiseSettings(1e-3, 10, 10_000), WIDTH, HEIGHT)
    assert len(filter_.apply(Events.empty())) == 0
    stray = at((0, WIDTH, 0), (1, 0, HEIGHT), (2, 65535, 65535), (5_000, WIDTH, HEIGHT))
    assert len(filter_.apply(stray)) == 0


def test_a_tiny_sensor_has_filters_too():
    filter_ = NoiseFilter(NoiseSettings(1e-3, 10, 10), 1, 1)
    assert len(filter_.apply(firing(0, 0, 100_000, seconds=0.01))) == 0


@pytest.mark.parametrize(
    "values",
    [
        {"hot_pixel_learning_s": -1.0},
        {"hot_pixel_learning_s": float("nan")},
        {"hot_pixel_learning_s": 61.0},
        {"refractory_us": -1},
        {"refractory_us": 1_000_001},
        {"background_activity_us": float("inf")},
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(NoiseError, match=next(iter(values))):
        NoiseSettings(**values)


@pytest.mark.parametrize("arguments", [(0, 5, 1), (5, 0, 1), (5, 5, 0)])
def test_filters_without_pixels_or_time_are_refused(arguments):
    with pytest.raises(NoiseError, match="expected"):
        RefractoryFilter(*arguments)


def test_a_real_recording_keeps_what_other_filters_keep():
    """1349 of 82469 events: as the background filter of dv-processing 2.0.4."""
    stream, filter_ = EventStream(), None
    kept = 0
    with open_recording(recording_path("evt3")) as recording:
        for _, packet in recording:
            filter_ = filter_ or BackgroundActivityFilter(packet.width, packet.height, 5 * MS)
            kept += len(filter_.apply(stream.feed(packet)))
    assert (kept, filter_.removed) == (1_349, 81_120)


def test_packets_of_a_scene_hold_all_its_events():
    scene = Scene(64, 48, 0.5, [face([(0, 20, 24, 30, 0), (0.5, 40, 24, 30, 0)])], noise_hz=5.0)
    stream, labels = scene.events()
    assert sum(len(chunk) for chunk, _ in packets(stream, 0.5)) == len(stream)
    assert np.count_nonzero(labels == SIGNAL) > 1_000
