"""The command `cs3d bench engines`: how fast each engine is on this machine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from typing import TYPE_CHECKING, Any

from cs3d_ros.argument_types import names, positive
from cs3d_ros.energy import SOURCE_NAMES
from cs3d_ros.markdown import NONE, aligned

if TYPE_CHECKING:
    import torch

    from cs3d_ros.benchmark.engines import EngineRow, Results
    from cs3d_ros.benchmark.subject import Subject

_DESCRIPTION = """\
Time one window in each engine that runs here, C3D and CS3D with random weights, in turns and with
the same threads. Memory is that of a process of its own for each; energy is that above idle, where
a power source covers the device. Leave the machine alone meanwhile."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `bench` to the commands of `cs3d`."""
    bench = commands.add_parser("bench", help="how fast this machine is")
    kinds = bench.add_subparsers(required=True, metavar="COMMAND")
    engines = kinds.add_parser(
        "engines",
        help="time, memory and energy of a window in each engine",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    engines.add_argument(
        "--networks", type=names, default=("c3d", "cs3d"), metavar="N,…", help="default: c3d,cs3d"
    )
    engines.add_argument(
        "--engines",
        type=names,
        metavar="E,…",
        help="default: all of the device but torch-compile, which compiles for minutes",
    )
    engines.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    engines.add_argument(
        "--precision", default="float32", metavar="P", help="float32, tf32, bfloat16 or float16"
    )
    engines.add_argument("--threads", type=int, default=0, metavar="N", help="CPU threads; 0: all")
    engines.add_argument(
        "--size", type=int, default=112, metavar="S", help="rows and columns (default: 112)"
    )
    engines.add_argument(
        "--seconds", type=positive, default=20.0, metavar="S", help="of timing (default: 20)"
    )
    engines.add_argument(
        "--source", choices=SOURCE_NAMES, default="auto", help="power source (default: auto)"
    )
    engines.add_argument("--json", action="store_true", help="print a JSON object")
    engines.set_defaults(run=_engines)


def _engines(arguments: argparse.Namespace) -> int:
    from cs3d_ros.benchmark.engines import measure
    from cs3d_ros.device_power import device_meter
    from cs3d_ros.network.device import resolve_device

    device = resolve_device(arguments.device)
    with device_meter(arguments.source, 50, device) as (meter, no_energy):
        results = measure(
            _subjects(arguments, device), arguments.seconds, meter, no_energy, report=_tell
        )
    if arguments.json:
        print(json.dumps(_as_dict(results, arguments, device), indent=2))
    else:
        print(_as_text(results, arguments, device))
    return 0


def _subjects(arguments: argparse.Namespace, device: torch.device) -> list[Subject]:
    from cs3d_ros.benchmark.subject import Subject
    from cs3d_ros.network.engines import ENGINES

    engines = arguments.engines or tuple(
        name
        for name, kind in ENGINES.items()
        if device.type in kind.DEVICES and name != "torch-compile"
    )
    return [
        Subject(
            network,
            engine,
            str(device),
            arguments.threads,
            arguments.precision,
            arguments.size,
        )
        for network in arguments.networks
        for engine in engines
    ]


def _as_dict(
    results: Results, arguments: argparse.Namespace, device: torch.device
) -> dict[str, Any]:
    from cs3d_ros.training.provenance import machine

    return {
        "machine": machine(device, 1),
        "precision": arguments.precision,
        "size": arguments.size,
        "seconds": arguments.seconds,
        "rows": [
            {**dataclasses.asdict(row), "ratio_to_c3d": _ratio(row, results)}
            for row in results.rows
        ],
        "absent": [
            {"network": network, "engine": engine, "reason": reason}
            for network, engine, reason in results.absent
        ],
        "no_energy": results.no_energy,
    }


def _ratio(row: EngineRow, results: Results) -> float | None:
    best = results.best("c3d")
    return None if best is None else row.median_ms / best.median_ms


def _as_text(results: Results, arguments: argparse.Namespace, device: torch.device) -> str:
    from cs3d_ros.training.provenance import machine

    size = arguments.size
    lines = [
        f"One window of 3×16×{size}×{size}, {arguments.precision}, on {machine(device, 1)}.",
        "",
    ]
    header = ["network", "engine", "version", "median, ms", "99 %, ms", "of C3D's best"]
    cells = [[*header, "peak memory, MB", "energy, mJ"]]
    for row in results.rows:
        ratio = _ratio(row, results)
        is_best = row is results.best(row.network)
        cells.append(
            [
                row.network,
                f"**{row.engine}**" if is_best else row.engine,
                row.version,
                f"{row.median_ms:.1f}",
                f"{row.p99_ms:.1f}",
                NONE if ratio is None else f"{ratio:.2f}",
                NONE if row.peak_mb is None else f"{row.peak_mb:.0f}",
                _energy(row),
            ]
        )
    lines += [aligned(cells, left=3), ""]
    lines += [f"{network} in {engine}: {reason}" for network, engine, reason in results.absent]
    if results.no_energy:
        lines.append(f"Energy was not measured: {results.no_energy.partition('. Tried:')[0]}")
    return "\n".join(lines).rstrip()


def _energy(row: EngineRow) -> str:
    if row.energy_mj is None or row.energy_uncertainty_mj is None:
        return NONE
    return f"{row.energy_mj:.3g} ± {row.energy_uncertainty_mj:.2g}"


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
