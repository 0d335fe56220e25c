"""Where events fall: batches, cells, phases, and what is compiled for them."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.dispatcher import Dispatcher

from cs3d_ros.events import cells, representations
from cs3d_ros.events.cells import Grid, batches, joined, located
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.tensors import bin_window
from cs3d_ros.events.tensors import representations as names
from cs3d_ros.events.windows import Window
from event_helpers import events

INT64 = np.iinfo(np.int64)
HELPERS = {"_bin_at", "_run_end", "_split"}
"""Kernels that only others call: compiled as a part of them, or not at all with a cache."""


def located_rows(window, grid, shift_ns=None):
    """(cell, phase) of every event."""
    found = []
    for where, phases, _ in located(window, grid, shift_ns):
        padded = phases.tolist() or [None] * len(where)
        found += zip(where.tolist(), padded, strict=True)
    return found


def signatures():
    """How many sets of types each kernel is compiled for."""
    return {
        name: len(value.signatures)
        for module in (cells, representations)
        for name, value in vars(module).items()
        if isinstance(value, Dispatcher)
    }


def many(n):
    return Events(*(np.arange(n).astype(d) for d in (np.int64, np.uint16, np.uint16, np.uint8)))


def test_small_chunks_are_joined_and_large_ones_cut():
    limit = cells._BATCH
    small = [events([(i, 0, 0, 1)]) for i in range(3)]
    sizes = [len(batch[0]) for batch in batches((*small, many(2 * limit + 1), small[0]))]
    assert sizes == [3, limit, limit, 1, 1]
    assert [len(batch[0]) for batch in batches((small[0], many(limit - 1)))] == [limit]
    assert list(batches(())) == []


def test_no_event_is_lost_or_changed_on_the_way_to_the_kernels():
    chunks = (many(5), many(cells._BATCH + 7), many(2))
    for column, kept in zip(
        zip(*batches(chunks), strict=True), ("t_ns", "x", "y", "p"), strict=True
    ):
        expected = np.concatenate([getattr(chunk, kept) for chunk in chunks])
        np.testing.assert_array_equal(np.concatenate(column), expected)


@pytest.mark.parametrize("n", [1, 3])
def test_batches_are_read_only_but_the_events_stay_as_they_were(n):
    chunk = many(4)
    for batch in batches((chunk,) * n):
        assert not any(column.flags.writeable for column in batch)
    assert chunk.t_ns.flags.writeable
    assert all(column.flags.writeable for column in joined((chunk,) * n))


def test_the_cell_counts_bins_then_rows_then_columns():
    window = Window(100, 180, (events([(100, 2, 3, 1), (139, 5, 4, 0), (179, 2, 9, 1)]),), 3)
    grid = Grid.of(window, Roi(2, 3, 4, 7), bins=4, size=3)
    assert (grid.rows, grid.columns, grid.frame, grid.outside) == (3, 3, 9, 36)
    # Row 1 of 7 and column 3 of 4 fall in row 0 and column 2 of 3.
    assert [cell for cell, _ in located_rows(window, grid)] == [0, 9 + 2, 27 + 6]


def test_the_phase_is_the_part_of_the_bin_that_is_over():
    window = Window(100, 180, (events([(100, 0, 0, 1), (105, 0, 0, 1), (179, 0, 0, 1)]),), 3)
    grid = Grid.of(window, Roi(0, 0, 8, 8), bins=4, size=8)
    assert [phase for _, phase in located_rows(window, grid, 0)] == [0, 0.25, np.float32(0.95)]
    shifted = [phase for _, phase in located_rows(window, grid, 8)]
    np.testing.assert_allclose(shifted, [0.1, 0.35, 1.05], rtol=1e-6)


def test_times_and_places_beyond_all_bounds_are_outside():
    rows = [
        (INT64.min, 0, 0, 1),
        (-1, 0, 0, 1),
        (0, 4, 5, 1),
        (9, 65535, 5, 1),
        (9, 4, 65535, 1),
        (9, 3, 5, 1),
        (9, 4, 4, 1),
        (10, 4, 5, 1),
        (INT64.max, 4, 5, 1),
    ]
    window = Window(0, 10, (events(rows),), 0)
    grid = Grid.of(window, Roi(4, 5, 8, 8), bins=3, size=8)
    assert [cell for cell, _ in located_rows(window, grid, 0)] == [grid.outside] * 2 + [0] + [
        grid.outside
    ] * 6


@pytest.mark.parametrize("start_ns", [INT64.min, INT64.min + 5, INT64.max - 1000])
def test_windows_at_the_ends_of_time(start_ns):
    times = [INT64.min, start_ns, start_ns + 999, INT64.max]
    window = Window(start_ns, start_ns + 1000, (events([(t, 0, 0, 1) for t in times]),), 2)
    grid = Grid.of(window, Roi(0, 0, 8, 8), bins=2, size=1)
    inside = [(0 if t - start_ns < 500 else 1) if 0 <= t - start_ns < 1000 else 2 for t in times]
    assert [cell for cell, _ in located_rows(window, grid, 0)] == inside


@given(st.integers(1, cells.MAX_ROI_SIDE), st.integers(1, cells.MAX_ROI_SIDE), st.data())
def test_every_pixel_falls_in_its_cell_exactly(pixels, size, data):
    size = min(size, pixels)
    pixel = data.draw(st.integers(0, pixels - 1))
    # The first pixel of a cell and the one before are those that rounding would move.
    first = -(-(pixel * size // pixels) * pixels // size)
    x = sorted({pixel, first, max(0, first - 1), pixels - 1})
    window = Window(0, 1, (events([(0, column, 0, 1) for column in x]),), len(x))
    grid = Grid.of(window, Roi(0, 0, pixels, 1), bins=1, size=size)
    assert [cell for cell, _ in located_rows(window, grid)] == [c * size // pixels for c in x]


def test_all_pixels_of_a_common_sensor_fall_in_their_cells():
    for pixels, size in itertools.product((240, 260, 480, 720, 800, 1280), (16, 112, 113, 224)):
        chunk = Events(
            np.zeros(pixels, np.int64),
            np.arange(pixels).astype(np.uint16),
            np.zeros(pixels, np.uint16),
            np.ones(pixels, np.uint8),
        )
        window = Window(0, 1, (chunk,), pixels)
        grid = Grid.of(window, Roi(0, 0, pixels, 1), bins=1, size=size)
        expected = np.arange(pixels) * min(size, pixels) // pixels
        (found, _, _), *_ = located(window, grid)
        np.testing.assert_array_equal(found, expected)


@given(st.lists(st.integers(-20, 220), max_size=300), st.integers(1, 9), st.integers(1, 200))
def test_the_bin_is_exact_in_whatever_order_events_come(times, bins, duration_ns):
    window = Window(0, duration_ns, (events([(t, 0, 0, 1) for t in times]),), 0)
    grid = Grid.of(window, Roi(0, 0, 8, 8), bins, size=1)
    expected = [t * bins // duration_ns if 0 <= t < duration_ns else bins for t in times]
    assert [cell for cell, _ in located_rows(window, grid)] == expected


def test_each_kernel_is_compiled_for_one_set_of_types():
    """Another set would mean that some window waits for the compiler after warm_up()."""
    compiled = signatures()
    plain = events([(t, t, 1, t % 2) for t in range(40)])
    read_only = events([(t, 1, t, 1) for t in range(40)])
    for column in (read_only.t_ns, read_only.x, read_only.y, read_only.p):
        column.flags.writeable = False
    strided = Events(*(column[::2] for column in (plain.t_ns, plain.x, plain.y, plain.p)))
    for name, size, chunks in itertools.product(
        names(), (5, 50), ((), (plain,), (read_only,), (strided,), (plain, read_only, strided))
    ):
        bin_window(Window(np.int64(0), np.int64(30), chunks, 2), Roi(0, 0, 20, 20), 3, size, name)
    assert signatures() == compiled
    assert len(compiled) >= len(HELPERS) + 9
    assert {compiled[name] for name in compiled.keys() - HELPERS} == {1}
