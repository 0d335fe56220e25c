"""Render the embedded demo recording: somebody shows the six expressions, one after the other.

    python3 tools/make_demo_recording.py --facekit NPZ OUT

OUT becomes a rosbag2 folder (mcap) of EVT3 packets from a sensor of 112x112 pixels, with what is
true on /fer/label. NPZ is the morphable face; docs/faces.md tells how to get it. The person is
random-9001; of random people, facekit-7 has random-0000 to random-8135 at most.

Nothing is chosen by hand, nor by what a network makes of it: of the streams of 30 s that
`cs3d faces render --seed N` draws for N = 0, 1, 2, ..., it is the first that shows each of the six
expressions once, all of them in full, with neutral before, between and after. Blinks, head and lamp
are as that seed draws them for people in a laboratory, the venue of facekit-7.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import count

import numpy as np

from cs3d_ros.argument_types import path
from cs3d_ros.cli import main as cs3d
from cs3d_ros.errors import Cs3dError
from cs3d_ros.expressions import EXPRESSIONS, Course
from cs3d_ros.faces.acting.performance import draw_stream
from cs3d_ros.faces.acting.time_course import MICRO_TOTAL_S
from cs3d_ros.faces.acting.venues import LAB
from cs3d_ros.faces.rendering.facekit import load_facekit
from cs3d_ros.faces.take import DEFAULT_FRAMES_PER_S

SUBJECT = "random-9001"
LIGHT = "sufficient"
DURATION_S = 30.0
NEUTRAL_AFTER_S = 1.0


def first_seed(expression_names: Sequence[str]) -> int:
    """The first seed whose stream is as it should be; with facekit's names it is 22."""
    for seed in count():
        _, shown, _ = draw_stream(
            expression_names,
            np.random.default_rng(seed),
            duration_s=DURATION_S,
            frames_per_s=DEFAULT_FRAMES_PER_S,
            venue=LAB,
        )
        if is_complete(shown):
            return seed
    raise AssertionError


def is_complete(shown: Sequence[tuple[str, Course]]) -> bool:
    """Whether each of the six is shown once, in full, and neutral at the end.

    Micro-expressions are told by their length: nothing in full is shorter than the longest.
    """
    lengths_ns = [course.offset_ns - course.onset_ns for _, course in shown]
    return (
        sorted(name for name, _ in shown) == sorted(EXPRESSIONS[1:])
        and min(lengths_ns) > MICRO_TOTAL_S[1] * 1e9
        and shown[-1][1].offset_ns <= (DURATION_S - NEUTRAL_AFTER_S) * 1e9
    )


def main() -> int:
    """Find the seed and render."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--facekit", required=True, type=path, metavar="NPZ")
    parser.add_argument("target", metavar="OUT")
    arguments = parser.parse_args()
    try:
        seed = first_seed(load_facekit(arguments.facekit).expression_names)
    except Cs3dError as error:
        print(error, file=sys.stderr)
        return 1
    command = ["faces", "render", arguments.target, "--facekit", str(arguments.facekit)]
    command += ["--subject", SUBJECT, "--light", LIGHT, "--venue", LAB]
    command += ["--seed", str(seed), "--duration", f"{DURATION_S:g}"]
    print("cs3d", *command, flush=True)
    return cs3d(command)


if __name__ == "__main__":
    sys.exit(main())
