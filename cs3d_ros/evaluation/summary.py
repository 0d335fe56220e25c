"""An evaluation as JSON, and as a short text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cs3d_ros.evaluation.evaluate import Evaluation
from cs3d_ros.evaluation.scores import Scores
from cs3d_ros.evaluation.stream_scores import StreamScores, StreamTotals
from cs3d_ros.recordings.output import replaced

# What is said of every item and every message is in the file of predictions.
_LEFT_OUT = {
    "Evaluation": {"clip_predictions", "window_predictions"},
    "StreamScores": {"messages", "decided", "intervals"},
}


def as_json(evaluation: Evaluation) -> dict[str, Any]:
    """All measures, of types that JSON holds: finite numbers, and None where one is not defined."""
    found: dict[str, Any] = _plain(evaluation)
    return found


def write_json(evaluation: Evaluation, path: Path) -> None:
    """Write all measures as JSON, replacing a file that is there.

    Raises:
        RecordingError: It cannot be written.
    """
    text = json.dumps(as_json(evaluation), indent=1, allow_nan=False) + "\n"
    with replaced(path, overwrite=True) as new:
        new.write_text(text, encoding="utf-8")


def as_text(evaluation: Evaluation) -> str:
    """The measures in short, for a terminal."""
    data = evaluation.data
    where = f"{data['name']}, part {data['part']}" if "part" in data else str(data["name"])
    lines = [f"{evaluation.model['name']} on {where}"]
    for name, scores in (("clips", evaluation.clips), ("windows", evaluation.windows)):
        if scores is not None:
            lines += ["", *_scores_lines(name, scores)]
    if evaluation.pooled is not None:
        lines += ["", *_streams_lines(evaluation.streams, evaluation.pooled.totals)]
        full = evaluation.pooled.by_intensity.get("full")
        if full is not None:
            lines.append(_totals_line("of full intensity", full))
    return "\n".join(lines)


def percent(share: float | None) -> str:
    """A share in percent, such as "91.2 %"; a dash for None."""
    return "–" if share is None else f"{100 * share:.1f} %"


def seconds_as_ms(seconds: float | None) -> str:
    """A time in ms, such as "375 ms"; a dash for None."""
    return "–" if seconds is None else f"{1000 * seconds:.0f} ms"


def _scores_lines(name: str, scores: Scores) -> list[str]:
    interval = ""
    if scores.accuracy_low is not None:
        interval = f" ({percent(scores.accuracy_low)} to {percent(scores.accuracy_high)})"
    lines = [
        f"{scores.count:,} {name} of {scores.people} people: accuracy "
        f"{percent(scores.accuracy)}{interval}",
        f"balanced accuracy {percent(scores.balanced_accuracy)}, macro F1 "
        f"{percent(scores.macro_f1)}, calibration error {percent(scores.ece)}, "
        f"by always naming one class {percent(scores.chance)}",
        f"{'class':<12}{'precision':>10}{'recall':>10}{'F1':>10}{'support':>9}",
    ]
    lines += [
        f"{c.label:<12.12}{percent(c.precision):>10}{percent(c.recall):>10}{percent(c.f1):>10}"
        f"{c.support:>9,}"
        for c in scores.per_class
    ]
    for kind, groups in scores.groups.items():
        if len(groups) > 1:
            said = [f"{group} {percent(s.accuracy)} of {s.count:,}" for group, s in groups.items()]
            lines.append(f"by {kind}: {', '.join(said)}")
    return lines


def _streams_lines(streams: tuple[StreamScores, ...], totals: StreamTotals) -> list[str]:
    lines = [
        f"{'recording':<28}{'shown':>6}{'found':>9}{'delay':>9}{'p90':>9}"
        f"{'false alarms':>14}{'/min':>7}{'in neutral':>12}{'confused':>10}"
    ]
    lines += [_totals_line(stream.name, stream.totals) for stream in streams]
    return [*lines, _totals_line("all", totals)] if len(streams) > 1 else lines


def _totals_line(name: str, totals: StreamTotals) -> str:
    alarms = "–" if totals.false_alarms is None else f"{totals.false_alarms}"
    rate = totals.false_alarms_per_min
    return (
        f"{name:<28.28}{totals.shown:>6}{percent(totals.share_found):>9}"
        f"{seconds_as_ms(totals.delay_median_s):>9}{seconds_as_ms(totals.delay_p90_s):>9}"
        f"{alarms:>14}{'–' if rate is None else f'{rate:.2f}':>7}"
        f"{percent(totals.said_in_neutral):>12}{totals.confused:>10}"
    )


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        left_out = _LEFT_OUT.get(type(value).__name__, set())
        names = [field.name for field in fields(value) if field.name not in left_out]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
