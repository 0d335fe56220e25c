"""The events of a recording, packet by packet, on one time axis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from cs3d_ros.events.packets import DecoderCounters, EventPacket, Events, PacketError
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings.recording import RecordingError


class Timeline:
    """Sensor time since the beginning of a recording.

    Sensor times are comparable within one epoch of an `EventStream` only. Here the epochs are
    joined end to end, without the unknown time between them.
    """

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._first_ns = 0
        self._last_ns = 0
        self._before_ns = 0

    @property
    def duration_ns(self) -> int:
        """From the earliest to the latest event, in ns, summed over the epochs."""
        return self._before_ns + self._last_ns - self._first_ns

    def place(self, epoch: int, t_ns: np.ndarray) -> np.ndarray:
        """Times in ns since the beginning of the recording.

        An event that is earlier than the first packet's moves the beginning: times placed before
        are then too small by that, which are some µs of jitter.

        Args:
            epoch: `EventStream.epoch`.
            t_ns: Sensor times of one packet's events, shape (n,), int64.

        Returns:
            Shape (n,), int64, not negative.
        """
        if not len(t_ns):
            return t_ns
        first_ns, last_ns = int(t_ns.min()), int(t_ns.max())
        if epoch != self._epoch:
            self._before_ns = self.duration_ns
            self._epoch = epoch
            self._first_ns, self._last_ns = first_ns, last_ns
        self._first_ns = min(self._first_ns, first_ns)
        self._last_ns = max(self._last_ns, last_ns)
        return t_ns - (self._first_ns - self._before_ns)


class DecodedPackets:
    """Iterates once over (log_time_ns, packet, events) of the packets of a recording.

    `events` is None where the packet adds nothing to the stream: it came late or cannot be decoded.

    Attributes:
        stream: The stream that decodes them, with its counters, epoch and triggers.
        packets: Packets met so far.
        payload_bytes: Bytes of their payloads.
        bad_packets: Packets that cannot be decoded.
        last_error: Why the last of these cannot; empty without any.
    """

    def __init__(self, packets: Iterable[tuple[int, EventPacket]]) -> None:
        self.stream = EventStream()
        self.packets = 0
        self.payload_bytes = 0
        self.bad_packets = 0
        self.last_error = ""
        self._source = packets

    @property
    def words(self) -> DecoderCounters:
        """What the decoders have met so far, over all sensors and encodings."""
        decoder = self.stream.decoder
        return DecoderCounters() if decoder is None else decoder.counters

    def __iter__(self) -> Iterator[tuple[int, EventPacket, Events | None]]:
        for log_time_ns, packet in self._source:
            self.packets += 1
            events: Events | None = None
            late = self.stream.counters.packets_late
            try:
                self.payload_bytes += packet.payload_bytes().size
                events = self.stream.feed(packet)
            except PacketError as error:
                self.bad_packets += 1
                self.last_error = str(error)
            if self.stream.counters.packets_late > late:
                events = None
            yield log_time_ns, packet, events

    def raise_if_all_are_bad(self) -> None:
        """Raise a RecordingError where there were packets and not one could be decoded."""
        if self.packets and self.bad_packets == self.packets:
            raise RecordingError(
                f"none of the {self.packets} packets could be decoded; the last: {self.last_error}"
            )
