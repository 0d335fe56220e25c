"""What a recording truly shows, and when: labelled intervals."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.predictions import INTENSITIES
from cs3d_ros.expressions import NEUTRAL
from cs3d_ros.recordings import LABEL_TOPIC, read_labels

COLUMNS = ("start_s", "end_s", "expression")
"""What the header of a CSV file has to name; `INTENSITY` may be named as well."""

INTENSITY = "intensity"

_MAX_BYTES = 16 << 20
_MAX_S = 1e9
_EXAMPLE = "expected a CSV file with the header start_s,end_s,expression and rows such as 1.5,3,sad"


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of time and the expression that it shows.

    Attributes:
        start_ns: Its beginning, the onset of the expression.
        end_ns: Its end, not before the beginning.
        expression: Such as "happy", or "neutral".
        intensity: "full" or "micro"; empty where it is not known. Label topics do not hold it.
    """

    start_ns: int
    end_ns: int
    expression: str
    intensity: str = ""

    def moved(self, by_ns: int) -> Interval:
        """The same at another time."""
        return replace(self, start_ns=self.start_ns + by_ns, end_ns=self.end_ns + by_ns)


def intervals_of_topic(path: Path, topic: str = LABEL_TOPIC) -> list[Interval]:
    """The labels of a rosbag2 recording, in the clock of its packets' stamps.

    Raises:
        RecordingError: It cannot be read, or has no such topic.
        EvaluationError: There are no labels on the topic, or they overlap.
    """
    labels = read_labels(path, topic)
    found = [Interval(label.start_ns, label.end_ns, label.expression) for label in labels]
    return _in_order(found, f"{path}: {topic}")


def intervals_of_csv(path: Path) -> list[Interval]:
    """Labelled intervals from a CSV file, in ns from the recording's first event.

    The header names the columns `COLUMNS`, and may name intensity, in any order; others are
    ignored. Seconds are from the recording's first event, which may lie before 0. Rows may be in
    any order. What no row covers shows no expression.

    Raises:
        EvaluationError: The file cannot be read, has another form, no rows, a row that ends before
            it begins, or rows that overlap.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise EvaluationError(f"{path}: larger than {_MAX_BYTES} bytes; {_EXAMPLE}")
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise EvaluationError(f"{path}: is not a text in UTF-8; {_EXAMPLE}") from None
    rows = csv.reader(text.splitlines())
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in COLUMNS if header.count(name) != 1]
        if missing:
            raise EvaluationError(
                f"{path}: the header {','.join(header)!r:.80} does not name {', '.join(missing)} "
                f"once; {_EXAMPLE}"
            )
        found = [
            _interval(f"{path}, line {rows.line_num}", header, row)
            for row in rows
            if any(cell.strip() for cell in row)
        ]
    except csv.Error as error:
        raise EvaluationError(f"{path}, line {rows.line_num}: {error}; {_EXAMPLE}") from None
    return _in_order(found, str(path))


def check_expressions(intervals: Iterable[Interval], labels: Sequence[str], where: str) -> None:
    """Refuse expressions that a network does not know.

    Raises:
        EvaluationError: There is one.
    """
    unknown = sorted({i.expression for i in intervals} - {*labels, NEUTRAL})
    if unknown:
        raise EvaluationError(
            f"{where}: labelled as {', '.join(map(repr, unknown))!s:.200}, which the network does "
            f"not know; it knows: {', '.join(labels)}"
        )


def _interval(where: str, header: Sequence[str], row: Sequence[str]) -> Interval:
    if len(row) != len(header):
        raise EvaluationError(f"{where}: {len(row)} cells below a header of {len(header)}")
    cells = dict(zip(header, (cell.strip() for cell in row), strict=True))
    start_ns, end_ns = (_ns(where, name, cells[name]) for name in COLUMNS[:2])
    if end_ns < start_ns:
        raise EvaluationError(
            f"{where}: ends at {cells['end_s']} s, before its beginning at {cells['start_s']} s"
        )
    if not cells["expression"]:
        raise EvaluationError(f"{where}: no expression; {_EXAMPLE}")
    intensity = cells.get(INTENSITY, "")
    if intensity and intensity not in INTENSITIES:
        raise EvaluationError(
            f"{where}: intensity {intensity!r:.80}, expected {' or '.join(INTENSITIES)}, or nothing"
        )
    return Interval(start_ns, end_ns, cells["expression"], intensity)


def _ns(where: str, name: str, text: str) -> int:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not abs(seconds) <= _MAX_S:
        raise EvaluationError(f"{where}: {name} is {text!r:.80}, expected seconds such as 1.5")
    return round(seconds * 1e9)


def _in_order(intervals: list[Interval], where: str) -> list[Interval]:
    if not intervals:
        raise EvaluationError(f"{where}: there are no labels; without, nothing can be evaluated")
    intervals.sort(key=lambda interval: (interval.start_ns, interval.end_ns))
    for one, other in pairwise(intervals):
        if other.start_ns < one.end_ns:
            raise EvaluationError(
                f"{where}: the labels {one.expression!r:.80} and {other.expression!r:.80} overlap, "
                f"the second begins {(one.end_ns - other.start_ns) * 1e-9:.3f} s before the first "
                "ends; expected one expression at a time, not results with overlapping windows"
            )
    return intervals
