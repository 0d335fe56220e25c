import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.simulation.frame_times import LONGEST_BREAK_S, FrameTimes


def placed(*stamps, rate=10.0):
    times = FrameTimes(rate)
    return [round(times.place(stamp), 9) for stamp in stamps], times


def test_times_begin_with_zero():
    found, times = placed(5.0, 5.1, 5.2)
    assert found == [0.0, 0.1, 0.2]
    assert (times.replaced, times.is_variable) == (0, False)


def test_a_variable_rate_is_kept():
    found, times = placed(0.0, 0.1, 0.35, 0.4)
    assert found == [0.0, 0.1, 0.35, 0.4]
    assert (times.replaced, times.is_variable) == (0, True)


def test_stamps_in_whole_ms_are_no_variable_rate():
    _, times = placed(*(round(i / 29.97, 3) for i in range(100)), rate=29.97)
    assert not times.is_variable


@pytest.mark.parametrize("stamps", [(0.0, 0.0, 0.0), (math.nan, math.nan, -math.inf), (3, 2, 1)])
def test_stamps_of_no_use_give_way_to_the_nominal_rate(stamps):
    found, times = placed(*stamps)
    assert found == [0.0, 0.1, 0.2]
    assert times.replaced == 2


def test_a_single_bad_stamp_is_mended():
    found, times = placed(0.0, 0.1, 0.05, 0.3, 0.4)
    assert found == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert times.replaced == 1


def test_a_break_is_closed_for_all_frames_behind_it():
    found, times = placed(0.0, 0.1, 0.1 + LONGEST_BREAK_S + 1, 0.3 + LONGEST_BREAK_S + 1)
    assert found == [0.0, 0.1, 0.2, 0.4]
    assert times.replaced == 1


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=2, max_size=20))
def test_times_ascend_without_breaks_whatever_the_stamps(stamps):
    found, _ = placed(*stamps)
    steps = [after - before for before, after in pairwise(found)]
    assert all(0.0 <= step <= LONGEST_BREAK_S + 1e-6 for step in steps)
