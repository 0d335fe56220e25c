"""The commands `cs3d events …`: what a recording holds, into other formats, as a picture."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cs3d_ros import simulation_cli
from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from cs3d_ros.recordings.convert import Conversion

# Each command imports what it needs, so that `cs3d --help` does not wait for it.

PATH_HELP = (
    "rosbag2 folder, .mcap or .db3; Prophesee .raw or .dat; .aedat4; .csv, .txt or .npz with events"
)


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `events` with its commands to the commands of `cs3d`."""
    events = commands.add_parser(
        "events",
        help="look into recordings of events, convert them, draw them, make them of videos",
        description="Look into recordings of events, convert them, draw them, make them of videos. "
        "No ROS needed.",
    )
    of_events = events.add_subparsers(required=True, metavar="COMMAND")

    summary = of_events.add_parser(
        "summary",
        help="counts, sums, rates and losses of a recording",
        description="Decode a whole recording and print what it holds. The exit status is 1 where "
        "nothing can be decoded or the file is damaged.",
    )
    _add_source(summary, "path", "PATH")
    summary.add_argument("--json", action="store_true", help="print one JSON object")
    summary.set_defaults(run=_summary)

    convert = of_events.add_parser(
        "convert",
        help="write a recording in another format or encoding",
        description="Write a recording in another format. Packets stay as they are wherever the "
        "output can hold them; triggers are lost where they are encoded anew or written to .csv "
        "or .npz. EVT3 says times modulo 16.8 s: the stamps of the packets keep the date. From bag "
        "to bag, labels on /fer/label go with the events, other topics do not. What is lost is "
        "told on stderr.",
    )
    _add_source(convert, "source", "IN")
    convert.add_argument(
        "target",
        metavar="OUT",
        help="what to write, by its suffix: .raw, .csv, .npz; without one (or with a slash at the "
        "end) a rosbag2 folder with mcap storage",
    )
    convert.add_argument(
        "--out-topic",
        default="/event_camera/events",
        metavar="T",
        help="topic in a bag that is written (default: %(default)s)",
    )
    convert.add_argument(
        "--encoding",
        metavar="E",
        help="encode packets anew: evt2 or evt3, in a bag also libcaer_cmp or mono (default: as "
        "they are, and evt3 for sources that have no encoding)",
    )
    convert.add_argument(
        "--overwrite",
        action="store_true",
        help="replace OUT if it is there already, a file or just one bag",
    )
    convert.set_defaults(run=_convert)

    plot = of_events.add_parser(
        "plot",
        help="draw event frames and the event rate as a PNG",
        description="Draw frames of events, evenly spread over the recording, and the event rate. "
        "Needs matplotlib: pip install matplotlib",
    )
    _add_source(plot, "path", "PATH")
    plot.add_argument(
        "--output", metavar="OUT.png", help="picture to write (default: named after PATH, here)"
    )
    plot.add_argument(
        "--frames", type=int, default=8, metavar="N", help="number of frames (default: 8)"
    )
    plot.add_argument(
        "--window-ms",
        type=_number,
        metavar="W",
        help="events of how many ms a frame shows (default: 33, less in short recordings)",
    )
    plot.add_argument(
        "--start", type=_number, default=0.0, metavar="S", help="seconds to skip (default: 0)"
    )
    plot.add_argument(
        "--duration", type=_number, metavar="D", help="seconds to draw (default: to the end)"
    )
    plot.set_defaults(run=_plot)

    simulation_cli.add_command(of_events)


def _add_source(parser: argparse.ArgumentParser, name: str, metavar: str) -> None:
    parser.add_argument(name, metavar=metavar, help=PATH_HELP)
    parser.add_argument("--topic", metavar="T", help="which topic, if several have events")


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, expected one such as 0.5")
    return value


def _summary(arguments: argparse.Namespace) -> int:
    from cs3d_ros.recordings.summary import as_text, summarize

    summary = summarize(arguments.path, arguments.topic)
    if arguments.json:
        print(json.dumps(dataclasses.asdict(summary)))
    else:
        print(arguments.path)
        print(as_text(summary))
    if summary.damage is not None:
        raise Cs3dError(f"{summary.damage}; summed up are the packets before")
    if summary.bad_packets:
        _remark_or_raise(
            summary.bad_packets, summary.messages, summary.last_error or "", arguments.path
        )
    return 0


def _remark_or_raise(bad: int, packets: int, last_error: str, path: str) -> None:
    """Say on stderr that packets are bad; an error if all are."""
    reason = f"{bad} of {packets} packets could not be decoded; the last: {last_error}"
    if bad == packets:
        raise Cs3dError(f"{path}: {reason}")
    print(f"cs3d: {reason}", file=sys.stderr)


def _convert(arguments: argparse.Namespace) -> int:
    from cs3d_ros.recordings.convert import convert

    conversion = convert(
        arguments.source,
        arguments.target,
        topic=arguments.topic,
        out_topic=arguments.out_topic,
        encoding=arguments.encoding,
        overwrite=arguments.overwrite,
    )
    print(f"{arguments.source} -> {arguments.target}")
    print(
        f"{conversion.packets:,} packets, {conversion.events:,} events, {_encodings(conversion)}, "
        f"{conversion.bytes_in:,} bytes -> {conversion.bytes_out:,} bytes"
    )
    for remark in conversion.remarks():
        print(f"cs3d: {remark}", file=sys.stderr)
    return 0


def _encodings(conversion: Conversion) -> str:
    before = ", ".join(conversion.encodings_in) or "no encoding"
    after = ", ".join(conversion.encodings_out)
    if before == after:
        return f"{before} as it was"
    return f"{before} -> {after}" if after else f"decoded from {before}"


def _plot(arguments: argparse.Namespace) -> int:
    from cs3d_ros.recordings.plot import check_output, draw
    from cs3d_ros.recordings.preview import make_preview
    from cs3d_ros.recordings.recording import expanded

    source = expanded(arguments.path).resolve()
    name = source.name if source.is_dir() else source.stem
    output = expanded(arguments.output) if arguments.output else Path(f"{name or 'recording'}.png")
    check_output(output)
    preview = make_preview(
        arguments.path,
        arguments.topic,
        frames=arguments.frames,
        window_ns=_ns(arguments.window_ms, 1e6),
        start_ns=_ns(arguments.start, 1e9) or 0,
        duration_ns=_ns(arguments.duration, 1e9),
    )
    draw(preview, source.name, output)
    print(f"{output}: {preview.events:,} events in {len(preview.frames)} frames and a rate curve")
    if preview.summary.damage is not None:
        raise Cs3dError(f"{preview.summary.damage}; drawn are the packets before")
    return 0


def _ns(value: float | None, unit_ns: float) -> int | None:
    return None if value is None else round(value * unit_ns)
