"""Time each stage of recognition on a recording, in one run: decode, bin, infer, end to end.

    python3 bench/stages.py [--bag PATH] [--seconds S] [--json]

The stages take turns, so that a busy machine slows all of them alike; compare the ratios. Medians.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from cs3d_ros import events
from cs3d_ros.benchmark.engines import PAUSE_S
from cs3d_ros.benchmark.subject import lively
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.stream import EventStream
from cs3d_ros.events.tensors import DEFAULT_SIZE, bin_window
from cs3d_ros.events.windows import SlidingWindows, Window
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.network.engines.selection import AUTO
from cs3d_ros.recognizer import DEFAULT_HOP_MS, Recognizer
from cs3d_ros.recordings import open_recording
from timing import interleaved

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))
from recordings_data import DRAWN_FACE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bag", type=Path, default=DRAWN_FACE)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.bag, arguments.seconds)
    machine = f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    if arguments.json:
        print(json.dumps({"bag": str(arguments.bag), "machine": machine, "rows": rows}, indent=2))
    else:
        print(f"{arguments.bag.name} on {machine}\n")
        print(as_table(rows))


def measure(bag: Path, seconds: float) -> list[dict]:
    """One row a stage, with its median time for the events of one window, or of one hop."""
    with open_recording(bag) as recording:
        packets = [packet for _, packet in recording]
    events.warm_up()
    cs3d = Classifier(*lively("cs3d", DEFAULT_SIZE), engine=AUTO)
    c3d = Classifier(*lively("c3d", DEFAULT_SIZE), engine=AUTO)
    shipped = Classifier.from_checkpoint("shipped", engine=AUTO)
    window_ms = cs3d.card.window_ms
    window = busiest_window(packets, window_ms)
    roi = Roi.centred_square(packets[0].width, packets[0].height)
    tensor = bin_window(window, roi)
    small = bin_window(window, roi, size=shipped.card.size)
    payload_bytes = sum(len(p.payload) for p in packets)

    def decode() -> int:
        stream = EventStream()
        return sum(len(stream.feed(packet)) for packet in packets)

    def end_to_end() -> int:
        recognizer = Recognizer(shipped)
        return sum(1 for packet in packets for _ in recognizer.feed(packet))

    event_count, windows = decode(), end_to_end()
    stages: dict[str, Callable[[], object]] = {
        "decode": decode,
        "bin": lambda: bin_window(window, roi),
        "infer cs3d": lambda: cs3d.predict(tensor),
        "infer c3d": lambda: c3d.predict(tensor),
        "infer shipped": lambda: shipped.predict(small),
        "end to end": end_to_end,
    }
    times = interleaved(stages, seconds, PAUSE_S)
    once = ("bin", "infer cs3d", "infer c3d", "infer shipped")
    per_window_ms = {name: times[name] * 1e3 for name in once}
    # Decoding is done once per event, so that a window costs what one hop of events costs.
    per_window_ms["decode"] = times["decode"] * 1e3 / max(windows, 1)
    per_window_ms["end to end"] = times["end to end"] * 1e3 / max(windows, 1)
    notes = {
        "decode": f"{event_count / times['decode'] * 1e-6:.0f} M events/s, "
        f"{payload_bytes / times['decode'] * 1e-6:.0f} MB/s, "
        f"{times['decode'] * 1e6 / len(packets):.1f} us a packet",
        "bin": f"{window.event_count} events, {window.event_count / times['bin'] * 1e-6:.0f} "
        "M events/s",
        "infer cs3d": f"random weights, {cs3d.engine}, whole windows",
        "infer c3d": f"random weights, {c3d.engine}, whole windows",
        "infer shipped": f"{shipped.card.size} px, {shipped.engine}, whole windows",
        "end to end": f"shipped weights, {windows} windows of {shipped.card.window_ms:g} ms every "
        f"{DEFAULT_HOP_MS:g} ms",
    }
    return [
        {
            "stage": name,
            "median_ms": per_window_ms[name],
            "ratio_to_c3d": per_window_ms[name] / per_window_ms["infer c3d"],
            "note": notes[name],
        }
        for name in stages
    ]


def busiest_window(packets: list, window_ms: float) -> Window:
    stream = EventStream()
    windows = SlidingWindows(round(window_ms * 1e6), round(window_ms * 1e6), 10**9)
    found: list[Window] = []
    for packet in packets:
        decoded = stream.feed(packet)
        if stream.now_ns is not None:
            found += windows.push(decoded, stream.now_ns)
    if not found:
        raise SystemExit(f"the recording is shorter than a window of {window_ms:g} ms")
    return max(found, key=lambda window: window.event_count)


def as_table(rows: list[dict]) -> str:
    lines = [f"{'stage':<14}{'median':>12}{'of c3d':>9}  per window"]
    for row in rows:
        lines.append(
            f"{row['stage']:<14}{row['median_ms']:>9.3f} ms{row['ratio_to_c3d']:>9.4f}  "
            f"{row['note']}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
