"""All representations: geometry, against their definitions, on recordings, and bad arguments."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.stream import EventStream
from cs3d_ros.events.tensors import TensorError, bin_window, channels, representations
from cs3d_ros.events.windows import SlidingWindows, Window
from cs3d_ros.recordings import open_recording
from event_helpers import events, rows
from recordings_data import recording_path

ALL = representations()
PLAIN = Roi(0, 0, 8, 8)


# What each representation is by definition, slowly and with exact integers where it cuts.


def members(window, roi):
    """(t − start, x − left, y − top, p) of the events inside."""
    for chunk in window.chunks:
        for t, x, y, p in rows(chunk):
            dt, column, row = t - window.start_ns, x - roi.x, y - roi.y
            in_time = 0 <= dt < window.end_ns - window.start_ns
            if in_time and 0 <= column < roi.width and 0 <= row < roi.height:
                yield dt, column, row, p


def cells(pixel, pixels, size):
    """The cells that show a pixel: those whose source it is, or the one it falls in."""
    if size > pixels:
        return [cell for cell in range(size) if cell * pixels // size == pixel]
    return [pixel * size // pixels]


def places(window, roi, size):
    """(t − start, row, column, p) of every cell that shows an event."""
    for dt, x, y, p in members(window, roi):
        for row, column in itertools.product(cells(y, roi.height, size), cells(x, roi.width, size)):
            yield dt, row, column, p


def reference(name, window, roi, bins, size):
    duration = window.end_ns - window.start_ns
    shape = (channels(name), bins, size, size)
    if name == "voxel_grid":
        result = np.zeros(shape)
        for dt, row, column, p in places(window, roi, size):
            instant = (bins - 1) * dt / duration
            for b in range(bins):
                weight = max(0, 1 - abs(b - instant))
                result[0, b, row, column] += weight if p else -weight
        return result
    if name == "time_surface":
        result = np.zeros(shape)
        for dt, row, column, p in places(window, roi, size):
            for b in range(dt * bins // duration, bins):
                value = math.exp(dt * bins / duration - (b + 1))
                old = result[1 - p, b, row, column]
                result[1 - p, b, row, column] = max(old, value)
        return result
    if name == "binary":
        bits = np.zeros(shape, int)
        for dt, row, column, _ in places(window, roi, size):
            b, bit = divmod(dt * bins * 8 // duration, 8)
            bits[0, b, row, column] |= 1 << bit
        return bits / 256
    counts, recency = np.zeros((2, *shape[1:])), np.zeros((1, *shape[1:]))
    for dt, row, column, p in places(window, roi, size):
        b, rest = divmod(dt * bins, duration)
        counts[1 - p, b, row, column] += 1
        recency[0, b, row, column] = max(recency[0, b, row, column], (rest + 1) / duration)
    if name == "polarity_counts":
        return counts
    per_cell = max(1, roi.width * roi.height / size**2)
    return np.concatenate([np.log1p(counts / per_cell), recency])


@st.composite
def windows(draw, max_size=60):
    start_ns = draw(st.integers(-(10**6), 10**15))
    duration_ns = draw(st.integers(1, 50) | st.integers(1, 10**12))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(start_ns - 3, start_ns + duration_ns + 3),
                st.integers(0, 46),
                st.integers(0, 46),
                st.integers(0, 1),
            ),
            max_size=max_size,
        )
    )
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    edges = [0, *cuts, len(rows)]
    chunks = tuple(events(rows[a:b]) for a, b in itertools.pairwise(edges))
    return Window(start_ns, start_ns + duration_ns, chunks, 0)


@st.composite
def regions(draw):
    return Roi(*(draw(st.integers(0, 4)) for _ in "xy"), *(draw(st.integers(1, 40)) for _ in "wh"))


@pytest.mark.parametrize("name", ALL)
@given(windows(), regions(), st.integers(1, 7), st.integers(1, 45))
def test_tensors_are_what_their_definition_says(name, window, roi, bins, size):
    result = bin_window(window, roi, bins, size, name)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    expected = reference(name, window, roi, bins, size)
    np.testing.assert_allclose(result, expected, rtol=2e-6, atol=1e-5 * (name == "voxel_grid"))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("side", [16, 112, 113, 300])
def test_sizes_of_practice_agree_with_the_definition(name, side):
    rng = np.random.default_rng(side)
    chunk = Events(
        rng.integers(0, 500_000, 1500) * 1000,
        *rng.integers(0, side + 10, (2, 1500)).astype(np.uint16),
        rng.integers(0, 2, 1500).astype(np.uint8),
    )
    case = Window(0, 500_000_000, (chunk,), 1500), Roi(5, 3, side, side), 16, 112
    expected = reference(name, *case)
    np.testing.assert_allclose(bin_window(*case, name), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_no_events_no_values(name):
    for chunks in ((), (Events.empty(),)):
        result = bin_window(Window(0, 80, chunks, 0), PLAIN, 4, 8, name)
        assert result.shape == (channels(name), 4, 8, 8)
        assert not result.any()


@pytest.mark.parametrize("name", ALL)
@given(windows(), regions(), st.integers(1, 5), st.integers(1, 20), st.randoms())
def test_the_order_of_events_does_not_matter(name, window, roi, bins, size, random):
    everything = rows(*window.chunks)
    random.shuffle(everything)
    shuffled = Window(window.start_ns, window.end_ns, (events(everything),), 0)
    expected = bin_window(window, roi, bins, size, name)
    result = bin_window(shuffled, roi, bins, size, name)
    if name == "voxel_grid":
        np.testing.assert_allclose(result, expected, atol=1e-5)
    else:
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("name", ALL)
def test_it_makes_no_difference_how_events_are_cut_into_chunks(name):
    rng = np.random.default_rng(5)
    n = 70_000
    columns = (
        np.sort(rng.integers(0, 80, n)),
        *rng.integers(0, 8, (2, n)).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )
    chunks = tuple(
        Events(*(column[a:b] for column in columns))
        for a, b in itertools.pairwise([0, 1, 1, 700, 40_000, n])
    )
    whole = bin_window(Window(0, 80, (Events(*columns),), n), PLAIN, 4, 8, name)
    np.testing.assert_array_equal(bin_window(Window(0, 80, chunks, n), PLAIN, 4, 8, name), whole)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("bins", "duration_ns"), [(3, 123_456_789), (9, 999_999_999), (15, 500_000_000)]
)
def test_an_event_at_an_edge_is_in_the_bin_that_begins_there(name, bins, duration_ns):
    """In floating point some of these fall short of the edge."""
    rows = [(k * duration_ns // bins, 0, 0, 1) for k in range(bins) if k * duration_ns % bins == 0]
    window = Window(0, duration_ns, (events(rows),), len(rows))
    result = bin_window(window, PLAIN, bins, 8, name)
    expected = reference(name, window, PLAIN, bins, 8)
    np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6 * (name == "voxel_grid"))


@given(windows(), regions(), st.integers(1, 7), st.integers(1, 20))
def test_counts_and_voxels_add_up(window, roi, bins, size):
    inside = list(members(window, roi))
    on = sum(p for *_, p in inside)
    side = min(size, roi.width, roi.height)
    counts = bin_window(window, roi, bins, side, "polarity_counts").sum((1, 2, 3))
    assert counts.tolist() == [on, len(inside) - on]
    voxels = bin_window(window, roi, bins, side, "voxel_grid").sum(dtype=np.float64)
    assert voxels == pytest.approx(2 * on - len(inside), abs=1e-4)


@given(windows(), regions(), st.integers(1, 7), st.integers(1, 20))
def test_values_stay_in_their_ranges(window, roi, bins, size):
    assert bin_window(window, roi, bins, size, "on_off_recency").min() >= 0
    for name in ("time_surface", "binary"):
        result = bin_window(window, roi, bins, size, name)
        assert 0 <= result.min() <= result.max() <= 1
    whole = bin_window(window, roi, bins, size, "polarity_counts")
    np.testing.assert_array_equal(whole, np.round(whole))


def recorded_window(path, duration_ns):
    """The first complete window of a recording, with the size of the sensor."""
    stream, cutter = EventStream(), SlidingWindows(duration_ns, duration_ns, 10**9)
    with open_recording(path) as recording:
        for _, packet in recording:
            decoded = stream.feed(packet)
            if stream.now_ns is not None:
                for window in cutter.push(decoded, stream.now_ns):
                    if window.event_count:
                        return window, packet.width, packet.height
    raise AssertionError("no window")


@pytest.mark.parametrize("name", ALL)
def test_a_drawn_face_agrees_with_the_definition(drawn_face, name):
    window, width, height = recorded_window(drawn_face, 40_000_000)
    roi = Roi.centred_square(width, height)
    expected = reference(name, window, roi, 4, 28)
    np.testing.assert_allclose(bin_window(window, roi, 4, 28, name), expected, rtol=1e-5, atol=1e-5)


def test_every_member_of_a_real_window_is_counted():
    window, width, height = recorded_window(recording_path("evt3"), 20_000_000)
    assert window.event_count > 1000
    counts = bin_window(window, Roi(0, 0, width, height), 16, 112, "polarity_counts")
    on = sum(
        int(chunk.p[(window.start_ns <= chunk.t_ns) & (chunk.t_ns < window.end_ns)].sum())
        for chunk in window.chunks
    )
    assert counts.sum((1, 2, 3)).tolist() == [on, window.event_count - on]


def test_the_default_is_what_the_network_reads():
    tensor = bin_window(Window(0, 100, (), 0), Roi(0, 0, 100, 100))
    assert tensor.shape == (channels("on_off_recency"), 16, 112, 112)
    assert not tensor.any()


def test_every_representation_has_its_channels():
    assert {name: channels(name) for name in ALL} == {
        "binary": 1,
        "on_off_recency": 3,
        "polarity_counts": 2,
        "time_surface": 2,
        "voxel_grid": 1,
    }


def test_an_unknown_representation_lists_the_known_ones():
    assert "on_off_recency" in representations()
    with pytest.raises(TensorError, match=r"'voxels'.*on_off_recency"):
        bin_window(Window(0, 1, (), 0), Roi(0, 0, 8, 8), representation="voxels")


@pytest.mark.parametrize(
    ("end_ns", "bins", "size", "roi"),
    [
        (0, 1, 1, Roi(0, 0, 8, 8)),
        (1, 0, 1, Roi(0, 0, 8, 8)),
        (1, 1, 0, Roi(0, 0, 8, 8)),
        (1, 1, 1, Roi(0, 0, 0, 8)),
    ],
)
def test_a_tensor_without_bins_cells_pixels_or_time_is_refused(end_ns, bins, size, roi):
    with pytest.raises(TensorError, match="at least one"):
        bin_window(Window(0, end_ns, (), 0), roi, bins, size)


@pytest.mark.parametrize(
    ("end_ns", "bins", "size", "roi"),
    [
        (1, 1, 1, Roi(0, 0, 32769, 8)),
        (1, 1, 1, Roi(0, 0, 8, 32769)),
        (1, 1, 16385, PLAIN),
        (1, 1 << 29, 1, PLAIN),
        (1 << 58, 4, 1, PLAIN),
    ],
)
def test_a_tensor_beyond_all_bounds_is_refused(end_ns, bins, size, roi):
    with pytest.raises(TensorError, match="at most"):
        bin_window(Window(0, end_ns, (), 0), roi, bins, size)


def test_the_channels_of_an_unknown_representation_are_refused():
    with pytest.raises(TensorError, match="expected one of"):
        channels("voxels")
