"""Events to payloads: the encoders by encoding."""

from cs3d_ros.events import evt2, evt3_encoder, libcaer_cmp, mono
from cs3d_ros.events.decoding import MAX_TIME_NS
from cs3d_ros.events.packets import Events, PacketError

# Formats that tell sensor time in their words alone.
_WITH_CLOCK = {"evt2": evt2.encode, "evt3": evt3_encoder.encode}
# Formats that tell it from a time base on, and the ns that they count in.
_WITH_TIME_BASE = {"libcaer_cmp": (libcaer_cmp.encode, 1000), "mono": (mono.encode, 1)}


def encodable() -> list[str]:
    """The encodings that `encode_events` knows."""
    return sorted([*_WITH_CLOCK, *_WITH_TIME_BASE])


def encode_events(encoding: str, events: Events) -> tuple[int, bytes]:
    """Encode events as one packet, little endian.

    A stream can begin with it, and packets of consecutive events make a stream. Times are cut to
    µs, other than by mono.

    Args:
        encoding: One of `encodable()`.
        events: Non-negative times, nearly in order; how long a packet may last, how far it may
            step, and what coordinates there are, is said by the encoding's own `encode`.

    Returns:
        `EventPacket.time_base` and `EventPacket.payload`. The time base is 0 for the encodings that
        have none and for no events, and otherwise the earliest time.

    Raises:
        PacketError: An encoding without an encoder, or events that it cannot say.
    """
    if encoding in _WITH_CLOCK:
        return 0, _WITH_CLOCK[encoding](events)
    if encoding not in _WITH_TIME_BASE:
        raise PacketError(f"no encoder for {encoding!r}, expected one of: {', '.join(encodable())}")
    if len(events) == 0:
        return 0, b""
    encode, unit_ns = _WITH_TIME_BASE[encoding]
    first_ns = int(events.t_ns.min())
    last_ns = int(events.t_ns.max())
    if first_ns < 0 or last_ns > MAX_TIME_NS:
        raise PacketError(
            f"{encoding} says times from 0 to {MAX_TIME_NS} ns; given {first_ns} to {last_ns} ns: "
            "shift the events"
        )
    base_ns = first_ns // unit_ns * unit_ns
    return base_ns, encode(events, base_ns)
