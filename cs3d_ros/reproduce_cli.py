"""The command `cs3d reproduce`: the paper's tables on data sets of this package."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from typing import TYPE_CHECKING

from cs3d_ros import table1_cli
from cs3d_ros.argument_types import names, path
from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from cs3d_ros.reproduction.study import Study
    from cs3d_ros.training.settings import TrainingSettings

# The command imports what it needs, so that `cs3d --help` does not wait for torch.

_TABLES = {
    "table2": "rnn, transformer, lstm, c3d and cs3d",
    "table3": "augmentations of events, on cs3d",
    "table4": "c3d with one part of cs3d at a time, with operations",
    "forks": "what the paper leaves open, one change of cs3d at a time, judged on the validation "
    "part",
}

_DESCRIPTION = """\
Train and test all networks of a table of the paper by one protocol, over several seeds, and set the
paper's figures beside the results.

{table}: {what}

OUT/{table}.md has the table, OUT/{table}.json all numbers, OUT/{table}.png a picture. Interrupt it
whenever you like: the same command goes on, and repeats no run that is finished. A row has numbers
when all of its seeds are finished. docs/reproduction.md tells how long it takes."""


_HOW = ("epochs", "clips", "size", "batch", "micro_batch", "precision")
_WHERE = ("device", "threads", "workers")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `reproduce` to the commands of `cs3d`."""
    reproduce = commands.add_parser(
        "reproduce",
        help="the paper's tables: what was measured here beside the paper's figures",
        description="The paper's tables: what is measured here beside the paper's figures.",
    )
    tables = reproduce.add_subparsers(required=True, metavar="TABLE")
    table1_cli.add_table(tables)
    for table, what in _TABLES.items():
        _add_table(tables, table, what)


def _add_table(
    tables: argparse._SubParsersAction[argparse.ArgumentParser], table: str, what: str
) -> None:
    """Add a table whose networks are trained."""
    reproduce = tables.add_parser(
        table,
        help=what,
        description=_DESCRIPTION.format(table=table, what=what),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    reproduce.add_argument(
        "--data",
        type=path,
        action="append",
        required=True,
        metavar="DATA",
        help="a data set (see cs3d dataset); may be given several times",
    )
    reproduce.add_argument(
        "--out", type=path, required=True, metavar="OUT", help="folder: new, or to go on in"
    )
    reproduce.add_argument(
        "--seeds", type=_seeds, default=(0, 1, 2), metavar="S,…", help="default: 0,1,2"
    )
    reproduce.add_argument(
        "--only",
        type=names,
        default=(),
        metavar="NAME,…",
        help="do these rows only, such as c3d,cs3d; of forks also groups, such as threshold",
    )
    reproduce.add_argument(
        "--json", action="store_true", help="print all numbers as JSON on stdout"
    )
    _add_how(reproduce.add_argument_group("how all rows are trained"))
    _add_where(reproduce.add_argument_group("where"))
    reproduce.set_defaults(run=_reproduce, table=table)


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--protocol",
        default="paper",
        metavar="NAME",
        help="paper (Adam, 1e-4, batch 16, 112 px; the default), tuned (56 px, for a CPU), "
        "or quick (small pictures and few clips, for a CPU); what follows changes it",
    )
    group.add_argument("--epochs", type=int, metavar="N", help="how often all clips are seen")
    group.add_argument("--clips", type=int, metavar="N", help="train on N clips only; 0: all")
    group.add_argument(
        "--size", type=int, metavar="S", help="rows and columns of the input, 32 to 224"
    )
    group.add_argument("--batch", type=int, metavar="N", help="windows to a step")
    group.add_argument(
        "--micro-batch",
        type=int,
        metavar="N",
        help="windows that go through the network together; on a GPU as many as --batch",
    )
    group.add_argument(
        "--precision",
        metavar="P",
        help="32-true, bf16-matmul (faster on a CPU with AMX), or bf16-mixed (faster on a GPU)",
    )


def _add_where(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", metavar="D", help="auto, cpu, cuda or cuda:N")
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads; 0: all")
    group.add_argument(
        "--workers", type=int, metavar="N", help="processes that prepare windows: 0 on a CPU"
    )


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(int(part) for part in text.split(","))
    except ValueError:
        seeds = ()
    if not seeds or min(seeds) < 0:
        raise argparse.ArgumentTypeError(
            f"{text!r} are no seeds; expected whole numbers from 0 on with commas, such as 0,1,2"
        )
    return seeds


def _reproduce(arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.engines import GO_ON
    from cs3d_ros.reproduction.output import as_dict, as_markdown, write
    from cs3d_ros.reproduction.study import Reproduction
    from cs3d_ros.reproduction.tables import table_of

    settings = _settings(arguments)
    reproduction = Reproduction(
        table_of(arguments.table, settings),
        arguments.protocol,
        settings,
        arguments.data,
        arguments.out,
        arguments.seeds,
        arguments.only,
        _command(arguments),
    )
    # What cannot be written is found out before hours of training.
    write(reproduction.study(), arguments.out)
    try:
        study = reproduction.go(report=_tell, after=lambda study: write(study, arguments.out))
    except (KeyboardInterrupt, SystemExit):
        _tell(f"cs3d: {arguments.out}: interrupted; {GO_ON}")
        raise
    write(study, arguments.out)
    _plot(study, arguments)
    text = json.dumps(as_dict(study), indent=1) + "\n" if arguments.json else as_markdown(study)
    print(text, end="")
    if study.failures:
        n = len(study.failures)
        raise Cs3dError(
            f"{'one run' if n == 1 else f'{n} runs'} failed and the table is without: "
            f"{study.failures[0]}{f'; and {n - 1} more' if n > 1 else ''}"
        )
    return 0


def _plot(study: Study, arguments: argparse.Namespace) -> None:
    """The picture, where it can be drawn: hours of training are not to end in an error."""
    from cs3d_ros.reproduction.plot import write_plot

    try:
        write_plot(study, arguments.out / f"{study.table.name}.png")
    except Cs3dError as error:
        _tell(f"cs3d: no picture: {error}")


def _settings(arguments: argparse.Namespace) -> TrainingSettings:
    from cs3d_ros.reproduction.protocols import protocol

    return protocol(
        arguments.protocol, **{name: getattr(arguments, name) for name in (*_HOW, *_WHERE)}
    )


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _command(arguments: argparse.Namespace) -> str:
    """What was typed: files by their names alone."""
    files = {str(p): p.name for p in (*arguments.data, arguments.out)}
    return shlex.join(["cs3d", *(files.get(word, word) for word in sys.argv[1:])])
