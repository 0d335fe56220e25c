"""Event packets from and to NumPy's .npz files."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from cs3d_ros.events.packets import MAX_SENSOR_SIDE, EventPacket, Events
from cs3d_ros.recordings.columns import (
    NS_EXPONENTS,
    P,
    T,
    X,
    Y,
    columns_by_name,
    missing_columns,
)
from cs3d_ros.recordings.event_packets import packets
from cs3d_ros.recordings.exact_events import exact_events
from cs3d_ros.recordings.recording import (
    MAX_TIME_NS,
    FileRecording,
    RecordingError,
    checked_size,
    new_file,
)

_BLOCK_EVENTS = 1 << 18
_MAX_ITEM_BYTES = 256

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Array:
    """One array of the archive, by its header.

    Attributes:
        name: Without its suffix.
        shape: As declared; it may be wrong.
        dtype: Likewise.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype


class NpzRecording(FileRecording):
    """An .npz file with the arrays of events; see `recording.Recording`.

    - Arrays x, y, t (ts, time, timestamp) and p (polarity) of one length, or one structured array
      with these fields, under any name.
    - Unit of t: by the name t_s, t_ms, t_us or t_ns; otherwise seconds if it is of a floating type,
      and µs if of an integer type.
    - Polarity: 1 is ON; 0 and -1 are OFF.
    - Sensor size: the scalars width and height. Without them the file is read once to its end, and
      the sensor is just large enough for all events.

    The events become packets of 4.096 ms, see `event_packets.packets`; their stamps are the times
    of the file. Pickled objects are never loaded. The file never is in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._archive() as archive:
            arrays = [a for name in archive.namelist() if (a := self._header(archive, name))]
            self._choose([array for array in arrays if len(array.shape) == 1])
            sides = [self._scalar(archive, arrays, side) for side in ("width", "height")]
        self.size = checked_size(path, *(sides if None not in sides else self._smallest_size()))

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        yield from packets(self.path, self._chunks(), self.size)

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        """The archive; whatever a damaged one raises within the block becomes a RecordingError."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                yield archive
        except RecordingError:
            raise
        except Exception as error:
            raise self._bad(
                f"not an .npz file, or a damaged one ({type(error).__name__}: {error}); "
                "np.savez makes such files"
            ) from error

    def _header(self, archive: zipfile.ZipFile, name: str) -> _Array | None:
        if not name.endswith(".npy"):
            return None
        with archive.open(name) as file:
            return self._read_header(file, name[: -len(".npy")])

    def _read_header(self, file: IO[bytes], name: str) -> _Array:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise self._bad(f"the array {name!r} is of version {version}, expected 1.0")
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return _Array(name, shape, dtype)

    def _choose(self, arrays: list[_Array]) -> None:
        """Find the arrays that hold the events, and what each of their columns is."""
        structured = [a for a in arrays if a.dtype.names and columns_by_name(a.dtype.names)]
        if len(structured) == 1:
            self._arrays = structured
            columns = columns_by_name(structured[0].dtype.names or ())
            names: list[str] = list(structured[0].dtype.names or ())
        else:
            names = [array.name for array in arrays]
            columns = columns_by_name(names)
            if columns is None:
                raise missing_columns(self.path, names)
            self._arrays = [a for a, r in zip(arrays, columns.roles, strict=True) if r is not None]
        assert columns is not None
        self._names = {role: names[columns.index(role)] for role in (X, Y, T, P)}
        self._unit = columns.unit
        for array in self._arrays:
            if array.dtype.hasobject or array.dtype.itemsize > _MAX_ITEM_BYTES:
                raise self._bad(f"the array {array.name!r} is of {array.dtype}, expected numbers")
        lengths = {array.name: array.shape[0] for array in self._arrays}
        if len(set(lengths.values())) > 1:
            raise self._bad(f"arrays of different lengths: {lengths}")
        self._count = self._arrays[0].shape[0]

    def _scalar(self, archive: zipfile.ZipFile, arrays: list[_Array], name: str) -> int | None:
        array = next((a for a in arrays if a.name == name and a.shape == ()), None)
        if array is None or array.dtype.kind not in "iu":
            return None
        with archive.open(f"{name}.npy") as file:
            self._read_header(file, name)
            return int(self._read(file, array, 1)[0])

    def _chunks(self) -> Iterator[Events]:
        with self._archive() as archive, ExitStack() as stack:
            files = []
            for array in self._arrays:
                file = stack.enter_context(archive.open(f"{array.name}.npy"))
                self._read_header(file, array.name)
                files.append(file)
            for begin in range(0, self._count, _BLOCK_EVENTS):
                n = min(_BLOCK_EVENTS, self._count - begin)
                blocks = {
                    a.name: self._read(f, a, n) for f, a in zip(files, self._arrays, strict=True)
                }
                yield self._events(blocks, begin)

    def _read(self, file: IO[bytes], array: _Array, n: int) -> np.ndarray:
        data = file.read(n * array.dtype.itemsize)
        if len(data) != n * array.dtype.itemsize:
            raise self._bad(f"the array {array.name!r} ends before its declared {array.shape}")
        return np.frombuffer(data, array.dtype, n)

    def _events(self, blocks: dict[str, np.ndarray], begin: int) -> Events:
        (first, *_) = blocks.values()
        fields = first if first.dtype.names else blocks
        x, y, t, p = (fields[self._names[role]] for role in (X, Y, T, P))
        return Events(
            self._times(t, begin),
            self._whole("x", x, begin, 0, MAX_SENSOR_SIDE - 1).astype(np.uint16),
            self._whole("y", y, begin, 0, MAX_SENSOR_SIDE - 1).astype(np.uint16),
            (self._whole("p", p, begin, -1, 1) > 0).astype(np.uint8),
        )

    def _times(self, t: np.ndarray, begin: int) -> np.ndarray:
        unit = self._unit or ("s" if t.dtype.kind == "f" else "us")
        factor = 10 ** NS_EXPONENTS[unit]
        if t.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                t = np.rint(t.astype(np.float64) * factor)
            factor = 1
        return self._whole("t", t, begin, 0, MAX_TIME_NS // factor).astype(np.int64) * factor

    def _whole(
        self, name: str, values: np.ndarray, begin: int, least: int, most: int
    ) -> np.ndarray:
        """The values as they are, if they are whole numbers from least to most."""
        if values.dtype.kind not in "biuf" or values.ndim != 1:
            raise self._bad(f"{name} is of the type {values.dtype}, expected numbers")
        good = (values >= least) & (values <= most)
        if values.dtype.kind == "f":
            good &= values == np.rint(values)
        if not good.all():
            worst = int(good.argmin())
            raise self._bad(
                f"event {begin + worst + 1} has {name} = {values[worst]}, expected a whole number "
                f"from {least} to {most} (t in its unit); the file is damaged, or t of another unit"
            )
        return values

    def _smallest_size(self) -> tuple[int, int]:
        width = height = 0
        for events in self._chunks():
            width = max(width, int(events.x.max()) + 1)
            height = max(height, int(events.y.max()) + 1)
        if not width:
            raise self._bad("neither events nor the sensor's size, the scalars width and height")
        _log.warning(
            "%s: no scalars width and height; the sensor's size is taken as %dx%d, by the events",
            self.path,
            width,
            height,
        )
        return width, height

    def _bad(self, reason: str) -> RecordingError:
        return RecordingError(f"{self.path}: {reason}")


def write_npz(path: str | Path, packets: Iterable[tuple[int, EventPacket]]) -> None:
    """Write the events of packets as an .npz file that `NpzRecording` reads.

    It holds the arrays x and y (uint16), t_ns (int64, the sensor's time in ns) and p (uint8, 1 for
    ON), and the scalars width and height. All events are in memory, up to 26 bytes each; a text
    table or a bag needs room for one packet only. See `exact_events.exact_events` for what becomes
    of packets that are lost or cannot be decoded and of streams that start over.

    Args:
        path: File to make.
        packets: (log_time_ns, packet), as a recording yields them.

    Raises:
        RecordingError: The file exists already or cannot be written, or no packet can be decoded.
            Nothing is left of the file then.
    """
    chunks = [Events.empty()]
    arrays: dict[str, Any] = {}
    with new_file(path) as file:
        for (width, height), events in exact_events(Path(path), packets):
            arrays.update(width=width, height=height)
            chunks.append(events)
        for name in ("x", "y", "t_ns", "p"):
            arrays[name] = np.concatenate([getattr(chunk, name) for chunk in chunks])
        chunks.clear()
        np.savez(file, **arrays)
