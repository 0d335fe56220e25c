"""What the tests of all kinds of recordings have in common."""

from contextlib import suppress

from cs3d_ros.events.packets import EventPacket, PacketError
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import RecordingError, open_recording


def some_packet(seq=0, payload=b"\x00\x80", **changes) -> EventPacket:
    values = {
        "stamp_ns": 1_700_000_000_123_456_789, "frame_id": "cam", "width": 640, "height": 480,
        "seq": seq, "time_base": 7, "encoding": "evt3", "is_bigendian": False, "payload": payload,
    }  # fmt: skip
    return EventPacket(**{**values, **changes})


def fields(packet: EventPacket) -> tuple:
    """All that a packet holds, to compare."""
    return (
        packet.stamp_ns, packet.frame_id, packet.width, packet.height, packet.seq,
        packet.time_base, packet.encoding, packet.is_bigendian, bytes(packet.payload),
    )  # fmt: skip


def read_all(path) -> RecordingError | None:
    """Read a recording to its end or to the error, the only one that is allowed.

    Its packets are decoded, too; those of a damaged bag may be undecodable.
    """
    error = None
    stream = EventStream()
    try:
        with open_recording(path) as recording:
            log_time_ns = 0
            for next_ns, packet in recording:
                assert next_ns >= log_time_ns
                log_time_ns = next_ns
                with suppress(PacketError):
                    stream.feed(packet)
    except RecordingError as caught:
        error = caught
    assert error is None or str(path) in str(error)
    return error


def rows(path) -> list[tuple[int, int, int, int]]:
    """All events of a recording as rows of (t_ns, x, y, p)."""
    stream = EventStream()
    with open_recording(path) as recording:
        chunks = [stream.feed(packet) for _, packet in recording]
    return [
        row
        for chunk in chunks
        for row in zip(
            chunk.t_ns.tolist(), chunk.x.tolist(), chunk.y.tolist(), chunk.p.tolist(), strict=True
        )
    ]
