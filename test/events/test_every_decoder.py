"""What holds for the decoder of every encoding, whatever the bytes."""

import itertools
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.events import packets
from cs3d_ros.events.encoding import encodable, encode_events
from cs3d_ros.events.packets import PacketError, decoder_for
from cs3d_ros.events.stream import EventStream
from cs3d_ros.events.windows import SlidingWindows
from event_helpers import events, packet, rows
from fuzz_decoders import HEIGHT, WIDTH, Violation, check_clock, decode_checked, fuzz
from fuzz_formats import FORMATS, pack

ENCODINGS = sorted(FORMATS)
STATEFUL = [name for name in ENCODINGS if FORMATS[name].keeps_state]
STATELESS = [name for name in ENCODINGS if not FORMATS[name].keeps_state]

MS = 1_000_000
SECOND = 1000 * MS
YEAR = 365 * 24 * 3600 * SECOND
HOST = 1_700_000_000 * SECOND

every_encoding = pytest.mark.parametrize("encoding", ENCODINGS)


def trigger_rows(triggers):
    columns = triggers.t_ns.tolist(), triggers.edge.tolist(), triggers.id.tolist()
    return list(zip(*columns, strict=True))


def decode_all(decoder, *given_packets):
    """Events, edges and newest time after some packets."""
    found, edges = [], []
    for p in given_packets:
        found += rows(decoder.decode(p))
        edges += trigger_rows(decoder.triggers)
    return found, edges, decoder.now_ns


# Words of all types, shrinkable by their number and their seed only.
scattered = st.builds(lambda seed, n: (seed, n), st.integers(0, 1 << 32), st.integers(0, 60))


def words_of(encoding, seed_and_size):
    seed, records = seed_and_size
    return FORMATS[encoding].scatter(Random(seed), records)


def packet_of(encoding, words, order="<", **fields):
    payload = words.astype(order + FORMATS[encoding].word).tobytes()
    fields = {"time_base": HOST, "width": WIDTH, "height": HEIGHT, **fields}
    return packet(payload, encoding=encoding, is_bigendian=order == ">", **fields)


def test_every_registered_encoding_is_looked_at_here():
    assert sorted(packets._DECODERS) == ENCODINGS


@every_encoding
def test_fuzzing_finds_nothing(encoding):
    tally = fuzz(encoding, 2000, seed=1)
    assert tally.packets == 2000
    assert tally.events + tally.triggers > 5000
    assert tally.out_of_bounds > 1000


def test_fuzzing_finds_what_there_is(monkeypatch):
    """A decoder that loses an event is found out, with the way to get there again."""
    hand_out = packets._DECODERS["mono"]._hand_out

    def lose_one(self, found, edges, truncated):
        decoded = hand_out(self, found, edges, truncated)
        self.counters.out_of_bounds -= int(self.counters.out_of_bounds > 100)
        return decoded

    monkeypatch.setattr(packets._DECODERS["mono"], "_hand_out", lose_one)
    with pytest.raises(Violation, match=r"--encoding mono --seed 1 --packets 500(.|\n)*payload"):
        fuzz("mono", 500, seed=1)


@every_encoding
@given(
    st.lists(
        st.tuples(st.binary(max_size=64), st.booleans(), st.integers(0, (1 << 64) - 1)),
        max_size=6,
    ),
    st.integers(1, 300),
    st.integers(1, 300),
)
@settings(max_examples=40)
def test_any_bytes_give_events_on_the_sensor_or_none(encoding, payloads, width, height):
    decoder = decoder_for(encoding, width, height)
    for payload, is_bigendian, time_base in payloads:
        p = packet(payload, encoding=encoding, is_bigendian=is_bigendian, time_base=time_base)
        try:
            decode_checked(decoder, p, width, height)
        except PacketError:
            assert time_base > 1 << 61


@pytest.mark.parametrize("encoding", [*STATEFUL, "mono", "trigger"])
@given(scattered, st.lists(st.integers(0, 60), max_size=6))
@settings(max_examples=50)
def test_cutting_a_stream_into_packets_changes_nothing(encoding, seed_and_size, cuts):
    words = words_of(encoding, seed_and_size)
    whole = decoder_for(encoding, WIDTH, HEIGHT)
    expected = decode_all(whole, packet_of(encoding, words))
    parts = decoder_for(encoding, WIDTH, HEIGHT)
    edges = [0, *sorted(min(cut, len(words)) for cut in cuts), len(words)]
    pieces = (words[begin:end] for begin, end in itertools.pairwise(edges))
    found = decode_all(parts, *(packet_of(encoding, piece) for piece in pieces))
    assert found == expected
    assert parts.counters == whole.counters


@pytest.mark.parametrize("encoding", STATELESS)
@given(scattered, scattered)
@settings(max_examples=50)
def test_a_packet_with_a_time_base_needs_none_before_it(encoding, before, seed_and_size):
    words = words_of(encoding, seed_and_size)
    expected = decode_all(decoder_for(encoding, WIDTH, HEIGHT), packet_of(encoding, words))
    decoder = decoder_for(encoding, WIDTH, HEIGHT)
    # An hour earlier, so that the newest time is the second packet's.
    decoder.decode(packet_of(encoding, words_of(encoding, before), time_base=HOST - 3600 * SECOND))
    decoder.resync()
    found = decode_all(decoder, packet_of(encoding, words))
    assert found[:2] == expected[:2]


@every_encoding
@given(scattered)
@settings(max_examples=30)
def test_the_byte_order_changes_nothing(encoding, seed_and_size):
    words = words_of(encoding, seed_and_size)
    little, big = (decoder_for(encoding, WIDTH, HEIGHT) for _ in range(2))
    expected = decode_all(little, packet_of(encoding, words, "<"))
    assert decode_all(big, packet_of(encoding, words, ">")) == expected
    assert big.counters == little.counters


@every_encoding
def test_a_payload_may_begin_at_any_address(encoding):
    words = words_of(encoding, (7, 50))
    p = packet_of(encoding, words)
    expected = decode_all(decoder_for(encoding, WIDTH, HEIGHT), p)
    for offset in range(1, 8):
        shifted = replace(p, payload=memoryview(b"\xff" * offset + p.payload)[offset:])
        assert decode_all(decoder_for(encoding, WIDTH, HEIGHT), shifted) == expected


@every_encoding
def test_a_payload_that_is_no_buffer_is_refused(encoding):
    decoder = decoder_for(encoding, WIDTH, HEIGHT)
    with pytest.raises(PacketError, match="contiguous buffer"):
        decoder.decode(packet(np.zeros(32, np.uint8)[::2], encoding=encoding))


# Where the clocks of the encodings turn over, in µs.
_ROLLOVERS = [0, 1 << 12, 1 << 24, 1 << 31, 1 << 34]


@pytest.mark.parametrize("encoding", encodable())
@given(
    st.sampled_from(_ROLLOVERS),
    st.integers(-300_000, 300_000),
    st.lists(
        st.tuples(
            st.integers(0, 9_000) | st.integers(0, 200_000_000),
            st.integers(0, 2047) | st.integers(2040, 2047),
            st.integers(0, 2047) | st.integers(2040, 2047),
            st.integers(0, 1),
        ),
        min_size=1,
        max_size=20,
    ),
)
@settings(max_examples=80)
def test_decoding_gives_back_what_was_encoded(encoding, rollover_us, offset_ns, steps):
    times = max(0, rollover_us * 1000 + offset_ns) + np.cumsum([0, *(s[0] for s in steps[1:])])
    given_rows = [(t, x, y, p) for t, (_, x, y, p) in zip(times.tolist(), steps, strict=True)]
    time_base, payload = encode_events(encoding, events(given_rows))
    decoder = decoder_for(encoding, 2048, 2048)
    decoded = rows(decoder.decode(packet(payload, encoding=encoding, time_base=time_base)))
    unit_ns = 1 if encoding == "mono" else 1000
    turn_ns = {"evt2": (1 << 34) * 1000, "evt3": (1 << 24) * 1000}.get(encoding, 1 << 62)
    shift = int(times[0]) // turn_ns * turn_ns
    assert decoded == [(t // unit_ns * unit_ns - shift, x, y, p) for t, x, y, p in given_rows]
    assert decoder.now_ns == decoded[-1][0]
    assert decoder.counters.dropped_unsynced == decoder.counters.out_of_bounds == 0


def bar(encoding, k, *, ahead_ns=0, is_stamped=True):
    """The k-th packet of a camera that sends each 4 ms, with a time that is wrong by `ahead_ns`."""
    t_ns = (YEAR if encoding in STATELESS else SECOND) + 4 * MS * k + ahead_ns
    time_base, payload = pack(encoding, events([(t_ns + i * 1000, i, i, 1) for i in range(4)]))
    return packet(
        payload,
        encoding=encoding,
        seq=k,
        stamp_ns=HOST + 4 * MS * k if is_stamped else 0,
        time_base=time_base,
        width=WIDTH,
        height=HEIGHT,
    )


def jump_ns(encoding):
    """A jump ahead that the encoding can say."""
    if encoding in STATELESS:
        return 10 * YEAR
    return 12 * SECOND if encoding == "evt3" else 3600 * SECOND


@every_encoding
def test_a_stream_starts_over_at_a_jump_ahead_and_goes_on(encoding):
    stream = EventStream()
    fed = [stream.feed(bar(encoding, k)) for k in range(5)]
    assert stream.epoch == 0
    assert len(stream.feed(bar(encoding, 5, ahead_ns=jump_ns(encoding)))) == 0
    assert (stream.epoch, stream.counters.clock_jumps) == (1, 1)
    again = [stream.feed(bar(encoding, k)) for k in range(6, 11)]
    assert stream.epoch == 1
    assert stream.now_ns is not None
    if encoding != "trigger":
        assert [len(e) for e in fed + again] == [4] * 10
        assert stream.now_ns == again[-1].t_ns[-1]


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name != "evt3"])
def test_a_packet_from_the_past_does_not_move_the_clock(encoding):
    # In EVT3, whose clock turns over after 17 s, a step back is a rollover.
    stream = EventStream()
    for k in range(5):
        stream.feed(bar(encoding, k))
    before_ns = stream.now_ns
    stream.feed(bar(encoding, 5, ahead_ns=-SECOND // 2))
    assert stream.now_ns == before_ns
    stream.feed(bar(encoding, 6))
    assert stream.now_ns > before_ns
    assert stream.epoch == 0


@every_encoding
def test_without_stamps_a_jump_ahead_makes_no_end_of_windows(encoding):
    stream = EventStream()
    windows = SlidingWindows(duration_ns=20 * MS, hop_ns=10 * MS, max_events=1000)
    found = epoch = 0
    for k in range(60):
        ahead_ns = jump_ns(encoding) if k == 30 else 0
        before_ns = stream.now_ns
        decoded = stream.feed(bar(encoding, k, ahead_ns=ahead_ns, is_stamped=False))
        check_clock(before_ns if stream.epoch == epoch else None, stream.now_ns)
        if stream.epoch != epoch:
            epoch = stream.epoch
            windows.reset()
        if stream.now_ns is not None:
            found += len(windows.push(decoded, stream.now_ns))
        assert windows.buffered_events <= 1000
    assert epoch <= 1
    assert 10 < found < 50
