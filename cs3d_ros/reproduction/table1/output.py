"""Table I as Markdown, which a terminal shows as well, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from cs3d_ros.markdown import NONE, aligned, bullets
from cs3d_ros.recordings.output import replaced
from cs3d_ros.reproduction import paper
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.reproduction.table1.notes import notes, verdicts
from cs3d_ros.reproduction.table1.numbers import (
    SCOPES,
    percent,
    scaled,
    title,
)
from cs3d_ros.reproduction.table1.results import Ratio, Results, Row, Turn, spread

NAME = "table1"

_TITLE = "Table I: operations, time and energy"
_MIB = 1 << 20


def new_folder(out: Path) -> None:
    """Make the folder of the results, or take an empty one: no measurement is replaced.

    Raises:
        ReproductionError: It holds something, or cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        first = next(iter(sorted(path.name for path in out.iterdir())), None)
    except OSError as error:
        raise ReproductionError(f"{out}: cannot be used for the results ({error})") from error
    if first is not None:
        raise ReproductionError(
            f"{out}: holds {first} already, and no measurement is replaced; give a new folder"
        )


def write(results: Results, out: Path) -> None:
    """Write OUT/table1.md and OUT/table1.json, replacing those that are there.

    Raises:
        RecordingError: They cannot be written.
    """
    for suffix, text in (
        ("md", as_markdown(results)),
        ("json", json.dumps(as_dict(results), indent=1, allow_nan=False) + "\n"),
    ):
        with replaced(out / f"{NAME}.{suffix}", overwrite=True) as new:
            new.write_text(text, encoding="utf-8")


def as_markdown(results: Results) -> str:
    """The tables and the notes; ends with a newline."""
    blocks = [f"# {_TITLE}", _device(results)]
    if results.rows:
        blocks.append(aligned(_cells(results), left=2))
    if results.ratios:
        blocks += ["## Ratios", aligned(_ratio_cells(results), left=2)]
        if found := list(verdicts(results)):
            blocks.append(bullets(found))
    blocks += ["## Notes", bullets(notes(results))]
    return "\n\n".join(blocks) + "\n"


def as_dict(results: Results) -> dict[str, Any]:
    """All that is known, of types that JSON holds; what was not measured is null."""
    return {
        "version": 1,
        "table": NAME,
        "finished": results.is_finished,
        "device": results.settings.device,
        "machine": results.machine,
        "board": results.board,
        "versions": dict(results.versions),
        "settings": dataclasses.asdict(results.settings),
        "power": None if results.power is None else dataclasses.asdict(results.power),
        "no_power": results.no_power,
        "operations": {
            name: dataclasses.asdict(counted) for name, counted in results.operations.items()
        },
        "rows": [_row_dict(row) for row in results.rows],
        "ratios": [_ratio_dict(ratio) for ratio in results.ratios],
        "paper": {"source": paper.SOURCE, "energy_cs3d_by_c3d": paper.TABLE1_ENERGY},
        "notes": [*verdicts(results), *notes(results)],
        "command": results.command,
    }


def _device(results: Results) -> str:
    on = f"{results.board}: {results.machine}" if results.board else results.machine
    lines = [f"Device: {on}." if on else f"Device: {results.settings.device}."]
    power = results.power
    if power is None:
        # Why each source failed is a page of text, and stands in the JSON.
        reason = f": {results.no_power.partition('. Tried:')[0]}" if results.no_power else ""
        lines.append(f"**Energy: not measured**{reason}.")
    else:
        scope = SCOPES.get(power.scope, power.scope)
        lines.append(f"Energy: above idle, from {power.source}, scope {power.scope}: {scope}.")
    return "\n\n".join(lines)


def _cells(results: Results) -> list[list[str]]:
    """Header and rows."""
    power = results.power
    has_memory = any(row.peak_memory_bytes is not None for row in results.rows)
    header = ["network", "precision", "batch", "GMACs", "paper, GMACs", "time, ms"]
    if power is not None:
        what = "estimated energy" if power.estimated else "energy"
        header += [f"{what}, mJ", "from sampling, mJ", "power, W", "idle, W"]
    if has_memory:
        header.append("peak memory, MiB")
    rows = [header]
    for row in results.rows:
        counted = results.operations[row.network]
        cells = [
            title(row.network),
            row.precision,
            str(row.batch),
            f"{counted.macs / 1e9:.2f}",
            NONE if counted.paper_gmacs is None else f"{counted.paper_gmacs:.2f}",
            scaled(row.times_s, 1e3),
        ]
        if power is not None:
            cells += _energy_cells(row)
        if has_memory:
            bytes_ = row.peak_memory_bytes
            cells.append(NONE if bytes_ is None else f"{bytes_ / _MIB:,.0f}")
        rows.append(cells)
    return rows


def _energy_cells(row: Row) -> list[str]:
    energies, uncertainty_j = row.energies_j, row.uncertainty_j
    if energies is None or uncertainty_j is None:
        return [NONE] * 4
    during = [turn.energy.mean_power_w for turn in row.turns if turn.energy is not None]
    idle = [turn.idle.mean_power_w for turn in row.turns if turn.idle is not None]
    return [
        scaled(energies, 1e3),
        f"± {scaled([uncertainty_j], 1e3)}",
        scaled(during, 1.0),
        scaled(idle, 1.0),
    ]


def _ratio_cells(results: Results) -> list[list[str]]:
    header = ["", "precision", "batch", "operations, %", "time, %"]
    has_power = results.power is not None
    if has_power:
        header += ["energy, %", "paper, energy, %"]
    rows = [header]
    for ratio in results.ratios:
        row, reference = ratio.row, ratio.reference
        operations = results.operations[row.network].macs
        cells = [
            f"{title(row.network)} / {title(reference.network)}",
            row.precision,
            str(row.batch),
            percent(operations / results.operations[reference.network].macs),
            scaled(ratio.times, 100.0),
        ]
        if has_power:
            stated = _paper_energy(ratio)
            cells += [
                NONE if ratio.energies is None else scaled(ratio.energies, 100.0),
                NONE if stated is None else percent(stated),
            ]
        rows.append(cells)
    return rows


def _paper_energy(ratio: Ratio) -> float | None:
    """What the paper has for these two networks."""
    ours = (ratio.row.network, ratio.reference.network)
    return paper.TABLE1_ENERGY if ours == ("cs3d", "c3d") else None


def _row_dict(row: Row) -> dict[str, Any]:
    return {
        "network": row.network,
        "precision": row.precision,
        "batch": row.batch,
        "time_s": _spread_dict(row.times_s),
        "energy_j": _spread_dict(row.energies_j),
        "uncertainty_j": row.uncertainty_j,
        "peak_memory_bytes": row.peak_memory_bytes,
        "turns": [_turn_dict(turn) for turn in row.turns],
    }


def _ratio_dict(ratio: Ratio) -> dict[str, Any]:
    return {
        "network": ratio.row.network,
        "reference": ratio.reference.network,
        "precision": ratio.row.precision,
        "batch": ratio.row.batch,
        "time": _spread_dict(ratio.times),
        "energy": _spread_dict(ratio.energies),
        "paper_energy": _paper_energy(ratio),
    }


def _turn_dict(turn: Turn) -> dict[str, Any]:
    return {
        **dataclasses.asdict(turn),
        "time_s": turn.time_s,
        "energy_j": turn.energy_j,
        "uncertainty_j": turn.uncertainty_j,
    }


def _spread_dict(values: tuple[float, ...] | None) -> dict[str, Any] | None:
    if values is None:
        return None
    mean, deviation = spread(values)
    return {"mean": mean, "deviation": deviation, "each": list(values)}
