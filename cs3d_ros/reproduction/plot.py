"""A table as a picture: our accuracies with their spread, and the paper's beside them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cs3d_ros.extras import load_extra
from cs3d_ros.recordings.output import replaced
from cs3d_ros.reproduction import paper
from cs3d_ros.reproduction.results import DataResult
from cs3d_ros.reproduction.study import Study
from cs3d_ros.reproduction.tables import BASE

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

# Of Okabe and Ito: they are told apart by every kind of colour vision.
_OURS, _FAINT = "#0072b2", "#5c5c5c"
_PAPER = {"adfes": ("#d55e00", "D"), "casme2": ("#009e73", "s"), "szu-emodage": ("#cc79a7", "^")}
_INCHES_A_ROW = 0.36


def write_plot(study: Study, path: Path) -> None:
    """Write the picture as PNG, replacing one that is there.

    Raises:
        Cs3dError: matplotlib is not installed, or the file cannot be written.
    """
    matplotlib = load_extra("matplotlib", "plot")
    figures = load_extra("matplotlib.figure", "plot")
    n = len(study.data)
    height = 1.9 + _INCHES_A_ROW * len(study.table.rows)
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"font.size": 10.0, "axes.spines.top": False})
        matplotlib.rcParams["axes.spines.right"] = False
        figure = figures.Figure(
            figsize=(3.2 + 4.6 * n, height), dpi=130, facecolor="white", layout="constrained"
        )
        panels = figure.subplots(1, n, sharex=True, sharey=True, squeeze=False)[0]
        for axes, result in zip(panels, study.data, strict=True):
            _draw(axes, study, result)
        panels[0].set_yticks(
            range(len(study.table.rows)), [row.title for row in study.table.rows], parse_math=False
        )
        panels[0].set_ylim(len(study.table.rows) - 0.5, -0.5)
        seen: dict[str, Artist] = {}
        for axes in panels:
            handles, labels = axes.get_legend_handles_labels()
            seen.update(zip(labels, handles, strict=True))
        figure.legend(
            seen.values(), seen, loc="outside lower center", ncols=3, frameon=False, fontsize=9
        )
        figure.suptitle(f"{study.table.title} – {study.protocol} protocol")
        with replaced(path, overwrite=True) as new:
            figure.savefig(new, metadata={"Software": None})


def _draw(axes: Axes, study: Study, result: DataResult) -> None:
    axes.set_title(f"{result.data_set}, {study.table.part} part", fontsize=10)
    axes.set_xlabel("clips recognised, %")
    axes.grid(axis="x", color="#e0e0e0", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    labelled = set()

    def once(label: str) -> str:
        """A label for the first of its kind only."""
        first = label not in labelled
        labelled.add(label)
        return label if first else "_"

    columns = paper.columns(study.table.name, result.data_set)
    for y, row in enumerate(result.rows):
        figures = paper.accuracies(study.table.name, row.row.name)
        for name in columns:
            if name in figures:
                colour, marker = _PAPER[name]
                axes.plot(
                    figures[name], y, marker, color=colour, markerfacecolor="none",
                    markersize=6, zorder=5, label=once(f"paper, {paper.DATA_SETS[name]}"),
                )  # fmt: skip
        if not row.is_finished:
            axes.text(
                0.01, y, "not finished", color=_FAINT, va="center", style="italic", fontsize=9,
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            continue
        deviation = None if row.deviation is None else 100 * row.deviation
        axes.errorbar(
            100 * row.mean, y, xerr=deviation, fmt="o", color=_OURS, markersize=6, elinewidth=1.8,
            label=once("ours, mean" if deviation is None else "ours, mean ± sd over seeds"),
        )  # fmt: skip
        if row.wanted > 1:
            axes.plot(
                [100 * a for a in row.accuracies], [y + 0.24] * row.wanted, ".", color=_OURS,
                markersize=4, label=once("ours, each seed"),
            )  # fmt: skip
        if row.row.name == BASE:
            axes.axvline(100 * row.mean, color=_OURS, linewidth=0.8, linestyle=":")
