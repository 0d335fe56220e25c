"""The command line: `cs3d …`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import cs3d_ros
from cs3d_ros import (
    bench_cli,
    dataset_cli,
    energy_cli,
    evaluate_cli,
    events_cli,
    export_cli,
    faces_cli,
    reproduce_cli,
    train_cli,
)
from cs3d_ros.argument_types import add_decision, add_execution, decision_of, execution_of
from cs3d_ros.decision import LIVE_RULE
from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

    from cs3d_ros.recognizer import Recognition

# Each command imports what it needs, so that `cs3d --help` does not wait for torch.


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Returns:
        Exit status: 0 success, 1 bad input (one line on stderr says which), 2 wrong usage, 130
        interrupted by Ctrl-C.

    Raises:
        SystemExit: Wrong usage; or SIGTERM or SIGHUP, with 128 and its number, after what was half
            written has been removed.
    """
    arguments = _parser().parse_args(argv)
    try:
        with _orderly_end():
            status: int = arguments.run(arguments)
            sys.stdout.flush()
    except Cs3dError as error:
        print(f"cs3d: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader, such as `head`, has seen enough. Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return status


@contextmanager
def _orderly_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as an exception does, with all its cleaning up."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # Whoever ignores one, as nohup does, goes on ignoring it.
    caught = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) == signal.SIG_DFL
    ]

    def end(number: int, _: FrameType | None) -> None:
        # A second one would interrupt the cleaning up.
        for other in caught:
            signal.signal(other, signal.SIG_IGN)
        raise SystemExit(128 + number)

    for number in caught:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in caught:
            signal.signal(number, signal.SIG_DFL)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="cs3d", description="Facial expressions from event cameras with the CS3D network."
    )
    parser.add_argument("--version", action="version", version=f"cs3d_ros {cs3d_ros.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    complexity = commands.add_parser(
        "complexity", help="operations and parameters of the networks, by THOP"
    )
    complexity.add_argument("--json", action="store_true", help="print a JSON list")
    complexity.set_defaults(run=_complexity)

    recognize = commands.add_parser(
        "recognize", help="recognise expressions in a recording, without ROS"
    )
    recognize.add_argument("path", help=events_cli.PATH_HELP, metavar="PATH")
    recognize.add_argument(
        "--checkpoint",
        default="shipped",
        metavar="F",
        help="weights (.safetensors); 'shipped' for those of this package, 'untrained' for random "
        "ones (default: shipped)",
    )
    recognize.add_argument("--topic", help="which topic, if several have events")
    recognize.add_argument(
        "--window-ms", type=float, metavar="W", help="length of a window (default: the network's)"
    )
    recognize.add_argument(
        "--hop-ms", type=float, metavar="H", help="from one window to the next (default: 100)"
    )
    recognize.add_argument(
        "--roi",
        type=_roi,
        metavar="X,Y,W,H",
        help="region of the sensor in pixels, or the word 'activity' to follow what moves "
        "(default: the largest centred square)",
    )
    recognize.add_argument(
        "--hot-pixel-learning-s",
        type=float,
        default=0.0,
        metavar="S",
        help="learn hot pixels for this long and mask them (default: off)",
    )
    recognize.add_argument(
        "--refractory-us",
        type=int,
        default=0,
        metavar="T",
        help="a pixel rests for this long after each event (default: off)",
    )
    recognize.add_argument(
        "--background-activity-us",
        type=int,
        metavar="T",
        help="an event alone for this long is noise; 0: off (default: as the network was trained)",
    )
    reported = recognize.add_argument_group("what is reported")
    add_decision(reported, **LIVE_RULE)
    add_execution(recognize, "auto")
    recognize.add_argument(
        "--activity-gate",
        action="store_true",
        help="do not run the network on windows of nothing but noise: say the last result again",
    )
    recognize.add_argument("--json", action="store_true", help="print one JSON object a line")
    recognize.set_defaults(run=_recognize)

    events_cli.add_commands(commands)
    faces_cli.add_commands(commands)
    dataset_cli.add_commands(commands)
    train_cli.add_commands(commands)
    evaluate_cli.add_commands(commands)
    reproduce_cli.add_commands(commands)
    export_cli.add_commands(commands)
    energy_cli.add_commands(commands)
    bench_cli.add_commands(commands)
    return parser


def _roi(text: str) -> tuple[int, ...]:
    """The numbers of a region; none to follow the activity."""
    if text == "activity":
        return ()
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a region; expected four whole numbers: X,Y,WIDTH,HEIGHT, or the word "
            "activity"
        ) from None
    return x, y, width, height


def _complexity(arguments: argparse.Namespace) -> int:
    from cs3d_ros.network import complexity

    rows = complexity.table()
    if arguments.json:
        print(json.dumps(complexity.as_dicts(rows), indent=2))
    else:
        print(complexity.as_text(rows))
    return 0


def _recognize(arguments: argparse.Namespace) -> int:
    from cs3d_ros.events.activity import ActivitySettings
    from cs3d_ros.events.noise import NoiseSettings
    from cs3d_ros.events.packets import PacketError
    from cs3d_ros.events.roi import Roi, RoiError
    from cs3d_ros.network.classifier import Classifier
    from cs3d_ros.recognizer import DEFAULT_HOP_MS, Recognizer
    from cs3d_ros.recordings import open_recording

    options = {"window_ms": arguments.window_ms}
    if arguments.hop_ms is not None:
        options["hop_ms"] = arguments.hop_ms
    with open_recording(arguments.path, arguments.topic) as recording:
        hop_ms = arguments.hop_ms or DEFAULT_HOP_MS
        classifier = Classifier.from_checkpoint(
            arguments.checkpoint, **execution_of(arguments), hop_ms=hop_ms
        )
        roi: Roi | ActivitySettings | None = None
        if arguments.roi is not None:
            roi = Roi(*arguments.roi) if arguments.roi else ActivitySettings()
        background_activity_us = arguments.background_activity_us
        if background_activity_us is None:
            background_activity_us = classifier.card.background_activity_us
        noise = NoiseSettings(
            hot_pixel_learning_s=arguments.hot_pixel_learning_s,
            refractory_us=arguments.refractory_us,
            background_activity_us=background_activity_us,
        )
        recognizer = Recognizer(
            classifier,
            roi=roi,
            noise=noise,
            decision=decision_of(arguments),
            activity_gate=arguments.activity_gate,
            **options,
        )
        recognizer.warm_up()
        recognised, skipped, last_error = 0, 0, ""
        for _, packet in recording:
            try:
                for recognition in recognizer.feed(packet):
                    print(_as_json(recognition) if arguments.json else _as_text(recognition))
                    recognised += 1
            except (PacketError, RoiError) as error:
                skipped, last_error = skipped + 1, str(error)
    counters = recognizer.stream.counters
    print(
        f"{recognised} windows recognised by {classifier.name} in {counters.packets} packets; "
        f"{skipped} packets skipped, {counters.packets_lost} lost",
        file=sys.stderr,
    )
    if skipped:
        reason = f"{skipped} packets could not be decoded; the last: {last_error}"
        if not recognised:
            raise Cs3dError(reason)
        print(f"cs3d: {reason}", file=sys.stderr)
    if not recognised:
        raise Cs3dError(
            f"{arguments.path} holds no whole window of "
            f"{recognizer.windows.duration_ns * 1e-6:g} ms; try a shorter one with --window-ms"
        )
    return 0


def _as_json(recognition: Recognition) -> str:
    return json.dumps(
        {
            "stamp_ns": recognition.stamp_ns,
            "expression": recognition.expression,
            "confidence": None if math.isnan(confidence := recognition.confidence) else confidence,
            "probabilities": dict(zip(recognition.labels, recognition.probabilities, strict=True)),
            "event_count": recognition.event_count,
            "inference_ms": recognition.inference_ms,
            "age_ms": recognition.age_ns * 1e-6,
            "packets_lost": recognition.packets_lost,
            "roi": dataclasses.asdict(recognition.roi),
            "model": recognition.model,
        }
    )


def _as_text(recognition: Recognition) -> str:
    return (
        f"{recognition.stamp_ns * 1e-9:.3f}  {recognition.expression:<10} "
        f"{recognition.confidence:4.2f}  {recognition.event_count:>8} events  "
        f"{recognition.inference_ms:6.1f} ms  {recognition.model}"
    )


if __name__ == "__main__":
    sys.exit(main())
