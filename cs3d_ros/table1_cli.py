"""The command `cs3d reproduce table1`: operations, time and energy on this device."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import TYPE_CHECKING

from cs3d_ros.argument_types import names, path, positive
from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from pathlib import Path

    from cs3d_ros.reproduction.table1.results import Results, Settings

# The command imports what it needs, so that `cs3d --help` does not wait for torch.

HELP = "operations, time and energy of c3d and cs3d on this device"

_DESCRIPTION = """\
Measure C3D and CS3D on this device: operations by THOP, time and energy of an inference above idle,
and their ratio beside the paper's. Trains nothing and needs no data.

Idling and the two networks take turns, several times over. Leave the machine alone meanwhile.
Where no power source covers the device, the times alone are measured.

OUT/table1.md has the table, OUT/table1.json all numbers, OUT/table1.png a picture."""


def add_table(tables: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `table1` to the tables of `cs3d reproduce`."""
    from cs3d_ros.energy import INTERVAL_MS_RANGE, SOURCE_NAMES

    table1 = tables.add_parser(
        "table1",
        help=HELP,
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    table1.add_argument(
        "--out", type=path, required=True, metavar="OUT", help="folder: new or empty"
    )
    table1.add_argument("--json", action="store_true", help="print all numbers as JSON on stdout")
    what = table1.add_argument_group("what is measured")
    what.add_argument("--device", default="auto", metavar="D", help="auto, cpu, cuda or cuda:N")
    what.add_argument(
        "--precision",
        type=names,
        default=("float32",),
        metavar="P,…",
        help="float32 (the default), tf32, bfloat16; the last two on a GPU that has them",
    )
    what.add_argument(
        "--batch",
        type=_numbers,
        metavar="N,…",
        help="inputs that go through a network together (default: 1,32 on a GPU, 1 on a CPU)",
    )
    what.add_argument(
        "--size", type=int, default=112, metavar="S", help="rows and columns (default: 112)"
    )
    what.add_argument(
        "--threads", type=int, default=0, metavar="N", help="CPU threads; 0: all (default)"
    )
    how = table1.add_argument_group("how")
    how.add_argument(
        "--repeats", type=int, default=5, metavar="N", help="turns of each (default: 5)"
    )
    how.add_argument(
        "--seconds",
        type=positive,
        metavar="S",
        help="length of a turn (default: 10, or 3 without a power source)",
    )
    low, high = INTERVAL_MS_RANGE
    how.add_argument(
        "--source",
        choices=SOURCE_NAMES,
        default="auto",
        help="power source (default: auto, the first that covers the device and gives a reading)",
    )
    how.add_argument(
        "--interval-ms",
        type=_interval_ms,
        default=100,
        metavar="MS",
        help=f"from one reading to the next, {low} to {high} (default: 100)",
    )
    table1.set_defaults(run=_table1)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} are no batches; expected whole numbers with commas, such as 1,32"
        ) from None


def _interval_ms(text: str) -> int:
    from cs3d_ros.energy import INTERVAL_MS_RANGE

    low, high = INTERVAL_MS_RANGE
    if not (text.isascii() and text.isdigit() and low <= int(text[:9]) <= high):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no interval; expected {low} to {high} milliseconds"
        )
    return int(text)


def _table1(arguments: argparse.Namespace) -> int:
    from cs3d_ros.device_power import device_meter
    from cs3d_ros.network.device import resolve_device
    from cs3d_ros.reproduction.table1.measure import measure
    from cs3d_ros.reproduction.table1.output import as_dict, as_markdown, new_folder, write

    # What cannot be measured is refused before a folder is made.
    _settings(arguments, has_power=False)
    device = resolve_device(arguments.device)
    with device_meter(arguments.source, arguments.interval_ms, device) as (meter, no_power):
        new_folder(arguments.out)
        if no_power:
            _tell(f"cs3d: energy is not measured: {no_power}")
        try:
            results = measure(
                _settings(arguments, has_power=meter is not None),
                meter,
                no_power=no_power,
                interval_ms=arguments.interval_ms,
                command=_command(arguments.out),
                report=_tell,
                after=lambda results: write(results, arguments.out),
            )
        except BaseException:
            if any(arguments.out.iterdir()):
                _tell(f"cs3d: what was measured so far is in {arguments.out}")
            raise
    _plot(results, arguments.out)
    text = json.dumps(as_dict(results), indent=1) + "\n" if arguments.json else as_markdown(results)
    print(text, end="")
    return 0


def _settings(arguments: argparse.Namespace, *, has_power: bool) -> Settings:
    from cs3d_ros.reproduction.table1.settings import SECONDS, SECONDS_WITHOUT_POWER, settings

    seconds = arguments.seconds or (SECONDS if has_power else SECONDS_WITHOUT_POWER)
    return settings(
        device=arguments.device,
        precisions=arguments.precision,
        batches=arguments.batch,
        size=arguments.size,
        repeats=arguments.repeats,
        seconds=seconds,
        threads=arguments.threads,
    )


def _plot(results: Results, out: Path) -> None:
    """The picture, where it can be drawn: the measurement is not to end in an error."""
    from cs3d_ros.reproduction.table1.plot import write_plot

    try:
        write_plot(results, out / "table1.png")
    except Cs3dError as error:
        _tell(f"cs3d: no picture: {error}")


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _command(out: Path) -> str:
    """What was typed: the folder by its name alone."""
    return shlex.join(["cs3d", *(out.name if word == str(out) else word for word in sys.argv[1:])])
