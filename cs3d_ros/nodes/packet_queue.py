"""The queue between a subscription and its worker: bounded in bytes, newest data wins."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cs3d_ros.events.packets import EventPacket

# What a packet costs beside its payload: the objects that hold it. Keeps a flood of empty packets
# from growing the queue without end.
OVERHEAD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Arrival:
    """A packet and when it came, in ns of `time.monotonic_ns`."""

    packet: EventPacket
    arrival_ns: int


class PacketQueue:
    """Packets in the order of arrival; when full, the oldest make room.

    Safe between threads. Always in = taken + dropped + waiting.

    Attributes:
        packets_in: Packets put in.
        last_arrival_ns: When the last one came, or the queue was made, by `time.monotonic_ns`.
        packets_dropped: Packets dropped because the worker did not keep up.
    """

    def __init__(self, max_bytes: int) -> None:
        """Make a queue for `max_bytes` of payload; one packet always fits, however large."""
        self._max_bytes = max_bytes
        self._items: deque[tuple[Arrival, int]] = deque()
        self._bytes = 0
        self._ready = threading.Condition()
        self._closed = False
        self.packets_in = 0
        self.last_arrival_ns = time.monotonic_ns()
        self.packets_dropped = 0

    @property
    def bytes_waiting(self) -> int:
        """Payload in the queue, in bytes, with an overhead for each packet."""
        return self._bytes

    def put(self, arrival: Arrival) -> None:
        """Append a packet; never waits."""
        size = len(arrival.packet.payload) + OVERHEAD_BYTES
        with self._ready:
            self.packets_in += 1
            self.last_arrival_ns = arrival.arrival_ns
            self._items.append((arrival, size))
            self._bytes += size
            while self._bytes > self._max_bytes and len(self._items) > 1:
                self._bytes -= self._items.popleft()[1]
                self.packets_dropped += 1
            self._ready.notify()

    def take_all(self, timeout_s: float) -> list[Arrival]:
        """All that waits, oldest first; after `timeout_s` or `close`, nothing."""
        with self._ready:
            if not self._items and not self._closed:
                self._ready.wait(timeout_s)
            arrivals = [arrival for arrival, _ in self._items]
            self._items.clear()
            self._bytes = 0
            return arrivals

    def close(self) -> None:
        """Wake whoever waits."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
