"""The demonstration as a picture: truth, what is reported, probabilities and events over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.expressions import NEUTRAL
from cs3d_ros.extras import load_extra
from cs3d_ros.nodes.demo_report import Message, sum_up
from cs3d_ros.recordings import Label, open_recording
from cs3d_ros.recordings.decoded import DecodedPackets
from cs3d_ros.recordings.output import replaced
from cs3d_ros.recordings.plot import PlotError, check_output

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito: told apart by every kind of colour vision.
_COLOURS = {
    NEUTRAL: "#8a8a8a",
    "happy": "#e69f00",
    "sad": "#0072b2",
    "surprised": "#56b4e9",
    "scared": "#cc79a7",
    "disgusted": "#009e73",
    "angry": "#d55e00",
}
_OTHER = "#000000"
_ON, _OFF = "#3a3a3a", "#a9a9a9"
_FAINT = "#5c5c5c"
_GRID = "#d9d9d9"

# In pixels, at 100 per inch.
_DPI = 100
_WIDTH = 1600
_LEFT, _RIGHT = 120, 60
_TOP, _BOTTOM = 104, 66
_STRIP, _LANE, _EVENTS, _GAP = 34, 62, 190, 28

_BINS = 600
_SHORTEST_BIN_NS = 10_000_000
# A message holds until the next one, or until this has passed.
_LONGEST_HOLD_NS = 600_000_000
_LETTER, _MARGIN = 8.7, 14
"""Width of a letter of a name, and the room around a name, in pixels, about."""


def refusal(output: Path) -> str:
    """Why no picture can be drawn on this machine; empty where it can.

    Raises:
        PlotError: It could not be written there.
    """
    try:
        load_extra("matplotlib.figure", "plot")
    except Cs3dError as error:
        return str(error)
    check_output(output)
    return ""


def draw_timeline(
    bag: Path, messages: Sequence[Message], labels: Sequence[Label], output: Path
) -> None:
    """Draw what a recording holds and what was reported of it into a PNG file.

    Args:
        bag: The recording.
        messages: What was reported, at least one message.
        labels: What is shown; may be empty.
        output: The file, replaced if it is there.

    Raises:
        RecordingError: The recording cannot be read, or the picture not be put into its place.
        PlotError: The picture cannot be written.
    """
    check_output(output)
    import matplotlib.style

    begin_ns = min([m.start_ns for m in messages] + [label.start_ns for label in labels])
    end_ns = max([m.end_ns for m in messages] + [label.end_ns for label in labels])
    counts, edges_ns = event_counts(bag, begin_ns, end_ns)
    with matplotlib.style.context("default"):
        figure = _figure(bag.name, messages, labels, counts, edges_ns)
        with replaced(output, overwrite=True) as new:
            try:
                figure.savefig(new, format="png", dpi=_DPI)
            except OSError as error:
                reason = str(error).replace(str(new), str(output))
                raise PlotError(f"{output}: cannot be written ({reason})") from error


def event_counts(bag: Path, begin_ns: int, end_ns: int) -> tuple[np.ndarray, np.ndarray]:
    """Count a recording's events over time.

    Args:
        bag: The recording.
        begin_ns: Where to begin, ROS time in ns.
        end_ns: Where to end, later.

    Returns:
        Events per bin, shape (2, bins), int64, OFF before ON; and the edges of the bins in ns of
        ROS time, shape (bins + 1,), int64. Bins are of 10 ms or longer, and at most 600.

    Raises:
        RecordingError: The recording cannot be read.
    """
    width_ns = max(_SHORTEST_BIN_NS, -(-(end_ns - begin_ns) // _BINS))
    bins = -(-(end_ns - begin_ns) // width_ns)
    counts = np.zeros((2, bins), np.int64)
    with open_recording(bag) as recording:
        decoded = DecodedPackets(recording)
        for _, _, events in decoded:
            if events is None or not len(events):
                continue
            last_ns = int(events.t_ns[-1])
            to_ros_ns = decoded.stream.ros_time_ns(last_ns) - last_ns
            places = (events.t_ns + (to_ros_ns - begin_ns)) // width_ns
            for polarity in (0, 1):
                found = places[(events.p == polarity) & (places >= 0) & (places < bins)]
                counts[polarity] += np.bincount(found, minlength=bins)
    return counts, begin_ns + width_ns * np.arange(bins + 1)


def _figure(
    name: str,
    messages: Sequence[Message],
    labels: Sequence[Label],
    counts: np.ndarray,
    edges_ns: np.ndarray,
) -> Figure:
    from matplotlib.figure import Figure

    classes = messages[-1].labels
    strips = 2 if labels else 1
    parts = (strips * _STRIP, len(classes) * _LANE, _EVENTS)
    height = _TOP + sum(parts) + 2 * _GAP + _BOTTOM
    figure = Figure(figsize=(_WIDTH / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    _write_title(figure, name, messages, labels, int(counts.sum()), height)
    axes: list[Axes] = []
    top = float(_TOP)
    for part in parts:
        box = (_LEFT / _WIDTH, 1 - (top + part) / height)
        size = (1 - (_LEFT + _RIGHT) / _WIDTH, part / height)
        axes.append(figure.add_axes((*box, *size)))
        top += part + _GAP
    begin_ns, end_ns = int(edges_ns[0]), int(edges_ns[-1])
    span_s = (end_ns - begin_ns) * 1e-9
    for panel in axes:
        panel.set_xlim(0, span_s)
        for spine in panel.spines.values():
            spine.set_visible(False)
        for label in labels:
            if label.expression != NEUTRAL:
                start_s, stop_s = _seconds(label.start_ns, label.end_ns, begin_ns)
                panel.axvspan(start_s, stop_s, color=_colour(label.expression), alpha=0.10, lw=0)
    _draw_strips(axes[0], messages, labels, begin_ns, span_s)
    _draw_lanes(axes[1], messages, labels, classes, begin_ns)
    _draw_events(axes[2], counts, edges_ns, begin_ns)
    return figure


def _write_title(
    figure: Figure,
    name: str,
    messages: Sequence[Message],
    labels: Sequence[Label],
    events: int,
    height: float,
) -> None:
    facts = [f"{len(messages)} messages", f"{events:,} events"]
    rows = sum_up(messages, labels)
    if rows:
        facts.insert(0, f"{sum(row.right for row in rows)} of {len(rows)} expressions right")
    left = _LEFT / _WIDTH
    figure.text(left, 1 - 42 / height, name, fontsize=17, fontweight="bold", parse_math=False)
    figure.text(left, 1 - 72 / height, "  ·  ".join(facts), fontsize=12, color=_FAINT)


def _draw_strips(
    axes: Axes, messages: Sequence[Message], labels: Sequence[Label], begin_ns: int, span_s: float
) -> None:
    """What is shown, by the labels, over what is reported."""
    shown = [(label.start_ns, label.end_ns, label.expression) for label in labels]
    strips = [("true", shown)] if labels else []
    strips.append(("reported", list(_held(messages))))
    pixels_per_s = (_WIDTH - _LEFT - _RIGHT) / span_s
    for row, (_, stretches) in enumerate(strips):
        for start_ns, end_ns, expression in stretches:
            start_s, stop_s = _seconds(start_ns, end_ns, begin_ns)
            colour = _colour(expression)
            calm = expression == NEUTRAL
            axes.barh(
                row, stop_s - start_s, 0.8, start_s, color=colour, alpha=0.25 if calm else 1.0
            )
            # Not drawn where it would run over its neighbours.
            width = (stop_s - start_s) * pixels_per_s
            if not calm and width > _LETTER * len(expression) + _MARGIN:
                axes.text(
                    (start_s + stop_s) / 2, row, expression, ha="center", va="center",
                    fontsize=11, fontweight="bold", color=_ink(colour), parse_math=False,
                )  # fmt: skip
    axes.set_ylim(len(strips) - 0.5, -0.5)
    axes.set_yticks(range(len(strips)), [name for name, _ in strips], fontsize=12)
    axes.tick_params(length=0)
    axes.set_xticks([])


def _draw_lanes(
    axes: Axes,
    messages: Sequence[Message],
    labels: Sequence[Label],
    classes: Sequence[str],
    begin_ns: int,
) -> None:
    """The probabilities, a lane for each class; the frames show when each is true."""
    own = [m for m in messages if m.labels == messages[-1].labels]
    times_s = [(m.end_ns - begin_ns) * 1e-9 for m in own]
    for lane, expression in enumerate(classes):
        axes.axhline(lane, color=_GRID, linewidth=0.8, zorder=1)
        heights = [lane - 0.86 * m.probabilities[lane] for m in own]
        axes.fill_between(
            times_s, lane, heights, color=_colour(expression), alpha=0.85, linewidth=0, zorder=3
        )
        for label in labels:
            if label.expression == expression:
                start_s, stop_s = _seconds(label.start_ns, label.end_ns, begin_ns)
                axes.add_patch(_frame(start_s, stop_s, lane))
    axes.set_ylim(len(classes) - 0.95, -1)
    axes.set_yticks([lane - 0.43 for lane in range(len(classes))], classes, fontsize=12)
    for tick, expression in zip(axes.get_yticklabels(), classes, strict=True):
        tick.set_color(_dark(_colour(expression)))
        tick.set_fontweight("bold")
    axes.tick_params(length=0)
    axes.set_xticks([])
    caption = "probabilities, 0 to 1" + ("; framed is what is true" if labels else "")
    axes.annotate(
        caption, (1, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", ha="right",
        fontsize=11, color=_FAINT,
    )  # fmt: skip


def _draw_events(axes: Axes, counts: np.ndarray, edges_ns: np.ndarray, begin_ns: int) -> None:
    """Event rates, ON upwards and OFF downwards, by their roots: else a flash hides all others."""
    from matplotlib.ticker import MaxNLocator

    edges_s = (edges_ns - begin_ns) * 1e-9
    rates = counts / (edges_s[1] - edges_s[0])
    most = float(rates.max())
    scale, unit = next(
        (s, u) for s, u in ((1e6, "Mev/s"), (1e3, "kev/s"), (1.0, "ev/s")) if most >= s or s == 1.0
    )
    for polarity, name, colour, sign in ((1, "ON", _ON, 1.0), (0, "OFF", _OFF, -1.0)):
        axes.stairs(sign * rates[polarity] / scale, edges_s, fill=True, color=colour, zorder=3)
        axes.annotate(
            name, (1, 0.5 + 0.3 * sign), (8, 0), xycoords="axes fraction", va="center",
            textcoords="offset points", fontsize=12, fontweight="bold", color=_dark(colour),
        )  # fmt: skip
    highest = max(most / scale, 1e-9)
    axes.set_yscale(
        "function", functions=(lambda y: np.sign(y) * np.sqrt(np.abs(y)), lambda y: y * np.abs(y))
    )
    axes.set_ylim(-1.1 * highest, 1.1 * highest)
    ticks = [0.0, *(t for t in MaxNLocator(4).tick_values(0, highest) if 0 < t <= highest)]
    axes.set_yticks([-t for t in ticks[:0:-1]] + ticks)
    axes.minorticks_off()
    axes.axhline(0, color="white", linewidth=1, zorder=4)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
    axes.spines["bottom"].set_visible(True)
    axes.spines["left"].set_visible(True)
    axes.tick_params(labelsize=11)
    axes.set_ylabel(f"{unit} (root scale)", fontsize=12)
    axes.set_xlabel("time (s)", fontsize=12)


def _held(messages: Sequence[Message]) -> Iterator[tuple[int, int, str]]:
    """Stretches of time in which the same is reported."""
    stretches: list[tuple[int, int, str]] = []
    ends = [m.end_ns for m in messages]
    for message, (now_ns, next_ns) in zip(
        messages, pairwise([*ends, ends[-1] + 125_000_000]), strict=True
    ):
        until_ns = now_ns + min(max(next_ns - now_ns, 0), _LONGEST_HOLD_NS)
        last = stretches[-1] if stretches else None
        if last is not None and last[1] == now_ns and last[2] == message.expression:
            stretches[-1] = (last[0], until_ns, last[2])
        else:
            stretches.append((now_ns, until_ns, message.expression))
    yield from stretches


def _frame(start_s: float, stop_s: float, lane: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle(
        (start_s, lane - 0.9), stop_s - start_s, 0.9,
        facecolor="none", edgecolor="black", linewidth=1.3, zorder=5,
    )  # fmt: skip


def _seconds(start_ns: int, end_ns: int, begin_ns: int) -> tuple[float, float]:
    return (start_ns - begin_ns) * 1e-9, (end_ns - begin_ns) * 1e-9


def _colour(expression: str) -> str:
    return _COLOURS.get(expression, _OTHER)


def _dark(colour: str) -> tuple[float, float, float]:
    """A darker one of the same hue, to write with."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.7 * red, 0.7 * green, 0.7 * blue


def _ink(colour: str) -> str:
    """Black or white, whichever is read more easily on a colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return "black" if 0.30 * red + 0.59 * green + 0.11 * blue > 0.45 else "white"
