"""What the activity gate saves on a stream with pauses, and whether it costs an expression.

    python3 bench/gate.py DATA [--stretch-s 20] [--pause-s 20] [--light LIGHT] [--json]

DATA is a data set with continuous recordings, such as facekit-7. Those of its validation part, one
for each light, are cut about every 20 s where no expression is shown, and after each piece come
20 s of nothing but the noise of such a camera (the pixels of `cs3d events simulate` before a gray
wall). The shipped network runs over the recording as it is and over that stream, each without the
gate and with it, by the rule of the node, on one thread:

- gated: windows that the network was not shown
- CPU: time of the process for everything from packets to results, in s
- found: labelled expressions that a message says, from the onset to half a second after the offset
- missed, later: of those found without the gate, those not found with it, and those found later
- differ: messages that say something else with the gate
- alarms: rows of messages that say an expression which is not shown meanwhile
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from cs3d_ros.decision import LIVE_RULE, Decision
from cs3d_ros.evaluation.streams import GRACE_NS
from cs3d_ros.events.evt3_encoder import encode
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.events.stream import EventStream
from cs3d_ros.expressions import NEUTRAL
from cs3d_ros.network.classifier import SHIPPED, Classifier
from cs3d_ros.recognizer import Recognition, Recognizer
from cs3d_ros.recordings import Label, open_recording, read_labels
from cs3d_ros.simulation.emulator import Emulator
from cs3d_ros.simulation.settings import PRESETS

STEP_NS = 10_000_000
"""Length of a packet, and of a frame of the simulated camera."""
STAMP_NS = 1_700_000_000_000_000_000
GRAY = 128
COLUMNS = "t_ns", "x", "y", "p"
HEADER = (
    f"{'':<40}{'windows':>8}{'gated':>7}{'CPU':>14}{'found':>14}{'missed':>8}{'later':>7}"
    f"{'differ':>8}{'alarms':>10}"
)


def with_pauses(
    path: Path, light: str, stretch_ns: int, pause_ns: int
) -> tuple[list[EventPacket], list[Label]]:
    """The packets of a recording with pauses, and its labels but neutral, stamped alike."""
    events, size, offset_ns = recorded(path)
    labels = [
        moved_label(label, -offset_ns) for label in read_labels(path) if label.expression != NEUTRAL
    ]
    cuts = [0, *cuts_between(labels, stretch_ns, int(events.t_ns[-1])), int(events.t_ns[-1]) + 1]
    noise = emulated(light, size, (len(cuts) - 1) * pause_ns)
    pieces, stamped = [], []
    for k, (begin, end) in enumerate(pairwise(cuts)):
        moved_ns, noise_ns = k * pause_ns, k * pause_ns
        pieces.append(piece(events, begin, end, moved_ns))
        pieces.append(piece(noise, noise_ns, noise_ns + pause_ns, end + moved_ns - noise_ns))
        stamped += [
            moved_label(x, moved_ns + STAMP_NS) for x in labels if begin <= x.start_ns < end
        ]
    return packets(joined(pieces), size), stamped


def recorded(path: Path) -> tuple[Events, tuple[int, int], int]:
    """All events, in time from the first, the sensor's size and the ROS time of the first."""
    stream = EventStream()
    parts = []
    with open_recording(path) as recording:
        for _, packet in recording:
            parts.append(stream.feed(packet))
            size = packet.width, packet.height
    events = joined(parts)
    first_ns = int(events.t_ns[0])
    return piece(events, first_ns, 1 << 62, -first_ns), size, stream.ros_time_ns(first_ns)


def emulated(light: str, size: tuple[int, int], duration_ns: int) -> Events:
    """What a camera that looks at a wall makes of it."""
    camera = Emulator(PRESETS[light], size[1], size[0], seed=1)
    frame = np.full(size[::-1], GRAY, np.uint8)
    return joined(
        [Events.empty()] + [camera.feed(frame, t * 1e-9) for t in range(0, duration_ns, STEP_NS)]
    )


def cuts_between(labels: list[Label], stretch_ns: int, end_ns: int) -> list[int]:
    """The middles of neutral stretches, each at least `stretch_ns` after the one before."""
    cuts, since = [], 0
    for one, other in pairwise(labels):
        middle = (one.end_ns + other.start_ns) // 2
        if other.start_ns > one.end_ns and middle - since >= stretch_ns and middle < end_ns:
            cuts.append(middle)
            since = middle
    return cuts


def joined(parts: Sequence[Events]) -> Events:
    """One after the other, sorted by time."""
    t_ns, x, y, p = (np.concatenate([getattr(part, c) for part in parts]) for c in COLUMNS)
    order = np.argsort(t_ns, kind="stable")
    return Events(t_ns[order], x[order], y[order], p[order])


def piece(events: Events, begin_ns: int, end_ns: int, by_ns: int) -> Events:
    """The events of some time, which are sorted, at another time."""
    part = slice(*np.searchsorted(events.t_ns, (begin_ns, end_ns)))
    return Events(events.t_ns[part] + by_ns, events.x[part], events.y[part], events.p[part])


def moved_label(label: Label, by_ns: int) -> Label:
    start_ns, end_ns = label.start_ns + by_ns, label.end_ns + by_ns
    return replace(label, start_ns=max(start_ns, 0), end_ns=max(end_ns, 0))


def packets(events: Events, size: tuple[int, int]) -> list[EventPacket]:
    """EVT3 packets of 10 ms."""
    edges = np.arange(0, int(events.t_ns[-1]) + STEP_NS, STEP_NS)
    return [
        EventPacket(
            STAMP_NS + int(begin), "", *size, seq, 0, "evt3", False,
            encode(piece(events, int(begin), int(end), 0)),
        )
        for seq, (begin, end) in enumerate(pairwise(edges))
    ]  # fmt: skip


def run(
    classifier: Classifier, stream: list[EventPacket], gate: bool
) -> tuple[list[Recognition], float]:
    """The results, and the CPU time in s."""
    recognizer = Recognizer(
        classifier,
        decision=Decision(**LIVE_RULE),
        activity_gate=gate,
    )
    recognizer.warm_up()
    before = time.process_time()
    found = [recognition for packet in stream for recognition in recognizer.feed(packet)]
    return found, time.process_time() - before


def delays(results: list[Recognition], labels: list[Label]) -> list[int | None]:
    """From each onset to the first message that says the expression, in ns; None without one."""
    return [
        min(
            (
                r.stamp_ns - label.start_ns
                for r in results
                if r.expression == label.expression
                and label.start_ns <= r.stamp_ns <= label.end_ns + GRACE_NS
            ),
            default=None,
        )
        for label in labels
    ]


def alarms(results: list[Recognition], labels: list[Label]) -> int:
    count = 0
    for expression, group in groupby(results, key=lambda r: r.expression):
        stamps = [r.stamp_ns for r in group]
        count += expression != NEUTRAL and not any(
            label.expression == expression
            and label.start_ns <= stamps[-1]
            and stamps[0] <= label.end_ns + GRACE_NS
            for label in labels
        )
    return count


def compare(
    classifier: Classifier, stream: list[EventPacket], labels: list[Label]
) -> dict[str, object]:
    plain, plain_s = run(classifier, stream, False)
    gated, gated_s = run(classifier, stream, True)
    pairs = [
        (one, other)
        for one, other in zip(delays(plain, labels), delays(gated, labels), strict=True)
        if one is not None
    ]
    return {
        "windows": len(plain),
        "gated": sum(not r.inferred for r in gated),
        "cpu_s": (plain_s, gated_s),
        "shown": len(labels),
        "found": [sum(d is not None for d in delays(r, labels)) for r in (plain, gated)],
        "missed": sum(other is None for _, other in pairs),
        "later_ms": [(o - d) * 1e-6 for d, o in pairs if o is not None and o > d],
        "differ": sum(
            one.expression != other.expression for one, other in zip(plain, gated, strict=True)
        ),
        "alarms": [alarms(r, labels) for r in (plain, gated)],
    }


def as_line(name: str, row: dict) -> str:
    cpu, found, rows, shown = (row[k] for k in ("cpu_s", "found", "alarms", "shown"))
    return (
        f"{name:<40}{row['windows']:>8}{row['gated'] / row['windows']:>7.0%}"
        f"{f'{cpu[0]:.1f} > {cpu[1]:.1f}':>14}"
        f"{f'{found[0]} > {found[1]} of {shown}':>14}"
        f"{row['missed']:>8}{len(row['later_ms']):>7}{row['differ']:>8}"
        f"{f'{rows[0]} > {rows[1]}':>10}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--stretch-s", type=float, default=20.0)
    parser.add_argument("--pause-s", type=float, default=20.0)
    parser.add_argument("--light", choices=("sufficient", "insufficient"))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    lights = [arguments.light] if arguments.light else ["sufficient", "insufficient"]
    rows = {}
    if not arguments.json:
        print(HEADER)
    with Classifier.from_checkpoint(SHIPPED, threads=1) as classifier:
        for light in lights:
            path = arguments.data / "recordings" / f"validation-{light}-0"
            for name, stretch_s, pause_s in (
                (f"{light} light, as recorded", 1e9, 0.0),
                (f"{light} light, with pauses", arguments.stretch_s, arguments.pause_s),
            ):
                stream, labels = with_pauses(path, light, int(stretch_s * 1e9), int(pause_s * 1e9))
                rows[name] = compare(classifier, stream, labels)
                if not arguments.json:
                    print(as_line(name, rows[name]), flush=True)
    if arguments.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
