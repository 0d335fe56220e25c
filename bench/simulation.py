"""How fast videos become events, and how much the interpolation of slow videos changes them.

    python3 bench/simulation.py [--json]

Speed: a random texture moves over the picture. The emulator is given 300 frames per second of bytes
or floating-point numbers; "whole way" interpolates 30 frames per second before. Told is the time of
one core, so that what else the machine does matters less. Deviation:
scenes rendered at 300 frames per second, and the same scenes with only some of these frames; see
test/simulation/scenes.py. How far the counts of events by polarity, 2x2 pixels and 20 ms differ is
told as a share of the true events. The last column is what other thresholds of the pixels do.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.events.packets import Events
from cs3d_ros.simulation import emulator
from cs3d_ros.simulation.emulator import Emulator, simulate_frames
from cs3d_ros.simulation.settings import PRESETS, EmulatorSettings
from cs3d_ros.simulation.upsampling import upsampled

sys.path.insert(0, str(Path(__file__).parents[1] / "test" / "simulation"))
from scenes import SCENES, event_map, frames

RATE = 300
SIZES = ((112, 112), (346, 260))
SECONDS = 1.0
TURNS = 5
Frames = list[tuple[float, np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    emulator.warm_up()
    speeds = [row for width, height in SIZES for row in speed(width, height)]
    deviations = [deviation(name, rate) for name in SCENES for rate in (100, 50, 25)]
    if arguments.json:
        print(json.dumps({"speed": speeds, "deviation": deviations}, indent=2))
        return
    print(f"{'size':<9}{'light':<14}{'events/s':>10}{'uint8':>9}{'float32':>9}{'whole way':>11}")
    for row in speeds:
        print(
            f"{row['size']:<9}{row['light']:<14}{row['events_per_s']:>10,.0f}"
            f"{row['uint8']:>8.1f}x{row['float32']:>8.1f}x{row['whole_way']:>10.1f}x"
        )
    print()
    print(
        f"{'scene':<10}{'frames/s':>9}{'events':>9}{'deviation':>11}{'events without':>16}"
        f"{'deviation':>11}{'other pixels':>14}"
    )
    for row in deviations:
        print(
            f"{row['scene']:<10}{row['frames_per_s']:>9}{row['events']:>9.1%}"
            f"{row['deviation']:>11.1%}{row['events_without']:>16.1%}"
            f"{row['deviation_without']:>11.1%}{row['deviation_of_pixels']:>14.1%}"
        )


def speed(width: int, height: int) -> Iterator[dict]:
    """Multiples of real time in time of the processor, of the fastest of some turns."""
    frames_by_type = {
        dtype.__name__: [(t_s, frame.astype(dtype)) for t_s, frame in texture(width, height, RATE)]
        for dtype in (np.uint8, np.float32)
    }
    slow = texture(width, height, RATE // 10)
    for light, settings in PRESETS.items():
        row = {"size": f"{width}x{height}", "light": light}
        for name, given in frames_by_type.items():
            events, row[name] = timed(given, settings, TURNS)
            row["events_per_s"] = events / SECONDS
        row["whole_way"] = timed(slow, settings, 2, upsampled)[1]
        yield row


def timed(
    given: Frames,
    settings: EmulatorSettings,
    turns: int,
    prepared: Callable[[Frames], Iterable[tuple[float, np.ndarray]]] = iter,
) -> tuple[int, float]:
    """Events, and how many times faster than real time they are made."""
    height, width = given[0][1].shape
    best_s = math.inf
    for _ in range(turns):
        camera = Emulator(settings, height, width, seed=0)
        begin_s = time.process_time()
        events = sum(len(camera.feed(frame, t_s)) for t_s, frame in prepared(given))
        best_s = min(best_s, time.process_time() - begin_s)
    return events, SECONDS / best_s


def texture(width: int, height: int, rate: int) -> Frames:
    """Smooth patches that move by 60 pixels per second."""
    noise = np.random.default_rng(0).uniform(0, 1, (height + 40, width + 160))
    pattern = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 4)
    pattern = cv2.normalize(pattern, None, 0, 255, cv2.NORM_MINMAX)
    found = []
    for i in range(round(SECONDS * rate) + 1):
        centre = (width / 2 + 20 + 60 * i / rate, height / 2 + 20)
        frame = cv2.getRectSubPix(pattern, (width, height), centre)
        found.append((i / rate, np.rint(frame).astype(np.uint8)))
    return found


def deviation(name: str, rate: int) -> dict:
    """What changes if only some of the frames are there, with and without interpolation."""
    true = frames(SCENES[name], RATE)
    some = true[:: RATE // rate]
    events = of(true)
    expected = event_map(events)

    def compared(found: Events) -> tuple[float, float]:
        difference = np.abs(event_map(found) - expected).sum()
        return len(found) / len(events), float(difference / expected.sum())

    count, difference = compared(of(list(upsampled(some, RATE))))
    count_without, difference_without = compared(of(some))
    return {
        "scene": name,
        "frames_per_s": rate,
        "events": count,
        "deviation": difference,
        "events_without": count_without,
        "deviation_without": difference_without,
        "deviation_of_pixels": compared(of(true, seed=1))[1],
    }


def of(given: Frames, seed: int = 0) -> Events:
    return simulate_frames(given, PRESETS["clean"], seed)


if __name__ == "__main__":
    main()
