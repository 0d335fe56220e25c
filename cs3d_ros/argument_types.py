"""What several commands take as arguments, for argparse."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cs3d_ros.decision import Decision


def positive(text: str) -> float:
    """A number above 0.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def path(text: str) -> Path:
    """A path, with a leading ~ replaced.

    Raises:
        argparse.ArgumentTypeError: There is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def add_execution(parser: argparse.ArgumentParser, engine: str) -> None:
    """Add how a network is executed, with its default engine; see `execution_of`."""
    parser.add_argument(
        "--engine",
        default=engine,
        metavar="E",
        help="how the network is executed: torch, openvino, onnxruntime, torch-compile, "
        "cuda-graph, tensorrt, or auto for the fastest that works here (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        default="float32",
        metavar="P",
        help="float32, or on a GPU tf32, bfloat16 or float16 (default: float32)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default: all)")


def execution_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the arguments of `add_execution` say, for `Classifier.from_checkpoint`."""
    return {name: getattr(arguments, name) for name in ("device", "threads", "engine", "precision")}


def add_decision(
    group: argparse._ArgumentGroup,
    min_confidence: float = 0.0,
    smoothing_ms: float = 0.0,
    keep_confidence: float = 1.0,
) -> None:
    """Add the rule by which an expression is reported, with its defaults; see `decision_of`."""
    group.add_argument(
        "--min-confidence",
        type=float,
        default=min_confidence,
        metavar="P",
        help="an expression below this probability is reported as neutral (default: %(default)g)",
    )
    group.add_argument(
        "--min-messages",
        type=int,
        default=1,
        metavar="N",
        help="an expression is reported from its Nth window in a row on (default: 1)",
    )
    group.add_argument(
        "--smoothing-ms",
        type=float,
        default=smoothing_ms,
        metavar="T",
        help="time constant over which probabilities are smoothed; 0: not at all (default: "
        "%(default)g)",
    )
    group.add_argument(
        "--keep-confidence",
        type=float,
        default=keep_confidence,
        metavar="P",
        help="an expression that is reported stays so until its probability is below this; 1: not "
        "at all (default: %(default)g)",
    )


def decision_of(arguments: argparse.Namespace) -> Decision:
    """The rule that the arguments of `add_decision` ask for.

    Raises:
        DecisionError: A number out of its range.
    """
    from cs3d_ros.decision import Decision

    return Decision(
        arguments.min_confidence,
        arguments.min_messages,
        arguments.smoothing_ms,
        arguments.keep_confidence,
    )
