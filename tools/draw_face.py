"""Draw test/data/drawn_face: a cartoon face that smiles, is surprised and frowns.

    python3 tools/draw_face.py OUT

OUT becomes a rosbag2 folder (mcap) of EVT3 packets from a 320x240 sensor. Whenever the logarithm of
a pixel's brightness has moved by a threshold since the pixel's last event, the pixel emits one. It
is a drawing to try the plumbing with, no face to train or to judge a network on.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.events.evt3_encoder import encode
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings import write_recording

WIDTH, HEIGHT = 320, 240
FRAMES_PER_S = 250
DURATION_S = 6.0
THRESHOLD = 0.25
NOISE_PER_PIXEL_S = 0.05
STAMP_NS = 1_767_225_600_000_000_000  # 2026-01-01, an arbitrary fixed day
DELAY_NS = 500_000  # from the last event of a packet to its stamp

# Time in s, mouth corners up, mouth open, brows up, lids open: a neutral face, a smile, surprise,
# a frown, and neutral again.
KEYS = np.array(
    [
        (0.0, 0.0, 0.0, 0.0, 1.0),
        (0.8, 0.0, 0.0, 0.0, 1.0),
        (1.2, 1.0, 0.2, 0.1, 0.7),
        (2.0, 1.0, 0.2, 0.1, 0.7),
        (2.4, 0.0, 0.0, 0.0, 1.0),
        (2.8, 0.0, 0.0, 0.0, 1.0),
        (3.0, 0.0, 1.0, 1.0, 1.3),
        (3.8, 0.0, 1.0, 1.0, 1.3),
        (4.2, 0.0, 0.0, 0.0, 1.0),
        (4.5, 0.0, 0.0, 0.0, 1.0),
        (4.8, -1.0, 0.0, -1.0, 0.8),
        (5.4, -1.0, 0.0, -1.0, 0.8),
        (5.8, 0.0, 0.0, 0.0, 1.0),
    ]
)
SHIFT = 4  # OpenCV draws at 1/16 pixel, so that slow motion does not jump


def frame(t_s: float) -> np.ndarray:
    """The drawing at a time: float32 brightness, shape (HEIGHT, WIDTH)."""
    smile, gape, brows, lids = (np.interp(t_s, KEYS[:, 0], column) for column in KEYS[:, 1:].T)
    image = np.full((HEIGHT, WIDTH), 60, np.uint8)
    sway = np.array([4.0 * np.sin(1.1 * t_s), 2.0 * np.sin(1.7 * t_s)])
    centre = np.array([WIDTH / 2, HEIGHT / 2]) + sway

    def at(x: float, y: float) -> tuple[int, int]:
        px, py = (centre + np.array([x, y])) * (1 << SHIFT)
        return round(px), round(py)

    def ellipse(x: float, y: float, rx: float, ry: float, value: int) -> None:
        axes = (round(rx * (1 << SHIFT)), round(ry * (1 << SHIFT)))
        cv2.ellipse(image, at(x, y), axes, 0, 0, 360, value, cv2.FILLED, cv2.LINE_AA, SHIFT)

    def curve(points: list[tuple[float, float]], value: int, thickness: int) -> None:
        line = np.array([at(*point) for point in points], np.int32)
        cv2.polylines(image, [line], False, value, thickness, cv2.LINE_AA, SHIFT)

    ellipse(0, 0, 78, 100, 190)
    for side in (-1, 1):
        ellipse(30 * side, -22, 15, 9 * lids, 240)
        ellipse(30 * side, -22, 6, min(6.0, 9 * lids), 40)
        inner, outer = -44 - 9 * brows, -42 - 7 * max(brows, 0.0)
        curve([(46 * side, outer), (32 * side, outer - 5), (14 * side, inner)], 70, 4)
    curve([(0, -12), (-7, 22), (6, 24)], 140, 2)
    reach = 30 + 8 * smile - 10 * gape
    xs = np.linspace(-1, 1, 17)
    lip = [(reach * x, 52 - 14 * smile * (x * x - 0.5)) for x in xs]
    if gape > 0.01:
        ellipse(0, 54, 0.6 * reach, 18 * gape, 30)
    curve(lip, 90, 5)
    return image.astype(np.float32)


def events(rng: np.random.Generator) -> Iterator[Events]:
    """The events of one frame interval after the other."""
    step_ns = 1_000_000_000 // FRAMES_PER_S
    base = np.log(frame(0.0) + 20.0)
    for index in range(1, round(DURATION_S * FRAMES_PER_S)):
        moved = (np.log(frame(index / FRAMES_PER_S) + 20.0) - base) / THRESHOLD
        steps = np.trunc(moved).astype(np.int64)
        base += steps * THRESHOLD
        y, x = np.nonzero(steps)
        count = np.abs(steps[y, x])
        on = steps[y, x] > 0
        y, x, on = (np.repeat(column, count) for column in (y, x, on))
        noise = rng.poisson(NOISE_PER_PIXEL_S * WIDTH * HEIGHT / FRAMES_PER_S)
        y = np.concatenate([y, rng.integers(0, HEIGHT, noise)])
        x = np.concatenate([x, rng.integers(0, WIDTH, noise)])
        on = np.concatenate([on, rng.integers(0, 2, noise) == 1])
        t_ns = (index - 1) * step_ns + rng.integers(0, step_ns, len(x)) // 1000 * 1000
        order = np.argsort(t_ns, kind="stable")
        yield Events(
            t_ns[order],
            x[order].astype(np.uint16),
            y[order].astype(np.uint16),
            on[order].astype(np.uint8),
        )


def packets() -> Iterator[tuple[int, EventPacket]]:
    """Log times and packets, one for each frame interval."""
    for seq, chunk in enumerate(events(np.random.default_rng(0))):
        stamp_ns = STAMP_NS + (seq + 1) * 1_000_000_000 // FRAMES_PER_S + DELAY_NS
        yield (
            stamp_ns,
            EventPacket(
                stamp_ns=stamp_ns,
                frame_id="drawn",
                width=WIDTH,
                height=HEIGHT,
                seq=seq,
                time_base=0,
                encoding="evt3",
                is_bigendian=False,
                payload=encode(chunk),
            ),
        )


if __name__ == "__main__":
    write_recording(Path(sys.argv[1]), packets())
