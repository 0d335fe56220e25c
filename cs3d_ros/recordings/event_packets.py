"""Packets from files that hold single events."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np

from cs3d_ros.events.encoding import encode_events
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings.recording import SLICE_NS, RecordingError, checked_stamp

MAX_DISORDER_NS = 1_000_000
"""Events may come this much after a later one: they are put in order."""

ENCODING = "mono"
"""Wire format of the packets: the only one with ns."""

# 8 bytes an event make packets of a megabyte at most, as the drivers do.
_MAX_PACKET_EVENTS = 1 << 17

_log = logging.getLogger(__name__)


def packets(
    path: Path,
    chunks: Iterable[Events],
    size: tuple[int, int],
    frame_id: str = "event_camera",
    begin_ns: int | None = None,
) -> Iterator[tuple[int, EventPacket]]:
    """Put events in order and into packets of 4.096 ms of sensor time.

    A packet's stamp, and the time of its log entry, is the moment at which it is complete.

    Args:
        path: For error messages.
        chunks: Events in the order of time, but for `MAX_DISORDER_NS`.
        size: Width and height of the sensor in pixels.
        frame_id: Of the packets.
        begin_ns: ROS time of the first packet's beginning; None where the events' times are ROS
            time already.

    Yields:
        (log_time_ns, packet), at most a megabyte each.

    Raises:
        RecordingError: Events in no order, times that ROS does not have, or what the chunks raise;
            after the events before.
    """
    width, height = size
    offset_ns: int | None = None
    errors: list[RecordingError] = []
    in_order = _in_order(path, _until_error(chunks, errors), errors)
    for seq, (time_slice, events) in enumerate(_slices(in_order)):
        if offset_ns is None:
            offset_ns = 0 if begin_ns is None else begin_ns - time_slice * SLICE_NS
        stamp_ns = checked_stamp(path, offset_ns + (time_slice + 1) * SLICE_NS)
        time_base, payload = encode_events(ENCODING, events)
        yield (
            stamp_ns,
            EventPacket(
                stamp_ns=stamp_ns,
                frame_id=frame_id,
                width=width,
                height=height,
                seq=seq,
                time_base=time_base,
                encoding=ENCODING,
                is_bigendian=False,
                payload=payload,
            ),
        )
    if errors:
        raise errors[0]


def size_by_events(path: Path, chunks: Iterable[Events], missing: str) -> tuple[int, int]:
    """Width and height in pixels of the smallest sensor that has all events; with a warning.

    Args:
        path: For messages.
        chunks: All events of the file.
        missing: What in the file would have told the size.

    Raises:
        RecordingError: There are no events, or what the chunks raise.
    """
    width = height = 0
    for events in chunks:
        if len(events):
            width = max(width, int(events.x.max()) + 1)
            height = max(height, int(events.y.max()) + 1)
    if not width:
        raise RecordingError(f"{path}: neither events nor the sensor's size, expected {missing}")
    _log.warning(
        "%s: without %s, the sensor's size is taken as %dx%d, by the events",
        path,
        missing,
        width,
        height,
    )
    return width, height


def _until_error(chunks: Iterable[Events], errors: list[RecordingError]) -> Iterator[Events]:
    """The chunks up to an error, which is appended to `errors`."""
    try:
        yield from chunks
    except RecordingError as error:
        errors.append(error)


def _in_order(
    path: Path, chunks: Iterable[Events], errors: list[RecordingError]
) -> Iterator[Events]:
    """The same events in ascending order of time, with some held back until none can precede.

    They end before one that is out of order, and the reason is appended to `errors`.
    """
    held = Events.empty()
    newest_ns = 0
    count = 0
    for chunk in chunks:
        if not len(chunk):
            continue
        newest = np.maximum.accumulate(np.append(newest_ns, chunk.t_ns))
        is_bad = (chunk.t_ns < newest[1:] - MAX_DISORDER_NS) | (chunk.t_ns < 0)
        if is_bad.any():
            bad = int(is_bad.argmax())
            errors.append(
                RecordingError(
                    f"{path}: event {count + bad + 1} has the time {chunk.t_ns[bad]} ns after one "
                    f"of {newest[bad]} ns, expected times that are not negative and go back by no "
                    f"more than {MAX_DISORDER_NS} ns; sort the events by time"
                )
            )
            held = _joined(held, chunk.take(slice(0, bad))).in_order()
            break
        count += len(chunk)
        newest_ns = int(newest[-1])
        events = _joined(held, chunk).in_order()
        ready = int(np.searchsorted(events.t_ns, newest_ns - MAX_DISORDER_NS))
        yield events.take(slice(0, ready))
        held = events.take(slice(ready, None))
        if len(held) > _MAX_PACKET_EVENTS:
            yield held
            held = Events.empty()
    yield held


def _slices(chunks: Iterable[Events]) -> Iterator[tuple[int, Events]]:
    """Cut events in ascending order at multiples of 4.096 ms, and into bounded pieces."""
    held = Events.empty()
    for chunk in chunks:
        events = _joined(held, chunk)
        slices = events.t_ns // SLICE_NS
        cuts = [0, *(np.flatnonzero(np.diff(slices)) + 1).tolist(), len(events)]
        for begin, end in pairwise(cuts[:-1]):
            yield from _pieces(int(slices[begin]), events.take(slice(begin, end)))
        held = events.take(slice(cuts[-2], None))
        if len(held) > _MAX_PACKET_EVENTS:
            yield from _pieces(int(slices[-1]), held)
            held = Events.empty()
    if len(held):
        yield from _pieces(int(held.t_ns[0] // SLICE_NS), held)


def _pieces(time_slice: int, events: Events) -> Iterator[tuple[int, Events]]:
    for i in range(0, len(events), _MAX_PACKET_EVENTS):
        yield time_slice, events.take(slice(i, i + _MAX_PACKET_EVENTS))


def _joined(first: Events, second: Events) -> Events:
    if not len(first):
        return second
    if not len(second):
        return first
    return Events(
        np.concatenate((first.t_ns, second.t_ns)),
        np.concatenate((first.x, second.x)),
        np.concatenate((first.y, second.y)),
        np.concatenate((first.p, second.p)),
    )
