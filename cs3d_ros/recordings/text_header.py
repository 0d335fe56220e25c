"""The header of Prophesee's files: text lines `% key value` before the binary body.

Source: `GenericHeader` in OpenEB.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import BinaryIO

from cs3d_ros.recordings.recording import LAST_ROS_TIME_NS, RecordingError

_MAX_LINE = 1 << 16
_MAX_HEADER = 1 << 20


def read_header(path: Path, file: BinaryIO, prefix: bytes) -> dict[str, str]:
    """Read the header and leave the file at the body.

    Args:
        path: For error messages.
        file: Open at its beginning.
        prefix: What header lines begin with. The header ends at `% end` or, in files of before
            2022, at the first line that does not begin like this.

    Returns:
        The values by key, in lower case.

    Raises:
        RecordingError: A header of more than 1 MiB.
    """
    header: dict[str, str] = {}
    while (begin := file.tell()) < _MAX_HEADER:
        line = file.readline(_MAX_LINE)
        if not line.startswith(prefix) or not line.endswith(b"\n"):
            file.seek(begin)
            return header
        key, _, value = line[1:].decode("utf-8", "replace").strip().partition(" ")
        if key == "end":
            return header
        header[key.lower()] = value.strip()
    raise RecordingError(
        f"{path}: a header of more than {_MAX_HEADER} bytes, expected some lines `% key value`; "
        "this is no recording, or a damaged one"
    )


def date_ns(header: dict[str, str]) -> int:
    """The header's date in ns since the epoch, taken as UTC; 0 without one that ROS time has."""
    try:
        date = datetime.strptime(header.get("date", ""), "%Y-%m-%d %H:%M:%S")
    except ValueError:
        return 0
    since_epoch_ns = int(date.replace(tzinfo=timezone.utc).timestamp()) * 1_000_000_000
    return since_epoch_ns if 0 <= since_epoch_ns <= LAST_ROS_TIME_NS else 0
