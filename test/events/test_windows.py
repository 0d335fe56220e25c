"""Sliding windows against brute force, gaps, bounds and bad durations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events.packets import Events
from cs3d_ros.events.windows import JITTER_NS, SlidingWindows, WindowError
from event_helpers import events, rows

PLENTY = 1_000_000


def at(*times_ns):
    return events([(t, 0, 0, 1) for t in times_ns])


def spans(windows):
    return [(w.start_ns, w.end_ns, w.event_count) for w in windows]


def members(window):
    return [r for r in rows(*window.chunks) if window.start_ns <= r[0] < window.end_ns]


@st.composite
def pushes(draw):
    """Chunks whose times step back by up to the jitter, and the newest time after each."""
    newest, result = draw(st.integers(0, 10**6)), []
    for _ in range(draw(st.integers(0, 8))):
        times = []
        for step in draw(st.lists(st.integers(0, 40_000), max_size=6)):
            newest += step
            times.append(newest - draw(st.integers(0, JITTER_NS)))
        result.append((times, newest))
    return result


@given(pushes(), st.integers(5_000, 90_000), st.data())
def test_windows_agree_with_brute_force(chunks, duration_ns, data):
    hop_ns = data.draw(st.integers(duration_ns // 4, 3 * duration_ns))
    windows = SlidingWindows(duration_ns, hop_ns, PLENTY)
    found, everything, first_ns, now_ns = [], [], None, None
    for times, now_ns in chunks:
        if first_ns is None:
            first_ns = min(times, default=now_ns)
        everything += times
        found += windows.push(at(*times), now_ns)

    expected = {}
    start_ns = first_ns
    while chunks and start_ns + duration_ns + JITTER_NS <= now_ns:
        inside = [t for t in everything if start_ns <= t < start_ns + duration_ns]
        expected[start_ns] = sorted(inside)
        start_ns += hop_ns

    starts = [w.start_ns for w in found]
    assert starts == sorted(set(starts))
    assert {w.start_ns: sorted(r[0] for r in members(w)) for w in found} == {
        s: expected[s] for s in starts
    }
    assert all(w.event_count == len(members(w)) for w in found)
    assert all(w.end_ns - w.start_ns == duration_ns for w in found)
    # What is missing had no events, and is counted.
    assert all(not expected[s] for s in set(expected) - set(starts))
    assert len(expected) - len(found) == windows.empty_windows_skipped
    assert windows.events_late == sum(t < (first_ns or 0) for t in everything)


def test_a_window_waits_for_the_events_that_step_back():
    windows = SlidingWindows(1_000_000, 1_000_000, PLENTY)
    assert windows.push(at(0, 999_000), 1_000_000) == []
    assert windows.push(at(1_010_000, 999_500), 1_010_000) == []
    assert spans(windows.push(Events.empty(), 1_016_000)) == [(0, 1_000_000, 3)]
    assert windows.events_late == 0


def test_windows_shorter_than_the_jitter_wait_too():
    windows = SlidingWindows(1, 1, PLENTY)
    windows.push(at(-JITTER_NS, 2), 2)
    found = windows.push(at(2 - JITTER_NS, 3), 3)
    assert (2 - JITTER_NS, 3 - JITTER_NS, 1) in spans(found)


def test_an_event_that_comes_too_late_is_counted():
    windows = SlidingWindows(1_000_000, 500_000, PLENTY)
    windows.push(at(0), 1_100_000)
    windows.push(at(999_999, 1_000_000), 1_100_000)
    assert windows.events_late == 1
    assert spans(windows.push(at(), 1_600_000)) == [(500_000, 1_500_000, 2)]


def test_windows_come_without_events_too():
    windows = SlidingWindows(100_000, 50_000, PLENTY)
    assert windows.push(Events.empty(), 70_000) == []
    found = [spans(windows.push(Events.empty(), now)) for now in (190_000, 240_000, 290_000)]
    assert found == [[(70_000, 170_000, 0)], [(120_000, 220_000, 0)], [(170_000, 270_000, 0)]]
    assert windows.empty_windows_skipped == 0


def test_the_first_window_begins_with_the_first_event():
    windows = SlidingWindows(100_000, 100_000, PLENTY)
    assert spans(windows.push(at(5_000, 4_000, 80_000), 200_000)) == [(4_000, 104_000, 3)]


def test_chunks_are_shared_not_copied():
    windows = SlidingWindows(1_000_000, 500_000, PLENTY)
    chunk = at(1, 600_000, 1_200_000)
    found = windows.push(chunk, 2_000_000)
    assert len(found) == 2
    assert all(w.chunks[0] is chunk for w in found)


def test_chunks_without_members_are_left_out():
    windows = SlidingWindows(1_000_000, 1_000_000, PLENTY)
    first, second = at(0, 5), at(1_500_000)
    windows.push(first, 5)
    (window,) = windows.push(second, 1_500_000)
    assert window.chunks == (first,)


def test_hours_of_silence_are_skipped_on_the_grid():
    hour_ns = 3_600 * 10**9
    windows = SlidingWindows(1_000_000, 250_000, PLENTY)
    found = windows.push(at(100), 100)
    found += windows.push(at(5 * hour_ns), 5 * hour_ns)
    assert len(found) < 10
    assert spans(found)[0] == (100, 1_000_100, 1)
    later = windows.push(Events.empty(), 5 * hour_ns + 2_000_000)
    with_event = [w for w in later if w.event_count]
    assert len(with_event) == 4
    assert all((w.start_ns - 100) % 250_000 == 0 for w in found + later)
    total = (5 * hour_ns + 2_000_000 - JITTER_NS - 1_000_100) // 250_000 + 1
    assert windows.empty_windows_skipped + len(found) + len(later) == total


def test_silence_inside_one_chunk_is_skipped_too():
    hour_ns = 3_600 * 10**9
    windows = SlidingWindows(1_000_000, 1_000_000, PLENTY)
    found = windows.push(at(0, hour_ns, 2 * hour_ns), 3 * hour_ns)
    assert [w.start_ns for w in found if w.event_count] == [0, hour_ns, 2 * hour_ns]
    assert len(found) < 8


def test_the_oldest_chunks_go_when_there_are_too_many_events():
    windows = SlidingWindows(1_000_000, 1_000_000, 5)
    for t in (0, 10_000, 20_000):
        windows.push(at(t, t + 1), t + 1)
        assert windows.buffered_events <= 5
    assert windows.events_dropped == 2
    (window,) = windows.push(Events.empty(), 1_100_000)
    assert [r[0] for r in members(window)] == [10_000, 10_001, 20_000, 20_001]


def test_a_chunk_beyond_the_bound_completes_its_windows_first():
    windows = SlidingWindows(1_000, 1_000, 3)
    found = windows.push(at(*range(0, 10_000, 100)), 10_000 + JITTER_NS)
    assert [w.event_count for w in found] == [10] * 10
    assert windows.events_dropped == 0


def test_events_are_forgotten_after_their_last_window():
    windows = SlidingWindows(100_000, 50_000, PLENTY)
    for now in range(0, 10_000_000, 10_000):
        windows.push(at(now), now)
        assert windows.buffered_events <= 18
    assert windows.events_dropped == 0


def test_an_event_at_the_edge_belongs_to_the_window_that_begins_there():
    windows = SlidingWindows(100_000, 100_000, PLENTY)
    found = windows.push(at(0, 99_999), 99_999)
    found += windows.push(at(100_000), 100_000)
    found += windows.push(at(), 116_000)
    found += windows.push(at(), 300_000)
    assert [sorted(r[0] for r in members(w)) for w in found] == [[0, 99_999], [100_000]]


def test_events_between_windows_are_not_kept():
    windows = SlidingWindows(1_000_000, 3_000_000, PLENTY)
    windows.push(at(0), 0)
    assert len(windows.push(at(1_500_000), 1_500_000)) == 1
    windows.push(at(2_000_000, 2_900_000), 2_900_000)
    assert windows.buffered_events == 0
    windows.push(at(3_100_000), 3_100_000)
    assert spans(windows.push(at(4_200_000), 4_200_000)) == [(3_000_000, 4_000_000, 1)]
    assert windows.events_late == windows.events_dropped == 0


def test_reset_begins_anew():
    windows = SlidingWindows(100_000, 50_000, PLENTY)
    windows.push(at(5_000_000), 5_000_000)
    windows.reset()
    assert windows.buffered_events == 0
    assert windows.push(at(7), 7) == []
    assert spans(windows.push(Events.empty(), 120_000)) == [(7, 100_007, 1)]


def test_time_standing_still_gives_each_window_once():
    windows = SlidingWindows(100, 100, PLENTY)
    windows.push(at(0), 0)
    assert len(windows.push(Events.empty(), 100 + JITTER_NS)) == 1
    assert windows.push(Events.empty(), 100 + JITTER_NS) == []
    assert windows.push(Events.empty(), 50) == []


@pytest.mark.parametrize(
    ("duration_ns", "hop_ns", "max_events"),
    [(0, 1, 1), (-5, 1, 1), (10, 0, 1), (10, -1, 1), (10, 10, 0)],
)
def test_impossible_windows_are_refused(duration_ns, hop_ns, max_events):
    with pytest.raises(WindowError, match="expected"):
        SlidingWindows(duration_ns, hop_ns, max_events)


def test_many_windows_over_numpy_integers():
    windows = SlidingWindows(100, 50, PLENTY)
    found = windows.push(at(*range(0, 1000, 10)), np.int64(1000 + JITTER_NS))
    assert [w.event_count for w in found] == [10] * 19
