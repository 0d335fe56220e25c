"""Pictures of an evaluation, as SVG that needs no other file."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from cs3d_ros.evaluation.messages import Messages
from cs3d_ros.evaluation.scores import Scores
from cs3d_ros.evaluation.stream_scores import StreamScores
from cs3d_ros.expressions import NEUTRAL
from cs3d_ros.extras import load_extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT_COLOUR, WRONG_COLOUR = "#009e73", "#d55e00"
"""Bluish green and vermilion of Okabe and Ito are told apart by every kind of colour vision."""

_BAR_COLOUR, _LINE_COLOUR, _FAINT = "#56a3d9", "#0072b2", "#5c5c5c"
_LONGEST_NAME = 18
_MOST_NUMBERS = 12
_STRIP_S = 45.0
_MOST_STRIPS = 16
_STYLE = {
    "font.size": 11.0,
    "svg.fonttype": "path",
    # The same evaluation makes the same file.
    "svg.hashsalt": "cs3d",
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def confusion_svg(scores: Scores) -> bytes:
    """The confusion matrix: shares of each row as colours, numbers of items written in.

    Raises:
        Cs3dError: matplotlib is not installed.
    """
    k = len(scores.labels)
    side = max(4.2, min(16.0, 0.78 * k))
    with _figure((side + 1.5, side + 0.9)) as (figure, out):
        axes = figure.add_subplot()
        counts = scores.confusion
        shares = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = [_short(label) for label in scores.labels]
        plain: dict[str, Any] = {"parse_math": False}
        axes.set_xticks(range(k), names, rotation=40, ha="right", rotation_mode="anchor", **plain)
        axes.set_yticks(range(k), names, **plain)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("recognised as")
        axes.set_ylabel("shown")
        for row, column in np.ndindex(k, k) if k <= _MOST_NUMBERS else ():
            count, share = int(counts[row, column]), shares[row, column]
            colour = "white" if share > 0.55 else "black" if count else "#b0b0b0"
            size = 13 if row == column else 11
            axes.text(column, row, f"{count}", ha="center", va="center", color=colour, size=size)
    return out.getvalue()


def calibration_svg(scores: Scores) -> bytes:
    """Accuracy over confidence, and how often each confidence comes.

    Raises:
        Cs3dError: matplotlib is not installed.
    """
    with _figure((5.6, 5.2)) as (figure, out):
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        bins = [b for b in scores.reliability if b.count]
        above.plot([0, 1], [0, 1], color=_FAINT, linestyle="--", label="confidence = accuracy")
        above.plot(
            [b.confidence for b in bins],
            [b.accuracy for b in bins],
            color=_LINE_COLOUR, marker="o", label="measured",
        )  # fmt: skip
        above.set_ylim(-0.02, 1.05)
        above.set_ylabel("share that is right")
        above.legend(frameon=False, loc="upper left")
        edges = [b.low for b in scores.reliability] + [1.0]
        below.stairs([b.count for b in scores.reliability], edges, fill=True, color=_BAR_COLOUR)
        below.set_xlim(0, 1)
        below.set_xlabel("confidence")
        below.set_ylabel("how many")
    return out.getvalue()


def timeline_svg(stream: StreamScores) -> bytes:
    """Probabilities over time in grey, truth as boxes, and what was said as lines below.

    Raises:
        Cs3dError: matplotlib is not installed.
    """
    messages = stream.messages
    duration_s = messages.duration_ns * 1e-9
    length_s = max(min(_STRIP_S, duration_s), duration_s / _MOST_STRIPS)
    # A strip more for the last tenth of a second would be an empty one.
    count = max(1, math.ceil(duration_s / length_s - 0.01))
    k = len(messages.labels)
    height = 0.3 * k + 0.55
    with _figure((10.5, height * count + 0.45)) as (figure, out):
        strips = figure.subplots(count, 1, squeeze=False)[:, 0]
        edges_s = _edges_s(messages)
        for number, axes in enumerate(strips):
            begin_s, end_s = number * length_s, (number + 1) * length_s
            some = (edges_s[1:] >= begin_s) & (edges_s[:-1] <= end_s)
            if some.any():
                first, last = np.flatnonzero(some)[[0, -1]]
                axes.pcolormesh(
                    edges_s[first : last + 2],
                    np.arange(k + 1) - 0.5,
                    messages.probabilities[first : last + 1].T,
                    cmap="Greys", vmin=0, vmax=1.25, rasterized=True,
                )  # fmt: skip
            _draw_truth(axes, stream)
            _draw_decided(axes, stream, edges_s, begin_s, end_s)
            axes.set_xlim(begin_s, end_s)
        strips[-1].set_xlabel("seconds from the recording's first event")
    return out.getvalue()


def _edges_s(messages: Messages) -> np.ndarray:
    """From when to when each message holds, which is until the next one; (n + 1,)."""
    stamps_s = (messages.stamps_ns - messages.begin_ns) * 1e-9
    step_s = np.median(np.diff(stamps_s)) if len(stamps_s) > 1 else messages.window_ns * 1e-9
    return np.append(stamps_s, stamps_s[-1] + step_s)


def _draw_truth(axes: Axes, stream: StreamScores) -> None:
    labels = stream.messages.labels
    for shown in stream.findings.shown:
        y = labels.index(shown.expression) - 0.42
        axes.add_patch(
            _rectangle(shown.onset_s, y, shown.offset_s - shown.onset_s, 0.84, _LINE_COLOUR)
        )
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels], parse_math=False)
    axes.tick_params(axis="y", length=0)
    for boundary in range(1, len(labels)):
        axes.axhline(boundary - 0.5, color="#d8d8d8", linewidth=0.6)


def _draw_decided(
    axes: Axes, stream: StreamScores, edges_s: np.ndarray, begin_s: float, end_s: float
) -> None:
    labels = stream.messages.labels
    alarms = {(alarm.expression, round(alarm.start_s * 1e6)) for alarm in stream.findings.alarms}
    lines: dict[str, list[tuple[int, float, float]]] = {RIGHT_COLOUR: [], WRONG_COLOUR: []}
    for label, first, last in _runs(stream.decided):
        since_s, until_s = float(edges_s[first]), float(edges_s[last + 1])
        if label == NEUTRAL or until_s < begin_s or since_s > end_s:
            continue
        is_alarm = (label, round(since_s * 1e6)) in alarms
        colour = WRONG_COLOUR if is_alarm else RIGHT_COLOUR
        lines[colour].append((labels.index(label), since_s, until_s))
    for colour, of_colour in lines.items():
        rows, since, until = zip(*of_colour, strict=True) if of_colour else ((), (), ())
        axes.hlines(np.array(rows) + 0.3, since, until, color=colour, linewidth=4)


def _rectangle(x: float, y: float, width: float, height: float, colour: str) -> Any:
    patches = load_extra("matplotlib.patches", "plot")
    return patches.Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=1.6)


def _runs(names: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Name, first and last index of each row of equal names."""
    first = 0
    for i in range(1, len(names) + 1):
        if i == len(names) or names[i] != names[first]:
            yield names[first], first, i - 1
            first = i


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


@contextmanager
def _figure(inches: tuple[float, float]) -> Iterator[tuple[Figure, io.BytesIO]]:
    """A figure, and where it is written to as SVG at the end of the block."""
    matplotlib = load_extra("matplotlib", "plot")
    figures = load_extra("matplotlib.figure", "plot")
    out = io.BytesIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A label in a script that the font lacks is drawn as boxes.
        warnings.filterwarnings("ignore", message=".*[Gg]lyph.*")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        figure = figures.Figure(figsize=inches, dpi=150, facecolor="white", layout="constrained")
        yield figure, out
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
