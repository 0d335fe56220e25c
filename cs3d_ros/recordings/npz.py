"""Event packets from and to NumPy's .npz files."""

from __future__ import annotations

import math
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
from cs3d_ros.recordings.event_packets import packets, size_by_events
from cs3d_ros.recordings.exact_events import exact_events
from cs3d_ros.recordings.recording import (
    LAST_ROS_TIME_NS,
    FileRecording,
    RecordingError,
    checked_size,
    new_file,
)

_BLOCK_EVENTS = 1 << 18
_MAX_ITEM_BYTES = 256


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

    - Arrays x, y, t (ts, time, timestamp) and p (pol, polarity) of shape (n,) or (n, 1), or one
      structured array with these fields, under any name; see `columns.columns_by_name`.
    - Unit of t: by the name, such as t_s, t_ms, t_us or t_ns. Otherwise µs if it is of an integer
      type, and seconds if it is of a floating type and one of the first times has a fraction. Whole
      floating ones such as 45.0 are refused, as they may be both.
    - Polarity: 1 is ON; 0 and -1 are OFF.
    - Sensor size: the whole numbers width and height. Without them the file is read once to its
      end, and the sensor is just large enough for all events.

    The events become packets of 4.096 ms, see `event_packets.packets`; their stamps are the times
    of the file. Pickled objects are never loaded. The file never is in memory as a whole.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with self._archive() as archive:
            arrays = [a for name in archive.namelist() if (a := self._header(archive, name))]
            self._choose(arrays)
            sides = [self._scalar(archive, arrays, side) for side in ("width", "height")]
        self._unit = self._named_unit or self._unit_by_type()
        size = (
            size_by_events(path, self._chunks(), "the scalars width and height")
            if None in sides
            else sides
        )
        self.size = checked_size(path, *size)

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
        wide = [a for a in arrays if len(a.shape) == 2 and a.shape[1] > 1]
        arrays = [a for a in arrays if a.shape[1:] in ((), (1,)) and a.shape]
        structured = [a for a in arrays if a.dtype.names and columns_by_name(a.dtype.names)]
        if len(structured) == 1:
            self._arrays = structured
            columns = columns_by_name(structured[0].dtype.names or ())
            names: list[str] = list(structured[0].dtype.names or ())
        else:
            names = [array.name for array in arrays]
            columns = columns_by_name(names)
            if columns is None:
                raise self._missing(names, wide)
            self._arrays = [a for a, r in zip(arrays, columns.roles, strict=True) if r is not None]
        assert columns is not None
        self._names = {role: names[columns.index(role)] for role in (X, Y, T, P)}
        self._named_unit = columns.unit
        for array in self._arrays:
            if array.dtype.hasobject or array.dtype.itemsize > _MAX_ITEM_BYTES:
                raise self._bad(f"the array {array.name!r} is of {array.dtype}, expected numbers")
        lengths = {array.name: array.shape[0] for array in self._arrays}
        if len(set(lengths.values())) > 1:
            raise self._bad(f"arrays of different lengths: {lengths}")
        self._count = self._arrays[0].shape[0]

    def _missing(self, names: list[str], wide: list[_Array]) -> RecordingError:
        error = missing_columns(self.path, names)
        if not wide:
            return error
        return RecordingError(
            f"{error}; the columns of {wide[0].name!r}, an array of shape {wide[0].shape}, have no "
            "names: save them with np.savez(path, x=…, y=…, t_us=…, p=…)"
        )

    def _scalar(self, archive: zipfile.ZipFile, arrays: list[_Array], name: str) -> int | None:
        array = next((a for a in arrays if a.name == name and math.prod(a.shape) == 1), None)
        if array is None or array.dtype.kind not in "iuf":
            return None
        with archive.open(f"{name}.npy") as file:
            self._read_header(file, name)
            (value,) = self._read(file, array, 1).tolist()
        return int(value) if float(value).is_integer() else None

    def _unit_by_type(self) -> str:
        """Unit of t where its name does not tell."""
        t = next(self._columns(), {T: np.empty(0, np.int64)})[T]
        if t.dtype.kind != "f":
            return "us"
        # µs are often kept as floating numbers, seconds hardly ever without a fraction.
        if t.any() and np.isfinite(t).all() and np.all(t == np.rint(t)):
            raise self._bad(
                f"t is of {t.dtype}, and its first {len(t)} times are whole numbers: seconds or "
                "µs? Say it by the name t_s or t_us"
            )
        return "s"

    def _chunks(self) -> Iterator[Events]:
        for i, columns in enumerate(self._columns()):
            begin = i * _BLOCK_EVENTS
            yield Events(
                self._times(columns[T], begin),
                self._whole("x", columns[X], begin, 0, MAX_SENSOR_SIDE - 1).astype(np.uint16),
                self._whole("y", columns[Y], begin, 0, MAX_SENSOR_SIDE - 1).astype(np.uint16),
                (self._whole("p", columns[P], begin, -1, 1) > 0).astype(np.uint8),
            )

    def _columns(self) -> Iterator[dict[int, np.ndarray]]:
        """The columns by their roles, in blocks."""
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
                (first, *_) = blocks.values()
                fields = first if first.dtype.names else blocks
                columns = {role: fields[name] for role, name in self._names.items()}
                for role, values in columns.items():
                    if values.dtype.kind not in "biuf" or values.ndim != 1:
                        raise self._bad(
                            f"{'xytp'[role]} is of the type {values.dtype}, expected numbers"
                        )
                yield columns

    def _read(self, file: IO[bytes], array: _Array, n: int) -> np.ndarray:
        data = file.read(n * array.dtype.itemsize)
        if len(data) != n * array.dtype.itemsize:
            raise self._bad(f"the array {array.name!r} ends before its declared {array.shape}")
        return np.frombuffer(data, array.dtype, n)

    def _times(self, t: np.ndarray, begin: int) -> np.ndarray:
        factor = 10 ** NS_EXPONENTS[self._unit]
        expected = f"a time from 0 to {LAST_ROS_TIME_NS} ns, with t in {self._unit}"
        if t.dtype.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                t_ns = np.rint(t.astype(np.float64) * factor)
            good = (t_ns >= 0) & (t_ns <= LAST_ROS_TIME_NS)
            self._check("t", t, good, begin, expected)
            return t_ns.astype(np.int64)
        self._check("t", t, (t >= 0) & (t <= LAST_ROS_TIME_NS // factor), begin, expected)
        return t.astype(np.int64) * factor

    def _whole(
        self, name: str, values: np.ndarray, begin: int, least: int, most: int
    ) -> np.ndarray:
        """The values as they are, if they are whole numbers from least to most."""
        good = (values >= least) & (values <= most)
        if values.dtype.kind == "f":
            good &= values == np.rint(values)
        self._check(name, values, good, begin, f"a whole number from {least} to {most}")
        return values

    def _check(
        self, name: str, values: np.ndarray, good: np.ndarray, begin: int, expected: str
    ) -> None:
        if not good.all():
            bad = int(good.argmin())
            raise self._bad(
                f"event {begin + bad + 1} has {name} = {values[bad]}, expected {expected}"
            )

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
