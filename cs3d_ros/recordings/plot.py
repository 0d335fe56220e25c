"""A picture of a recording: event frames over the event rate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.recordings.output import replaced
from cs3d_ros.recordings.preview import Preview
from cs3d_ros.recordings.summary import rate_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Blue and vermilion of Okabe and Ito are told apart by every kind of colour vision.
ON_COLOUR = "#0072b2"
OFF_COLOUR = "#d55e00"
_GROUND = "#f1f1f1"
_EDGE = "#9a9a9a"
_FAINT = "#5c5c5c"
_TOTAL = "#00000024"
_MARK = "#4d4d4d"

# In pixels, at 100 per inch.
_DPI = 100
_WIDTH = 1600
_LEFT, _RIGHT = 95, 40
_TOP = 92
_GAP = 16
_LABEL = 34
_MAX_FRAME_HEIGHT = 480
_BETWEEN = 48
_RATE_HEIGHT = 260
_BOTTOM = 66

_FAINTEST = 0.55
# Below this share of cells with events, in the fullest frame, each event becomes a small cross.
_SPARSE = 0.03
_MAX_NUMBERED = 24


class PlotError(Cs3dError):
    """A picture that cannot be drawn or written."""


def check_output(output: Path) -> None:
    """Refuse what `draw` could not write, before any work is done.

    Raises:
        PlotError: Another suffix than .png, no such folder, or no matplotlib.
    """
    if output.suffix.lower() != ".png":
        raise PlotError(f"{output}: a picture is written as PNG, expected a name ending in .png")
    if output.is_dir() or not output.absolute().parent.is_dir():
        raise PlotError(f"{output}: not a file in an existing folder; make the folder first")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise PlotError(
            f"drawing needs matplotlib, which cannot be imported ({error}): pip install matplotlib"
        ) from error


def draw(preview: Preview, name: str, output: Path) -> None:
    """Draw a preview into a PNG file, replacing one that is there when the picture is complete.

    Args:
        preview: What to draw.
        name: Title of the picture.
        output: The file.

    Raises:
        PlotError: See `check_output`; or the file cannot be written.
        RecordingError: The file cannot be put into its place.
    """
    check_output(output)
    import matplotlib.style

    with matplotlib.style.context("default"):
        figure = _figure(preview, name)
        with replaced(output, overwrite=True) as new:
            try:
                figure.savefig(new, format="png", dpi=_DPI)
            except OSError as error:
                reason = str(error).replace(str(new), str(output))
                raise PlotError(f"{output}: cannot be written ({reason})") from error


def _figure(preview: Preview, name: str) -> Figure:
    from matplotlib.figure import Figure

    count, _, cell_rows, cell_columns = preview.frames.shape
    rows = max(1, round((count / 2) ** 0.5))
    columns = -(-count // rows)
    frame_width = (_WIDTH - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
    frame_height = frame_width * cell_rows / cell_columns
    if frame_height > _MAX_FRAME_HEIGHT:
        frame_height = _MAX_FRAME_HEIGHT
        frame_width = frame_height * cell_columns / cell_rows
    frames_height = rows * (frame_height + _LABEL)
    height = _TOP + frames_height + _BETWEEN + _RATE_HEIGHT + _BOTTOM
    figure = Figure(figsize=(_WIDTH / _DPI, height / _DPI), dpi=_DPI, facecolor="white")

    def axes(left: float, top: float, width: float, tall: float) -> Axes:
        return figure.add_axes(
            (left / _WIDTH, 1 - (top + tall) / height, width / _WIDTH, tall / height)
        )

    unit_ns, unit = _time_unit(preview.end_ns)
    spacing = (preview.end_ns - preview.start_ns) / count / unit_ns
    digits = min(6, max(0, 2 - math.floor(math.log10(spacing))))
    _write_title(figure, preview, name, height)
    images = _coloured(preview.frames)
    indent = (_WIDTH - _LEFT - _RIGHT - columns * (frame_width + _GAP) + _GAP) / 2
    for i in range(count):
        row, column = divmod(i, columns)
        left = _LEFT + indent + column * (frame_width + _GAP)
        _draw_frame(
            axes(left, _TOP + row * (frame_height + _LABEL), frame_width, frame_height),
            images[i],
            f"{i + 1}",
            f"{preview.frame_times_ns[i] / unit_ns:.{digits}f} {unit}",
            f"{_short(int(preview.frames[i].sum()))} ev" if frame_width > 150 else "",
            size=11 if frame_width > 220 else 8,
        )
    top = _TOP + frames_height + _BETWEEN
    rate = axes(_LEFT, top, _WIDTH - _LEFT - _RIGHT, _RATE_HEIGHT)
    _draw_rates(rate, preview, unit_ns, unit)
    return figure


def _write_title(figure: Figure, preview: Preview, name: str, height: float) -> None:
    summary = preview.summary
    if len(name) > 100:
        name = f"{name[:49]}…{name[-49:]}"
    left = _LEFT / _WIDTH
    facts = [
        f"{summary.encoding}",
        f"{summary.width}×{summary.height}",
        f"{summary.events:,} events, {summary.on / max(1, summary.events):.0%} ON",
        f"{_length(summary.duration_ns or 0)}",
    ]
    if summary.mean_events_per_s is not None:
        facts.append(f"mean {rate_text(summary.mean_events_per_s)}")
    if preview.events != summary.events:
        facts.append(f"shown: {preview.events:,} events")
    facts.append(f"frames of {_length(preview.window_ns)}")
    if summary.packets_lost:
        facts.append(f"{summary.packets_lost:,} packets lost")
    if summary.damage is not None:
        facts.append("damaged: up to where it can be read")
    figure.text(left, 1 - 40 / height, name, fontsize=17, fontweight="bold", parse_math=False)
    figure.text(
        left, 1 - 70 / height, "  ·  ".join(facts), fontsize=12, color=_FAINT, parse_math=False
    )


def _draw_frame(
    axes: Axes, image: np.ndarray, number: str, time: str, events: str, size: float
) -> None:
    axes.imshow(image, aspect="auto", interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(_EDGE)
    below: dict[str, Any] = {
        "xycoords": "axes fraction", "textcoords": "offset points", "va": "top", "fontsize": size,
    }  # fmt: skip
    axes.annotate(number, (0, 0), (1, -4), ha="left", fontweight="bold", **below)
    if events:
        axes.annotate(time, (0.5, 0), (0, -4), ha="center", **below)
        axes.annotate(events, (1, 0), (-1, -4), ha="right", color=_FAINT, **below)
    else:
        axes.annotate(time, (1, 0), (-1, -4), ha="right", **below)


def _draw_rates(axes: Axes, preview: Preview, unit_ns: float, unit: str) -> None:
    off, on = preview.rates
    scale, rate_unit = _rate_unit(float((on + off).max()))
    edges = np.linspace(preview.start_ns, preview.end_ns, len(on) + 1) / unit_ns
    axes.stairs(
        on / scale, edges, baseline=None, color=ON_COLOUR, linewidth=1.4, zorder=2, label="ON"
    )
    axes.stairs(
        off / scale, edges, baseline=None, color=OFF_COLOUR, linewidth=1.4, zorder=2, label="OFF"
    )
    axes.stairs((on + off) / scale, edges, fill=True, color=_TOTAL, zorder=1, label="both")
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.06 * max(1e-9, float((on + off).max()) / scale))
    axes.set_xlabel(f"sensor time since the first event ({unit})", fontsize=12)
    axes.set_ylabel(f"event rate ({rate_unit})", fontsize=12)
    axes.tick_params(labelsize=11)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    half = preview.window_ns / 2
    for i, time_ns in enumerate(preview.frame_times_ns.tolist()):
        begin, end = (time_ns - half) / unit_ns, (time_ns + half) / unit_ns
        # The edge keeps a short window visible.
        axes.axvspan(begin, end, ymin=0.97, color=_MARK, linewidth=2)
        axes.axvline(time_ns / unit_ns, color=_MARK, linewidth=0.8, alpha=0.4, zorder=0)
        if len(preview.frame_times_ns) <= _MAX_NUMBERED:
            axes.annotate(
                f"{i + 1}", (time_ns / unit_ns, 1), (0, 3), xycoords=("data", "axes fraction"),
                textcoords="offset points", ha="center", fontsize=11, fontweight="bold",
            )  # fmt: skip
    for i, restart_ns in enumerate(preview.restarts_ns[:100]):
        axes.axvline(
            restart_ns / unit_ns, color="black", linestyle=":", label="restart" if not i else None
        )
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1.07), ncol=4, frameon=False, fontsize=11,
        borderaxespad=0, borderpad=0,
    )  # fmt: skip


def _coloured(frames: np.ndarray) -> np.ndarray:
    """Frames of counts (n, 2, rows, columns) as RGB pictures (n, rows, columns, 3), float64.

    The stronger the colour, the more events; all frames share one scale. A cell with both kinds of
    events shows the mixture.
    """
    from matplotlib.colors import to_rgb

    ground, off_colour, on_colour = (
        np.array(to_rgb(colour)) for colour in (_GROUND, OFF_COLOUR, ON_COLOUR)
    )
    if (frames.any(axis=1).mean(axis=(1, 2)) < _SPARSE).all():
        frames = _dilated(frames)
    total = frames.sum(axis=1).astype(np.float64)
    filled = total > 0
    full = float(np.percentile(total[filled], 98)) if filled.any() else 1.0
    on_share = (frames[:, 1] / np.maximum(total, 1))[..., None]
    strength = np.where(filled, _FAINTEST + (1 - _FAINTEST) * np.minimum(1, total / full), 0)
    colour = on_share * on_colour + (1 - on_share) * off_colour
    return ground + strength[..., None] * (colour - ground)


def _dilated(frames: np.ndarray) -> np.ndarray:
    """Each event also in the empty cells among the four around it, so that it can be seen."""
    height, width = frames.shape[2:]
    padded = np.pad(frames, ((0, 0), (0, 0), (1, 1), (1, 1)))
    around = np.maximum.reduce(
        [
            padded[:, :, row : row + height, column : column + width]
            for row, column in ((0, 1), (2, 1), (1, 0), (1, 2))
        ]
    )
    return np.where(frames.any(axis=1, keepdims=True), frames, around)


def _time_unit(end_ns: int) -> tuple[float, str]:
    """A unit of time in ns, and its name, for an axis that ends there."""
    for unit_ns, name, enough in (
        (3600e9, "h", 3 * 3600e9),
        (60e9, "min", 10 * 60e9),
        (1e9, "s", 0.5e9),
        (1e6, "ms", 1e6),
    ):
        if end_ns >= enough:
            return unit_ns, name
    return 1e3, "µs"


def _rate_unit(most: float) -> tuple[float, str]:
    for scale, name in ((1e9, "Gev/s"), (1e6, "Mev/s"), (1e3, "kev/s")):
        if most >= scale:
            return scale, name
    return 1.0, "ev/s"


def _length(ns: int) -> str:
    unit_ns, unit = _time_unit(ns)
    return f"{ns / unit_ns:.4g} {unit}"


def _short(count: int) -> str:
    return f"{count:,}" if count < 1_000_000 else f"{count / 1e6:.3g} M"
