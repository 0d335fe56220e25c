"""The choice of an encoder."""

import pytest

from cs3d_ros.events.encoding import encodable, encode_events
from cs3d_ros.events.packets import PacketError, decoder_for
from event_helpers import events, packet, rows

MS = 1_000_000
GIVEN = [(40 * MS + 1000, 3, 4, 1), (41 * MS, 3, 5, 1), (42 * MS, 1279, 719, 0)]


def test_the_encodings_that_can_be_written():
    assert encodable() == ["evt2", "evt3", "libcaer_cmp", "mono"]


@pytest.mark.parametrize("encoding", encodable())
def test_decoding_gives_back_what_was_encoded(encoding):
    time_base, payload = encode_events(encoding, events(GIVEN))
    decoder = decoder_for(encoding, 1280, 720)
    assert rows(decoder.decode(packet(payload, encoding=encoding, time_base=time_base))) == GIVEN


@pytest.mark.parametrize("encoding", encodable())
def test_packets_of_consecutive_events_make_a_stream(encoding):
    decoder = decoder_for(encoding, 1280, 720)
    found = []
    for row in GIVEN:
        time_base, payload = encode_events(encoding, events([row]))
        found += rows(decoder.decode(packet(payload, encoding=encoding, time_base=time_base)))
    assert found == GIVEN


@pytest.mark.parametrize("encoding", encodable())
def test_no_events_are_no_bytes(encoding):
    assert encode_events(encoding, events([])) == (0, b"")


def test_the_time_base_is_the_earliest_time():
    given_events = events([(2_000_500, 1, 1, 1), (1_000_700, 1, 1, 1)])
    assert encode_events("mono", given_events)[0] == 1_000_700
    assert encode_events("libcaer_cmp", given_events)[0] == 1_000_000
    assert encode_events("evt2", given_events)[0] == 0


@pytest.mark.parametrize("encoding", encodable())
@pytest.mark.parametrize("t_ns", [-1, -(1 << 62)])
def test_times_before_zero_are_refused(encoding, t_ns):
    with pytest.raises(PacketError, match="says times"):
        encode_events(encoding, events([(t_ns, 0, 0, 0)]))


@pytest.mark.parametrize(("encoding", "seconds"), [("libcaer_cmp", 17), ("mono", 5)])
def test_a_packet_that_lasts_too_long_is_refused(encoding, seconds):
    long_events = events([(0, 0, 0, 0), (seconds * 1000 * MS, 0, 0, 0)])
    with pytest.raises(PacketError, match="cut the events into shorter packets"):
        encode_events(encoding, long_events)


@pytest.mark.parametrize("encoding", ["evt21", "jpeg", ""])
def test_an_encoding_without_an_encoder_lists_those_with_one(encoding):
    with pytest.raises(PacketError, match=rf"no encoder for '{encoding}'.*evt2, evt3, libcaer_cmp"):
        encode_events(encoding, events(GIVEN))
