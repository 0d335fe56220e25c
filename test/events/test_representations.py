"""Each representation on windows whose tensors are known."""

import itertools
import math

import numpy as np
import pytest

from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.tensors import bin_window, representations
from cs3d_ros.events.windows import Window
from event_helpers import events

ALL = representations()
PLAIN = Roi(0, 0, 8, 8)


def tensor(name, rows, *, duration_ns=80, roi=PLAIN, bins=4, size=8):
    """The tensor of rows (t_ns, x, y, p); by default four bins of 20 ns, a pixel a cell."""
    window = Window(0, duration_ns, (events(rows),), len(rows))
    return bin_window(window, roi, bins, size, name)


def nonzero(array):
    """The values other than 0 by (channel, bin, row, column)."""
    return {tuple(map(int, where)): float(array[tuple(where)]) for where in np.argwhere(array)}


# All of them


@pytest.mark.parametrize("name", ALL)
def test_events_outside_time_or_region_leave_no_trace(name):
    rows = [
        (-1, 3, 4, 1),
        (80, 3, 4, 0),
        (40, 1, 4, 1),
        (40, 3, 2, 0),
        (40, 2 + 8, 4, 1),
        (40, 3, 3 + 8, 0),
        (40, 65535, 65535, 1),
    ]
    assert not tensor(name, rows, roi=Roi(2, 3, 8, 8)).any()


@pytest.mark.parametrize("name", ALL)
def test_the_region_decides_the_cell(name):
    for where in nonzero(tensor(name, [(40, 7, 9, 1)], roi=Roi(2, 3, 8, 8))):
        assert where[2:] == (6, 5)


@pytest.mark.parametrize("name", ALL)
def test_several_pixels_share_a_cell_of_a_small_tensor(name):
    # Rows 0…3 of 8 fall in row 0 of 2, columns 4…7 in column 1.
    whole = tensor(name, [(10, x, y, 1) for x in range(4, 8) for y in range(4)], size=2)
    assert {where[2:] for where in nonzero(whole)} == {(0, 1)}
    if name == "polarity_counts":
        assert nonzero(whole) == {(0, 0, 0, 1): 16}


@pytest.mark.parametrize("name", ALL)
def test_a_pixel_fills_several_cells_of_a_large_tensor(name):
    rows = [(15, 1, 0, 1), (35, 0, 2, 0), (35, 1, 0, 1)]
    small = tensor(name, rows, roi=Roi(0, 0, 3, 3), size=3)
    large = tensor(name, rows, roi=Roi(0, 0, 3, 3), size=8)
    source = np.arange(8) * 3 // 8
    expected = small[:, :, source][:, :, :, source]
    if name == "on_off_recency":
        # Fewer than one pixel per cell counts as one.
        assert expected[:2].max() == np.float32(np.log1p(1))
    np.testing.assert_array_equal(large, expected)


@pytest.mark.parametrize("name", ALL)
def test_each_axis_is_scaled_for_itself(name):
    # Two columns become four, eight rows become four.
    result = tensor(name, [(10, 1, 7, 1)], roi=Roi(0, 0, 2, 8), size=4)
    assert {where[2:] for where in nonzero(result)} == {(3, 2), (3, 3)}


@pytest.mark.parametrize("name", ALL)
def test_results_are_independent_of_each_other(name):
    first = tensor(name, [(5, 1, 1, 1)])
    kept = first.copy()
    tensor(name, [(1, 5, 5, 0)])
    np.testing.assert_array_equal(first, kept)
    assert first.flags.writeable


# on_off_recency


def test_bins_meet_without_overlap():
    result = tensor("on_off_recency", [(t, 0, 0, 1) for t in range(100)], duration_ns=100, size=1)
    np.testing.assert_allclose(np.expm1(result[0, :, 0, 0]) * 64, [25] * 4, rtol=1e-5)
    np.testing.assert_allclose(result[2, :, 0, 0], [0.97] * 4)


def test_recency_is_positive_at_the_start_and_one_at_most_at_the_end():
    first = tensor("on_off_recency", [(0, 0, 0, 1)], duration_ns=10**9, bins=1)
    assert 0 < first[2].max() < 1e-6
    last = tensor("on_off_recency", [(9, 0, 0, 1)], duration_ns=10, bins=1)
    assert last[2].max() == 1


def test_the_latest_event_counts_in_whatever_order():
    result = tensor("on_off_recency", [(90, 0, 0, 1), (10, 0, 0, 1)], duration_ns=100, bins=1)
    assert result[2, 0, 0, 0] == np.float32(0.91)


@pytest.mark.parametrize("n", [1022, 1023, 1024, 5000])
def test_many_events_in_one_cell(n):
    chunk = Events(
        np.arange(n), np.zeros(n, np.uint16), np.zeros(n, np.uint16), np.ones(n, np.uint8)
    )
    window = Window(0, n, (chunk,), n)
    result = bin_window(window, PLAIN, bins=1, size=8)
    assert result[0, 0, 0, 0] == pytest.approx(np.log1p(n))
    assert result[0].sum() == result[0, 0, 0, 0]
    assert not result[1].any()
    assert nonzero(bin_window(window, PLAIN, 1, 8, "polarity_counts")) == {(0, 0, 0, 0): n}


@pytest.mark.parametrize("repeats", [1, 2, 9])
def test_more_events_than_cells(repeats):
    rows = [(t, t % 8, 1, p) for t in range(80) for p in (0, 1)] * repeats
    result = tensor("on_off_recency", rows)
    for b, row in itertools.product(range(4), range(8)):
        n = np.bincount(np.arange(20 * b, 20 * b + 20) % 8, minlength=8) * repeats * (row == 1)
        for channel in (0, 1):
            np.testing.assert_allclose(result[channel, b, row], np.log1p(n), rtol=1e-6)


def test_a_face_fills_the_tensor_alike_at_any_resolution():
    """Each pixel fires once: four times the pixels, the same tensor."""
    small, large = (
        events([(0, x, y, 1) for x in range(side) for y in range(side)]) for side in (16, 32)
    )
    a = bin_window(Window(0, 1, (small,), 0), Roi(0, 0, 16, 16), bins=1, size=8)
    b = bin_window(Window(0, 1, (large,), 0), Roi(0, 0, 32, 32), bins=1, size=8)
    np.testing.assert_array_equal(a, b)


# polarity_counts


def test_counts_by_polarity_bin_row_and_column():
    rows = [(0, 1, 2, 1), (19, 1, 2, 1), (19, 1, 2, 0), (20, 1, 2, 1), (79, 7, 0, 0)]
    assert nonzero(tensor("polarity_counts", rows)) == {
        (0, 0, 2, 1): 2,
        (1, 0, 2, 1): 1,
        (0, 1, 2, 1): 1,
        (1, 3, 0, 7): 1,
    }


# voxel_grid


def test_an_event_at_an_instant_adds_its_polarity_there():
    # Five instants in 80 ns: 0, 20, 40, 60, 80.
    rows = [(0, 0, 0, 1), (20, 1, 0, 0), (60, 2, 0, 1)]
    assert nonzero(tensor("voxel_grid", rows, bins=5)) == {
        (0, 0, 0, 0): 1,
        (0, 1, 0, 1): -1,
        (0, 3, 0, 2): 1,
    }


def test_an_event_between_two_instants_is_shared_by_nearness():
    found = nonzero(tensor("voxel_grid", [(25, 0, 0, 1), (79, 1, 0, 0)], bins=5))
    assert found == pytest.approx(
        {(0, 1, 0, 0): 0.75, (0, 2, 0, 0): 0.25, (0, 3, 0, 1): -0.05, (0, 4, 0, 1): -0.95},
        abs=1e-6,
    )


def test_opposite_events_of_one_instant_cancel():
    assert not tensor("voxel_grid", [(25, 0, 0, 1), (25, 0, 0, 0)]).any()


def test_one_bin_of_voxels_is_the_sum_of_polarities():
    rows = [(0, 0, 0, 1), (40, 0, 0, 1), (79, 0, 0, 1), (79, 1, 1, 0)]
    assert nonzero(tensor("voxel_grid", rows, bins=1)) == {(0, 0, 0, 0): 3, (0, 0, 1, 1): -1}


def test_what_an_event_adds_does_not_depend_on_the_others():
    first, second = [(25, 0, 0, 1)], [(50, 3, 3, 0), (70, 0, 0, 1)]
    together = tensor("voxel_grid", first + second)
    np.testing.assert_allclose(
        together, tensor("voxel_grid", first) + tensor("voxel_grid", second), atol=1e-6
    )


# time_surface


def test_a_surface_decays_by_e_in_each_bin_from_the_last_event():
    surface = tensor("time_surface", [(30, 0, 0, 1), (25, 0, 0, 1), (60, 0, 0, 1)])
    # 10 of 20 ns before the end of bin 1; at the very start of bin 3.
    expected = [0, math.exp(-0.5), math.exp(-1.5), math.exp(-1)]
    np.testing.assert_allclose(surface[0, :, 0, 0], expected, rtol=1e-6)
    assert np.count_nonzero(surface) == 3


def test_each_polarity_has_its_surface():
    surface = tensor("time_surface", [(70, 2, 1, 0), (75, 2, 1, 1)])
    assert nonzero(surface) == pytest.approx(
        {(0, 3, 1, 2): math.exp(-0.25), (1, 3, 1, 2): math.exp(-0.5)}
    )


def test_an_event_of_a_later_bin_does_not_show_in_an_earlier():
    assert {where[1] for where in nonzero(tensor("time_surface", [(45, 0, 0, 1)]))} == {2, 3}


# binary


def test_each_eighth_of_a_bin_is_a_bit_and_the_last_weighs_most():
    # One bin of 80 ns: eighths of 10 ns.
    for t, bit in ((0, 0), (9, 0), (10, 1), (69, 6), (70, 7), (79, 7)):
        found = nonzero(tensor("binary", [(t, 4, 2, 1)], bins=1))
        assert found == {(0, 0, 2, 4): 2**bit / 256}


def test_repeated_events_and_polarity_do_not_show_in_binary():
    rows = [(0, 0, 0, 1), (5, 0, 0, 0), (5, 0, 0, 1), (70, 0, 0, 0)]
    assert nonzero(tensor("binary", rows, bins=1)) == {(0, 0, 0, 0): 129 / 256}


def test_events_in_every_part_fill_binary():
    rows = [(t, 0, 0, 1) for t in range(80)]
    assert nonzero(tensor("binary", rows, bins=2)) == {
        (0, 0, 0, 0): 255 / 256,
        (0, 1, 0, 0): 255 / 256,
    }
