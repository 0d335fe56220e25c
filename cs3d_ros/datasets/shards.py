"""Clips as files of Apache Arrow: one record batch a clip, so that one can be read alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.packets import Events
from cs3d_ros.expressions import Course
from cs3d_ros.extras import load_pyarrow

RESOLUTION_NS = 1000
"""Times of events are kept in whole µs; what is finer is cut off."""

_SCHEMA_METADATA = {"format": "cs3d_ros clips", "version": "1"}
_CODEC, _LEVEL = "zstd", 3
_MAX_EVENTS = 2**31 - 1
_MAX_STEP_US = 2**32 - 1
_NAME = re.compile(r"[A-Za-z0-9._-]{1,200}")
# One column of text for all that is small: each column of a compressed batch costs time to read.
_INFO = "info"
_EVENT_COLUMNS = ("dt_us", "x", "y", "p")
# What damaged content makes of a clip.
_BAD_CONTENT = (ValueError, TypeError, KeyError, OverflowError, RecursionError, Cs3dError)
_TEXTS = ("name", "expression", "subject", "light")
_NUMBERS = ("width", "height", "duration_ns", "event_count")
_MOMENTS = ("onset_ns", "apex_ns", "release_ns", "offset_ns")


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """All that is known of a clip without its events; the fields are those of `Clip`."""

    name: str
    expression: str
    subject: str
    light: str
    width: int
    height: int
    duration_ns: int
    course: Course | None
    event_count: int
    provenance: dict[str, Any]


class ShardWriter:
    """Packs clips and makes one file of them. The same clips make the same bytes.

    The bytes depend on the version of pyarrow, which brings the compressor.

    Attributes:
        clips: What has been added, in this order.
    """

    def __init__(self) -> None:
        self._arrow = load_pyarrow()
        self._packed: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
        self.clips: list[ClipInfo] = []

    def add(self, clip: Clip) -> None:
        """Add a clip; its events are packed and not kept.

        Raises:
            DatasetError: Its name or provenance cannot be kept, or it has too many events.
        """
        if not _NAME.fullmatch(clip.name):
            raise DatasetError(
                f"a clip named {clip.name!r}, expected 1 to 200 letters, digits, '.', '_', '-'"
            )
        events = clip.events
        if len(events) > _MAX_EVENTS:
            raise DatasetError(f"{clip.name}: {len(events)} events, at most {_MAX_EVENTS} fit")
        steps_us = np.diff(events.t_ns // RESOLUTION_NS, prepend=0)
        if len(events) and steps_us.max() > _MAX_STEP_US:
            raise DatasetError(
                f"{clip.name}: {steps_us.max() * 1e-6:.0f} s without events, at most 4294 s fit"
            )
        # Memory matters here, because a whole shard waits to be written.
        side = np.uint8 if max(clip.width, clip.height) <= 256 else np.uint16
        packed = (
            steps_us.astype(np.uint32),
            events.x.astype(side),
            events.y.astype(side),
            np.packbits(events.p != 0, bitorder="little"),
        )
        try:
            provenance = json.loads(_as_json(dict(clip.provenance)))
        except (TypeError, ValueError) as error:
            raise DatasetError(
                f"{clip.name}: its provenance is not what JSON can hold ({error})"
            ) from None
        self._packed.append(packed)
        self.clips.append(
            ClipInfo(
                name=clip.name,
                expression=clip.expression,
                subject=clip.subject,
                light=clip.light,
                width=clip.width,
                height=clip.height,
                duration_ns=clip.duration_ns,
                course=clip.course,
                event_count=len(events),
                provenance=provenance,
            )
        )

    def finish(self) -> bytes:
        """The file with all clips that have been added."""
        pa = self._arrow
        is_wide = any(max(info.width, info.height) > 256 for info in self.clips)
        schema = _schema(pa, is_wide)
        sink = pa.BufferOutputStream()
        options = pa.ipc.IpcWriteOptions(
            compression=pa.Codec(_CODEC, compression_level=_LEVEL), use_threads=False
        )
        with pa.ipc.new_file(sink, schema, options=options) as writer:
            for info, (steps_us, x, y, bits) in zip(self.clips, self._packed, strict=True):
                columns = [pa.array([_info_as_json(info)], pa.string())]
                n = info.event_count
                polarity = pa.Array.from_buffers(pa.bool_(), n, [None, pa.py_buffer(bits)])
                offsets = pa.array([0, n], pa.int32())
                for name, column in zip(_EVENT_COLUMNS, (steps_us, x, y, polarity), strict=True):
                    items = pa.array(column, schema.field(name).type.value_type)
                    columns.append(pa.ListArray.from_arrays(offsets, items))
                writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
        return bytes(sink.getvalue())


class ShardReader:
    """One file of clips, memory mapped. It can be pickled; each process maps it for itself.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[type, tuple[Path]]:
        return ShardReader, (self.path,)

    def __len__(self) -> int:
        """Number of clips.

        Raises:
            DatasetError: The file cannot be read.
        """
        return int(self._whole.num_record_batches)

    def clip(self, index: int) -> Clip:
        """The clip at an index from 0 on.

        Raises:
            DatasetError: The file is damaged there.
        """
        batch = self._batch(self._whole, index)
        pa = load_pyarrow()
        try:
            info = _info(batch)
            n = info.event_count
            steps_us, x, y = (batch.column(name).values.to_numpy() for name in ("dt_us", "x", "y"))
            polarity = batch.column("p").values
            if not n == len(steps_us) == len(x) == len(y) == len(polarity):
                raise ValueError("columns of different lengths")
            bits = polarity.buffers()[1]
            packed = np.frombuffer(bits if n else b"", np.uint8)
            events = Events(
                np.cumsum(steps_us, dtype=np.int64) * RESOLUTION_NS,
                x.astype(np.uint16),
                y.astype(np.uint16),
                np.unpackbits(packed, count=n, bitorder="little"),
            )
            return Clip(
                name=info.name,
                events=events,
                width=info.width,
                height=info.height,
                duration_ns=info.duration_ns,
                expression=info.expression,
                subject=info.subject,
                light=info.light,
                course=info.course,
                provenance=info.provenance,
            )
        except (*_BAD_CONTENT, pa.ArrowException) as error:
            raise self._damaged(error) from error

    def infos(self) -> Iterator[ClipInfo]:
        """What is known of the clips, in order, without touching their events.

        Raises:
            DatasetError: The file is damaged.
        """
        reader = self._open([0])
        for index in range(reader.num_record_batches):
            batch = self._batch(reader, index)
            try:
                yield _info(batch)
            except _BAD_CONTENT as error:
                raise self._damaged(error) from error

    @cached_property
    def _whole(self) -> Any:
        return self._open(None)

    def _open(self, columns: list[int] | None) -> Any:
        pa = load_pyarrow()
        # Workers that load data are one a core already; threads would also not survive a fork.
        options = pa.ipc.IpcReadOptions(use_threads=False)
        try:
            source = pa.memory_map(str(self.path))
            schema = pa.ipc.open_file(source, options=options).schema
            if schema not in (_schema(pa, False), _schema(pa, True)):
                raise self._damaged("other columns than a file of clips has")
            if columns is not None:
                options.included_fields = columns
            return pa.ipc.open_file(source, options=options)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise self._damaged(error) from error

    def _batch(self, reader: Any, index: int) -> Any:
        pa = load_pyarrow()
        try:
            batch = reader.get_batch(index)
            # Arrow trusts the offsets in a file otherwise, and would read outside of it.
            batch.validate(full=True)
        except (pa.ArrowException, OSError, ValueError, MemoryError) as error:
            raise self._damaged(error) from error
        if batch.num_rows != 1:
            raise self._damaged(f"batch {index} has {batch.num_rows} rows instead of one")
        return batch

    def _damaged(self, reason: object) -> DatasetError:
        return DatasetError(
            f"{self.path}: no file of clips, or a damaged one ({reason}); compare its checksum "
            "with the manifest's, and copy or make the data set again"
        )


def _info_as_json(info: ClipInfo) -> str:
    # NumPy's numbers would not go into JSON.
    values: dict[str, Any] = {name: str(getattr(info, name)) for name in _TEXTS}
    values |= {name: int(getattr(info, name)) for name in _NUMBERS}
    if info.course is not None:
        moments = {name: getattr(info.course, name) for name in _MOMENTS}
        values |= {name: None if t is None else int(t) for name, t in moments.items()}
    return _as_json(values | {"provenance": info.provenance})


def _info(batch: Any) -> ClipInfo:
    values = json.loads(batch.column(_INFO)[0].as_py())
    for names, kind in ((_TEXTS, str), (_NUMBERS, int), (("provenance",), dict)):
        for name in names:
            if not isinstance(values[name], kind):
                raise TypeError(f"{name} is {values[name]!r:.50}")
    moments = [values.pop(name, None) for name in _MOMENTS]
    if moments == [None] * len(_MOMENTS):
        return ClipInfo(**values, course=None)
    onset, apex, release, offset = moments
    if not all(isinstance(t, int) for t in (onset, apex, release or 0, offset)):
        raise TypeError(f"times {moments!r:.100}")
    return ClipInfo(**values, course=Course(onset, apex, release, offset))


def _schema(pa: Any, is_wide: bool) -> Any:
    side = pa.uint16() if is_wide else pa.uint8()
    types = (pa.uint32(), side, side, pa.bool_())
    events = zip(_EVENT_COLUMNS, types, strict=True)
    return pa.schema(
        [(_INFO, pa.string()), *((name, pa.list_(kind)) for name, kind in events)],
        metadata=_SCHEMA_METADATA,
    )


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def cut_to_resolution(events: Events) -> Events:
    """The events as they come back from a file: times in whole µs."""
    return replace(events, t_ns=events.t_ns // RESOLUTION_NS * RESOLUTION_NS)
