"""What the noise filters remove and keep of events whose origin is known, and how fast they are.

    python3 bench/noise.py [--bag PATH ...] [--json]

A drawn face moves over 640x480 pixels (see test/moving_source.py) amid noise that is even and
random, and 20 hot pixels at 1 kHz. With --bag, also how much of real recordings is removed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from cs3d_ros.events import noise
from cs3d_ros.events.noise import NoiseFilter, NoiseSettings
from cs3d_ros.events.packets import Events
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import open_recording
from timing import interleaved

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))
from moving_source import HOT, NOISE, SIGNAL, Scene, face, packets

SECONDS = 4.0
LEARNING_S = 1.0
SETTINGS = {
    "hot pixels 1 s": NoiseSettings(hot_pixel_learning_s=LEARNING_S),
    "refractory 1 ms": NoiseSettings(refractory_us=1_000),
    "refractory 10 ms": NoiseSettings(refractory_us=10_000),
    "background 1 ms": NoiseSettings(background_activity_us=1_000),
    "background 5 ms": NoiseSettings(background_activity_us=5_000),
    "background 20 ms": NoiseSettings(background_activity_us=20_000),
    "all: 1 s, 1 ms, 5 ms": NoiseSettings(LEARNING_S, 1_000, 5_000),
}
Chunks = list[Events]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bag", type=Path, nargs="*", default=[])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    noise.warm_up()
    rows = [row for noise_hz in (0.1, 1.0, 5.0) for row in known(noise_hz)]
    bags = [row for bag in arguments.bag for row in recorded(bag)]
    if arguments.json:
        print(json.dumps({"known": rows, "recorded": bags}, indent=2))
        return
    print("removed after the first second\n")
    print(f"{'noise':>8}  {'filter':<22}{'signal':>8}{'noise':>8}{'hot':>8}{'M events/s':>12}")
    for row in rows:
        print(
            f"{row['noise_hz']:>5g} Hz  {row['filter']:<22}{row['signal']:>8.1%}"
            f"{row['noise']:>8.1%}{row['hot']:>8.1%}{row['m_events_per_s']:>12.0f}"
        )
    for row in bags:
        print(f"{row['bag']:<24}{row['filter']:<22}{row['removed']:>8.1%}  {row['note']}")


def known(noise_hz: float) -> list[dict]:
    """One row a filter: which fraction of each kind of event it removes."""
    path = [(0, 160, 220, 260, 0), (2, 480, 260, 260, 1), (4, 160, 240, 260, 0)]
    scene = Scene(640, 480, SECONDS, [face(path)], noise_hz=noise_hz, hot=20)
    events, labels = scene.events()
    # Who is who survives the filters in the unused bits of the polarity.
    events.p[:] |= labels << 1
    chunks = [chunk for chunk, _ in packets(events, SECONDS)]
    kinds = (SIGNAL, NOISE, HOT)
    given = np.bincount(labels[events.t_ns >= LEARNING_S * 1e9], minlength=len(kinds))
    rows = []
    for name, settings in SETTINGS.items():
        left = [kept for kept in filtered(settings, 640, 480, chunks) if len(kept)]
        late = np.concatenate([kept.p[kept.t_ns >= LEARNING_S * 1e9] for kept in left])
        removed = 1.0 - np.bincount(late >> 1, minlength=len(kinds)) / given
        rows.append(
            {
                "noise_hz": noise_hz,
                "filter": name,
                "signal": removed[SIGNAL],
                "noise": removed[NOISE],
                "hot": removed[HOT],
                "m_events_per_s": speed(settings, 640, 480, chunks),
            }
        )
    return rows


def recorded(bag: Path) -> list[dict]:
    """One row a filter: which fraction of a recording's events it removes."""
    stream = EventStream()
    with open_recording(bag) as recording:
        packets_ = [packet for _, packet in recording]
    chunks = [stream.feed(packet) for packet in packets_]
    width, height = packets_[0].width, packets_[0].height
    total = sum(len(chunk) for chunk in chunks)
    seconds = (stream.now_ns - min(int(c.t_ns.min()) for c in chunks if len(c))) * 1e-9
    note = f"of {total} events in {seconds:.2f} s, {width}x{height}"
    rows = []
    for name, settings in SETTINGS.items():
        kept = sum(len(chunk) for chunk in filtered(settings, width, height, chunks))
        removed = 1.0 - kept / total
        rows.append({"bag": bag.name, "filter": name, "removed": removed, "note": note})
    return rows


def filtered(settings: NoiseSettings, width: int, height: int, chunks: Chunks) -> Chunks:
    each = NoiseFilter(settings, width, height)
    return [each.apply(chunk) for chunk in chunks]


def speed(settings: NoiseSettings, width: int, height: int, chunks: Chunks) -> float:
    """Million events a second, in packets of 4 ms."""
    each = NoiseFilter(settings, width, height)

    def run() -> None:
        for chunk in chunks:
            each.apply(chunk)

    times = interleaved({"filter": run}, 0.5)
    return sum(len(chunk) for chunk in chunks) / times["filter"] * 1e-6


if __name__ == "__main__":
    main()
