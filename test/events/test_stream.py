"""Losses, late packets, restarts, loops and jumps of the clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import mono
from cs3d_ros.events.evt3_encoder import encode
from cs3d_ros.events.packets import EventPacket, PacketError
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import open_recording
from event_helpers import events, packet, rows
from recordings_data import recording_path

MS = 1_000_000
SECOND = 1000 * MS
HOST = 1_700_000_000 * SECOND


def one_event(seq, t_ms=None, stamp_ms=None, **fields):
    """A packet that a stream can begin with: one event each 4 ms, sent 2 ms after it."""
    t_ms = 4 * seq if t_ms is None else t_ms
    stamp_ns = HOST + (t_ms + 2 if stamp_ms is None else stamp_ms) * MS
    fields = {"stamp_ns": stamp_ns, **fields}
    return packet(encode(events([(t_ms * MS, 1, 2, 1)])), seq=seq, **fields)


def feed(stream, *packets):
    return [len(stream.feed(p)) for p in packets]


def test_a_steady_stream_is_only_decoded():
    stream = EventStream()
    assert feed(stream, *(one_event(seq) for seq in range(50, 60))) == [1] * 10
    counters = stream.counters
    assert (counters.packets, counters.packets_lost, counters.packets_late) == (10, 0, 0)
    assert (stream.epoch, counters.resets) == (0, 0)
    assert stream.now_ns == 4 * 59 * MS
    assert stream.ros_time_ns(stream.now_ns) == HOST + (4 * 59 + 2) * MS


def test_before_the_first_packet_there_is_no_time():
    stream = EventStream()
    assert stream.now_ns is None
    assert len(stream.triggers) == 0


def test_the_recording_runs_through():
    stream = EventStream()
    delays = []
    with open_recording(recording_path("evt3")) as recording:
        for _, p in recording:
            decoded = stream.feed(p)
            delays.append(p.stamp_ns - stream.ros_time_ns(int(decoded.t_ns.min())))
    assert stream.decoder.counters.events == 82_469
    assert (stream.epoch, stream.counters.packets_lost, stream.counters.packets) == (0, 0, 105)
    # An estimate that is late by the smallest delay finds no packet that came before its event,
    # and this camera's packets come within 5 ms of each other.
    assert min(delays) >= 0
    assert max(delays) < 5 * MS


def test_a_gap_is_counted_and_resyncs_the_decoder():
    stream = EventStream()
    feed(stream, one_event(0))
    # One ADDR_X: the row and time that it needs were lost.
    assert feed(stream, packet([0x2001], seq=4, stamp_ns=HOST + 18 * MS)) == [0]
    assert stream.counters.packets_lost == 3
    assert stream.decoder.counters.dropped_unsynced == 1
    assert stream.epoch == 0
    assert feed(stream, one_event(5)) == [1]


def test_without_a_gap_the_state_goes_on():
    stream = EventStream()
    feed(stream, one_event(0))
    assert feed(stream, packet([0x2001], seq=1, stamp_ns=HOST + 6 * MS)) == [1]


def test_the_sequence_may_wrap():
    stream = EventStream()
    last = 2**64 - 1
    packets = [one_event(seq, t_ms=t) for seq, t in ((last - 1, 0), (last, 4), (0, 8), (2, 16))]
    assert feed(stream, *packets) == [1, 1, 1, 1]
    assert (stream.counters.packets_lost, stream.epoch) == (1, 0)


def test_a_late_packet_is_dropped():
    stream = EventStream()
    assert feed(stream, *(one_event(seq) for seq in (0, 2, 1, 3))) == [1, 1, 0, 1]
    counters = stream.counters
    assert (counters.packets_late, counters.packets_lost, stream.epoch) == (1, 1, 0)
    # The gap of the late packet is known; that it came does not open another.
    assert stream.now_ns == 12 * MS


def test_a_repeated_packet_is_late():
    stream = EventStream()
    assert feed(stream, one_event(5), one_event(5), one_event(6)) == [1, 0, 1]
    assert (stream.counters.packets_late, stream.epoch) == (1, 0)


def test_a_dropped_packet_shows_no_triggers():
    stream = EventStream()
    feed(stream, one_event(4), packet([0xA001], seq=5, stamp_ns=HOST + 22 * MS))
    assert len(stream.triggers) == 1
    feed(stream, one_event(4))
    assert len(stream.triggers) == 0


@pytest.mark.parametrize("length", [18, 105])
def test_a_looped_recording_starts_over(length):
    stream = EventStream()
    lap = [one_event(seq) for seq in range(100, 100 + length)]
    assert feed(stream, *lap, *lap) == [1] * 2 * length
    assert (stream.epoch, stream.counters.resets, stream.counters.packets_late) == (1, 1, 0)
    assert stream.counters.packets_lost == 0


def test_a_recording_of_few_packets_starts_over_at_last():
    stream = EventStream()
    lap = [one_event(seq) for seq in range(4)]
    counts = feed(stream, *(lap * 8))
    assert stream.epoch >= 1
    assert 1 in counts[4:]


def test_a_driver_that_restarts_early_is_no_late_packet():
    stream = EventStream()
    feed(stream, *(one_event(seq) for seq in range(6)))
    assert feed(stream, one_event(0, t_ms=0, stamp_ms=900)) == [1]
    assert (stream.epoch, stream.counters.packets_late) == (1, 0)
    assert stream.now_ns == 0


def test_the_stamp_going_back_starts_over_whatever_the_sequence_does():
    stream = EventStream()
    feed(stream, one_event(0, stamp_ms=5000))
    assert feed(stream, one_event(1, stamp_ms=3999)) == [1]
    assert (stream.epoch, stream.counters.packets_lost) == (1, 0)
    assert stream.ros_time_ns(4 * MS) == HOST + 3999 * MS


def test_small_steps_back_of_the_stamp_are_jitter():
    stream = EventStream()
    assert feed(stream, one_event(0, stamp_ms=1000), one_event(1, stamp_ms=1)) == [1, 1]
    assert stream.epoch == 0


def test_stamps_of_zero_are_not_compared():
    stream = EventStream()
    packets = [one_event(seq, stamp_ns=HOST if seq == 2 else 0) for seq in range(5)]
    assert feed(stream, *packets) == [1] * 5
    assert stream.epoch == 0
    assert feed(stream, one_event(4, stamp_ns=0)) == [0]
    assert stream.counters.packets_late == 1
    assert feed(EventStream(), one_event(40, stamp_ns=0), one_event(3, stamp_ns=0)) == [1, 1]


def test_a_turn_of_the_sensor_clock_is_no_jump():
    stream = EventStream()
    feed(stream, one_event(0, t_ms=16_777), one_event(1, t_ms=16_778))
    assert (stream.epoch, stream.now_ns) == (0, 16_778 * MS)


@pytest.mark.parametrize("back_ms", [7996, 100])
def test_a_sensor_clock_that_went_back_starts_over(back_ms):
    """EVT3 takes it for a turn, 8.8 or 16.7 s ahead of the stamps."""
    stream = EventStream()
    feed(stream, one_event(0, t_ms=8000))
    assert feed(stream, one_event(1, t_ms=8000 - back_ms, stamp_ms=8006)) == [0]
    assert (stream.epoch, stream.counters.clock_jumps) == (1, 1)
    assert stream.now_ns is None
    assert feed(stream, one_event(2, t_ms=8004 - back_ms, stamp_ms=8010)) == [1]
    assert (stream.epoch, stream.now_ns) == (1, (8004 - back_ms) * MS)


def at(seq: int, time_ms: int | None, stamp_ms: int = 0):
    """A packet of one event with a time base, or of none; without a stamp for 0."""
    return packet(
        b"" if time_ms is None else mono.encode(events([(0, 5, 5, 1)]), 0),
        seq=seq,
        stamp_ns=HOST + stamp_ms * MS if stamp_ms else 0,
        time_base=HOST + (time_ms or 0) * MS,
        encoding="mono",
    )


@pytest.mark.parametrize("stamped", [True, False])
def test_a_time_some_seconds_ahead_holds_up_nothing(stamped):
    stream = EventStream()
    times_ms = [100, 104, 9_108, 112, 116, 120]
    packets = [at(seq, t, 200 + 4 * seq if stamped else 0) for seq, t in enumerate(times_ms)]
    # Without stamps only the packet after it shows that it was ahead.
    assert feed(stream, *packets) == ([1, 1, 0, 1, 1, 1] if stamped else [1, 1, 1, 0, 1, 1])
    assert (stream.counters.clock_jumps, stream.clock.jumps) == (1, 0)
    assert stream.now_ns == HOST + 120 * MS


def test_silence_of_an_encoding_that_is_silent_too_is_no_jump():
    stream = EventStream()
    quiet = [at(seq, None, 1000 * seq) for seq in range(1, 30)]
    assert feed(stream, at(0, 10, 12), *quiet, at(30, 30_000, 30_002)) == [1, *[0] * 29, 1]
    assert stream.epoch == 0


def test_one_packet_cannot_hold_hours():
    words = [0x6005]
    for i in range(4096):
        words += [0x8000 | (i * 1000) & 0xFFF, 0x0001, 0x2005]
    stream = EventStream()
    assert feed(stream, packet(words, stamp_ns=HOST)) == [0]
    assert (stream.epoch, stream.now_ns) == (1, None)


def test_a_gap_beyond_reason_is_another_driver():
    stream = EventStream()
    far = 1 << 62
    packets = [one_event(1), one_event(2), one_event(far, 12), one_event(far + 1, 16)]
    assert feed(stream, *packets) == [1, 1, 1, 1]
    assert (stream.counters.packets_lost, stream.epoch) == (0, 1)


@pytest.mark.parametrize("stamp_ns", [0, HOST])
def test_a_first_packet_years_ahead_holds_up_none_after_it(stamp_ns):
    stream = EventStream()
    stamp_ms = 1 if stamp_ns else 0
    decades_ms = 30 * 365 * 24 * 3600 * 1000
    packets = [at(0, decades_ms, stamp_ms), *(at(n, n, stamp_ms and n + 1) for n in (1, 2, 3))]
    assert feed(stream, *packets) == [1, 0, 1, 1]
    assert stream.counters.clock_jumps == 1
    assert stream.now_ns == HOST + 3 * MS


def test_a_host_clock_set_by_an_hour_starts_over():
    stream = EventStream()
    hour_ms = 3_600_000
    packets = [one_event(seq, stamp_ms=4 * seq + (hour_ms if seq > 1 else 0)) for seq in range(4)]
    assert feed(stream, *packets) == [1, 1, 0, 1]
    assert stream.epoch == 1
    assert stream.ros_time_ns(12 * MS) == HOST + (hour_ms + 12) * MS


def test_a_long_pause_of_both_clocks_is_no_jump():
    stream = EventStream()
    packets = [one_event(0, t_ms=0), one_event(1, t_ms=12_000)]
    assert feed(stream, *packets) == [1, 1]
    assert stream.epoch == 0


@pytest.mark.parametrize("change", [{"width": 640}, {"height": 480}])
def test_another_sensor_starts_over(change):
    stream = EventStream()
    feed(stream, one_event(0))
    assert feed(stream, one_event(7, **change)) == [1]
    counters = stream.counters
    assert (stream.epoch, counters.resets, counters.sensor_changes) == (1, 1, 1)
    assert counters.packets_lost == 0
    assert stream.decoder.counters.events == 2


@pytest.mark.parametrize(
    "bad", [{"encoding": "jpeg"}, {"width": 0}, {"height": 2**32 - 1}, {"payload": [1]}], ids=str
)
def test_an_unusable_packet_leaves_the_stream_as_it_was(bad):
    stream = EventStream()
    feed(stream, one_event(0))
    fields = {"width": 1280, "height": 720, "encoding": "evt3", "payload": b"", **bad}
    with pytest.raises(PacketError):
        stream.feed(
            EventPacket(
                stamp_ns=HOST, frame_id="", seq=1, time_base=0, is_bigendian=False, **fields
            )
        )
    assert feed(stream, one_event(1)) == [1]
    assert (stream.epoch, stream.counters.packets, stream.counters.packets_lost) == (0, 2, 0)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40) | st.integers(0, 2**64 - 1),
            st.integers(0, 10 * SECOND),
            st.sampled_from([8, 1280]),
            st.binary(max_size=30),
        ),
        max_size=30,
    )
)
def test_any_order_of_packets_keeps_time_ascending_within_an_epoch(packets):
    stream = EventStream()
    epoch, newest = 0, -1
    for seq, stamp_ns, width, payload in packets:
        decoded = stream.feed(packet(payload, seq=seq, stamp_ns=stamp_ns, width=width))
        assert all(x < width and y < 720 for _, x, y, _ in rows(decoded))
        assert stream.epoch >= epoch
        if stream.epoch > epoch:
            epoch, newest = stream.epoch, -1
        now_ns = -1 if stream.now_ns is None else stream.now_ns
        assert now_ns >= newest
        newest = now_ns
    counters = stream.counters
    assert counters.packets + counters.packets_late == len(packets)
    assert counters.resets == stream.epoch
