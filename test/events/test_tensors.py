"""Representations against a plain reference, regions of interest and bad arguments."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import tensors
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.tensors import TensorError, bin_window, representations
from cs3d_ros.events.windows import Window
from event_helpers import events


def reference(window, roi, bins, size):
    """`on_off_recency` as its definition reads, with exact integers where it cuts."""
    duration = window.end_ns - window.start_ns
    counts = np.zeros((2, bins, size, size))
    recency = np.zeros((bins, size, size))
    for chunk in window.chunks:
        for t, x, y, p in zip(
            chunk.t_ns.tolist(), chunk.x.tolist(), chunk.y.tolist(), chunk.p, strict=True
        ):
            if not window.start_ns <= t < window.end_ns:
                continue
            if not (roi.x <= x < roi.x + roi.width and roi.y <= y < roi.y + roi.height):
                continue
            time_bin, rest = divmod((t - window.start_ns) * bins, duration)
            for row in cells(y - roi.y, roi.height, size):
                for column in cells(x - roi.x, roi.width, size):
                    counts[0 if p else 1, time_bin, row, column] += 1
                    age = (rest + 1) / duration
                    recency[time_bin, row, column] = max(recency[time_bin, row, column], age)
    per_cell = max(1, roi.width * roi.height / size**2)
    return np.concatenate([np.log1p(counts / per_cell), recency[None]]).astype(np.float32)


def cells(pixel, pixels, size):
    """The cells that show a pixel: those whose source it is, or the one it falls in."""
    if size > pixels:
        return [cell for cell in range(size) if cell * pixels // size == pixel]
    return [pixel * size // pixels]


def chunked(rows, cuts):
    edges = [0, *sorted(min(cut, len(rows)) for cut in cuts), len(rows)]
    return tuple(events(rows[a:b]) for a, b in itertools.pairwise(edges))


@st.composite
def cases(draw):
    start_ns = draw(st.integers(-(10**6), 10**15))
    duration_ns = draw(st.integers(1, 50) | st.integers(1, 10**12))
    roi = Roi(*(draw(st.integers(0, 4)) for _ in "xy"), *(draw(st.integers(1, 40)) for _ in "wh"))
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(start_ns - 3, start_ns + duration_ns + 3),
                st.integers(0, 46),
                st.integers(0, 46),
                st.integers(0, 1),
            ),
            max_size=60,
        )
    )
    chunks = chunked(rows, draw(st.lists(st.integers(0, 60), max_size=4)))
    window = Window(start_ns, start_ns + duration_ns, chunks, 0)
    return window, roi, draw(st.integers(1, 7)), draw(st.integers(1, 45))


@given(cases())
def test_binning_agrees_with_the_reference(case):
    result = bin_window(*case)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, reference(*case), rtol=2e-6, atol=0)


@pytest.mark.parametrize("side", [16, 112, 113, 300])
def test_sizes_of_practice_agree_with_the_reference(side):
    rng = np.random.default_rng(side)
    rows = list(
        zip(
            (rng.integers(0, 500_000, 3000) * 1000).tolist(),
            *(rng.integers(0, side + 10, (2, 3000)).tolist()),
            rng.integers(0, 2, 3000).tolist(),
            strict=True,
        )
    )
    case = Window(0, 500_000_000, chunked(rows, [10, 1000]), 3000), Roi(5, 3, side, side), 16, 112
    np.testing.assert_allclose(bin_window(*case), reference(*case), rtol=2e-6, atol=0)


def test_the_default_is_what_the_network_reads():
    tensor = bin_window(Window(0, 100, (), 0), Roi(0, 0, 100, 100))
    assert tensor.shape == (3, 16, 112, 112)
    assert not tensor.any()


def test_bins_meet_without_overlap():
    rows = [(t, 0, 0, 1) for t in range(100)]
    tensor = bin_window(Window(0, 100, (events(rows),), 100), Roi(0, 0, 8, 8), bins=4, size=1)
    np.testing.assert_allclose(np.expm1(tensor[0, :, 0, 0]) * 64, [25] * 4, rtol=1e-5)
    np.testing.assert_allclose(tensor[2, :, 0, 0], [0.97] * 4)


@pytest.mark.parametrize(
    ("bins", "duration_ns"), [(3, 123_456_789), (9, 999_999_999), (15, 500_000_000)]
)
def test_an_event_at_an_edge_is_in_the_bin_that_begins_there(bins, duration_ns):
    """In floating point some of these fall short of the edge."""
    rows = [(k * duration_ns // bins, 0, 0, 1) for k in range(bins) if k * duration_ns % bins == 0]
    window = Window(0, duration_ns, (events(rows),), len(rows))
    tensor = bin_window(window, Roi(0, 0, 8, 8), bins, 8)
    np.testing.assert_allclose(tensor, reference(window, Roi(0, 0, 8, 8), bins, 8), rtol=1e-6)


def test_recency_is_positive_at_the_start_and_one_at_most_at_the_end():
    first = bin_window(Window(0, 10**9, (events([(0, 0, 0, 1)]),), 1), Roi(0, 0, 8, 8), 1, 8)
    assert 0 < first[2].max() < 1e-6
    last = bin_window(Window(0, 10, (events([(9, 0, 0, 1)]),), 1), Roi(0, 0, 8, 8), 1, 8)
    assert last[2].max() == 1


def test_the_latest_event_counts_in_whatever_order():
    rows = [(90, 0, 0, 1), (10, 0, 0, 1)]
    window = Window(0, 100, (events(rows),), 2)
    assert bin_window(window, Roi(0, 0, 8, 8), 1, 8)[2, 0, 0, 0] == np.float32(0.91)


def test_many_events_in_one_cell():
    n = 5000
    chunk = Events(
        np.arange(n), np.zeros(n, np.uint16), np.zeros(n, np.uint16), np.ones(n, np.uint8)
    )
    tensor = bin_window(Window(0, n, (chunk,), n), Roi(0, 0, 8, 8), bins=1, size=8)
    assert tensor[0, 0, 0, 0] == pytest.approx(np.log1p(n))
    assert tensor[0].sum() == tensor[0, 0, 0, 0]
    assert not tensor[1].any()


def test_a_face_fills_the_tensor_alike_at_any_resolution():
    """Each pixel fires once: four times the pixels, the same tensor."""
    small, large = (
        events([(0, x, y, 1) for x in range(side) for y in range(side)]) for side in (16, 32)
    )
    a = bin_window(Window(0, 1, (small,), 0), Roi(0, 0, 16, 16), bins=1, size=8)
    b = bin_window(Window(0, 1, (large,), 0), Roi(0, 0, 32, 32), bins=1, size=8)
    np.testing.assert_array_equal(a, b)


def test_results_are_independent_of_each_other():
    window = Window(0, 10, (events([(5, 1, 1, 1)]),), 1)
    first = bin_window(window, Roi(0, 0, 8, 8), 2, 8)
    kept = first.copy()
    bin_window(Window(0, 10, (events([(1, 5, 5, 0)]),), 1), Roi(0, 0, 8, 8), 2, 8)
    np.testing.assert_array_equal(first, kept)
    assert first.flags.writeable


def test_small_chunks_are_joined_and_large_ones_taken_as_they_are():
    small = [events([(i, 0, 0, 1)]) for i in range(3)]
    n = tensors._BATCH + 1
    large = Events(
        np.zeros(n, np.int64), np.zeros(n, np.uint16), np.zeros(n, np.uint16), np.zeros(n, np.uint8)
    )
    batches = list(tensors._joined((*small, large, small[0])))
    assert [len(batch[0]) for batch in batches] == [3, n, 1]
    assert batches[1][0] is large.t_ns


def test_each_kernel_is_compiled_for_one_set_of_types():
    """Another set would mean that some window waits for the compiler after warm_up()."""
    chunk = events([(0, 1, 1, 1)])
    bin_window(Window(0, 10, (chunk, chunk), 2), Roi(0, 0, 20, 20), 3, 50)
    assert len(tensors._accumulate.signatures) == 1
    assert len(tensors._compress.signatures) == 1


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
