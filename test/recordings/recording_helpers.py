"""Recordings made of a few events."""

from pathlib import Path

import numpy as np

from cs3d_ros.events.evt3_encoder import encode
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings import write_recording

STAMP_NS = 1_700_000_000_000_000_000


def some_events(times_us, x=5, y=3, p=1) -> Events:
    """Events at these times, all at one place unless x, y, p are lists."""
    n = len(times_us)
    return Events(
        np.array(times_us, np.int64) * 1000,
        np.full(n, x, np.uint16),
        np.full(n, y, np.uint16),
        np.full(n, p, np.uint8),
    )


def evt3_packet(events: Events | bytes, seq=0, **changes) -> EventPacket:
    """A packet with these events, or with a payload as it is, 4 ms after the one before."""
    values = {
        "stamp_ns": STAMP_NS + 4_000_000 * seq, "frame_id": "cam", "width": 64, "height": 48,
        "seq": seq, "time_base": 0, "encoding": "evt3", "is_bigendian": False,
        "payload": events if isinstance(events, bytes) else encode(events),
    }  # fmt: skip
    return EventPacket(**{**values, **changes})


def write_bag(path: Path, *packets: EventPacket) -> Path:
    """A bag of these packets."""
    write_recording(path, [(STAMP_NS + i, packet) for i, packet in enumerate(packets)])
    return path
