"""Table I as a picture: what an inference takes, and the ratios beside the paper's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cs3d_ros.extras import load_extra
from cs3d_ros.recordings.output import replaced
from cs3d_ros.reproduction import paper
from cs3d_ros.reproduction.table1.numbers import percent, scaled, title
from cs3d_ros.reproduction.table1.results import Results, Row, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Of Okabe and Ito: they are told apart by every kind of colour vision.
_COLOURS = ("#5c5c5c", "#0072b2", "#e69f00", "#cc79a7")
_TIME, _ENERGY, _PAPER, _OPERATIONS = "#009e73", "#0072b2", "#d55e00", "#000000"
_BAR = 0.34
_INCHES_A_BAR = 0.42
_LEGEND_INCHES = 0.8


def write_plot(results: Results, path: Path) -> None:
    """Write the picture as PNG, replacing one that is there.

    Raises:
        Cs3dError: matplotlib is not installed, or the file cannot be written.
    """
    matplotlib = load_extra("matplotlib", "plot")
    figures = load_extra("matplotlib.figure", "plot")
    groups = list(dict.fromkeys((row.precision, row.batch) for row in results.rows))
    height = 2.2 + _INCHES_A_BAR * max(2, len(results.rows))
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"font.size": 10.0, "axes.spines.top": False, "axes.spines.right": False}
        )
        figure = figures.Figure(
            figsize=(11.0, height), dpi=130, facecolor="white", layout="constrained"
        )
        left, right = figure.subplots(1, 2, sharey=True)
        _draw_costs(left, results, groups)
        _draw_ratios(right, results, groups)
        left.set_yticks(
            range(len(groups)), [f"{precision}\nbatch {batch}" for precision, batch in groups]
        )
        left.set_ylim(len(groups) - 0.5, -0.5)
        for axes in (left, right):
            axes.grid(axis="x", color="#e0e0e0", linewidth=0.7)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -_LEGEND_INCHES / height), ncols=2,
                frameon=False, fontsize=9,
            )  # fmt: skip
        figure.suptitle(f"Table I on {results.board or results.machine}", parse_math=False)
        with replaced(path, overwrite=True) as new:
            figure.savefig(new, metadata={"Software": None})


def _draw_costs(axes: Axes, results: Results, groups: Sequence[tuple[str, int]]) -> None:
    """Energy of an inference, or its time where there is no energy."""
    has_energy = results.power is not None
    estimated = results.power is not None and results.power.estimated
    axes.set_xlabel(
        f"{'estimated ' if estimated else ''}energy of an inference above idle, mJ"
        if has_energy
        else "time of an inference, ms"
    )
    networks = results.settings.networks
    labelled = set()
    most = 0.0
    for row in results.rows:
        values = _costs(row, has_energy)
        if values is None:
            continue
        place = networks.index(row.network)
        y = groups.index((row.precision, row.batch)) + (place - (len(networks) - 1) / 2) * _BAR
        mean, deviation = spread([1e3 * value for value in values])
        end = max(0.0, mean + (deviation or 0.0))
        most = max(most, end)
        axes.barh(
            y, mean, _BAR * 0.9, xerr=deviation, color=_COLOURS[place % len(_COLOURS)],
            ecolor="black", capsize=2,
            label="_" if row.network in labelled else title(row.network),
        )  # fmt: skip
        axes.annotate(
            scaled(values, 1e3), (end, y), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=8,
        )  # fmt: skip
        labelled.add(row.network)
    # Room for the numbers.
    axes.set_xlim(0, 1.35 * most if most else 1)


def _costs(row: Row, has_energy: bool) -> tuple[float, ...] | None:
    return row.energies_j if has_energy else row.times_s


def _draw_ratios(axes: Axes, results: Results, groups: Sequence[tuple[str, int]]) -> None:
    axes.set_xlabel("CS3D / C3D, %" if len(results.settings.networks) == 2 else "ratio, %")
    labelled = set()
    most = 0.0
    for ratio in results.ratios:
        row = ratio.row
        y = groups.index((row.precision, row.batch))
        for what, values, colour, shift, marker in (
            ("energy", ratio.energies, _ENERGY, -0.1, "o"),
            ("time", ratio.times, _TIME, 0.1, "s"),
        ):
            if values is None:
                continue
            mean, deviation = spread([100 * value for value in values])
            label = what if deviation is None else f"{what}, mean ± sd over repeats"
            axes.errorbar(
                mean, y + shift, xerr=deviation, fmt=marker, color=colour, markersize=6, capsize=2,
                label="_" if label in labelled else label,
            )  # fmt: skip
            labelled.add(label)
            most = max(most, mean + (deviation or 0.0))
    networks = results.settings.networks
    if networks == ("c3d", "cs3d"):
        macs = [results.operations[name].macs for name in networks]
        lines = [(macs[1] / macs[0], "operations", _OPERATIONS, ":")]
        if results.power is not None:
            lines.append((paper.TABLE1_ENERGY, "paper, energy on a Titan X", _PAPER, "--"))
        for share, label, colour, style in lines:
            axes.axvline(
                100 * share, color=colour, linestyle=style, linewidth=1.4,
                label=f"{label}: {percent(share)} %",
            )  # fmt: skip
            most = max(most, 100 * share)
    axes.set_xlim(0, 1.1 * most if most else 1)
