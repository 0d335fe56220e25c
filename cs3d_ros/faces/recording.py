"""A rendered take as a recording of events, with what it shows as labels."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from cs3d_ros.events.packets import Events
from cs3d_ros.faces.take import Take
from cs3d_ros.recordings import Label
from cs3d_ros.recordings.output import BAG
from cs3d_ros.simulation.emulator import Emulator
from cs3d_ros.simulation.event_writer import write_events
from cs3d_ros.simulation.settings import PRESETS

BEGIN_NS = 1_767_225_600_000_000_000
"""Stamp of the first frame: 2026-01-01, an arbitrary fixed day, so that bytes do not change."""


def record_take(take: Take, path: Path, kind: str, light: str, seed: int) -> int:
    """Render a take and write the events that a camera would have sent of it.

    Args:
        take: What to render.
        path: What to write; see `write_events`.
        kind: Likewise.
        light: Name of the camera's preset.
        seed: Of the camera's randomness.

    Returns:
        The number of events.

    Raises:
        RecordingError: It cannot be written.
    """
    size = take.renderer.size
    emulator = Emulator(PRESETS[light], size, size, seed)
    counted = 0

    def chunks() -> Iterator[Events]:
        nonlocal counted
        for t_s, frame in take.frames():
            events = emulator.feed(frame, t_s)
            counted += len(events)
            yield Events(events.t_ns + BEGIN_NS, events.x, events.y, events.p)

    write_events(path, kind, chunks(), (size, size), _labels(take) if kind == BAG else None)
    return counted


def _labels(take: Take) -> list[Label]:
    """What is shown from the first frame to the last, neutral between the expressions."""
    shown: list[tuple[int, str]] = [(0, "neutral")]
    for expression, course in take.expressions:
        shown += [(course.onset_ns, expression), (course.offset_ns, "neutral")]
    shown.append((round(take.motion.time_s[-1] * 1e9), ""))
    return [
        Label(BEGIN_NS + begin, BEGIN_NS + begin, BEGIN_NS + end, expression)
        for (begin, expression), (end, _) in pairwise(shown)
        if end > begin
    ]
