"""The EVT3 encoder: round trips through the decoder, vector words, what it refuses."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events import evt3
from cs3d_ros.events.evt3 import Evt3Decoder
from cs3d_ros.events.evt3_encoder import encode
from cs3d_ros.events.packets import PacketError
from event_helpers import events, packet, rows

ordered_events = st.lists(
    st.tuples(
        st.integers(0, 3) | st.integers(0, 50_000_000),
        st.integers(0, 30) | st.integers(0, 2047),
        st.integers(0, 1) | st.integers(0, 2047),
        st.integers(0, 1),
    ),
    max_size=60,
).map(
    lambda steps: [
        (int(t) * 1000, x, y, p)
        for t, (_, x, y, p) in zip(np.cumsum([s[0] for s in steps]), steps, strict=True)
    ]
)


@given(ordered_events)
def test_decoding_gives_back_what_was_encoded(given_rows):
    decoder = Evt3Decoder(2048, 2048)
    decoded = rows(decoder.decode(packet(encode(events(given_rows)))))
    turn_ns = (1 << 24) * 1000
    shift = given_rows[0][0] // turn_ns * turn_ns if given_rows else 0
    assert decoded == [(t - shift, x, y, p) for t, x, y, p in given_rows]
    assert decoder.counters.dropped_unsynced == 0


def test_a_row_of_events_is_encoded_as_vectors():
    row = events([(0, x, 3, 1) for x in range(32)])
    kinds = (np.frombuffer(encode(row), "<u2") >> 12).tolist()
    assert kinds == [
        evt3.TIME_HIGH, evt3.TIME_LOW, evt3.ADDR_Y,
        evt3.VECT_BASE_X, evt3.VECT_12, evt3.VECT_12, evt3.VECT_8,
    ]  # fmt: skip


def test_encoded_packets_make_a_stream():
    packets = [events([(t * 1000, 1, 1, 1)]) for t in (10, 16_777_215, 16_777_216, 30_000_000)]
    decoder = Evt3Decoder(10, 10)
    times = [decoder.decode(packet(encode(e))).t_ns[0] // 1000 for e in packets]
    assert times == [10, 16_777_215, 16_777_216, 30_000_000]


def test_encoding_keeps_small_steps_back():
    given_rows = [(100_000, 1, 1, 1), (89_000, 2, 2, 0)]
    assert rows(Evt3Decoder(9, 9).decode(packet(encode(events(given_rows))))) == given_rows


@pytest.mark.parametrize(
    "bad",
    [
        [(-1000, 0, 0, 0)],
        [(4_096_000, 0, 0, 0), (4_095_000, 0, 0, 0)],
        [(0, 2048, 0, 0)],
        [(0, 0, 2048, 0)],
    ],
)
def test_what_evt3_cannot_say_is_refused(bad):
    with pytest.raises(PacketError, match="EVT3 says"):
        encode(events(bad))


def test_a_silence_of_years_is_refused_rather_than_written_turn_by_turn():
    with pytest.raises(PacketError, match="turns of its clock"):
        encode(events([(0, 1, 1, 1), (1 << 62, 1, 1, 1)]))
