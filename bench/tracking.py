"""How well the region of interest follows a face whose place is known, and at what cost.

    python3 bench/tracking.py [--only WORD] [--json] [--frames FOLDER]

Drawn faces move over sensors of three sizes; their image becomes events by thresholds on its
logarithm (see test/moving_source.py). Every 125 ms after the first 0.5 s, beside the sensor's
centred square, which is the region without a tracker:

- covered: how often at least 90 % of the face lies within the region
- IoU: mean intersection over union of the face's box and the region; a square with the tracker's
  margin right around the face has 0.54
- lost: how often the tracker calls itself lost though the face is in view, moving or not
- absent: the same while most of the face is out of view
- ms/s: time that the tracker takes for a second of the sensor's, in packets of 4 ms

--frames draws what happens, a PNG each 0.5 s.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.events import activity
from cs3d_ros.events.activity import ActivityTracker
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import open_recording
from timing import interleaved

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))
from moving_source import Box, Scene, Sprite, area, face, overlap, packets, panorama, torso
from recordings_data import DRAWN_FACE

HOP_S = 0.125
SETTLE_S = 0.5
COLUMNS = ("t_ns", "x", "y", "p")
HEADER = f"""\
{"":<34}{"tracker":^28}{"centred square":>16}
{"scene":<34}{"covered":>8}{"IoU":>6}{"lost":>6}{"absent":>8}{"covered":>10}{"IoU":>6}\
{"Mev/s":>8}{"ms/s":>8}"""


@dataclass(frozen=True)
class Shifted:
    """The 6 s of the drawn face moved over another sensor.

    Real edges come with the face's own motion only: that along the path has none.

    Attributes:
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        path: Rows of time in s and the place x, y of the recording's centre.
        seconds: Duration.
    """

    width: int
    height: int
    path: np.ndarray
    seconds: float = 6.0

    def truth(self, t_s: float) -> Box:
        """Where the drawn face is, which sways."""
        x, y = (np.interp(t_s, self.path[:, 0], column) for column in self.path[:, 1:].T)
        x, y = x + 4.0 * np.sin(1.1 * t_s), y + 2.0 * np.sin(1.7 * t_s)
        return x - 78, y - 100, x + 78, y + 100

    def events(self) -> tuple[Events, None]:
        """All events, sorted by time; what each is, is not known."""
        stream = EventStream()
        with open_recording(DRAWN_FACE) as recording:
            parts = [stream.feed(packet) for _, packet in recording]
        t_ns, x, y, p = (np.concatenate([getattr(e, c) for e in parts]) for c in COLUMNS)
        t_ns = t_ns - t_ns.min()
        x = x + np.interp(t_ns * 1e-9, self.path[:, 0], self.path[:, 1] - 160)
        y = y + np.interp(t_ns * 1e-9, self.path[:, 0], self.path[:, 2] - 120)
        inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        columns = (t_ns, x.astype(np.uint16), y.astype(np.uint16), p)
        return Events(*(column[inside] for column in columns)), None


def scenes() -> Iterator[tuple[str, Scene | Shifted]]:
    """What to follow, by name. A path is rows of time, x, y, height and how open the mouth is."""
    for width, height in ((320, 240), (640, 480), (1280, 720)):
        for speed in (0.05, 0.2, 0.6, 1.5):
            leg_s = 0.66 * width / (speed * height)
            ends = (0.17 * width, 0.83 * width)
            path = [
                (leg * leg_s, ends[leg % 2], 0.5 * height, 0.55 * height, 0.3)
                for leg in range(2 + int(6.0 / leg_s))
            ]
            name = f"{width}x{height}, {speed:g} heights/s"
            yield name, Scene(width, height, 6.0, [face(path)])

    # All others: a face of 203 by 260 pixels on 640 by 480, if not said otherwise.
    across = [(0, 200, 240, 260, 0), (3, 440, 200, 260, 0.5), (6, 200, 280, 260, 0)]
    nod = [(0, 250, 160, 260, 0), (3, 300, 320, 260, 0), (6, 250, 160, 260, 0)]
    yield "up and down", vga(6, nod)
    stop = [(0, 200, 240, 260, 0), (2, 440, 240, 260, 0)]
    yield "stops for 2.5 s", vga(4.5, stop)
    yield "stops for 8 s", vga(10, stop)
    words = [2.5 + 0.2 * i for i in range(88)]
    rest = [(t, 440, 240, 260, i % 2) for i, t in enumerate(words)]
    yield "talks for 18 s, head at rest", vga(20, stop + rest)
    nods = [(t, 440, 240 + 5 * (i % 5 == 0), 260, i % 2) for i, t in enumerate(words)]
    yield "talks for 18 s, nods by 5 pixels", vga(20, stop + nods)
    places = np.random.default_rng(3).normal((420, 240), (4, 3), (40, 2))
    yield "fidgets off centre", vga(12, [(0.3 * i, *p, 260, i % 2) for i, p in enumerate(places)])
    out = [(0, 320, 240, 260, 0), (2, -120, 240, 260, 0)]
    # From one side to the other between two frames.
    unseen = [(2.997, -120, 240, 260, 0), (2.999, 760, 240, 260, 0)]
    back = [(4, 760, 240, 260, 0), (6, 320, 240, 260, 0)]
    yield "leaves, comes back elsewhere", vga(7, [*out, *unseen, *back])
    yield "leaves for 7 s", vga(12, [*out, (9, -120, 240, 260, 0), (11, 320, 240, 260, 0)])
    far, near = (420, 200, 130, 0), (320, 240, 420, 0.5)
    yield "approaches", vga(5, [(0, *far), (4, *near)])
    yield "recedes, goes on", vga(12, [(0, *near), (4, *far), (8, 300, 200, 130, 0), (12, *far)])
    yield "noise of 1 Hz a pixel", vga(6, across, noise_hz=1.0)
    yield "noise of 5 Hz a pixel", vga(6, across, noise_hz=5.0)
    slow = [(0, 260, 240, 260, 0), (6, 400, 240, 260, 0.5)]
    yield "slow, noise of 1 Hz a pixel", vga(6, slow, noise_hz=1.0)
    yield "40 hot pixels of 1 kHz", vga(6, across, hot=40)
    small = [(0, 560, 80, 90, 0), (3, 560, 420, 90, 0), (6, 560, 80, 90, 0)]
    aside = [(0, 140, 240, 260, 0), (3, 340, 200, 260, 0.5), (6, 140, 280, 260, 0)]
    yield "smaller face beside moves faster", vga(6, aside, face(small))
    by = [(0, 560, 80, 90, 0), (2, 560, 400, 90, 0), (4, 60, 420, 90, 0), (6, 60, 80, 90, 0)]
    yield "smaller face passes by", vga(6, across, face(by))
    below = [(t, x, y + 260, 286, 0) for t, x, y, _, _ in across]
    yield "shoulders move with the face", vga(6, across, torso(below))
    shake = [(3.0, 320, 240), (3.5, 350, 250), (4.0, 320, 240)]
    room = panorama([(t, x, y, 560, 0) for t, x, y in shake], 560, 760)
    pause = [(0, 200, 240), (3, 300, 240), (4, 300, 240), (7, 400, 240)]
    yield "camera shaken for 1 s", vga(7, [(t, x, y, 260, 0) for t, x, y in pause], room)

    yield "embedded recording as it is", Shifted(320, 240, np.array([(0.0, 160, 120)]))
    yield "embedded recording in a corner", Shifted(640, 480, np.array([(0.0, 480, 340)]))
    t_s = np.arange(0.0, 7.0, 0.1)
    circle = np.stack([t_s, 320 + 180 * np.cos(t_s), 240 + 110 * np.sin(t_s)], axis=1)
    yield "embedded recording in a circle", Shifted(640, 480, circle)


def vga(seconds: float, path: list, *others: Sprite, noise_hz: float = 0.05, hot: int = 0) -> Scene:
    return Scene(640, 480, seconds, [face(path), *others], noise_hz=noise_hz, hot=hot)


def follow(where: Scene | Shifted, events: Events) -> Iterator[tuple[float, Box | None, Roi, bool]]:
    """Time, true box, region and lost at each hop."""
    tracker = ActivityTracker(where.width, where.height)
    due_s = SETTLE_S
    for chunk, now_ns in packets(events, where.seconds):
        tracker.observe(chunk, now_ns)
        if now_ns * 1e-9 >= due_s - 1e-6:
            yield now_ns * 1e-9, where.truth(now_ns * 1e-9), tracker.roi, tracker.lost
            due_s += HOP_S


def measure(where: Scene | Shifted, events: Events) -> dict[str, float | None]:
    centre = Roi.centred_square(where.width, where.height)
    seen = []
    absent = []
    for _, truth, roi, lost in follow(where, events):
        if truth is None:
            absent.append(lost)
            continue
        row = [float(lost)]
        for region in (roi, centre):
            common, whole = overlap(truth, region), area(truth)
            row += [common >= 0.9 * whole, common / (whole + region.width**2 - common)]
        seen.append(row)
    lost, covered, iou, centre_covered, centre_iou = np.mean(seen, axis=0).tolist()
    return {
        "covered": covered,
        "iou": iou,
        "lost": lost,
        "lost_when_absent": float(np.mean(absent)) if absent else None,
        "centre_covered": centre_covered,
        "centre_iou": centre_iou,
        "m_events_per_s": len(events) / where.seconds * 1e-6,
        "ms_per_s": cost(where, events),
    }


def cost(where: Scene | Shifted, events: Events) -> float:
    """Time for a second of the sensor's, in ms."""
    chunks = list(packets(events, where.seconds))
    tracker = ActivityTracker(where.width, where.height)

    def run() -> None:
        tracker.reset()
        for chunk, now_ns in chunks:
            tracker.observe(chunk, now_ns)

    return interleaved({"track": run}, 0.2)["track"] * 1e3 / where.seconds


def draw(folder: Path, name: str, where: Scene | Shifted, events: Events) -> None:
    """PNGs with the events of the last 20 ms, the true box (green) and the region (yellow)."""
    folder.mkdir(parents=True, exist_ok=True)
    word = "".join(c if c.isalnum() else "_" for c in name)
    colours = np.array([(255, 120, 60), (255, 255, 255)], np.uint8)
    for index, (t_s, truth, roi, lost) in enumerate(follow(where, events)):
        if index % 4:
            continue
        image = np.zeros((where.height, where.width, 3), np.uint8)
        recent = slice(*np.searchsorted(events.t_ns, ((t_s - 0.02) * 1e9, t_s * 1e9)))
        image[events.y[recent], events.x[recent]] = colours[events.p[recent]]
        if truth is not None:
            left, top, right, bottom = (round(edge) for edge in truth)
            cv2.rectangle(image, (left, top), (right - 1, bottom - 1), (0, 220, 0), 1)
        corner = (roi.x + roi.width - 1, roi.y + roi.height - 1)
        cv2.rectangle(image, (roi.x, roi.y), corner, (0, 0, 255) if lost else (0, 220, 220), 1)
        cv2.putText(image, f"{t_s:.1f}", (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (200, 200, 200))
        cv2.imwrite(str(folder / f"{word}_{t_s:04.1f}.png"), image)


def as_line(name: str, row: dict[str, float | None]) -> str:
    absent = row["lost_when_absent"]
    return (
        f"{name:<34}{row['covered']:>8.0%}{row['iou']:>6.2f}{row['lost']:>6.0%}"
        f"{'-' if absent is None else f'{absent:.0%}':>8}{row['centre_covered']:>10.0%}"
        f"{row['centre_iou']:>6.2f}{row['m_events_per_s']:>8.2f}{row['ms_per_s']:>8.1f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="scenes whose name contains this")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--frames", type=Path, help="folder to draw into")
    arguments = parser.parse_args()
    activity.warm_up()
    if not arguments.json:
        print(HEADER)
    rows = []
    for name, where in scenes():
        if arguments.only not in name:
            continue
        events, _ = where.events()
        row = measure(where, events)
        rows.append({"scene": name, **row})
        if arguments.frames is not None:
            draw(arguments.frames, name, where, events)
        if not arguments.json:
            print(as_line(name, row), flush=True)
    if arguments.json:
        print(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
