"""A table as Markdown, which a terminal shows as well, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from cs3d_ros.markdown import NONE, aligned, bullets
from cs3d_ros.network.complexity import PAPER_GMACS, Complexity, complexity
from cs3d_ros.recordings.output import replaced
from cs3d_ros.reproduction import paper, words
from cs3d_ros.reproduction.results import DataResult, RowResult, compare
from cs3d_ros.reproduction.study import Study
from cs3d_ros.reproduction.tables import BASE


def as_markdown(study: Study) -> str:
    """The table, the orders and the notes; ends with a newline."""
    blocks = [f"# {study.table.title}"]
    for result in study.data:
        blocks.append(f"## {result.data_set}")
        blocks.append(
            f"Clip accuracy on the {study.table.part} part in %: {result.clips:,} clips of "
            f"{result.people} people who are in no other part.{_chance(result)}"
        )
        blocks.append(aligned(_cells(study, result)))
        if study.table.orders:
            blocks.append("Orders of the paper:")
            blocks.append(bullets(words.orders(study, result)))
        else:
            blocks.append("Choices:")
            blocks.append(bullets(words.choices(study, result)))
    blocks.append("## Notes")
    blocks.append(bullets(words.notes(study)))
    if study.failures:
        blocks.append("Runs that failed, and are tried again by the same command:")
        blocks.append(bullets(study.failures))
    return "\n\n".join(blocks) + "\n"


def as_dict(study: Study) -> dict[str, Any]:
    """All that is known, of types that JSON holds; numbers of finished rows only."""
    return {
        "version": 1,
        "table": study.table.name,
        "part": study.table.part,
        "protocol": study.protocol,
        "settings": study.settings.to_dict(),
        "seeds": list(study.seeds),
        "finished": study.is_finished,
        "data": [
            {
                "name": result.data_set,
                "manifest_sha256": result.checksum,
                "clips": result.clips,
                "people": result.people,
                "rows": [_row_dict(study, result, row) for row in result.rows],
                "orders": list(_order_dicts(study, result)),
            }
            for result in study.data
        ],
        "notes": list(words.notes(study)),
        "failures": list(study.failures),
        "command": study.command,
        "paper": paper.SOURCE,
    }


def write(study: Study, out: Path) -> None:
    """Write OUT/TABLE.md and OUT/TABLE.json, replacing those that are there.

    Raises:
        RecordingError: They cannot be written.
    """
    for suffix, text in (
        ("md", as_markdown(study)),
        ("json", json.dumps(as_dict(study), indent=1, allow_nan=False) + "\n"),
    ):
        with replaced(out / f"{study.table.name}.{suffix}", overwrite=True) as new:
            new.write_text(text, encoding="utf-8")


def _cells(study: Study, result: DataResult) -> list[list[str]]:
    """Header and rows."""
    table = study.table
    columns = paper.columns(table.name, result.data_set)
    has_operations = table.name == "table4"
    header = [table.column, "ours", "95 % over people"]
    header += [f"paper, {paper.DATA_SETS[name]}" for name in columns]
    if table.name == "forks":
        header.append("against base, points (95 % over people)")
    if has_operations:
        header += ["GMACs", "paper, GMACs", "parameters"]
    rows = [[*header, "training"]]
    for row in result.rows:
        cells = [row.row.title, _ours(row), _interval(row)]
        figures = paper.accuracies(table.name, row.row.name)
        cells += [f"{figures[name]:.2f}" if name in figures else NONE for name in columns]
        if table.name == "forks":
            cells.append(_against(row, result.row(BASE)))
        if has_operations:
            cells += _operations(row)
        cells.append(words.duration(row.seconds) if row.is_finished else NONE)
        rows.append(cells)
    return rows


def _ours(row: RowResult) -> str:
    if not row.is_finished:
        return f"not finished ({len(row.outcomes)} of {_seeds(row.wanted)})"
    spread = "" if row.deviation is None else f" ± {words.percent(row.deviation)}"
    return f"{words.percent(row.mean)}{spread} (n = {row.wanted})"


def _seeds(n: int) -> str:
    return "1 seed" if n == 1 else f"{n} seeds"


def _interval(row: RowResult) -> str:
    interval = row.interval if row.is_finished else None
    return NONE if interval is None else " to ".join(words.percent(end) for end in interval)


def _against(row: RowResult, base: RowResult) -> str:
    if row is base or not (row.is_finished and base.is_finished):
        return NONE
    found = compare(row, base)
    text = words.points(found.difference)
    if found.interval is not None:
        low, high = found.interval
        text += f" ({words.points(low)} to {words.points(high)})"
    return text


def _operations(row: RowResult) -> list[str]:
    counted = _counted(row.row.changes["network"])
    stated = PAPER_GMACS.get(counted.network)
    return [
        f"{counted.macs / 1e9:.2f}",
        NONE if stated is None else f"{stated:.2f}",
        f"{counted.parameters / 1e6:.1f} M",
    ]


@lru_cache
def _counted(network: str) -> Complexity:
    return complexity(network)


def _chance(result: DataResult) -> str:
    for row in result.finished:
        share = row.outcomes[0].measured.chance
        return f" Always naming the same expression would give {words.percent(share)}."
    return ""


def _row_dict(study: Study, result: DataResult, row: RowResult) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": row.row.name,
        "title": row.row.title,
        "seeds_finished": len(row.outcomes),
        "seeds_wanted": row.wanted,
        "finished": row.is_finished,
        "paper": dict(paper.accuracies(study.table.name, row.row.name)),
        "settings": row.row.settings(study.settings, 0).to_dict(),
    }
    if study.table.name == "table4":
        counted = _counted(row.row.changes["network"])
        found["macs"], found["parameters"] = counted.macs, counted.parameters
        found["paper_gmacs"] = PAPER_GMACS.get(counted.network)
    if row.is_finished:
        found["accuracy"] = row.mean
        found["deviation"] = row.deviation
        found["interval"] = row.interval
        found["seconds"] = row.seconds
        found["runs"] = [
            {
                "seed": outcome.seed,
                **dataclasses.asdict(outcome.measured),
                "training": dataclasses.asdict(outcome.trained),
            }
            for outcome in row.outcomes
        ]
    return found


def _order_dicts(study: Study, result: DataResult) -> Iterator[dict[str, Any]]:
    for higher, lower in paper.orders(study.table.name, study.table.orders, result.data_set):
        one, other = result.row(higher), result.row(lower)
        if one.is_finished and other.is_finished:
            found = compare(one, other)
            yield {
                "higher": higher,
                "lower": lower,
                "verdict": found.verdict,
                "difference": found.difference,
                "spread": found.spread,
                "interval": found.interval,
            }
