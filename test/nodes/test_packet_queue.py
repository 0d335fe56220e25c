import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.nodes.packet_queue import OVERHEAD_BYTES, Arrival, PacketQueue


def arrival(seq: int, size: int = 0) -> Arrival:
    return Arrival(EventPacket(0, "", 640, 480, seq, 0, "evt3", False, bytes(size)), seq)


def seqs(arrivals: list[Arrival]) -> list[int]:
    return [a.packet.seq for a in arrivals]


def test_keeps_the_order():
    queue = PacketQueue(2**20)
    for seq in range(5):
        queue.put(arrival(seq))
    assert seqs(queue.take_all(0.0)) == [0, 1, 2, 3, 4]
    assert queue.bytes_waiting == 0


def test_when_full_the_oldest_go():
    queue = PacketQueue(3 * (1000 + OVERHEAD_BYTES))
    for seq in range(10):
        queue.put(arrival(seq, 1000))
    assert queue.packets_dropped == 7
    assert seqs(queue.take_all(0.0)) == [7, 8, 9]


def test_empty_packets_are_bounded_too():
    queue = PacketQueue(100 * OVERHEAD_BYTES)
    for seq in range(1000):
        queue.put(arrival(seq))
    assert len(queue.take_all(0.0)) == 100


def test_one_packet_always_fits():
    queue = PacketQueue(10)
    queue.put(arrival(1, 10_000))
    queue.put(arrival(2, 10_000))
    assert seqs(queue.take_all(0.0)) == [2]


@given(st.lists(st.one_of(st.integers(0, 5000), st.none()), max_size=60))
def test_in_is_taken_plus_dropped_plus_waiting(steps):
    queue = PacketQueue(10_000)
    taken = 0
    for seq, size in enumerate(steps):
        if size is None:
            taken += len(queue.take_all(0.0))
        else:
            queue.put(arrival(seq, size))
        assert queue.bytes_waiting <= 10_000
    taken += len(queue.take_all(0.0))
    assert queue.packets_in == taken + queue.packets_dropped


def test_waits_for_a_packet_and_wakes_on_close():
    queue = PacketQueue(2**20)
    threading.Timer(0.05, queue.put, [arrival(3)]).start()
    assert seqs(queue.take_all(10.0)) == [3]
    threading.Timer(0.05, queue.close).start()
    started = time.monotonic()
    assert queue.take_all(10.0) == []
    assert time.monotonic() - started < 5.0
