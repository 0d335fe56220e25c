"""Short ways to write packets and events down."""

import numpy as np

from cs3d_ros.events.packets import EventPacket, Events


def packet(payload=b"", *, seq=0, stamp_ns=0, width=1280, height=720, **fields) -> EventPacket:
    """A packet of EVT3 words (a list of ints) or bytes."""
    if isinstance(payload, list):
        payload = np.array(payload, "<u2").tobytes()
    values = {"frame_id": "cam", "time_base": 0, "encoding": "evt3", "is_bigendian": False}
    values.update(fields)
    return EventPacket(
        stamp_ns=stamp_ns, width=width, height=height, seq=seq, payload=payload, **values
    )


def events(rows) -> Events:
    """Events from rows of (t_ns, x, y, p)."""
    columns = list(zip(*rows, strict=True)) or [[], [], [], []]
    dtypes = (np.int64, np.uint16, np.uint16, np.uint8)
    return Events(*(np.array(c, d) for c, d in zip(columns, dtypes, strict=True)))


def rows(*chunks: Events) -> list[tuple[int, int, int, int]]:
    """All events of some chunks as rows of (t_ns, x, y, p)."""
    return [
        row
        for chunk in chunks
        for row in zip(
            chunk.t_ns.tolist(), chunk.x.tolist(), chunk.y.tolist(), chunk.p.tolist(), strict=True
        )
    ]
