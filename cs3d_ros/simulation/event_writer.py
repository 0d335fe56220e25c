"""Simulated events into recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from cs3d_ros.events.evt3 import MAX_COORDINATE
from cs3d_ros.events.packets import EventPacket, Events, PacketError
from cs3d_ros.recordings import (
    Label,
    RecordingError,
    write_csv,
    write_npz,
    write_raw,
    write_recording,
)
from cs3d_ros.recordings.decoded import DecodedPackets
from cs3d_ros.recordings.event_packets import packets
from cs3d_ros.recordings.output import BAG
from cs3d_ros.recordings.reencode import Reencoder

_Packets = Iterable[tuple[int, EventPacket]]
_WRITERS: dict[str, Callable[[Path, _Packets], None]] = {
    ".raw": write_raw,
    ".csv": write_csv,
    ".npz": write_npz,
}
_TABLES = (".csv", ".npz")
_MAX_EVT3_SIDE = MAX_COORDINATE + 1


def write_events(
    path: Path,
    kind: str,
    chunks: Iterable[Events],
    size: tuple[int, int],
    labels: Sequence[Label] | None = None,
) -> int:
    """Write events as packets of 4.096 ms: EVT3, or single events in tables.

    Args:
        path: What to write; see `recordings.output.replaced`.
        kind: Of the output, as `recordings.output.kind_of` tells.
        chunks: Events in ascending order of time; their times are the stamps of the packets, too.
        size: Width and height of the sensor in pixels. EVT3 has no more than 2048 a side: in a bag
            larger ones are encoded as mono.
        labels: What is shown when; only a bag can hold them. None for a bag without that topic.

    Returns:
        The number of packets.

    Raises:
        RecordingError: It cannot be written; or a file is to hold labels, or no events.
        PacketError: The sensor is too large for .raw.
    """
    if labels is not None and kind != BAG:
        raise RecordingError(f"{path}: only a bag can hold labels, not {kind}")
    fits = max(size) <= _MAX_EVT3_SIDE
    # Before the first event is made: of a large video, that takes long.
    if kind == ".raw" and not fits:
        raise PacketError(
            f"a sensor of {size[0]}x{size[1]} pixels, expected no more than {_MAX_EVT3_SIDE} on "
            "each side for a .raw file; write a bag, .csv or .npz"
        )
    counted = 0

    def sent() -> Iterator[tuple[int, EventPacket]]:
        nonlocal counted
        made = packets(path, chunks, size)
        if kind not in _TABLES and (kind != BAG or fits):
            made = _as_evt3(made)
        for item in made:
            counted += 1
            yield item
        if not counted and kind != BAG:
            raise RecordingError(f"{path}: no events to write; only a bag can be without any")

    if kind == BAG:
        write_recording(path, sent(), labels=labels)
    else:
        _WRITERS[kind](path, sent())
    return counted


def _as_evt3(sent: _Packets) -> Iterator[tuple[int, EventPacket]]:
    reencoder = Reencoder("evt3")
    decoded = DecodedPackets(sent)
    for log_time_ns, packet, events in decoded:
        if events is not None:
            for new in reencoder.packets(packet, events, decoded.stream.epoch):
                yield log_time_ns, new
