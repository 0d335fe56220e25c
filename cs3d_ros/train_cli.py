"""The command `cs3d train`: from a data set to weights."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shlex
import sys
from typing import TYPE_CHECKING, Any

from cs3d_ros.argument_types import path, positive

if TYPE_CHECKING:
    from pathlib import Path

    from cs3d_ros.training.settings import TrainingSettings

# The command imports what it needs, so that `cs3d --help` does not wait for torch.

_DESCRIPTION = """\
Train a network on a data set of event clips, and keep the weights that do best on its validation
part. OUT/checkpoint.safetensors is what `cs3d recognize` and the ROS node take as a checkpoint.

Interrupt it whenever you like: the same command goes on after the last epoch that was finished,
and comes to the same result. OUT/metrics.csv has a line an epoch; `tensorboard --logdir OUT/logs`
draws them. docs/training.md tells how long it takes, and how to use several GPUs."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `train` to the commands of `cs3d`."""
    train = commands.add_parser(
        "train",
        help="train a network on a data set of event clips",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    train.add_argument("data", type=path, metavar="DATA", help="the data set; see cs3d dataset")
    train.add_argument(
        "out", type=path, metavar="OUT", help="folder for the weights: new, or to go on in"
    )
    begin = train.add_mutually_exclusive_group()
    begin.add_argument(
        "--preset",
        metavar="NAME",
        help="the settings to begin with: paper (the paper's protocol, the default) or tuned (for "
        "a CPU, nearly as the weights that ship were trained); what follows changes them",
    )
    begin.add_argument(
        "--settings", type=path, metavar="JSON", help="those of another run: its settings.json"
    )
    _add_what(train.add_argument_group("what is trained"))
    _add_how(train.add_argument_group("how"))
    _add_where(train.add_argument_group("where"))
    train.add_argument(
        "--no-resume", action="store_true", help="refuse to go on with a run that is in OUT"
    )
    train.add_argument(
        "--json", action="store_true", help="print the result as one JSON object on stdout"
    )
    train.set_defaults(run=_train)


def _add_what(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--network", metavar="NAME", help="cs3d, c3d, rnn, lstm, transformer, …")
    group.add_argument(
        "--option",
        action="append",
        default=[],
        type=_option,
        metavar="NAME=VALUE",
        help="an option of the network, such as classifier=mlp; may be given several times",
    )
    group.add_argument(
        "--representation",
        metavar="NAME",
        help="how events become a tensor: on_off_recency, polarity_counts, …",
    )
    group.add_argument(
        "--window-ms", type=positive, metavar="W", help="length of a window in milliseconds"
    )
    group.add_argument(
        "--rise-share",
        type=float,
        metavar="R",
        help="share of the windows showing an expression that are drawn about its rise, 0 to 1; "
        "0: anywhere in it",
    )
    group.add_argument(
        "--background-activity-us",
        type=int,
        metavar="T",
        help="let the events through a filter that takes one alone for this long for noise; the "
        "network brings it along wherever it is used; 0: none",
    )
    group.add_argument(
        "--size",
        dest="sizes",
        type=_sizes,
        metavar="SIZES",
        help="rows and columns of the input: 112, or 56,112@24 for 56 at first and 112 from "
        "epoch 24 on (the first is epoch 0)",
    )
    group.add_argument(
        "--initial", type=path, metavar="F", help="begin with the weights of this checkpoint"
    )


def _add_how(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--epochs", type=int, metavar="N", help="how often all clips are seen")
    group.add_argument("--batch", type=int, metavar="N", help="windows to a step")
    group.add_argument(
        "--micro-batch",
        type=int,
        metavar="N",
        help="windows that go through the network together: 4 is fastest on a few CPU cores; on a "
        "GPU as many as fit",
    )
    group.add_argument("--learning-rate", type=positive, metavar="R", help="of Adam; the largest")
    group.add_argument("--schedule", metavar="NAME", help="constant or one-cycle")
    group.add_argument("--weight-decay", type=float, metavar="D", help="0 for none")
    group.add_argument("--label-smoothing", type=float, metavar="S", help="0 for none")
    group.add_argument(
        "--gradient-clip", type=float, metavar="G", help="largest norm of the gradient; 0: any"
    )
    group.add_argument(
        "--augmentation", metavar="NAME", help="none, mild, spiking-fer, eventdrop, …"
    )
    group.add_argument(
        "--patience",
        type=int,
        metavar="N",
        help="stop after N epochs that were no better on the validation part, 0: never; "
        "one-cycle always runs to its end",
    )
    group.add_argument(
        "--clips", type=int, metavar="N", help="train on N clips of the data set only; 0: all"
    )
    group.add_argument(
        "--seed", type=int, metavar="S", help="another one gives another network; default: 0"
    )


def _add_where(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--device", metavar="D", help="auto, cpu, cuda or cuda:N")
    group.add_argument(
        "--precision",
        metavar="P",
        help="32-true, bf16-matmul (faster on a CPU with AMX), or bf16-mixed (faster on a GPU)",
    )
    group.add_argument("--threads", type=int, metavar="N", help="CPU threads; 0: all")
    group.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="processes that prepare windows: 0 on a CPU, about 8 to keep a GPU busy",
    )


def _option(text: str) -> tuple[str, Any]:
    """The name and the value of an option; numbers, true and false as JSON writes them."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not an option; expected NAME=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _sizes(text: str) -> tuple[tuple[int, int], ...]:
    """The sizes with their first epochs."""
    pairs = []
    try:
        for place, part in enumerate(text.split(",")):
            size, at, epoch = part.partition("@")
            if not at and place:
                raise ValueError
            pairs.append((int(epoch) if at else 0, int(size)))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} are no sizes; expected one such as 112, or 56,112@24 with the epochs that "
            "the others begin in"
        ) from None
    return tuple(pairs)


def _train(arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.engines import GO_ON
    from cs3d_ros.training.train import train

    settings = _settings(arguments)
    is_first = os.environ.get("RANK", "0") == "0"
    try:
        result = train(
            arguments.data,
            arguments.out,
            settings,
            resume=not arguments.no_resume,
            initial=arguments.initial,
            command=_command(arguments),
            report=_tell if arguments.json else print,
        )
    except (KeyboardInterrupt, SystemExit):
        if is_first:
            print(f"cs3d: {arguments.out}: interrupted; {GO_ON}", file=sys.stderr)
        raise
    if not is_first:
        return 0
    if arguments.json:
        content = {**dataclasses.asdict(result), "checkpoint": str(result.checkpoint)}
        print(json.dumps(content, indent=1))
    else:
        print(
            f"{result.checkpoint}: {result.validation_accuracy:.1%} of the validation part, of "
            f"epoch {result.best_epoch}; {result.epochs} epochs in {result.seconds / 60:.0f} min "
            f"on {result.machine}"
        )
    return 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr)


def _settings(arguments: argparse.Namespace) -> TrainingSettings:
    """The preset or the file, changed by the arguments that were given."""
    from cs3d_ros.training.settings import TrainingSettings, preset

    if arguments.settings is None:
        base = preset(arguments.preset or "paper")
    else:
        base = _read_settings(arguments.settings)
    names = {f.name for f in dataclasses.fields(TrainingSettings)}
    given = {k: v for k, v in vars(arguments).items() if k in names and v is not None}
    if "network" in given and given["network"] != base.network:
        # The options are those of another network.
        given["options"] = {}
    if arguments.option:
        given["options"] = {**given.get("options", base.options), **dict(arguments.option)}
    return dataclasses.replace(base, **given)


def _read_settings(file: Path) -> TrainingSettings:
    from cs3d_ros.training.errors import TrainingError
    from cs3d_ros.training.settings import TrainingSettings

    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read as settings ({error})") from None
    if isinstance(content, dict) and isinstance(content.get("settings"), dict):
        content = content["settings"]
    return TrainingSettings.from_dict(content)


def _command(arguments: argparse.Namespace) -> str:
    """What was typed, to be kept with the weights: files by their names alone."""
    files = {str(p): p.name for p in vars(arguments).values() if hasattr(p, "name")}
    return shlex.join(["cs3d", *(files.get(word, word) for word in sys.argv[1:])])
