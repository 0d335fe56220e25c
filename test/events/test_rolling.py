"""Tensors made from the last one: always those of bin_window, to the bit."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import rolling
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.rolling import INDEPENDENT_BINS, RollingTensors
from cs3d_ros.events.stream import EventStream
from cs3d_ros.events.tensors import TensorError, bin_window, representations
from cs3d_ros.events.windows import SlidingWindows, Window
from cs3d_ros.recordings import open_recording
from event_helpers import events
from recordings_data import recording_path

SIDE = 12
WHOLE = Roi(0, 0, SIDE, SIDE)


def cut(chunks, duration_ns, hop_ns, max_events=10**9):
    """The windows of (events, now_ns), with what tells whether their events have changed."""
    windows = SlidingWindows(duration_ns, hop_ns, max_events)
    for chunk, now_ns in chunks:
        dropped = windows.events_dropped
        for window in windows.push(chunk, now_ns):
            yield window, dropped + windows.events_late


def checked_shifts(cuts, bins, size, name, regions=None):
    """Make the tensors of some windows, compare each with its own, and return the shifts."""
    tensors = RollingTensors(bins, size, name)
    shifts = []
    for (window, revision), roi in zip(cuts, regions or itertools.repeat(WHOLE), strict=False):
        tensor, shift = tensors.make(window, roi, revision)
        expected = bin_window(window, roi, bins, size, name)
        assert tensor.dtype == expected.dtype
        assert tensor.flags.c_contiguous
        assert tensor.tobytes() == expected.tobytes()
        shifts.append(shift)
    return shifts


def steady(seconds=3.0, rate_hz=4_000, packet_ns=10_000_000, seed=0):
    """Chunks of events at random places, each some µs older or newer than its neighbours."""
    rng = np.random.default_rng(seed)
    n = round(rate_hz * packet_ns * 1e-9)
    for begin in range(0, round(seconds * 1e9), packet_ns):
        t_ns = np.sort(rng.integers(begin, begin + packet_ns, n)) // 1000 * 1000
        t_ns -= rng.integers(0, 8, n) * 1000
        x, y = rng.integers(0, SIDE, (2, n)).astype(np.uint16)
        chunk = Events(t_ns, x, y, rng.integers(0, 2, n).astype(np.uint8))
        yield chunk, begin + packet_ns


@st.composite
def streams(draw):
    """Small chunks with gaps, late events and a clock that goes on."""
    now_ns = draw(st.integers(-1_000, 10**12))
    pixel = st.integers(0, SIDE + 1)
    ages = st.integers(0, 12_000) | st.integers(0, 300_000)
    chunks = []
    for _ in range(draw(st.integers(1, 12))):
        now_ns += draw(st.sampled_from([0, 1_000, 7_919, 20_000, 160_000]))
        rows = draw(st.lists(st.tuples(ages, pixel, pixel, st.integers(0, 1)), max_size=8))
        chunks.append((events([(now_ns - age, x, y, p) for age, x, y, p in rows]), now_ns))
    # So that the windows of the last events are complete.
    return [*chunks, (Events.empty(), now_ns + 200_000)]


@pytest.mark.parametrize("name", sorted(INDEPENDENT_BINS))
@given(
    chunks=streams(),
    bins=st.integers(1, 6),
    size=st.integers(1, 15),
    bin_ns=st.sampled_from([7_000, 10_000, 20_000]),
    hop=st.sampled_from([(1, 0), (2, 0), (1, 1), (5, 0)]),
    max_events=st.integers(1, 100),
    seen=st.lists(st.booleans(), min_size=1, max_size=6),
    places=st.lists(st.sampled_from([WHOLE, WHOLE, Roi(2, 1, 9, 5)]), min_size=1, max_size=6),
)
def test_tensors_of_any_stream_are_those_of_the_whole_windows(
    name, chunks, bins, size, bin_ns, hop, max_events, seen, places
):
    cuts = itertools.islice(cut(chunks, bins * bin_ns, hop[0] * bin_ns + hop[1], max_events), 50)
    cuts = itertools.compress(cuts, itertools.cycle(seen))
    checked_shifts(cuts, bins, size, name, itertools.cycle(places))


@pytest.mark.parametrize("name", sorted(INDEPENDENT_BINS))
def test_a_chunk_that_the_last_window_lacked_and_an_earlier_one_had_counts_once(name):
    straggling = events([(0, 0, 0, 0)] * 7 + [(-66_000, 0, 0, 0)])
    chunks = [(straggling, 0), (Events.empty(), 0), (Events.empty(), 200_000)]
    shifts = checked_shifts(cut(chunks, 30_000, 10_000), 3, 1, name)
    assert {1, 2} <= set(shifts)


@pytest.mark.parametrize("name", sorted(INDEPENDENT_BINS))
@pytest.mark.parametrize("size", [8, 12, 17])
def test_a_steady_stream_adds_its_new_bins_only(monkeypatch, name, size):
    binned = []

    def counting(window, *rest):
        binned.append(sum(map(len, window.chunks)))
        return bin_window(window, *rest)

    monkeypatch.setattr(rolling, "bin_window", counting)
    cuts = list(cut(steady(), 500_000_000, 125_000_000))
    assert checked_shifts(cuts, 16, size, name) == [None] + [4] * (len(cuts) - 1)
    assert len(cuts) > 15
    # A quarter of the events of a window, and those of the chunks at its edges.
    assert max(binned[1:]) < 0.3 * binned[0]


@pytest.mark.parametrize("name", sorted(set(representations()) - INDEPENDENT_BINS))
def test_bins_that_depend_on_others_are_never_reused(name):
    cuts = list(cut(steady(1.0), 500_000_000, 125_000_000))
    assert checked_shifts(cuts, 16, 8, name) == [None] * len(cuts)


def test_windows_left_out_make_the_shift_larger():
    cuts = list(cut(steady(), 500_000_000, 125_000_000))
    seen = [cuts[i] for i in (0, 1, 3, 6, 10, 11)]
    assert checked_shifts(seen, 16, 8, "on_off_recency") == [None, 4, 8, 12, None, 4]


@pytest.mark.parametrize(
    ("hop_ns", "bins"), [(100_000_000, 16), (125_000_001, 16), (125_000_000, 7)]
)
def test_no_reuse_where_the_hop_is_no_whole_number_of_bins(hop_ns, bins):
    cuts = itertools.islice(cut(steady(1.0), 500_000_000, hop_ns), 20)
    assert set(checked_shifts(cuts, bins, 8, "binary")) == {None}


def test_another_region_begins_anew():
    cuts = list(cut(steady(1.2), 500_000_000, 125_000_000))[:4]
    places = [WHOLE, WHOLE, Roi(1, 0, 11, 11), Roi(1, 0, 11, 11)]
    assert checked_shifts(cuts, 16, 8, "polarity_counts", places) == [None, 4, None, 4]


def test_an_event_that_comes_too_late_for_the_last_window_is_in_the_next():
    late = events([(300_000_000, 3, 3, 1)])
    stream = list(steady(1.5))
    # The first window is complete 16 us after 500 ms, the second after 625 ms.
    stream.insert(55, (late, stream[54][1]))
    cuts = list(cut(stream, 500_000_000, 125_000_000))
    shifts = checked_shifts(cuts, 16, 12, "polarity_counts")
    assert shifts[:4] == [None, None, 4, 4]
    assert cuts[1][1] == 1


def test_events_dropped_between_two_windows_are_missing_in_the_second():
    cuts = list(cut(steady(2.0), 500_000_000, 125_000_000, max_events=1_500))
    assert cuts[-1][1] > 0
    assert None in checked_shifts(cuts, 16, 8, "on_off_recency")[2:]


def test_after_forgetting_nothing_is_reused():
    tensors = RollingTensors(16, 8, "binary")
    made = []
    for window, revision in cut(steady(1.2), 500_000_000, 125_000_000):
        made.append(tensors.make(window, WHOLE, revision)[1])
        if len(made) == 2:
            tensors.forget()
    assert made[:4] == [None, 4, None, 4]


def test_a_window_that_is_refused_is_forgotten():
    tensors = RollingTensors(16, 8, "binary")
    (one, _), (two, _) = itertools.islice(cut(steady(1.0), 500_000_000, 125_000_000), 2)
    tensors.make(one, WHOLE, 0)
    with pytest.raises(TensorError):
        tensors.make(Window(0, 0, (), 0), WHOLE, 0)
    assert tensors.make(two, WHOLE, 0)[1] is None


def test_a_tensor_given_out_is_not_written_to_again():
    tensors = RollingTensors(16, 8, "on_off_recency")
    made = [
        (tensors.make(window, WHOLE, revision)[0], window)
        for window, revision in cut(steady(1.5), 500_000_000, 125_000_000)
    ]
    for tensor, window in made:
        np.testing.assert_array_equal(tensor, bin_window(window, WHOLE, 16, 8))


@pytest.mark.parametrize("name", sorted(INDEPENDENT_BINS))
@pytest.mark.parametrize("kept", [slice(None), slice(0, None, 3)])
def test_a_real_recording(name, kept):
    stream = EventStream()
    with open_recording(recording_path("evt3")) as recording:
        chunks = [(stream.feed(packet), stream.now_ns) for _, packet in recording]
    cuts = list(cut(chunks, 64_000_000, 8_000_000))[kept]
    shifts = checked_shifts(cuts, 16, 40, name, itertools.repeat(Roi(280, 0, 720, 720)))
    step = 2 * (kept.step or 1)
    assert shifts == [None] + [step] * (len(cuts) - 1)
    assert len(cuts) > 40
