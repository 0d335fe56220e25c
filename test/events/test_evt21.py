"""EVT2.1: hand-written words, and against EVT2, of which it is an extension."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import evt2
from cs3d_ros.events.evt2 import Evt2Decoder
from cs3d_ros.events.evt21 import Evt21Decoder, Evt21LegacyDecoder
from cs3d_ros.events.packets import decoder_for
from event_helpers import packet, rows

WIDTH, HEIGHT = 40, 30


def vector(x, y, bits, p=1, low=0):
    return p << 60 | low << 54 | x << 43 | y << 32 | bits


def time_high(high):
    return 0x8 << 60 | high << 32


def trigger(edge, number, low=0):
    return 0xA << 60 | low << 54 | number << 40 | edge << 32


def swapped(word):
    return (word & 0xFFFFFFFF) << 32 | word >> 32


def evt21_packet(words, order="<", **fields):
    payload = np.array(words, order + "u8").tobytes()
    return packet(payload, encoding="evt21", is_bigendian=order == ">", **fields)


def outcome(decoder, decoded):
    triggers = decoder.triggers
    edges = (triggers.t_ns.tolist(), triggers.edge.tolist(), triggers.id.tolist())
    return rows(decoded), edges, decoder.now_ns


words = st.lists(
    st.one_of(
        st.builds(
            vector,
            st.integers(0, WIDTH + 3),
            st.integers(0, HEIGHT + 3),
            st.integers(0, 0xFFFFFFFF),
            st.integers(0, 1),
            st.integers(0, 63),
        ),
        st.integers(0, (1 << 28) - 1).map(time_high),
        st.builds(trigger, st.integers(0, 1), st.integers(0, 31), st.integers(0, 63)),
        st.integers(0, (1 << 64) - 1),
    ),
    max_size=40,
)


@given(words, st.sampled_from("<>"))
def test_a_vector_is_as_many_words_of_evt2(stream, order):
    expanded, wide = [], 0
    for word in stream:
        head, mask = word >> 32, word & 0xFFFFFFFF
        if head >> 28 > 1:
            expanded.append(head)
            continue
        x = head >> 11 & 0x7FF
        columns = [x + bit for bit in range(32) if mask >> bit & 1]
        # EVT2 cannot say columns beyond 2047: one that is outside the sensor all the same.
        expanded += [head & ~(0x7FF << 11) | min(column, 2047) << 11 for column in columns]
        wide += sum(column > 2047 for column in columns)
    plain = Evt2Decoder(WIDTH, HEIGHT)
    expected = plain.decode(packet(np.array(expanded, "<u4").tobytes()))

    decoder = Evt21Decoder(WIDTH, HEIGHT)
    decoded = decoder.decode(evt21_packet(stream, order))
    assert outcome(decoder, decoded) == outcome(plain, expected)
    assert decoder.counters == plain.counters

    legacy = Evt21LegacyDecoder(WIDTH, HEIGHT)
    decoded = legacy.decode(evt21_packet([swapped(word) for word in stream], order))
    assert outcome(legacy, decoded) == outcome(plain, expected)
    assert legacy.counters == plain.counters


@given(words, st.integers(0, 40))
def test_the_state_goes_on_in_the_next_packet(stream, cut):
    whole = Evt21Decoder(WIDTH, HEIGHT)
    expected = rows(whole.decode(evt21_packet(stream)))
    parts = Evt21Decoder(WIDTH, HEIGHT)
    found = rows(*(parts.decode(evt21_packet(part)) for part in (stream[:cut], stream[cut:])))
    assert found == expected
    assert parts.now_ns == whole.now_ns
    assert parts.counters == whole.counters


def test_the_registry_finds_both():
    assert type(decoder_for("evt21", 640, 480)) is Evt21Decoder
    assert type(decoder_for("evt21_legacy", 640, 480)) is Evt21LegacyDecoder


def test_words_as_the_specification_has_them():
    # TIME_HIGH 0x0012345, then EVT_POS 5 µs later at row 50 from column 96 on, bits 0, 4 and 31.
    stream = [0x8001234500000000, 0x1143003280000011]
    time = ((0x12345 << 6) + 5) * 1000
    expected = [(time, 96, 50, 1), (time, 100, 50, 1), (time, 127, 50, 1)]
    assert rows(Evt21Decoder(640, 480).decode(evt21_packet(stream))) == expected
    stream = [0x0000000080012345, 0x8000001111430032]
    assert rows(Evt21LegacyDecoder(640, 480).decode(evt21_packet(stream))) == expected


@pytest.mark.parametrize("x", [0, 7, 8, 9, 10, 38, 39, 40, 41])
def test_a_vector_is_cut_at_the_edge_of_the_sensor(x):
    decoder = Evt21Decoder(40, 10)
    decoded = decoder.decode(evt21_packet([time_high(0), vector(x, 0, 0xFFFFFFFF)]))
    assert decoded.x.tolist() == list(range(x, min(x + 32, 40)))
    assert decoder.counters.out_of_bounds == 32 - len(decoded)


def test_vectors_wait_for_the_time():
    decoder = Evt21Decoder(100, 100)
    decoder.decode(evt21_packet([vector(0, 0, 0xFFFF)]))
    assert decoder.counters.dropped_unsynced == 16
    decoder.decode(evt21_packet([time_high(1), vector(0, 0, 0x7)]))
    decoder.resync()
    decoder.decode(evt21_packet([vector(0, 0, 0x3)]))
    assert (decoder.counters.events, decoder.counters.dropped_unsynced) == (3, 18)


def test_a_vector_without_bits_is_no_event():
    decoder = Evt21Decoder(100, 100)
    assert len(decoder.decode(evt21_packet([time_high(1), vector(0, 0, 0, low=9)]))) == 0
    assert decoder.now_ns == 64_000


def test_columns_beyond_the_words_range_are_taken_from_a_wide_sensor():
    decoder = Evt21Decoder(2100, 100)
    decoded = decoder.decode(evt21_packet([time_high(0), vector(2040, 0, 1 << 31)]))
    assert decoded.x.tolist() == [2071]


@pytest.mark.parametrize("stray", range(1, 8))
def test_stray_bytes_are_counted_and_the_words_before_them_decoded(stray):
    decoder = Evt21Decoder(100, 100)
    payload = np.array([time_high(0), vector(0, 0, 3)], "<u8").tobytes() + b"\x10" * stray
    assert len(decoder.decode(packet(payload))) == 2
    assert decoder.counters.truncated_bytes == stray


@pytest.mark.parametrize("offset", [1, 4, 7])
def test_words_may_begin_at_any_address(offset):
    payload = b"\xff" * offset + np.array([time_high(0), vector(0, 0, 3)], "<u8").tobytes()
    assert len(Evt21Decoder(100, 100).decode(packet(memoryview(payload)[offset:]))) == 2


def test_the_kernels_of_evt2_are_not_compiled_again():
    for payload in (b"\0" * 16, bytearray(16), np.zeros(17, np.uint8)[1:]):
        for decoder in (Evt21Decoder, Evt21LegacyDecoder):
            decoder(10, 10).decode(packet(payload))
            decoder(10, 10).decode(packet(payload, is_bigendian=True))
    assert len(evt2._decode.signatures) == 1
    assert len(evt2._count.signatures) == 1
