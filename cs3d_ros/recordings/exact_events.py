"""The events of packets for files that hold single events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings.decoded import DecodedPackets
from cs3d_ros.recordings.recording import RecordingError

_log = logging.getLogger(__name__)


def exact_events(
    path: Path, packets: Iterable[tuple[int, EventPacket]]
) -> Iterator[tuple[tuple[int, int], Events]]:
    """Decode packets into the events that a file of events holds.

    Times are the sensor's. Where the stream starts over (a restart, a loop), its times go on from
    the last one before. Packets that come late or cannot be decoded are left out, with a warning.

    Args:
        path: For messages.
        packets: (log_time_ns, packet), as a recording yields them.

    Yields:
        Width and height of the sensor in pixels, and the events of one packet, also if these are
        none.

    Raises:
        RecordingError: The sensor's size changes, or there are packets and none can be decoded.
    """
    decoded = DecodedPackets(packets)
    size: tuple[int, int] | None = None
    epoch = 0
    offset_ns = 0
    newest_ns = 0
    for _, packet, events in decoded:
        if events is None:
            continue
        if size is None:
            size = packet.width, packet.height
        elif size != (packet.width, packet.height):
            raise RecordingError(
                f"{path}: packet {packet.seq} is of a sensor with {packet.width}x{packet.height} "
                f"pixels, the ones before with {size[0]}x{size[1]}; write each to its own file"
            )
        if len(events):
            if decoded.stream.epoch != epoch:
                epoch = decoded.stream.epoch
                offset_ns = newest_ns - int(events.t_ns.min())
            if offset_ns:
                events = Events(events.t_ns + offset_ns, events.x, events.y, events.p)
            newest_ns = max(newest_ns, int(events.t_ns.max()))
        yield size, events
    decoded.raise_if_all_are_bad()
    late = decoded.stream.counters.packets_late
    if decoded.bad_packets or late:
        _log.warning(
            "%s: without %d packets that could not be decoded and %d that came late %s",
            path,
            decoded.bad_packets,
            late,
            decoded.last_error,
        )
