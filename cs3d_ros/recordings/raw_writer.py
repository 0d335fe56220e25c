"""Event packets to Prophesee's .raw files."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.recordings.recording import RecordingError, checked_stamp, new_file

# By encoding: the lines that OpenEB's set_format writes, and the type of a word.
_LINES = {
    "evt2": ({"evt": "2.0"}, "EVT2", "u4"),
    "evt21": ({"endianness": "little"}, "EVT21;endianness=little", "u8"),
    "evt21_legacy": ({"endianness": "legacy"}, "EVT21;endianness=legacy", "u8"),
    "evt3": ({"evt": "3.0"}, "EVT3", "u2"),
}

RAW_ENCODINGS = tuple(_LINES)
"""The encodings that a .raw file can hold."""


def write_raw(path: str | Path, packets: Iterable[tuple[int, EventPacket]]) -> None:
    """Write packets as a Prophesee .raw file, with a header as OpenEB writes it.

    The words stay as they are. What a .raw file cannot say is lost: the stamps but the date of the
    first, and where packets are missing.

    Args:
        path: File to make.
        packets: (log_time_ns, packet), as a recording yields them, all of one encoding (evt2,
            evt21, evt21_legacy or evt3) and one sensor.

    Raises:
        RecordingError: The file exists already or cannot be written, there are no packets, or one
            is of another encoding or another sensor. Nothing is left of the file then.
        PacketError: A payload that is not a buffer.
    """
    first: EventPacket | None = None
    with new_file(path) as file:
        for _, packet in packets:
            if first is None:
                first = packet
                file.write(_header(Path(path), packet))
                word = np.dtype(_LINES[packet.encoding][2])
            elif _stream(packet) != _stream(first):
                raise RecordingError(
                    f"{path}: packet {packet.seq} is {_stream(packet)}, the ones before are "
                    f"{_stream(first)}; a .raw file holds one kind, write each to its own"
                )
            payload = packet.payload_bytes()
            words = payload[: payload.size - payload.size % word.itemsize].view(word)
            file.write((words.byteswap() if packet.is_bigendian else words).tobytes())
        if first is None:
            raise RecordingError(
                f"{path}: no packets to write; a .raw file needs at least one, for its header"
            )


def _stream(packet: EventPacket) -> str:
    return f"{packet.encoding} of {packet.width}x{packet.height} pixels"


def _header(path: Path, packet: EventPacket) -> bytes:
    if packet.encoding not in _LINES:
        raise RecordingError(
            f"{path}: a .raw file cannot hold {packet.encoding!r}, expected one of: "
            f"{', '.join(RAW_ENCODINGS)}; encode the events anew, or write a rosbag2 recording"
        )
    old, name, _ = _LINES[packet.encoding]
    seconds = checked_stamp(path, packet.stamp_ns) // 1_000_000_000
    date = datetime.fromtimestamp(seconds, timezone.utc)
    lines = {
        "camera_integrator_name": "Prophesee",
        "date": f"{date:%Y-%m-%d %H:%M:%S}",
        **old,
        "format": f"{name};height={packet.height};width={packet.width}",
        "geometry": f"{packet.width}x{packet.height}",
        "plugin_integrator_name": "Prophesee",
        "serial_number": " ".join(packet.frame_id.split()),
    }
    text = "".join(f"% {key} {value}\n" for key, value in lines.items() if value)
    return f"{text}% end\n".encode()
