import numpy as np
import pytest

from cs3d_ros.events.packets import Events, PacketError, decoder_for
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings.reencode import Reencoder
from recording_helpers import STAMP_NS, evt3_packet, some_events

TURN_US = 1 << 24


def reencoded(encoding, *times_us, epochs=None):
    """What becomes of packets with events at these times, and the re-encoder."""
    reencoder = Reencoder(encoding)
    epochs = epochs or [0] * len(times_us)
    packets = []
    stamp_ns = STAMP_NS
    for i, (times, epoch) in enumerate(zip(times_us, epochs, strict=True)):
        stamp_ns = max(stamp_ns, STAMP_NS + 1000 * min(times, default=0))
        packet = evt3_packet(b"", i, stamp_ns=stamp_ns)
        packets += reencoder.packets(packet, some_events(times), epoch)
    return packets, reencoder


def decoded_us(packets):
    stream = EventStream()
    return [(stream.feed(packet).t_ns // 1000).tolist() for packet in packets], stream


@pytest.mark.parametrize("encoding", ["evt2", "evt3", "libcaer_cmp", "mono"])
def test_the_events_stay_the_same(encoding):
    rng = np.random.default_rng(1)
    n = 500
    events = Events(
        np.sort(rng.integers(0, 4000, n)) * 1000,
        rng.integers(0, 64, n).astype(np.uint16),
        rng.integers(0, 48, n).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )
    (packet,) = Reencoder(encoding).packets(evt3_packet(b"", 7, time_base=5), events, 0)
    assert (packet.encoding, packet.seq, packet.stamp_ns) == (
        encoding, 7, STAMP_NS + 28_000_000,
    )  # fmt: skip
    found = EventStream().feed(packet)
    for column in ("t_ns", "x", "y", "p"):
        assert getattr(found, column).tolist() == getattr(events, column).tolist()


def test_a_packet_without_events_stays_one():
    (packet,), _ = reencoded("evt3", [])
    assert (packet.seq, bytes(packet.payload)) == (0, b"")


@pytest.mark.parametrize("encoding", ["evt2", "evt3", "libcaer_cmp", "mono"])
def test_events_out_of_order_are_put_in_order(encoding):
    packets, reencoder = reencoded(encoding, [5000, 4000, 9000, 100])
    assert decoded_us(packets)[0] == [[100, 4000, 5000, 9000]]
    assert reencoder.moved == 0


@pytest.mark.parametrize("encoding", ["libcaer_cmp", "mono"])
def test_a_packet_too_long_is_cut_and_the_sequence_goes_on(encoding):
    packets, _ = reencoded(encoding, [0, 1_000_000, 4_000_000, 30_000_000], [30_000_001])
    assert [p.seq for p in packets] == [0, 1, 2, 3]
    assert [(p.stamp_ns - STAMP_NS) // 1000 for p in packets] == [
        0, 4_000_000, 30_000_000, 30_000_001,
    ]  # fmt: skip
    times_us, stream = decoded_us(packets)
    assert times_us == [[0, 1_000_000], [4_000_000], [30_000_000], [30_000_001]]
    assert (stream.counters.packets_lost, stream.epoch) == (0, 0)


@pytest.mark.parametrize("pause_us", [10, TURN_US - 1, TURN_US, TURN_US + 5, 100 * TURN_US])
@pytest.mark.parametrize("begin_us", [0, 4095, TURN_US - 1])
def test_evt3_keeps_its_clock_through_silence(begin_us, pause_us):
    end_us = begin_us + pause_us
    packets, _ = reencoded("evt3", [begin_us], [], [end_us], [end_us + 1])
    times_us, stream = decoded_us(packets)
    assert times_us == [[begin_us], [], [end_us], [end_us + 1]]
    assert stream.epoch == 0


HALF_US = 1 << 33
TURN2_US = 1 << 34


@pytest.mark.parametrize(
    "pause_us",
    [10, HALF_US, TURN2_US - 5_000_000, TURN2_US - 1, TURN2_US, 19_000_000_000, 100 * TURN2_US],
)
@pytest.mark.parametrize("begin_us", [0, 4_000_000, HALF_US - 1, HALF_US, TURN2_US - 1])
def test_evt2_keeps_its_clock_through_silence(begin_us, pause_us):
    end_us = begin_us + pause_us
    packets, _ = reencoded("evt2", [begin_us], [], [end_us], [end_us + 1])
    times_us, stream = decoded_us(packets)
    assert times_us == [[begin_us], [], [end_us], [end_us + 1]]
    assert stream.epoch == 0


@pytest.mark.parametrize("begin_us", [0, TURN2_US - 4_000_000, TURN2_US + 100])
def test_evt2_goes_back_and_forth_over_the_turn_of_its_clock(begin_us):
    times_us = np.array([0, 9_000_000, 0, 9_500_000, 19_000_000]) + begin_us
    packets, reencoder = reencoded("evt2", *([t] for t in times_us.tolist()))
    decoder = decoder_for("evt2", 64, 48)
    found = np.concatenate([decoder.decode(packet).t_ns for packet in packets])
    assert np.diff(found).tolist() == (np.diff(times_us) * 1000).tolist()
    assert reencoder.moved == 0


@pytest.mark.parametrize(("encoding", "days"), [("evt3", 13), ("evt2", 365 * 36)])
def test_a_silence_does_not_become_a_huge_packet(encoding, days):
    """EVT3 says at most 12 days, EVT2 35 years."""
    with pytest.raises(PacketError, match=f"{encoding} says the .* choose another encoding"):
        reencoded(encoding, [0], [days * 86_400_000_000])
    packets, _ = reencoded(encoding, [0], [int(days * 0.95) * 86_400_000_000])
    assert len(packets[1].payload) < 1 << 20


@pytest.mark.parametrize(("encoding", "cut"), [("evt2", 3), ("evt3", 3), ("mono", 0)])
def test_times_that_are_no_whole_microseconds_are_counted(encoding, cut):
    events = Events(
        np.array([0, 1001, 5000, 5999, 5001]), np.zeros(5, np.uint16), np.zeros(5, np.uint16),
        np.zeros(5, np.uint8),
    )  # fmt: skip
    reencoder = Reencoder(encoding)
    list(reencoder.packets(evt3_packet(b""), events, 0))
    assert reencoder.cut == cut


def test_an_epoch_starts_the_clock_anew():
    packets, reencoder = reencoded("evt3", [5 * TURN_US], [10], epochs=[0, 1])
    assert len(packets[1].payload) == 2 * 4
    assert reencoder.moved == 0


@pytest.mark.parametrize(
    ("before_us", "late_us", "expected_us"),
    [
        ([50_000], [49_000, 51_000], [49_000, 51_000]),
        ([500_000], [1000, 2000, 501_000], [459_040, 459_040, 501_000]),
        ([TURN_US - 1, TURN_US + 5], [TURN_US - 5, TURN_US + 6], [TURN_US, TURN_US + 6]),
    ],
    ids=["a little", "too far", "across a turn"],
)
def test_steps_back_are_no_turns_of_evt3s_clock(before_us, late_us, expected_us):
    packets, reencoder = reencoded("evt3", before_us, late_us)
    times_us, _ = decoded_us(packets)
    assert times_us == [before_us, expected_us]
    assert reencoder.moved == sum(a != b for a, b in zip(late_us, expected_us, strict=True))


def test_an_encoding_without_an_encoder_is_refused():
    with pytest.raises(PacketError, match=r"no encoder for 'libcaer', expected one of: .*evt3"):
        Reencoder("libcaer")


def test_coordinates_that_the_encoding_cannot_say_are_refused():
    events = some_events([1], x=3000)
    with pytest.raises(PacketError, match="3000"):
        list(Reencoder("evt3").packets(evt3_packet(b"", width=4000), events, 0))
