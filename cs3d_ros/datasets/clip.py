"""One labelled clip of events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.events.packets import MAX_SENSOR_SIDE, Events
from cs3d_ros.expressions import Course

LIGHTS = ("sufficient", "insufficient", "unknown")
"""Light conditions that results are told apart by."""


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One labelled clip of events.

    Attributes:
        name: Unique in its data set, of letters, digits, ".", "_" and "-".
        events: In ascending order of time, times in ns from the clip's beginning, 0 up to
            `duration_ns`.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.
        duration_ns: Length of the clip, more than 0.
        expression: What it shows at its apex, one of the data set's labels; EXPRESSIONS of
            `cs3d_ros.expressions` wherever they fit.
        subject: Who shows it; no subject is in two parts of a data set.
        light: One of LIGHTS.
        course: When the expression comes and goes; None for a clip that shows none (neutral), or
            whose times are unknown.
        provenance: Where it comes from, as JSON can hold it.

    Raises:
        DatasetError: Something of this does not hold.
    """

    name: str
    events: Events
    width: int
    height: int
    duration_ns: int
    expression: str
    subject: str
    light: str = "unknown"
    course: Course | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 < self.width <= MAX_SENSOR_SIDE and 0 < self.height <= MAX_SENSOR_SIDE):
            raise DatasetError(
                f"{self.name}: a picture of {self.width}x{self.height} pixels, expected sides from "
                f"1 to {MAX_SENSOR_SIDE}"
            )
        if self.duration_ns <= 0:
            raise DatasetError(f"{self.name}: a length of {self.duration_ns} ns")
        if self.light not in LIGHTS:
            raise DatasetError(f"{self.name}: light {self.light!r}, expected one of {LIGHTS}")
        t, x, y = self.events.t_ns, self.events.x, self.events.y
        if len(t) and (t[0] < 0 or t[-1] > self.duration_ns or (t[1:] < t[:-1]).any()):
            raise DatasetError(
                f"{self.name}: times of events are not ascending within 0…{self.duration_ns} ns"
            )
        if len(x) and (x.max() >= self.width or y.max() >= self.height):
            raise DatasetError(
                f"{self.name}: an event lies outside of {self.width}x{self.height} pixels"
            )
