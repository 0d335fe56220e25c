"""Single events to packets: order, slices, bounds."""

from pathlib import Path

import numpy as np
import pytest

from cs3d_ros.events.packets import Events
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import RecordingError, event_packets
from cs3d_ros.recordings.event_packets import packets
from recording_helpers import some_events

SLICE_NS = 4_096_000
PATH = Path("events.dat")


def decoded(entries):
    stream = EventStream()
    times = [(stream.feed(packet).t_ns // 1000).tolist() for _, packet in entries]
    assert stream.epoch == 0
    return times


def test_packets_are_slices_of_4096_us_with_their_end_as_stamp():
    chunks = [some_events([0, 100]), some_events([]), some_events([4095, 4096, 20_000])]
    entries = list(packets(PATH, chunks, (64, 48), "cam"))
    assert decoded(entries) == [[0, 100, 4095], [4096], [20_000]]
    assert [t // SLICE_NS for t, _ in entries] == [1, 2, 5]
    assert all(t == p.stamp_ns and t % SLICE_NS == 0 for t, p in entries)
    assert [p.seq for _, p in entries] == [0, 1, 2]
    packet = entries[0][1]
    assert (packet.width, packet.height, packet.frame_id) == (64, 48, "cam")
    assert (packet.encoding, packet.is_bigendian) == ("mono", False)


def test_stamps_can_begin_at_a_date():
    entries = packets(PATH, [some_events([900_000, 909_000])], (64, 48), begin_ns=7)
    assert [t - 7 for t, _ in entries] == [SLICE_NS, 3 * SLICE_NS]


def test_nanoseconds_are_kept():
    events = Events(
        *(np.array([v], d) for v, d in ((123_456_789, "i8"), (9, "u2"), (8, "u2"), (1, "u1")))
    )
    ((_, packet),) = packets(PATH, [events], (64, 48))
    assert EventStream().feed(packet).t_ns.tolist() == [123_456_789]


def test_small_disorder_is_put_in_order_across_chunks_and_packets():
    chunks = [some_events([4000, 4100]), some_events([4050, 3500]), some_events([8200, 8100, 9000])]
    entries = list(packets(PATH, chunks, (64, 48)))
    assert decoded(entries) == [[3500, 4000, 4050], [4100, 8100], [8200, 9000]]


def test_equal_times_stay_in_their_order():
    chunks = [some_events([5, 5], x=[1, 2]), some_events([5, 4], x=[3, 4])]
    ((_, packet),) = packets(PATH, chunks, (64, 48))
    assert EventStream().feed(packet).x.tolist() == [4, 1, 2, 3]


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([[5000, 3999]], "event 2 has the time 3999000 ns after one of 5000000 ns"),
        ([[0, 1], [2, 5000], [6000, 4000]], "event 6 has the time 4000000 ns after one of 6000000"),
        ([[-1]], "event 1 has the time -1000 ns"),
        ([[0, 900, -5]], "event 3 has the time -5000 ns"),
    ],
)
def test_gross_disorder_is_an_error_that_tells_the_event(chunks, message):
    with pytest.raises(RecordingError, match=f"events.dat: {message}.*sort the events by time"):
        list(packets(PATH, [some_events(times) for times in chunks], (64, 48)))


def failing(chunks):
    yield from chunks
    raise RecordingError("damaged")


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([some_events([0, 5000, 90_000, 50_000])], "event 4"),
        ([some_events([0, 5000]), some_events([90_000]), some_events([50_000])], "event 4"),
        (failing([some_events([0, 5000, 90_000])]), "damaged"),
    ],
)
def test_all_events_before_an_error_are_handed_out(chunks, message):
    entries = packets(PATH, chunks, (64, 48))
    assert decoded([next(entries), next(entries), next(entries)]) == [[0], [5000], [90_000]]
    with pytest.raises(RecordingError, match=message):
        next(entries)


def test_times_that_ros_does_not_have_are_an_error():
    with pytest.raises(RecordingError, match="ns since the epoch"):
        list(packets(PATH, [some_events([1 << 51])], (64, 48)))


def test_a_burst_is_cut_and_memory_stays_bounded(monkeypatch):
    monkeypatch.setattr(event_packets, "_MAX_PACKET_EVENTS", 100)
    held = []
    original = event_packets._joined

    def joined(first, second):
        held.append(len(first))
        return original(first, second)

    monkeypatch.setattr(event_packets, "_joined", joined)
    chunks = (some_events([7] * 30) for _ in range(50))
    entries = list(packets(PATH, chunks, (64, 48)))
    assert all(len(p.payload) <= 8 * 100 for _, p in entries)
    assert sum(len(p.payload) for _, p in entries) == 8 * 1500
    assert max(held) <= 100
    assert [p.seq for _, p in entries] == list(range(len(entries)))


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_how_the_events_are_chunked_does_not_matter(size):
    rng = np.random.default_rng(3)
    times = np.sort(rng.integers(0, 60_000, 1000)) + rng.integers(0, 900, 1000)
    whole = some_events(times.tolist(), x=rng.integers(0, 64, 1000), p=rng.integers(0, 2, 1000))
    chunks = [
        Events(*(c[i : i + size] for c in (whole.t_ns, whole.x, whole.y, whole.p)))
        for i in range(0, 1000, size)
    ]
    entries = list(packets(PATH, chunks, (64, 48)))
    expected = list(packets(PATH, [whole], (64, 48)))
    assert [(t, p.payload) for t, p in entries] == [(t, p.payload) for t, p in expected]
    assert [t for part in decoded(entries) for t in part] == sorted(times.tolist())
