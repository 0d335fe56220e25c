"""What is behind a head: pictures drawn from chance, out of focus."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

TEXELS_PER_WIDTH = 128
"""Texels across the width of what a resting camera sees."""

SIDE = 3 * TEXELS_PER_WIDTH
"""Texels of a background along each side."""

LEAST_BLUR = 0.9
"""Gaussian spread in texels; a sharper texture would flicker when it is shifted."""

_DARKEST, _BRIGHTEST = 0.03, 6.0


def draw_background(kind: str, blur: float, rng: np.random.Generator) -> np.ndarray:
    """Radiance of a background with mean 1, shape (384, 384), float32.

    Args:
        kind: One of KINDS.
        blur: Defocus: Gaussian spread in texels, at least LEAST_BLUR.
        rng: Where all chance comes from.
    """
    picture = _PAINTERS[kind](rng) * np.exp(rng.uniform(0.0, 0.12) * _noise(rng, 1.0))
    picture *= _slope(rng, rng.uniform(0.0, 0.5))
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), max(blur, LEAST_BLUR))
    picture = np.clip(picture / picture.mean(), _DARKEST, _BRIGHTEST)
    return np.ascontiguousarray(picture / picture.mean(), np.float32)


def _flat(rng: np.random.Generator) -> np.ndarray:
    return np.ones((SIDE, SIDE))


def _gradient(rng: np.random.Generator) -> np.ndarray:
    return _slope(rng, rng.uniform(0.5, 1.6))


def _slope(rng: np.random.Generator, strength: float) -> np.ndarray:
    """A smooth change of brightness by e to the power of `strength` across a picture's width."""
    angle = rng.uniform(0, 2 * np.pi)
    place = (np.arange(SIDE) - 0.5 * SIDE) / TEXELS_PER_WIDTH
    return np.exp(
        strength * (np.cos(angle) * place[None, :] + np.sin(angle) * place[:, None]).clip(-1.5, 1.5)
    )


def _noise(rng: np.random.Generator, power: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the given power; mean 0, deviation 1."""
    across = np.fft.rfftfreq(SIDE)[None, :]
    along = np.fft.fftfreq(SIDE)[:, None]
    amplitude = (np.hypot(across, along) + 1 / SIDE) ** -power
    amplitude[0, 0] = 0
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * amplitude, (SIDE, SIDE))
    return noise / noise.std()


def _clouds(rng: np.random.Generator) -> np.ndarray:
    """Natural scenes have about this spectrum: amplitude falls with frequency (Field 1987)."""
    return np.exp(rng.uniform(0.3, 0.9) * _noise(rng, rng.uniform(0.9, 1.3)))


def _room(rng: np.random.Generator) -> np.ndarray:
    """Walls, doors, frames and furniture: rectangles, some with a frame, a few bright."""
    picture = np.full((SIDE, SIDE), rng.uniform(0.5, 1.2))
    floor = int(rng.uniform(0.5, 0.9) * SIDE)
    picture[floor:] = rng.uniform(0.2, 1.0)
    for _ in range(rng.integers(8, 22)):
        left, top = rng.integers(-SIDE // 6, SIDE, 2).tolist()
        width, height = (SIDE * rng.uniform(0.04, 0.4, 2)).astype(int).tolist()
        right, bottom = left + width, top + height
        inside = float(rng.choice([rng.uniform(0.1, 1.2), rng.uniform(1.2, 4.0)], p=[0.85, 0.15]))
        cv2.rectangle(picture, (left, top), (right, bottom), inside, cv2.FILLED)
        if rng.random() < 0.5:
            frame = float(rng.uniform(0.1, 1.4))
            cv2.rectangle(picture, (left, top), (right, bottom), frame, int(rng.integers(1, 6)))
    return picture


def _shelf(rng: np.random.Generator) -> np.ndarray:
    """Rows of books: upright stripes of all widths, heights and grays on boards."""
    picture = np.full((SIDE, SIDE), rng.uniform(0.1, 0.4))
    top = -int(rng.integers(0, SIDE // 6))
    while top < SIDE:
        height = int(rng.integers(SIDE // 10, SIDE // 5))
        board = int(rng.integers(2, 7))
        left = -int(rng.integers(0, 12))
        while left < SIDE:
            width = int(rng.integers(3, 16))
            gap = int(rng.uniform(0.0, 0.35) * height)
            if rng.random() < 0.93:
                gray = float(rng.uniform(0.15, 1.6))
                rows = slice(max(0, top + gap), max(0, top + height))
                picture[rows, max(0, left) : max(0, left + width)] = gray
            left += width
        picture[max(0, top + height) : max(0, top + height + board)] = rng.uniform(0.3, 1.2)
        top += height + board
    return picture


def _spots(rng: np.random.Generator) -> np.ndarray:
    """Lamps, windows and shadows: bright and dark discs on a plain ground."""
    picture = np.full((SIDE, SIDE), rng.uniform(0.4, 1.0))
    for _ in range(rng.integers(6, 30)):
        centre = rng.integers(0, SIDE, 2).tolist()
        axes = rng.integers(3, SIDE // 9, 2).tolist()
        gray = float(rng.uniform(0.1, 0.6) if rng.random() < 0.5 else rng.uniform(1.0, 4.0))
        cv2.ellipse(picture, centre, axes, float(rng.uniform(0, 180)), 0, 360, gray, cv2.FILLED)
    return picture


_PAINTERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "flat": _flat,
    "gradient": _gradient,
    "clouds": _clouds,
    "room": _room,
    "shelf": _shelf,
    "spots": _spots,
}

KINDS = tuple(_PAINTERS)
"""Kinds of backgrounds."""
