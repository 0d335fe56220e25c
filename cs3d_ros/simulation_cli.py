"""The command `cs3d events simulate`: a video to events."""

from __future__ import annotations

import argparse
import re
import sys
from typing import TYPE_CHECKING

from cs3d_ros.argument_types import positive
from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from cs3d_ros.simulation.simulate import Simulation

# The command imports what it needs, so that `cs3d --help` does not wait for it.

_LIGHTS = ("sufficient", "insufficient", "clean")


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `simulate` to the commands of `cs3d events`."""
    simulate = commands.add_parser(
        "simulate",
        help="make the events that a camera would have sent of a video",
        description="Make the events that an event camera would have sent of what a video shows, "
        "by the pixel model of v2e. Slow videos are interpolated by optical flow. The same video, "
        "options and seed make the same bytes.",
    )
    simulate.add_argument(
        "video", metavar="VIDEO", help="video file, or folder of numbered pictures"
    )
    simulate.add_argument(
        "target",
        metavar="OUT",
        help="what to write, by its suffix: .raw, .csv, .npz; without one (or with a slash at the "
        "end) a rosbag2 folder with mcap storage",
    )
    simulate.add_argument(
        "--light",
        choices=_LIGHTS,
        default="sufficient",
        help="sufficient, insufficient (slow and noisy pixels) or clean (no noise at all; default: "
        "%(default)s)",
    )
    simulate.add_argument(
        "--seed", type=_seed, default=0, metavar="N", help="of the randomness (default: 0)"
    )
    simulate.add_argument(
        "--size",
        type=_size,
        metavar="WxH",
        help="pixels of the sensor: the largest centred part of that shape is scaled to it "
        "(default: as the video)",
    )
    simulate.add_argument(
        "--frame-rate",
        type=positive,
        metavar="R",
        help="interpolate to at least R frames per second, and to more where something moves by "
        "more than a pixel from one to the next (default: 300)",
    )
    simulate.add_argument(
        "--video-rate",
        type=positive,
        metavar="R",
        help="frames per second of VIDEO; needed for a folder, replaces the time stamps of a file",
    )
    simulate.add_argument(
        "--slow-motion",
        type=positive,
        default=1.0,
        metavar="F",
        help="VIDEO plays F times slower than the truth, as high-speed recordings do",
    )
    simulate.add_argument(
        "--overwrite",
        action="store_true",
        help="replace OUT if it is there already, a file or just one bag",
    )
    simulate.set_defaults(run=_simulate)


def _seed(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,30}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})[xX×]([0-9]{1,6})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size, expected one such as 112x112")
    return int(match[1]), int(match[2])


def _simulate(arguments: argparse.Namespace) -> int:
    from cs3d_ros.extras import load_extra

    load_extra("cv2", "train")
    from cs3d_ros.simulation.settings import PRESETS
    from cs3d_ros.simulation.simulate import simulate
    from cs3d_ros.simulation.upsampling import DEFAULT_RATE

    done = simulate(
        arguments.video,
        arguments.target,
        settings=PRESETS[arguments.light],
        seed=arguments.seed,
        size=arguments.size,
        frame_rate=arguments.frame_rate or DEFAULT_RATE,
        video_rate=arguments.video_rate,
        slow_motion=arguments.slow_motion,
        overwrite=arguments.overwrite,
    )
    print(f"{arguments.video} -> {arguments.target}")
    print(_as_text(done))
    for remark in done.remarks():
        print(f"cs3d: {remark}", file=sys.stderr)
    if done.damage is not None:
        raise Cs3dError(f"{done.damage}; simulated is what could be decoded")
    return 0


def _as_text(done: Simulation) -> str:
    rate = done.events / done.duration_s
    return (
        f"{done.width}x{done.height}, {done.frames:,} frames and {done.frames_between:,} between "
        f"them, {done.duration_s:.3f} s, {done.events:,} events ({done.on / done.events:.1%} ON), "
        f"{rate:,.0f} events/s"
    )
