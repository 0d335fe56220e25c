"""EVT2 against a plain reference, hand-written words, and round trips."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import evt2
from cs3d_ros.events.evt2 import Evt2Decoder, encode
from cs3d_ros.events.packets import PacketError, decoder_for
from event_helpers import events, packet, rows

WIDTH, HEIGHT = 40, 30
TURN = 1 << 28  # of TIME_HIGH
NEAR = 10_000_000 >> 6


def cd(x, y=0, p=1, low=0):
    return p << 28 | low << 22 | x << 11 | y


def time_high(high):
    return 0x8 << 28 | high


def trigger(edge, number, low=0):
    return 0xA << 28 | low << 22 | number << 8 | edge


def evt2_packet(words, order="<", **fields):
    payload = np.array(words, order + "u4").tobytes()
    return packet(payload, encoding="evt2", is_bigendian=order == ">", **fields)


def trigger_rows(decoder):
    triggers = decoder.triggers
    columns = triggers.t_ns.tolist(), triggers.edge.tolist(), triggers.id.tolist()
    return list(zip(*columns, strict=True))


class Reference:
    """EVT2 word by word, as the specification reads, without a thought for speed."""

    def __init__(self, width, height):
        self.size = width, height
        self.high, self.turns, self.now = None, 0, None
        self.events, self.triggers = [], []
        self.unsynced = self.outside = self.skipped = self.reserved = 0

    def time(self, low):
        return ((self.turns << 34) + (self.high << 6) + low) * 1000

    def advance(self, time):
        self.now = time if self.now is None else max(self.now, time)

    def word(self, word):
        kind, low = word >> 28, word >> 22 & 0x3F
        if kind == 0x8:
            new = word & 0x0FFFFFFF
            if self.high is not None:
                step = (new - self.high) << 6
                if step <= 10_000_000 - (1 << 34):
                    self.turns += 1
                elif step >= (1 << 34) - 10_000_000:
                    self.turns = max(self.turns - 1, -1)
            self.high = new
            self.advance(self.time(0))
        elif kind in (0xD, 0xE, 0xF):
            self.skipped += 1
        elif kind not in (0x0, 0x1, 0xA):
            self.reserved += 1
        elif self.high is None:
            self.unsynced += 1
        elif kind == 0xA:
            self.triggers.append((self.time(low), word & 1, word >> 8 & 0x1F))
            self.advance(self.time(low))
        else:
            x, y = word >> 11 & 0x7FF, word & 0x7FF
            if x < self.size[0] and y < self.size[1]:
                self.events.append((self.time(low), x, y, kind))
                self.advance(self.time(low))
            else:
                self.outside += 1


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
any_high = st.one_of(
    st.integers(0, 20),
    st.integers(TURN - 20, TURN - 1),
    st.sampled_from([NEAR - 1, NEAR, NEAR + 1, TURN - NEAR - 1, TURN - NEAR, TURN - NEAR + 1]),
    st.integers(0, TURN - 1),
)
words = st.lists(
    st.one_of(
        st.builds(
            cd,
            st.integers(0, WIDTH + 3),
            st.integers(0, HEIGHT + 3),
            st.integers(0, 1),
            st.integers(0, 63),
        ),
        any_high.map(time_high),
        st.builds(trigger, st.integers(0, 1), st.integers(0, 31), st.integers(0, 63)),
        st.integers(0, 0xFFFFFFFF),
    ),
    max_size=60,
)


@given(words, st.sampled_from("<>"))
def test_decoder_agrees_with_the_reference(stream, order):
    reference = Reference(WIDTH, HEIGHT)
    for word in stream:
        reference.word(word)
    decoder = Evt2Decoder(WIDTH, HEIGHT)
    assert rows(decoder.decode(evt2_packet(stream, order))) == reference.events
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
    whole = Evt2Decoder(WIDTH, HEIGHT)
    expected = rows(whole.decode(evt2_packet(stream)))
    expected_triggers = trigger_rows(whole)

    parts = Evt2Decoder(WIDTH, HEIGHT)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    found, triggers = [], []
    for begin, end in itertools.pairwise(edges):
        found += rows(parts.decode(evt2_packet(stream[begin:end])))
        triggers += trigger_rows(parts)
    assert found == expected
    assert triggers == expected_triggers
    assert summary(parts) == summary(whole)


def test_the_registry_finds_it():
    assert isinstance(decoder_for("evt2", 640, 480), Evt2Decoder)


def test_words_as_the_specification_has_them():
    decoder = Evt2Decoder(640, 480)
    # TIME_HIGH 0x0012345, CD_ON at (100, 50) 5 µs later, CD_OFF at (639, 479) 63 µs later.
    decoded = decoder.decode(evt2_packet([0x80012345, 0x11432032, 0x0FD3F9DF]))
    base = 0x12345 << 6
    assert rows(decoded) == [
        ((base + 5) * 1000, 100, 50, 1),
        ((base + 63) * 1000, 639, 479, 0),
    ]


def test_events_and_triggers_wait_for_the_time():
    decoder = Evt2Decoder(100, 100)
    assert rows(decoder.decode(evt2_packet([cd(1), trigger(1, 0), time_high(2), cd(3)]))) == [
        (128_000, 3, 0, 1)
    ]
    assert decoder.counters.dropped_unsynced == 2


def test_time_goes_on_in_the_next_packet():
    decoder = Evt2Decoder(100, 100)
    decoder.decode(evt2_packet([time_high(2)]))
    assert rows(decoder.decode(evt2_packet([cd(1, low=7)]))) == [(135_000, 1, 0, 1)]


def test_after_a_loss_the_time_must_come_again():
    decoder = Evt2Decoder(100, 100)
    decoder.decode(evt2_packet([time_high(2), cd(1)]))
    decoder.resync()
    assert len(decoder.decode(evt2_packet([cd(1), trigger(0, 0)]))) == 0
    assert len(decoder.triggers) == 0
    assert decoder.counters.dropped_unsynced == 2
    assert decoder.now_ns == 128_000
    assert len(decoder.decode(evt2_packet([time_high(3), cd(1)]))) == 1


def test_a_rollover_during_a_loss_is_counted():
    decoder = Evt2Decoder(100, 100)
    decoder.decode(evt2_packet([time_high(TURN - 1000)]))
    decoder.resync()
    decoded = decoder.decode(evt2_packet([time_high(1000), cd(0)]))
    assert decoded.t_ns.tolist() == [((1 << 34) + 64_000) * 1000]


@pytest.mark.parametrize(
    ("before", "after", "turns"),
    [
        (TURN - 1, 0, 1),
        (TURN - 1, NEAR - 1, 1),
        (TURN - 1, NEAR, 0),
        (TURN // 2, 0, 0),
        (5, 4, 0),
        (0, TURN // 2, 0),
        (NEAR, TURN - 1, 0),
        (NEAR - 1, TURN - 1, -1),
    ],
)
def test_only_nearly_a_whole_turn_is_a_rollover(before, after, turns):
    decoder = Evt2Decoder(100, 100)
    decoded = decoder.decode(evt2_packet([time_high(before), time_high(after), cd(1)]))
    assert decoded.t_ns.tolist() == [((turns << 34) + (after << 6)) * 1000]


def test_jitter_about_a_rollover_is_not_two():
    decoder = Evt2Decoder(100, 100)
    highs = [TURN - 1, 0, TURN - 1, 0, 1]
    stream = [w for high in highs for w in (time_high(high), cd(0))]
    decoded = decoder.decode(evt2_packet(stream))
    base = 1 << 34
    assert (decoded.t_ns // 1000).tolist() == [base - 64, base, base - 64, base, base + 64]


def test_rollovers_add_up_over_packets():
    decoder = Evt2Decoder(100, 100)
    for _ in range(3):
        decoder.decode(evt2_packet([time_high(TURN // 2), time_high(TURN - 1)]))
        decoder.decode(evt2_packet([time_high(0)]))
    assert decoder.now_ns == 3 * (1 << 34) * 1000


def test_endless_rollovers_do_not_overflow():
    decoder = Evt2Decoder(100, 100)
    stream = [time_high(TURN // 2), time_high(TURN - 1), time_high(0)] * 300_000
    decoder.decode(evt2_packet(stream))
    before = decoder.now_ns
    decoded = decoder.decode(evt2_packet([*stream[:30], cd(1)]))
    assert 0 < decoded.t_ns[0] <= before <= decoder.now_ns <= 1 << 62


def test_now_stays_when_the_sensor_steps_back():
    decoder = Evt2Decoder(100, 100)
    assert decoder.now_ns is None
    decoder.decode(evt2_packet([time_high(1000), cd(1, low=9)]))
    assert decoder.now_ns == 64_009_000
    assert decoder.decode(evt2_packet([time_high(10), cd(1)])).t_ns.tolist() == [640_000]
    assert decoder.now_ns == 64_009_000
    decoder.decode(evt2_packet([time_high(1001)]))
    assert decoder.now_ns == 64_064_000


def test_an_event_outside_the_sensor_is_dropped_and_not_believed():
    decoder = Evt2Decoder(15, 10)
    stream = [time_high(0), cd(14, 9), cd(15, 9, low=9), cd(14, 10, low=9)]
    assert rows(decoder.decode(evt2_packet(stream))) == [(0, 14, 9, 1)]
    assert decoder.counters.out_of_bounds == 2
    assert decoder.now_ns == 0


def test_triggers_tell_time_edge_and_input():
    decoder = Evt2Decoder(100, 100)
    decoder.decode(evt2_packet([time_high(1), trigger(1, 3, 2), trigger(0, 31, 4)]))
    assert trigger_rows(decoder) == [(66_000, 1, 3), (68_000, 0, 31)]
    assert decoder.now_ns == 68_000
    decoder.decode(evt2_packet([]))
    assert trigger_rows(decoder) == []


def test_other_words_are_counted_and_skipped():
    decoder = Evt2Decoder(100, 100)
    kinds = [*range(0x2, 0x8), 0x9, 0xB, 0xC, 0xD, 0xE, 0xF]
    decoded = decoder.decode(evt2_packet([time_high(0), *(k << 28 | 77 for k in kinds), cd(1)]))
    assert len(decoded) == 1
    assert decoder.counters.reserved_words == 9
    assert decoder.counters.skipped_words == 3


def test_reset_forgets_everything_but_the_counters():
    decoder = Evt2Decoder(100, 100)
    decoder.decode(evt2_packet([time_high(TURN - 1), time_high(0), cd(1), trigger(1, 1)]))
    decoder.reset()
    assert decoder.now_ns is None
    assert len(decoder.triggers) == 0
    assert decoder.counters.events == 1
    assert decoder.decode(evt2_packet([cd(1), time_high(1), cd(1)])).t_ns.tolist() == [64_000]


@pytest.mark.parametrize("stray", [1, 2, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_stray_bytes_are_counted_and_the_words_before_them_decoded(stray, order):
    decoder = Evt2Decoder(100, 100)
    payload = np.array([time_high(0), cd(1)], order + "u4").tobytes() + b"\x10" * stray
    assert len(decoder.decode(packet(payload, is_bigendian=order == ">"))) == 1
    assert decoder.counters.truncated_bytes == stray


@pytest.mark.parametrize("offset", [1, 2, 3])
def test_words_may_begin_at_any_address(offset):
    payload = b"\xff" * offset + np.array([time_high(0), cd(1)], "<u4").tobytes()
    assert len(Evt2Decoder(100, 100).decode(packet(memoryview(payload)[offset:]))) == 1


def test_dropped_events_do_not_keep_memory():
    decoder = Evt2Decoder(16, 16)
    decoded = decoder.decode(evt2_packet([time_high(0), cd(1), *([cd(100)] * 10_000)]))
    assert len(decoded) == 1
    base = decoded.t_ns if decoded.t_ns.base is None else decoded.t_ns.base
    assert base.size == 1


def test_each_kernel_is_compiled_for_one_set_of_types():
    """Another set would mean that some packet waits for the compiler after warm_up()."""
    for payload in (b"\0\0\0\x80", bytearray(b"\0\0\0\x80"), np.zeros(8, np.uint8)[1:5]):
        Evt2Decoder(10, 10).decode(packet(payload))
        Evt2Decoder(10, 10).decode(packet(payload, is_bigendian=True))
    assert len(evt2._decode.signatures) == 1
    assert len(evt2._count.signatures) == 1


ordered_events = st.lists(
    st.tuples(
        st.integers(-200, 200) | st.integers(0, 50_000_000) | st.integers(0, (1 << 34) - NEAR * 70),
        st.integers(0, 30) | st.integers(0, 2047),
        st.integers(0, 2047),
        st.integers(0, 1),
    ),
    max_size=40,
)


@given(st.integers(300, 10_000) | st.integers((1 << 34) - 300, (1 << 34) + 300), ordered_events)
def test_decoding_gives_back_what_was_encoded(first_us, steps):
    us = first_us + np.cumsum([0, *(s[0] for s in steps)])
    us = np.maximum(us, 0)[1:].tolist()
    given_rows = [(t * 1000, x, y, p) for t, (_, x, y, p) in zip(us, steps, strict=True)]
    decoder = Evt2Decoder(2048, 2048)
    decoded = rows(decoder.decode(packet(encode(events(given_rows)))))
    shift = given_rows[0][0] // (1 << 34) // 1000 * (1 << 34) * 1000 if given_rows else 0
    assert decoded == [(t - shift, x, y, p) for t, x, y, p in given_rows]
    assert decoder.counters.dropped_unsynced == 0


def test_time_high_comes_only_when_it_changes():
    encoded = encode(events([(t * 1000, 1, 1, 1) for t in (64, 70, 127, 128, 10, 130)]))
    kinds = (np.frombuffer(encoded, "<u4") >> 28).tolist()
    assert kinds == [8, 1, 1, 1, 8, 1, 8, 1, 8, 1]


@pytest.mark.parametrize("pause_us", [9_000_000, 11_000_000, 3_600_000_000, (1 << 34) - 11_000_000])
def test_a_rollover_during_a_pause_is_kept(pause_us):
    first = (1 << 34) - 100
    given_rows = [(t * 1000, 1, 1, 1) for t in (first, first + pause_us)]
    decoder = Evt2Decoder(9, 9)
    assert rows(decoder.decode(packet(encode(events(given_rows))))) == given_rows


def test_encoded_packets_make_a_stream():
    times = [7_200_000_000, (1 << 34) - 1, 1 << 34, (1 << 34) + 3_600_000_000]
    decoder = Evt2Decoder(10, 10)
    decoded = [decoder.decode(packet(encode(events([(t * 1000, 1, 1, 1)])))) for t in times]
    assert [d.t_ns[0] // 1000 for d in decoded] == times


@pytest.mark.parametrize(
    "bad",
    [
        [(-1000, 0, 0, 0)],
        [(20_000_000_000, 0, 0, 0), (9_999_000_000, 0, 0, 0)],
        [(0, 0, 0, 0), ((1 << 34) * 1000, 0, 0, 0)],
        [(0, 2048, 0, 0)],
        [(0, 0, 2048, 0)],
    ],
)
def test_what_evt2_cannot_say_is_refused(bad):
    with pytest.raises(PacketError, match="EVT2 says"):
        encode(events(bad))


def test_no_events_are_no_bytes():
    assert encode(events([])) == b""
