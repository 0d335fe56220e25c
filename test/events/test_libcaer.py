"""libcaer and libcaer_cmp: golden values, plain references, hand-written words, round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import libcaer, libcaer_cmp
from cs3d_ros.events.libcaer import LibcaerDecoder
from cs3d_ros.events.libcaer_cmp import LibcaerCmpDecoder, encode
from cs3d_ros.events.packets import PacketError, decoder_for
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import open_recording
from event_helpers import events, packet, rows
from recordings_data import recording_path

BASE = 1_744_227_144_732_712_000
WIDTH, HEIGHT = 40, 30
TURN_NS = (1 << 31) * 1000


def time_high(high):
    return 0x0000 | high


def time_low(low):
    return 0x1000 | low


def addr_x(x):
    return 0x2000 | x


def addr_y(y, p=1):
    return 0x3000 | p << 11 | y


def base_y(y, p=1):
    return 0x4000 | p << 11 | y


def vect8(bits):
    return 0x5000 | bits


def cmp_packet(words, order="<", time_base=BASE, **fields):
    payload = np.array(words, order + "u2").tobytes()
    fields["encoding"] = "libcaer_cmp"
    return packet(payload, is_bigendian=order == ">", time_base=time_base, **fields)


def libcaer_packet(given_words, order="<", time_base=BASE, **fields):
    """A packet of (x, y, p, us) or (x, y, p, us, valid)."""
    pairs = [
        (x << 17 | y << 2 | p << 1 | (valid[0] if valid else 1), us)
        for x, y, p, us, *valid in given_words
    ]
    payload = np.array(pairs, order + "u4").tobytes()
    fields["encoding"] = "libcaer"
    return packet(payload, is_bigendian=order == ">", time_base=time_base, **fields)


def drops(decoder):
    counters = decoder.counters
    return (
        counters.dropped_unsynced,
        counters.out_of_bounds,
        counters.skipped_words,
        counters.reserved_words,
    )


def cmp_reference(words, base, width, height):
    """libcaer_cmp word by word; events, (unsynced, outside, skipped, reserved), newest time."""
    found, unsynced, outside, reserved = [], 0, 0, 0
    high = low = 0
    x = base_row = polarity = None
    for word in words:
        kind, value = word >> 12, word & 0xFFF
        rows_of_word = []
        if kind == 0:
            high = value
        elif kind == 1:
            low = value
        elif kind == 2:
            x = value & 0x7FF
        elif kind == 3:
            rows_of_word = [(value & 0x7FF, value >> 11)]
        elif kind == 4:
            base_row, polarity = value & 0x7FF, value >> 11
        elif kind == 5:
            bits = [bit for bit in range(8) if value >> bit & 1]
            if base_row is None:
                unsynced += len(bits)
            else:
                rows_of_word = [(base_row + bit, polarity) for bit in bits]
                base_row += 8
        else:
            reserved += 1
        for y, p in rows_of_word:
            if y > 2047:
                outside += 1
            elif x is None:
                unsynced += 1
            elif x >= width or y >= height:
                outside += 1
            else:
                found.append((base + ((high << 12) + low) * 1000, x, y, p))
    newest = max((row[0] for row in found), default=None)
    return found, (unsynced, outside, 0, reserved), newest


cmp_words = st.lists(
    st.one_of(
        st.integers(0, 0x1FFF),
        st.integers(0, WIDTH + 3).map(addr_x),
        st.builds(addr_y, st.integers(0, HEIGHT + 3), st.integers(0, 1)),
        st.builds(base_y, st.integers(0, HEIGHT + 3) | st.integers(0, 2047), st.integers(0, 1)),
        st.integers(0x5000, 0x5FFF),
        st.integers(0, 0xFFFF),
    ),
    max_size=60,
)


@given(cmp_words, st.sampled_from("<>"), st.booleans())
def test_cmp_agrees_with_the_reference(stream, order, starts_in_sync):
    stream = [addr_x(1), base_y(0), *stream] if starts_in_sync else stream
    decoder = LibcaerCmpDecoder(WIDTH, HEIGHT)
    # What the packet before leaves behind must not matter.
    decoder.decode(cmp_packet([addr_x(3), base_y(3), time_high(1), time_low(1)], time_base=0))
    expected, expected_drops, newest = cmp_reference(stream, BASE, WIDTH, HEIGHT)
    assert rows(decoder.decode(cmp_packet(stream, order))) == expected
    assert drops(decoder) == expected_drops
    assert decoder.counters.events == len(expected)
    assert decoder.now_ns == newest


def test_cmp_golden_recording():
    on = off = microseconds = 0
    first_us = BASE // 1000
    stream = EventStream()
    with open_recording(recording_path("libcaer_cmp")) as recording:
        for _, p in recording:
            decoded = stream.feed(p)
            on += int(np.count_nonzero(decoded.p == 1))
            off += int(np.count_nonzero(decoded.p == 0))
            microseconds += int((decoded.t_ns // 1000 - first_us).sum())
            assert stream.now_ns == decoded.t_ns.max()
    assert (off, on, microseconds) == (360_223, 211_043, 335_555_680_277)
    assert drops(stream.decoder) == (0, 0, 0, 0)
    assert stream.epoch == 0


def test_the_registry_finds_both():
    assert isinstance(decoder_for("libcaer", 346, 260), LibcaerDecoder)
    assert isinstance(decoder_for("libcaer_cmp", 346, 260), LibcaerCmpDecoder)


def test_cmp_words_as_the_driver_writes_them():
    stream = [
        addr_x(7), addr_y(9, 0), time_low(5), addr_y(10), time_high(1), addr_x(8), base_y(16),
        vect8(0b10000001), vect8(0b1), time_low(0), addr_y(20),
    ]  # fmt: skip
    assert rows(LibcaerCmpDecoder(100, 100).decode(cmp_packet(stream, time_base=1000))) == [
        (1000, 7, 9, 0),
        (6000, 7, 10, 1),
        ((4096 + 5) * 1000 + 1000, 8, 16, 1),
        ((4096 + 5) * 1000 + 1000, 8, 23, 1),
        ((4096 + 5) * 1000 + 1000, 8, 24, 1),
        (4096 * 1000 + 1000, 8, 20, 1),
    ]


def test_cmp_neither_place_nor_time_goes_on_in_the_next_packet():
    decoder = LibcaerCmpDecoder(100, 100)
    decoder.decode(cmp_packet([time_high(5), time_low(6), addr_x(7), base_y(3), addr_y(1)]))
    assert len(decoder.decode(cmp_packet([addr_y(1), vect8(0xFF)]))) == 0
    assert decoder.counters.dropped_unsynced == 9
    assert decoder.decode(cmp_packet([addr_x(1), addr_y(1)])).t_ns.tolist() == [BASE]


def test_cmp_a_vector_is_cut_at_the_edge_of_the_sensor():
    decoder = LibcaerCmpDecoder(10, 12)
    decoded = decoder.decode(cmp_packet([addr_x(1), base_y(8), vect8(0xFF), vect8(0xFF)]))
    assert decoded.y.tolist() == [8, 9, 10, 11]
    assert decoder.counters.out_of_bounds == 12


def test_cmp_rows_beyond_the_words_range_are_outside_any_sensor():
    decoder = LibcaerCmpDecoder(8192, 8192)
    stream = [addr_x(1), base_y(2040), *([vect8(0xFF)] * 1000)]
    assert decoder.decode(cmp_packet(stream)).y.tolist() == list(range(2040, 2048))
    assert decoder.counters.out_of_bounds == 999 * 8


def test_cmp_other_words_are_counted_and_skipped():
    decoder = LibcaerCmpDecoder(10, 10)
    stream = [addr_x(1), *range(0x6000, 0x10000, 0x1000), addr_y(1)]
    assert len(decoder.decode(cmp_packet(stream))) == 1
    assert decoder.counters.reserved_words == 10


cmp_events = st.lists(
    st.tuples(
        st.integers(0, 3) | st.integers(0, 300_000),
        st.integers(0, 1) | st.integers(0, 2047),
        st.integers(0, 30) | st.integers(0, 2047),
        st.integers(0, 1),
    ),
    max_size=50,
)


@given(cmp_events, st.integers(0, 1 << 62).map(lambda t: t // 2))
def test_cmp_decoding_gives_back_what_was_encoded(steps, base):
    us = np.cumsum([s[0] for s in steps]).tolist()
    given_rows = [(base + t * 1000, x, y, p) for t, (_, x, y, p) in zip(us, steps, strict=True)]
    decoder = LibcaerCmpDecoder(2048, 2048)
    payload = encode(events(given_rows), base)
    assert rows(decoder.decode(packet(payload, time_base=base))) == given_rows
    assert drops(decoder) == (0, 0, 0, 0)


def test_cmp_times_are_cut_to_microseconds_and_may_step_back():
    given_rows = [(BASE + 1999, 1, 1, 1), (BASE + 999, 2, 1, 0)]
    decoded = LibcaerCmpDecoder(9, 9).decode(
        packet(encode(events(given_rows), BASE), time_base=BASE)
    )
    assert rows(decoded) == [(BASE + 1000, 1, 1, 1), (BASE, 2, 1, 0)]


def test_cmp_the_encoder_makes_vectors_as_the_driver_does():
    column = [(BASE, 3, y, 1) for y in (6, 7, 8, 9, 11, 16, 30)]
    encoded = encode(events(column), BASE)
    assert np.frombuffer(encoded, "<u2").tolist() == [
        addr_x(3), base_y(0), vect8(0b11000000), base_y(8), vect8(0b1011), addr_y(16), addr_y(30),
    ]  # fmt: skip


def test_cmp_a_real_packet_becomes_no_larger():
    with open_recording(recording_path("libcaer_cmp")) as recording:
        _, p = next(iter(recording))
    decoder = LibcaerCmpDecoder(p.width, p.height)
    decoded = decoder.decode(p)
    encoded = encode(decoded, p.time_base)
    assert len(encoded) <= len(p.payload)
    again = decoder.decode(packet(encoded, time_base=p.time_base, width=p.width, height=p.height))
    assert rows(again) == rows(decoded)


@pytest.mark.parametrize(
    "bad",
    [
        [(BASE - 1, 0, 0, 0)],
        [(BASE + (1 << 24) * 1000, 0, 0, 0)],
        [(BASE, 2048, 0, 0)],
        [(BASE, 0, 2048, 0)],
    ],
)
def test_cmp_what_it_cannot_say_is_refused(bad):
    with pytest.raises(PacketError, match="libcaer_cmp says"):
        encode(events(bad), BASE)


def test_cmp_no_events_are_no_bytes():
    assert encode(events([]), BASE) == b""


def libcaer_reference(given_words, base, width, height):
    found, outside, skipped, reserved = [], 0, 0, 0
    turn, last = 0, None
    for x, y, p, us, valid in given_words:
        if not valid:
            skipped += 1
        elif us >= 1 << 31:
            reserved += 1
        else:
            if last is not None and us - last < -(1 << 30):
                turn = min(turn + 1, 1)
            elif last is not None and us - last > 1 << 30:
                turn = max(turn - 1, -1)
            last = us
            if x < width and y < height:
                found.append((base + us * 1000 + turn * TURN_NS, x, y, p))
            else:
                outside += 1
    newest = max((row[0] for row in found), default=None)
    return found, (0, outside, skipped, reserved), newest


libcaer_events = st.lists(
    st.tuples(
        st.integers(0, WIDTH + 3) | st.integers(0, 0x7FFF),
        st.integers(0, HEIGHT + 3) | st.integers(0, 0x7FFF),
        st.integers(0, 1),
        st.integers(0, 9) | st.integers((1 << 31) - 9, (1 << 31) + 9) | st.integers(0, 1 << 31),
        st.integers(0, 5).map(bool),
    ),
    max_size=40,
)


@given(libcaer_events, st.sampled_from("<>"))
def test_libcaer_agrees_with_the_reference(stream, order):
    decoder = LibcaerDecoder(WIDTH, HEIGHT)
    expected, expected_drops, newest = libcaer_reference(stream, BASE, WIDTH, HEIGHT)
    assert rows(decoder.decode(libcaer_packet(stream, order))) == expected
    assert drops(decoder) == expected_drops
    assert decoder.counters.events == len(expected)
    assert decoder.now_ns == newest


def test_libcaer_bytes_as_the_layout_has_them():
    # x = 345, y = 259, ON, valid; 1000 µs.
    payload = bytes([0x0F, 0x04, 0xB2, 0x02, 0xE8, 0x03, 0x00, 0x00])
    decoded = LibcaerDecoder(346, 260).decode(packet(payload, time_base=5))
    assert rows(decoded) == [(1_000_005, 345, 259, 1)]


@pytest.mark.parametrize(
    ("times", "turns"),
    [
        ([(1 << 31) - 1, 0], [0, 1]),
        ([1 << 30, 0], [0, 0]),
        ([(1 << 30) + 1, 0], [0, 1]),
        ([100, 89], [0, 0]),
        ([(1 << 31) - 1, 0, (1 << 31) - 1, 1], [0, 1, 0, 1]),
        ([0, (1 << 31) - 1, 1], [0, -1, 0]),
        ([5, 5 | 1 << 30, 6], [0, 0, 0]),
    ],
)
def test_libcaer_only_more_than_half_the_range_is_a_rollover(times, turns):
    decoder = LibcaerDecoder(10, 10)
    decoded = decoder.decode(libcaer_packet([(1, 1, 1, us) for us in times]))
    expected = [BASE + us * 1000 + t * TURN_NS for us, t in zip(times, turns, strict=True)]
    assert decoded.t_ns.tolist() == expected


def test_libcaer_a_rollover_holds_for_its_packet_only():
    decoder = LibcaerDecoder(10, 10)
    decoder.decode(libcaer_packet([(1, 1, 1, (1 << 31) - 1), (1, 1, 1, 0)]))
    # The driver has put the turn into the time base by then.
    decoded = decoder.decode(libcaer_packet([(1, 1, 1, 4)], time_base=BASE + TURN_NS))
    assert decoded.t_ns.tolist() == [BASE + TURN_NS + 4000]


def test_libcaer_invalid_events_are_skipped_with_their_times():
    decoder = LibcaerDecoder(10, 10)
    stream = [(1, 1, 1, (1 << 31) - 1), (2, 2, 1, 0, 0), (3, 3, 1, (1 << 31) - 1)]
    assert decoder.decode(libcaer_packet(stream)).x.tolist() == [1, 3]
    assert decoder.counters.skipped_words == 1
    assert decoder.now_ns == BASE + ((1 << 31) - 1) * 1000


@pytest.mark.parametrize("decoder", [LibcaerDecoder, LibcaerCmpDecoder])
@pytest.mark.parametrize("bad", [-1, (1 << 62) - 1, 1 << 63, (1 << 64) - 1])
def test_a_time_base_that_is_no_time_is_refused(decoder, bad):
    with pytest.raises(PacketError, match=r"time_base .* expected 0 to"):
        decoder(10, 10).decode(packet(b"", time_base=bad))


def test_now_neither_goes_back_nor_takes_the_time_base_of_an_empty_packet():
    decoder = LibcaerCmpDecoder(10, 10)
    assert decoder.now_ns is None
    decoder.decode(cmp_packet([], time_base=BASE))
    assert decoder.now_ns is None
    decoder.decode(cmp_packet([addr_x(1), time_low(3), addr_y(1)]))
    assert decoder.now_ns == BASE + 3000
    assert decoder.decode(cmp_packet([addr_x(1), addr_y(1)], time_base=7)).t_ns.tolist() == [7]
    decoder.decode(cmp_packet([], time_base=BASE + 10**9))
    assert decoder.now_ns == BASE + 3000
    decoder.resync()
    assert decoder.now_ns == BASE + 3000
    decoder.reset()
    assert decoder.now_ns is None


@pytest.mark.parametrize("stray", range(1, 8))
def test_libcaer_stray_bytes_are_counted(stray):
    decoder = LibcaerDecoder(10, 10)
    whole = libcaer_packet([(1, 1, 1, 3)]).payload
    assert len(decoder.decode(packet(whole + whole[:stray]))) == 1
    assert decoder.counters.truncated_bytes == stray


def test_each_kernel_is_compiled_for_one_set_of_types():
    """Another set would mean that some packet waits for the compiler after warm_up()."""
    for payload in (b"\0\0\0\x20", bytearray(24), np.zeros(9, np.uint8)[1:]):
        for decoder in (LibcaerDecoder, LibcaerCmpDecoder):
            decoder(10, 10).decode(packet(payload))
            decoder(10, 10).decode(packet(payload, is_bigendian=True, time_base=BASE))
    encode(events([(0, 1, 1, 1)]), 0)
    kernels = (
        libcaer._decode, libcaer_cmp._count, libcaer_cmp._collect, libcaer_cmp._unpack,
        libcaer_cmp._encode,
    )  # fmt: skip
    assert [len(kernel.signatures) for kernel in kernels] == [1] * 5
