"""Events of faces that move over a sensor along known paths, and of noise.

An image is drawn many times a second. Whenever the logarithm of a pixel's brightness has moved by
its threshold since its last event, the pixel emits one; the thresholds differ from pixel to pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.kernels import kernel

FRAMES_PER_S = 250
THRESHOLD, THRESHOLD_SPREAD = 0.25, 0.03
SIGNAL, NOISE, HOT = 0, 1, 2
_DARK = 20.0  # brightness below which the logarithm becomes linear, roughly
_ROOM = 1 << 20  # events of one frame at most


Box = tuple[float, float, float, float]
"""Left, top, right and bottom edge in pixels."""


@dataclass(frozen=True)
class Sprite:
    """A picture that moves.

    Attributes:
        pictures: Brightness 0…255 of two states, such as mouth closed and open; shape (2, h, w).
        alpha: Opacity 0…1, shape (h, w).
        path: Rows of time in s, centre x, centre y, height in pixels and the weight of the second
            picture; in between, linear.
    """

    pictures: np.ndarray
    alpha: np.ndarray
    path: np.ndarray

    def box(self, t_s: float) -> Box:
        """Where it is."""
        x, y, height, _ = self.state(t_s)
        half_width = 0.5 * height * self.alpha.shape[1] / self.alpha.shape[0]
        return x - half_width, y - 0.5 * height, x + half_width, y + 0.5 * height

    def state(self, t_s: float) -> tuple[float, ...]:
        """Centre x, centre y, height in pixels, weight of the second picture."""
        return tuple(float(np.interp(t_s, self.path[:, 0], c)) for c in self.path[:, 1:].T)


@dataclass(frozen=True)
class Scene:
    """What is in front of a sensor.

    Attributes:
        width: Sensor width in pixels.
        height: Sensor height in pixels.
        seconds: Duration.
        sprites: The first lies on top; it is the one whose place is asked for.
        noise_hz: Rate of noise per pixel.
        hot: Number of hot pixels.
        hot_hz: Their rate.
        seed: Of everything random.
    """

    width: int
    height: int
    seconds: float
    sprites: list[Sprite] = field(default_factory=list)
    noise_hz: float = 0.05
    hot: int = 0
    hot_hz: float = 1000.0
    seed: int = 0

    def truth(self, t_s: float) -> Box | None:
        """Where the visible part of the first sprite is; None if less than half is visible."""
        left, top, right, bottom = self.sprites[0].box(t_s)
        whole = (right - left) * (bottom - top)
        left, right = np.clip((left, right), 0, self.width)
        top, bottom = np.clip((top, bottom), 0, self.height)
        if (right - left) * (bottom - top) < 0.5 * whole:
            return None
        return float(left), float(top), float(right), float(bottom)

    def events(self) -> tuple[Events, np.ndarray]:
        """All events, sorted by time, and what each is: SIGNAL, NOISE or HOT."""
        rng = np.random.default_rng(self.seed)
        parts = [*self._signal(rng), self._noise(rng), self._hot(rng)]
        t, x, y, p = (np.concatenate(column) for column in zip(*parts, strict=True))
        label = np.full(len(t), SIGNAL, np.uint8)
        label[len(t) - len(parts[-2][0]) - len(parts[-1][0]) :] = NOISE
        label[len(t) - len(parts[-1][0]) :] = HOT
        order = np.argsort(t, kind="stable")
        columns = (t.astype(np.int64), x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))
        return Events(*(column[order] for column in columns)), label[order]

    def _signal(self, rng: np.random.Generator) -> list[tuple[np.ndarray, ...]]:
        size = (self.height, self.width)
        background = _blurred(rng.uniform(40, 110, size).astype(np.float32), self.height // 30)
        spread = rng.normal(0.0, THRESHOLD_SPREAD, size)
        thresholds = np.maximum(0.05, THRESHOLD + spread).astype(np.float32)
        image = background.copy()
        pyramids = [_pyramid(sprite) for sprite in self.sprites]
        room = tuple(np.empty(_ROOM, d) for d in (np.int64, np.uint16, np.uint16, np.uint8))
        places = [np.zeros(4, np.int64) for _ in self.sprites]
        parts = []
        base = np.empty(size, np.float32)
        for index in range(round(self.seconds * FRAMES_PER_S)):
            changed = [place.copy() for place in places]
            for x0, y0, x1, y1 in places:
                image[y0:y1, x0:x1] = background[y0:y1, x0:x1]
            drawn = zip(self.sprites, pyramids, places, strict=True)
            for sprite, pyramid, place in reversed(list(drawn)):
                x, y, height, weight = sprite.state(index / FRAMES_PER_S)
                # The smallest picture that is not magnified, so that fine lines do not flicker.
                enough = [level for level in pyramid if level[1].shape[0] >= height]
                pictures, alpha = enough[-1] if enough else pyramid[0]
                _draw(image, pictures, alpha, x, y, height / alpha.shape[0], weight, place)
            if index == 0:
                base[:] = np.log(image + _DARK)
                continue
            start_ns = (index - 1) * 1_000_000_000 // FRAMES_PER_S
            for x0, y0, x1, y1 in [*changed, *places]:
                n = _emit(image, base, thresholds, start_ns, (x0, y0, x1, y1), room)
                parts.append(tuple(column[:n].copy() for column in room))
        return parts

    def _noise(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        n = rng.poisson(self.noise_hz * self.width * self.height * self.seconds)
        return (
            rng.integers(0, round(self.seconds * 1e9), n),
            rng.integers(0, self.width, n),
            rng.integers(0, self.height, n),
            rng.integers(0, 2, n),
        )

    def _hot(self, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        pixels = rng.choice(self.width * self.height, self.hot, replace=False)
        n = round(self.hot_hz * self.seconds)
        where = np.repeat(pixels, n)
        return (
            rng.integers(0, round(self.seconds * 1e9), len(where)),
            where % self.width,
            where // self.width,
            np.ones(len(where), np.int64),
        )


def area(box: Box) -> float:
    """In square pixels."""
    return (box[2] - box[0]) * (box[3] - box[1])


def overlap(box: Box, roi: Roi) -> float:
    """Area that a box and a region share, in square pixels."""
    width = min(box[2], roi.x + roi.width) - max(box[0], roi.x)
    height = min(box[3], roi.y + roi.height) - max(box[1], roi.y)
    return max(width, 0.0) * max(height, 0.0)


def packets(events: Events, seconds: float, step_ms: float = 4.0):
    """The events in steps of sensor time, as (events, now_ns)."""
    times = np.arange(1, round(seconds * 1e3 / step_ms) + 1) * round(step_ms * 1e6)
    first = 0
    for now_ns, last in zip(times.tolist(), np.searchsorted(events.t_ns, times), strict=True):
        chunk = slice(first, last)
        yield Events(events.t_ns[chunk], events.x[chunk], events.y[chunk], events.p[chunk]), now_ns
        first = last


def face(path, height: int = 240) -> Sprite:
    """A face with hair, brows, eyes, nose and a mouth that opens, drawn without sharp pixels."""
    width = round(0.78 * height)
    y, x = np.mgrid[0:height, 0:width]
    # −1…1 from edge to edge in both directions.
    x = (x + 0.5) / width * 2 - 1
    y = (y + 0.5) / height * 2 - 1

    def blob(cx: float, cy: float, rx: float, ry: float) -> np.ndarray:
        """1 inside an ellipse, 0 outside, with an edge of about a pixel and a half."""
        r = np.hypot((x - cx) / rx, (y - cy) / ry)
        return np.clip((1 - r) * min(rx * width, ry * height) / 3 + 0.5, 0, 1)

    pictures = []
    for gape in (0.0, 1.0):
        # Light from the upper left makes the cheeks fall off gently.
        image = 175 - 35 * x * (1 + 0.3 * y) - 40 * np.hypot(x, y) ** 2
        layers = [((0.0, -1.05, 0.95, 0.55), 45.0)]
        for side in (-0.42, 0.42):
            layers += [
                ((side, -0.3 - 0.06 * gape, 0.24, 0.035), 60.0),
                ((side, -0.16, 0.19, 0.07 + 0.02 * gape), 215.0),
                ((side, -0.16, 0.08, 0.06), 40.0),
            ]
        layers += [((0.05, 0.12, 0.05, 0.14), 120.0), ((0.0, 0.26, 0.16, 0.035), 100.0)]
        layers += [((0.0, 0.54, 0.34, 0.05 + 0.13 * gape), 85.0)]
        layers += [((0.0, 0.54, 0.24, 0.01 + 0.1 * gape), 30.0)]
        for ellipse, value in layers:
            image += blob(*ellipse) * (value - image)
        pictures.append(image)
    alpha = blob(0.0, 0.0, 1.0, 1.0)
    return Sprite(np.array(pictures, np.float32), alpha.astype(np.float32), np.array(path, float))


def torso(path, height: int = 240) -> Sprite:
    """Shoulders and chest in a plain shirt, twice as wide as a face of this height."""
    width = round(1.6 * height)
    y, x = np.mgrid[0:height, 0:width]
    r = np.hypot((x + 0.5) / width * 2 - 1, ((y + 0.5) / height - 1))
    alpha = np.clip((1 - r) * height / 3 + 0.5, 0, 1).astype(np.float32)
    image = (50 + 20 * (np.abs(x - width // 2) < 0.01 * width)).astype(np.float32)
    return Sprite(np.stack([image, image]), alpha, np.array(path, float))


def panorama(path, height: int, width: int, blocks: int = 24) -> Sprite:
    """An opaque room of that many blocks over its height: what a moving camera sees."""
    rng = np.random.default_rng(1)
    cell = height // blocks
    values = rng.uniform(30, 220, (math.ceil(height / cell), math.ceil(width / cell)))
    image = np.kron(values, np.ones((cell, cell)))[:height, :width].astype(np.float32)
    pictures = np.stack([image, image])
    return Sprite(pictures, np.ones((height, width), np.float32), np.array(path, float))


def _blurred(image: np.ndarray, radius: int) -> np.ndarray:
    """Box filter in both directions, the contrast restored."""
    kernel_1d = np.ones(2 * radius + 1) / (2 * radius + 1)
    for axis in (0, 1):
        pad = [(radius, radius) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(image, pad, mode="reflect")
        image = np.apply_along_axis(np.convolve, axis, padded, kernel_1d, "valid")
    return ((image - image.mean()) / image.std() * 15 + 75).clip(20, 160).astype(np.float32)


def _pyramid(sprite: Sprite) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pictures and opacity at full, half, quarter … size, largest first."""
    levels = [(sprite.pictures, sprite.alpha)]
    while min(levels[-1][1].shape) >= 32:
        pictures, alpha = levels[-1]
        h, w = alpha.shape[0] // 2, alpha.shape[1] // 2
        pictures = pictures[:, : 2 * h, : 2 * w].reshape(2, h, 2, w, 2).mean((2, 4))
        alpha = alpha[: 2 * h, : 2 * w].reshape(h, 2, w, 2).mean((1, 3))
        levels.append((pictures, alpha))
    return levels


@kernel
def _draw(image, pictures, alpha, cx, cy, scale, weight, place):
    """Lay a sprite over the image, bilinear; `place` becomes the rectangle x0, y0, x1, y1 of it."""
    height, width = image.shape
    rows, columns = alpha.shape
    left, top = cx - 0.5 * columns * scale, cy - 0.5 * rows * scale
    place[0] = min(max(int(np.floor(left)), 0), width)
    place[1] = min(max(int(np.floor(top)), 0), height)
    place[2] = min(max(int(np.ceil(left + columns * scale)), 0), width)
    place[3] = min(max(int(np.ceil(top + rows * scale)), 0), height)
    for y in range(place[1], place[3]):
        v = min(max((y + 0.5 - top) / scale - 0.5, 0.0), rows - 1.001)
        r = int(v)
        fv = v - r
        for x in range(place[0], place[2]):
            u = min(max((x + 0.5 - left) / scale - 0.5, 0.0), columns - 1.001)
            c = int(u)
            fu = u - c
            opacity = 0.0
            value = 0.0
            for dr in range(2):
                for dc in range(2):
                    part = (fv if dr else 1 - fv) * (fu if dc else 1 - fu)
                    opacity += part * alpha[r + dr, c + dc]
                    closed = pictures[0, r + dr, c + dc]
                    value += part * (closed + weight * (pictures[1, r + dr, c + dc] - closed))
            image[y, x] += np.float32(opacity * (value - image[y, x]))


@kernel
def _emit(image, base, thresholds, start_ns, rectangle, room):
    """Write the events of one frame interval within a rectangle; returns how many."""
    t_ns, xs, ys, ps = room
    x0, y0, x1, y1 = rectangle
    frame_ns = 1_000_000_000 // FRAMES_PER_S
    n = 0
    for y in range(y0, y1):
        for x in range(x0, x1):
            moved = (np.log(image[y, x] + _DARK) - base[y, x]) / thresholds[y, x]
            steps = int(moved)
            count = abs(steps)
            for k in range(count):
                if n < t_ns.size:
                    # Crossings are evenly spread over the interval and end before it does.
                    t_ns[n] = start_ns + int((k + 1) / abs(moved) * (frame_ns - 1000))
                    xs[n] = x
                    ys[n] = y
                    ps[n] = steps > 0
                    n += 1
            base[y, x] += steps * thresholds[y, x]
    return n
