"""EVT3 against golden values, a plain reference, hand-written words and round trips."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import evt3
from cs3d_ros.events.evt3 import Evt3Decoder
from cs3d_ros.recordings import open_recording
from event_helpers import packet, rows
from recordings_data import recording_path

WIDTH, HEIGHT = 40, 30


def addr_y(y):
    return 0x0000 | y


def addr_x(x, p=1):
    return 0x2000 | p << 11 | x


def base_x(x, p=1):
    return 0x3000 | p << 11 | x


def time_low(low):
    return 0x6000 | low


def time_high(high):
    return 0x8000 | high


SYNC = [time_high(0), time_low(0), addr_y(0)]


class Reference:
    """EVT3 word by word, as the specification reads, without a thought for speed."""

    def __init__(self, width, height):
        self.size = width, height
        self.y = self.high = self.low = self.base_x = self.p = self.turns = 0
        self.seen = set()
        self.now = None
        self.events, self.triggers = [], []
        self.unsynced = self.outside = self.skipped = self.reserved = 0

    def time(self):
        return ((self.turns << 24) + (self.high << 12) + self.low) * 1000

    def event(self, x, p, needs):
        if not needs <= self.seen:
            self.unsynced += 1
        elif x >= self.size[0] or self.y >= self.size[1]:
            self.outside += 1
        else:
            self.events.append((self.time(), x, self.y, p))

    def advance(self, time):
        self.now = time if self.now is None else max(self.now, time)

    def word(self, word):
        kind, value = word >> 12, word & 0xFFF
        if kind == 0x0:
            self.y = value & 0x7FF
            self.seen.add("y")
        elif kind == 0x2:
            self.event(value & 0x7FF, value >> 11, {"high", "low", "y"})
        elif kind == 0x3:
            self.base_x, self.p = value & 0x7FF, value >> 11
            self.seen.add("base")
        elif kind in (0x4, 0x5):
            length = 12 if kind == 0x4 else 8
            for bit in range(length):
                if value >> bit & 1:
                    self.event(self.base_x + bit, self.p, {"high", "low", "y", "base"})
            self.base_x += length
        elif kind == 0x6:
            self.low = value
            self.seen.add("low")
            if "high" in self.seen:
                self.advance(self.time())
        elif kind == 0x8:
            if value < self.high and self.high - value > 10:
                self.turns += 1
            self.high = value
            self.seen.add("high")
            self.advance(self.time() - self.low * 1000)
        elif kind == 0xA:
            if {"high", "low"} <= self.seen:
                self.triggers.append((self.time(), value & 1, value >> 8))
            else:
                self.unsynced += 1
        elif kind in (0x7, 0xE, 0xF):
            self.skipped += 1
        else:
            self.reserved += 1


def trigger_rows(decoder):
    triggers = decoder.triggers
    columns = triggers.t_ns.tolist(), triggers.edge.tolist(), triggers.id.tolist()
    return list(zip(*columns, strict=True))


def summary(decoder):
    counters = decoder.counters
    return (
        decoder.now_ns,
        counters.dropped_unsynced,
        counters.out_of_bounds,
        counters.skipped_words,
        counters.reserved_words,
    )


# Mostly words as a camera sends them, so that streams get in sync, and some of any kind.
words = st.lists(
    st.one_of(
        st.integers(0, HEIGHT + 3).map(addr_y),
        st.builds(addr_x, st.integers(0, WIDTH + 3), st.integers(0, 1)),
        st.builds(base_x, st.integers(0, WIDTH + 3), st.integers(0, 1)),
        st.integers(0x4000, 0x5FFF),
        st.integers(0, 0xFFF).map(time_low),
        st.integers(0, 0xFFF).map(time_high),
        st.integers(0, 0xFFFF),
    ),
    max_size=60,
)


@given(words, st.booleans())
def test_decoder_agrees_with_the_reference(stream, is_bigendian):
    reference = Reference(WIDTH, HEIGHT)
    for word in stream:
        reference.word(word)
    decoder = Evt3Decoder(WIDTH, HEIGHT)
    payload = np.array(stream, ">u2" if is_bigendian else "<u2").tobytes()
    decoded = decoder.decode(packet(payload, is_bigendian=is_bigendian))

    assert rows(decoded) == reference.events
    assert trigger_rows(decoder) == reference.triggers
    assert summary(decoder) == (
        reference.now,
        reference.unsynced,
        reference.outside,
        reference.skipped,
        reference.reserved,
    )
    assert decoder.counters.events == len(reference.events)
    assert decoder.counters.triggers == len(reference.triggers)


@given(words, st.lists(st.integers(0, 60), max_size=8))
def test_cutting_the_stream_into_packets_changes_nothing(stream, cuts):
    whole = Evt3Decoder(WIDTH, HEIGHT)
    expected = rows(whole.decode(packet(stream)))
    expected_triggers = trigger_rows(whole)

    parts = Evt3Decoder(WIDTH, HEIGHT)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found, triggers, newest = [], [], -1
    for begin, end in itertools.pairwise(edges):
        found += rows(parts.decode(packet(stream[begin:end])))
        triggers += trigger_rows(parts)
        now_ns = parts.now_ns
        assert now_ns is None or now_ns >= newest
        newest = -1 if now_ns is None else now_ns
    assert found == expected
    assert triggers == expected_triggers
    assert summary(parts) == summary(whole)


@given(st.lists(st.binary(max_size=80), max_size=6), st.integers(1, 50), st.integers(1, 50))
def test_any_bytes_give_events_on_the_sensor_or_none(payloads, width, height):
    decoder = Evt3Decoder(width, height)
    odd = 0
    for payload in payloads:
        decoded = decoder.decode(packet([*SYNC, base_x(0)]))
        decoded = decoder.decode(packet(payload))
        odd += len(payload) % 2
        assert np.all(decoded.x < width)
        assert np.all(decoded.y < height)
        assert np.all(decoded.p <= 1)
        assert len({len(c) for c in (decoded.t_ns, decoded.x, decoded.y, decoded.p)}) == 1
    assert decoder.counters.truncated_bytes == odd


def test_golden_recording():
    totals = dict.fromkeys(("messages", "bytes", "events", "on", "t", "x", "y"), 0)
    triggers = []
    times = []
    with open_recording(recording_path("evt3")) as recording:
        for _, p in recording:
            if totals["messages"] == 0:
                decoder = Evt3Decoder(p.width, p.height)
            decoded = decoder.decode(p)
            totals["messages"] += 1
            totals["bytes"] += len(p.payload)
            totals["events"] += len(decoded)
            totals["on"] += int(decoded.p.sum(dtype=np.int64))
            totals["t"] += int(decoded.t_ns.sum())
            totals["x"] += int(decoded.x.sum(dtype=np.int64))
            totals["y"] += int(decoded.y.sum(dtype=np.int64))
            triggers += trigger_rows(decoder)
            times += [decoded.t_ns.min(), decoded.t_ns.max()]
    assert totals == {
        "messages": 105,
        "bytes": 758_296,
        "events": 82_469,
        "on": 41_439,
        "t": 1_222_326_831_810_000,
        "x": 42_078_718,
        "y": 31_656_267,
    }
    assert [sum(column) for column in zip(*triggers, strict=True)] == [29_096_982_000, 1, 0]
    assert len(triggers) == 2
    assert (min(times), max(times)) == (14_224_870_000, 15_476_187_000)
    assert decoder.counters.dropped_unsynced == 0


def test_events_wait_for_time_and_row():
    decoder = Evt3Decoder(100, 100)
    stream = [
        addr_x(1), time_high(1), addr_x(2), time_low(5), addr_x(3), addr_y(7), addr_x(4),
    ]  # fmt: skip
    assert rows(decoder.decode(packet(stream))) == [(4_101_000, 4, 7, 1)]
    assert decoder.counters.dropped_unsynced == 3


def test_vectors_wait_for_their_base():
    decoder = Evt3Decoder(100, 100)
    stream = [*SYNC, 0x4FFF, base_x(10, 0), 0x4001, 0x5081]
    assert rows(decoder.decode(packet(stream))) == [(0, 10, 0, 0), (0, 22, 0, 0), (0, 29, 0, 0)]
    assert decoder.counters.dropped_unsynced == 12


def test_vector_state_goes_on_in_the_next_packet():
    decoder = Evt3Decoder(100, 100)
    decoder.decode(packet([*SYNC, base_x(10), 0x4000]))
    assert rows(decoder.decode(packet([0x4001]))) == [(0, 22, 0, 1)]


def test_a_vector_is_cut_at_the_edge_of_the_sensor():
    decoder = Evt3Decoder(15, 10)
    decoded = decoder.decode(packet([*SYNC, base_x(10), 0x4FFF, 0x4FFF]))
    assert decoded.x.tolist() == [10, 11, 12, 13, 14]
    assert decoder.counters.out_of_bounds == 7 + 12


def test_a_row_outside_the_sensor_is_dropped():
    decoder = Evt3Decoder(15, 10)
    decoded = decoder.decode(packet([*SYNC, addr_y(10), addr_x(1), base_x(0), 0x4003]))
    assert len(decoded) == 0
    assert decoder.counters.out_of_bounds == 3


def test_the_camera_bit_of_a_row_is_no_part_of_it():
    decoder = Evt3Decoder(15, 10)
    assert decoder.decode(packet([*SYNC, addr_y(3) | 0x800, addr_x(1)])).y.tolist() == [3]


def test_after_a_loss_nothing_is_taken_from_before_it():
    decoder = Evt3Decoder(100, 100)
    decoder.decode(packet([time_high(9), time_low(1), addr_y(50), base_x(3), addr_x(1)]))
    decoder.resync()
    lost = [addr_x(2), 0x4001, time_high(9), addr_x(2), time_low(2), addr_x(2)]
    assert len(decoder.decode(packet(lost))) == 0
    assert decoder.counters.dropped_unsynced == 4
    assert len(decoder.decode(packet([addr_y(2), addr_x(2)]))) == 1


def test_a_rollover_during_a_loss_is_counted():
    decoder = Evt3Decoder(100, 100)
    decoder.decode(packet([time_high(4000), time_low(0), addr_y(0)]))
    decoder.resync()
    decoded = decoder.decode(packet([time_high(5), time_low(1), addr_y(0), addr_x(0)]))
    assert decoded.t_ns.tolist() == [((1 << 24) + (5 << 12) + 1) * 1000]


@pytest.mark.parametrize(
    ("before", "after", "turns"), [(0xFFF, 0, 1), (100, 89, 1), (100, 90, 0), (100, 100, 0)]
)
def test_only_a_fall_by_more_than_ten_is_a_rollover(before, after, turns):
    decoder = Evt3Decoder(100, 100)
    stream = [time_high(before), time_low(7), addr_y(0), time_high(after), addr_x(1)]
    expected = ((turns << 24) + (after << 12) + 7) * 1000
    assert decoder.decode(packet(stream)).t_ns.tolist() == [expected]


def test_rollovers_add_up_over_packets():
    decoder = Evt3Decoder(100, 100)
    decoder.decode(packet(SYNC))
    for _ in range(3):
        decoder.decode(packet([time_high(0xFFF)]))
        decoder.decode(packet([time_high(0)]))
    assert decoder.now_ns == 3 * (1 << 24) * 1000


def test_time_low_may_step_back():
    decoder = Evt3Decoder(100, 100)
    stream = [*SYNC, time_low(2861), addr_x(1), time_low(2850), addr_x(2)]
    assert decoder.decode(packet(stream)).t_ns.tolist() == [2_861_000, 2_850_000]
    assert decoder.now_ns == 2_861_000


def test_now_is_not_ahead_between_time_high_and_time_low():
    decoder = Evt3Decoder(100, 100)
    assert decoder.now_ns is None
    decoder.decode(packet([time_low(4000)]))
    assert decoder.now_ns is None
    decoder.decode(packet([time_high(1), time_low(4000)]))
    assert decoder.now_ns == (4096 + 4000) * 1000
    decoder.decode(packet([time_high(2)]))
    assert decoder.now_ns == 2 * 4096 * 1000
    decoder.decode(packet([time_high(2), time_low(1)]))
    assert decoder.now_ns == (2 * 4096 + 1) * 1000


def test_reset_forgets_everything_but_the_counters():
    decoder = Evt3Decoder(100, 100)
    decoder.decode(packet([time_high(4000), time_low(5), addr_y(1), addr_x(1), 0xA101]))
    decoder.reset()
    assert decoder.now_ns is None
    assert len(decoder.triggers) == 0
    assert decoder.counters.events == 1
    decoded = decoder.decode(packet([addr_x(1), time_high(1), time_low(0), addr_y(0), addr_x(1)]))
    assert decoded.t_ns.tolist() == [4_096_000]


def test_triggers_tell_time_edge_and_input():
    decoder = Evt3Decoder(100, 100)
    decoder.decode(packet([0xA001, time_high(1), time_low(2), 0xA301, 0xA300]))
    assert trigger_rows(decoder) == [(4_098_000, 1, 3), (4_098_000, 0, 3)]
    assert decoder.counters.dropped_unsynced == 1
    decoder.decode(packet([]))
    assert trigger_rows(decoder) == []


def test_reserved_words_are_counted_and_skipped():
    decoder = Evt3Decoder(100, 100)
    stream = [*SYNC, 0x9999, addr_x(1), 0x1000, 0xB000, 0xC000, 0xD000, 0x7000, 0xE014, 0xF000]
    assert len(decoder.decode(packet(stream))) == 1
    assert decoder.counters.reserved_words == 5
    assert decoder.counters.skipped_words == 3


@pytest.mark.parametrize("is_bigendian", [False, True])
def test_an_odd_byte_is_counted_and_the_words_before_it_decoded(is_bigendian):
    decoder = Evt3Decoder(100, 100)
    order = ">u2" if is_bigendian else "<u2"
    payload = np.array([*SYNC, addr_x(1)], order).tobytes() + b"\x20"
    assert len(decoder.decode(packet(payload, is_bigendian=is_bigendian))) == 1
    assert decoder.counters.truncated_bytes == 1


def test_an_empty_payload_is_no_events():
    decoder = Evt3Decoder(100, 100)
    assert len(decoder.decode(packet(b""))) == 0
    assert decoder.now_ns is None


def test_words_may_begin_at_an_odd_address():
    payload = b"\xff" + np.array([*SYNC, addr_x(1)], "<u2").tobytes()
    assert len(Evt3Decoder(100, 100).decode(packet(memoryview(payload)[1:]))) == 1


def test_dropped_events_do_not_keep_memory():
    decoder = Evt3Decoder(16, 16)
    dense = [*SYNC, base_x(0), *([0x4FFF] * 10_000)]
    decoded = decoder.decode(packet(dense))
    assert len(decoded) == 16
    base = decoded.t_ns if decoded.t_ns.base is None else decoded.t_ns.base
    assert base.size == 16


def test_each_kernel_is_compiled_for_one_set_of_types():
    """Another set would mean that some packet waits for the compiler after warm_up()."""
    for payload in (b"\x00\x80", bytearray(b"\x00\x80"), np.zeros(2, np.uint8)):
        Evt3Decoder(10, 10).decode(packet(payload))
        Evt3Decoder(10, 10).decode(packet(payload, is_bigendian=True))
    assert len(evt3._decode.signatures) == 1
    assert len(evt3._count.signatures) == 1
