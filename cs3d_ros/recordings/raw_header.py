"""What the header of a Prophesee .raw file says about its body.

The rules, also for old and incomplete headers, are those of OpenEB (`PseeRawFileHeader`).
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from cs3d_ros.recordings.recording import RecordingError, checked_size
from cs3d_ros.recordings.text_header import date_ns

# What `% evt` says in files of before the format line.
_OLD_NAMES = {"2.0": "EVT2", "2.1": "EVT21", "3.0": "EVT3"}

_VGA = (640, 480)
_HD = (1280, 720)
# Cameras by `% system_ID`, with their only sensor and what they send unless another line tells.
# Files of before 2020 have no geometry line.
_SYSTEMS: dict[int, tuple[str, tuple[int, int]]] = {
    **dict.fromkeys((0x15, 0x17, 0x19, 0x1C, 0x1D, 0x21, 0x22, 0x23, 0x29), ("EVT2", _VGA)),
    **dict.fromkeys((0x97, 0x99, 0xA1, 0xA2), ("EVT2", _VGA)),
    **dict.fromkeys((0x1A, 0x1F, 0x27), ("EVT2", _HD)),
    0x28: ("EVT3", _VGA),
    **dict.fromkeys((0x1E, 0x2E, 0x30, 0x31, 0x32), ("EVT3", _HD)),
}
# From this system on, EVT2.1 words have their halves in order.
_FIRST_ORDERED_SYSTEM = 0x37

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RawHeader:
    """What a .raw file's header says.

    Attributes:
        encoding: Name of the wire format: evt3, evt2, evt21 or evt21_legacy.
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        frame_id: The camera's serial number, or "event_camera".
        begin_ns: The date in ns since the epoch, taken as UTC; 0 without one.
    """

    encoding: str
    width: int
    height: int
    frame_id: str
    begin_ns: int


def interpret(path: Path, header: dict[str, str]) -> RawHeader:
    """Interpret a header's lines.

    Args:
        path: For error messages.
        header: Values by key in lower case, as of `text_header.read_header`.

    Raises:
        RecordingError: No format, one that is not supported, or no size of the sensor.
    """
    name, *parts = header.get("format", "").split(";")
    options = dict(part.split("=", 1) for part in parts if "=" in part)
    name = name.strip().upper()
    if not name and "evt" in header:
        name = _OLD_NAMES.get(header["evt"], f"EVT{header['evt']}")
    system = _SYSTEMS.get(_system_id(header)) if _is_prophesee(header) else None
    if not name and system is not None:
        name = system[0]
    encoding = _encoding(path, name, options.get("endianness") or header.get("endianness"), header)
    width, height = _size(path, header, options, system[1] if system else None)
    serial = header.get("serial_number", "event_camera")
    return RawHeader(encoding, width, height, serial, date_ns(header))


def _encoding(path: Path, name: str, endianness: str | None, header: dict[str, str]) -> str:
    if name in ("EVT2", "EVT3"):
        return name.lower()
    if name == "EVT21":
        if endianness is None and _is_prophesee(header):
            # A missing system_ID counts as an old system, too.
            is_legacy = _system_id(header) != 0 and _system_id(header) < _FIRST_ORDERED_SYSTEM
            _log.warning(
                "%s: the header does not tell the order of the words' halves; taken as "
                "`endianness=%s`, by the camera",
                path,
                "legacy" if is_legacy else "little",
            )
        else:
            is_legacy = endianness == "legacy"
        return "evt21_legacy" if is_legacy else "evt21"
    raise RecordingError(
        f"{path}: a .raw file with {name or 'no format line'}, expected EVT3, EVT2 or EVT21 "
        "(`% format EVT3;…` or `% evt 3.0` at its beginning); convert it with Prophesee's "
        "metavision_file_to_* tools, or record one of these formats"
    )


def _size(
    path: Path, header: dict[str, str], options: dict[str, str], known: tuple[int, int] | None
) -> tuple[int, int]:
    text = header.get("geometry", f"{options.get('width')}x{options.get('height')}")
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text)
    if match is not None:
        return checked_size(path, int(match[1]), int(match[2]))
    if known is not None:
        return known
    raise RecordingError(
        f"{path}: the header does not tell the sensor's size, expected a line like "
        "`% geometry 1280x720` or `% format EVT3;height=720;width=1280`; add one"
    )


def _is_prophesee(header: dict[str, str]) -> bool:
    """Whether `system_ID` is one of Prophesee's; files without any integrator are."""
    old = header.get("integrator_name", "")
    integrators = {
        header.get("camera_integrator_name", old),
        header.get("plugin_integrator_name", old),
    }
    return integrators <= {"", "Prophesee"}


def _system_id(header: dict[str, str]) -> int:
    text = header.get("system_id", "")
    return int(text) if re.fullmatch(r"\d{1,9}", text) else -1
