"""mono and trigger: golden values, hand-written words, round trips."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import mono
from cs3d_ros.events.mono import MonoDecoder, TriggerDecoder, encode
from cs3d_ros.events.packets import PacketError, decoder_for
from cs3d_ros.recordings import open_recording
from event_helpers import events, packet, rows
from recordings_data import recording_path

BASE = 1_700_000_000_123_456_789


def mono_word(dt, x, y, p):
    return p << 63 | y << 48 | x << 32 | dt


def trigger_word(dt, edge, number, unused=0):
    return edge << 63 | number << 48 | unused << 32 | dt


def packet_of(words, order="<", time_base=BASE, **fields):
    payload = np.array(words, order + "u8").tobytes()
    return packet(payload, is_bigendian=order == ">", time_base=time_base, **fields)


def trigger_rows(decoder):
    triggers = decoder.triggers
    columns = triggers.t_ns.tolist(), triggers.edge.tolist(), triggers.id.tolist()
    return list(zip(*columns, strict=True))


def test_golden_recording():
    totals = np.zeros(4, np.int64)
    counts = []
    with open_recording(recording_path("mono")) as recording:
        for _, p in recording:
            decoded = decoder_for(p.encoding, p.width, p.height).decode(p)
            counts.append(len(decoded))
            totals += [
                c.sum(dtype=np.int64) for c in (decoded.t_ns, decoded.x, decoded.y, decoded.p)
            ]
    assert counts == [50, 50]
    assert totals.tolist() == [4_950_000, 34_450, 26_450, 50]


@pytest.mark.parametrize("order", ["<", ">"])
def test_words_as_the_layout_has_them(order):
    decoder = MonoDecoder(1280, 720)
    stream = [0x82CF_04FF_0000_0001, 0x0000_0000_FFFF_FFFF]
    assert rows(decoder.decode(packet_of(stream, order))) == [
        (BASE + 1, 1279, 719, 1),
        (BASE + 0xFFFF_FFFF, 0, 0, 0),
    ]
    assert decoder.now_ns == BASE + 0xFFFF_FFFF


@given(
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF_FFFF),
            st.integers(0, 45) | st.integers(0, 0xFFFF),
            st.integers(0, 35) | st.integers(0, 0x7FFF),
            st.integers(0, 1),
        ),
        max_size=40,
    )
)
def test_events_outside_the_sensor_are_dropped(words):
    decoder = MonoDecoder(40, 30)
    decoded = decoder.decode(packet_of([mono_word(*word) for word in words]))
    inside = [(BASE + dt, x, y, p) for dt, x, y, p in words if x < 40 and y < 30]
    assert rows(decoded) == inside
    assert decoder.counters.events == len(inside)
    assert decoder.counters.out_of_bounds == len(words) - len(inside)
    assert decoder.now_ns == max((row[0] for row in inside), default=None)


def test_now_never_goes_back_and_an_empty_packet_does_not_advance_it():
    decoder = MonoDecoder(10, 10)
    decoder.decode(packet_of([], time_base=BASE))
    assert decoder.now_ns is None
    decoder.decode(packet_of([mono_word(5, 1, 1, 1)]))
    decoder.decode(packet_of([mono_word(4, 1, 1, 1)]))
    decoder.decode(packet_of([], time_base=BASE + 100))
    decoder.resync()
    assert decoder.now_ns == BASE + 5
    decoder.reset()
    assert decoder.now_ns is None
    assert decoder.counters.events == 2


@pytest.mark.parametrize("order", ["<", ">"])
def test_triggers_tell_time_edge_and_input(order):
    decoder = TriggerDecoder(10, 10)
    stream = [
        trigger_word(7, 1, 0),
        trigger_word(0xFFFF_FFFF, 0, 255, unused=0xFFFF),
        trigger_word(9, 1, 256),
        trigger_word(9, 0, 0x7FFF),
    ]
    assert len(decoder.decode(packet_of(stream, order))) == 0
    assert trigger_rows(decoder) == [(BASE + 7, 1, 0), (BASE + 0xFFFF_FFFF, 0, 255)]
    assert (decoder.counters.triggers, decoder.counters.out_of_bounds) == (2, 2)
    assert decoder.now_ns == BASE + 0xFFFF_FFFF
    triggers = decoder.triggers
    assert [c.dtype for c in (triggers.t_ns, triggers.edge, triggers.id)] == [
        np.int64, np.uint8, np.uint8,
    ]  # fmt: skip
    decoder.decode(packet_of([]))
    assert trigger_rows(decoder) == []
    decoder.decode(packet_of([trigger_word(1, 1, 1)]))
    decoder.reset()
    assert trigger_rows(decoder) == []
    assert decoder.now_ns is None


def test_the_registry_finds_both():
    assert isinstance(decoder_for("mono", 640, 480), MonoDecoder)
    assert isinstance(decoder_for("trigger", 640, 480), TriggerDecoder)


@pytest.mark.parametrize("decoder", [MonoDecoder, TriggerDecoder])
@pytest.mark.parametrize("bad", [-1, (1 << 62) - 1, 1 << 63, (1 << 64) - 1])
def test_a_time_base_that_is_no_time_is_refused(decoder, bad):
    with pytest.raises(PacketError, match=r"time_base .* expected 0 to"):
        decoder(10, 10).decode(packet_of([0], time_base=bad))


@pytest.mark.parametrize("decoder", [MonoDecoder, TriggerDecoder])
@pytest.mark.parametrize("stray", range(1, 8))
def test_stray_bytes_are_counted_and_the_words_before_them_decoded(decoder, stray):
    decoder = decoder(10, 10)
    decoder.decode(packet(bytes(8 + stray)))
    counters = decoder.counters
    assert counters.events + counters.triggers == 1
    assert counters.truncated_bytes == stray


@given(
    st.integers(0, 1 << 61),
    st.lists(
        st.tuples(
            st.integers(0, 0xFFFF_FFFF),
            st.integers(0, 8191),
            st.integers(0, 8191),
            st.integers(0, 1),
        ),
        max_size=40,
    ),
)
def test_decoding_gives_back_what_was_encoded(base, words):
    given_rows = [(base + dt, x, y, p) for dt, x, y, p in words]
    payload = encode(events(given_rows), base)
    decoded = MonoDecoder(8192, 8192).decode(packet(payload, time_base=base))
    assert rows(decoded) == given_rows


@pytest.mark.parametrize(
    "bad", [[(BASE - 1, 0, 0, 0)], [(BASE + (1 << 32), 0, 0, 0)], [(BASE, 0, 0x8000, 0)]]
)
def test_what_mono_cannot_say_is_refused(bad):
    with pytest.raises(PacketError, match="mono says"):
        encode(events(bad), BASE)


def test_the_kernel_is_compiled_for_one_set_of_types():
    """Another set would mean that some packet waits for the compiler after warm_up()."""
    for payload in (bytes(8), bytearray(8), np.zeros(9, np.uint8)[1:]):
        MonoDecoder(10, 10).decode(packet(payload))
        MonoDecoder(10, 10).decode(packet(payload, is_bigendian=True, time_base=BASE))
    assert len(mono._decode.signatures) == 1
