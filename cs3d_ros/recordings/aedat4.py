"""Event packets from iniVation's AEDAT4 files, by way of the library dv-processing."""

from __future__ import annotations

import importlib.util
import logging
import select
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings import aedat4_process
from cs3d_ros.recordings.event_packets import packets
from cs3d_ros.recordings.recording import FileRecording, RecordingError, checked_size

_MAGIC = b"#!AER-DAT4."
# How long the library may take for one batch, which it reads in a millisecond.
PATIENCE_S = 20.0
# A batch has some thousand events; a length beyond this comes from a damaged file.
_MAX_MESSAGE = 1 << 30
_EVENT = np.dtype({"names": ["t", "x", "y", "p"], "formats": ["<i8", "<i2", "<i2", "i1"],
                   "offsets": [0, 8, 10, 12], "itemsize": 16})  # fmt: skip

_log = logging.getLogger(__name__)


class Aedat4Recording(FileRecording):
    """An AEDAT4 file with the events of one camera; see `recording.Recording`.

    The events become packets of 4.096 ms, see `event_packets.packets`. Their times are µs since the
    epoch, so that the stamps are, too. External triggers are not read; a warning tells how many.

    dv-processing decodes the file in a process of its own: with damaged bytes it can loop for ever
    or ask for gigabytes, from which nothing inside its process could save us. At most one batch of
    events is in memory.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self.open_file() as file:
            if file.read(len(_MAGIC)) != _MAGIC:
                raise RecordingError(
                    f"{path}: not an AEDAT4 file, expected it to begin with {_MAGIC.decode()!r}; "
                    "older AEDAT files can be converted with iniVation's DV"
                )
        if importlib.util.find_spec("dv_processing") is None:
            raise RecordingError(
                f"{path}: AEDAT4 files need the library dv-processing; install it with "
                "`python3 -m pip install dv-processing`"
            )
        with self._messages() as messages:
            width, height, name = next(messages).decode("utf-8", "replace").split(" ", 2)
        self.size = checked_size(path, int(width), int(height))
        self._frame_id = name or "event_camera"

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        yield from packets(self.path, self._chunks(), self.size, self._frame_id)

    def _chunks(self) -> Iterator[Events]:
        with self._messages() as messages:
            next(messages)
            for message in messages:
                events = np.frombuffer(message, _EVENT)
                yield Events(
                    events["t"] * 1000,
                    events["x"].astype(np.uint16),
                    events["y"].astype(np.uint16),
                    (events["p"] != 0).astype(np.uint8),
                )

    @contextmanager
    def _messages(self) -> Iterator[Iterator[bytes]]:
        """What a new process of `aedat4_process` tells about the file."""
        process = subprocess.Popen(
            [sys.executable, aedat4_process.__file__, str(self.path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        assert process.stdout is not None
        try:
            yield self._read_messages(process.stdout)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()

    def _read_messages(self, pipe: IO[bytes]) -> Iterator[bytes]:
        while True:
            kind, size = struct.unpack("<cI", self._read(pipe, 5))
            if size > _MAX_MESSAGE:
                raise self._damaged(f"a batch of {size} bytes")
            message = self._read(pipe, size)
            if kind == aedat4_process.END:
                if triggers := int(message):
                    _log.warning("%s: its %d external triggers are not read", self.path, triggers)
                return
            if kind == aedat4_process.ERROR:
                raise self._damaged(message.decode("utf-8", "replace"))
            yield message

    def _read(self, pipe: IO[bytes], size: int) -> bytes:
        parts = []
        while size:
            ready, _, _ = select.select([pipe], [], [], PATIENCE_S)
            if not ready:
                raise self._damaged(f"dv-processing has been at it for {PATIENCE_S:g} s")
            part = pipe.read(size)
            if not part:
                raise self._damaged("dv-processing has crashed")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _damaged(self, reason: str) -> RecordingError:
        return RecordingError(
            f"{self.path}: not an AEDAT4 recording of one camera's events, or a damaged one "
            f"({reason}); iniVation's DV may tell more"
        )
