"""From the light that falls through a lens to the gray levels of a camera."""

from __future__ import annotations

import math

import cv2
import numpy as np

from cs3d_ros.kernels import kernel

KNEE = 0.7
"""Where the response begins to bend, as a share of what makes white."""


def lens_blur(spread: float) -> np.ndarray:
    """Weights of neighbouring pixels along one axis, odd in number, float32, of sum 1.

    Args:
        spread: Standard deviation of a Gaussian in pixels, whose parts within each pixel they are.
    """
    reach = math.ceil(2.5 * spread)
    scale = max(spread, 1e-3) * math.sqrt(2)
    edges = [math.erf((place - 0.5) / scale) for place in range(-reach, reach + 2)]
    weights = np.diff(edges)
    return (weights / weights.sum()).astype(np.float32)


def blur(light: np.ndarray, weights: np.ndarray) -> None:
    """Blur a picture, float32, by `lens_blur` in place; its border is repeated outwards."""
    cv2.sepFilter2D(light, -1, weights, weights, dst=light, borderType=cv2.BORDER_REPLICATE)


@kernel
def expose(light: np.ndarray, gain: np.ndarray, factor: float, gamma: float, black: float) -> None:
    """From light to gray levels 0…255 in place, as an 8-bit camera's but not rounded.

    Exposures above KNEE of what makes white bend towards white without reaching it. Gray levels
    are encoded by the power 1/gamma, as in the video that event emulators are fed with.

    Args:
        light: Shape (size, size), float32, not negative.
        gain: Exposure of each pixel, vignetting included, of the same shape.
        factor: To all exposures.
        gamma: Exponent of the encoding.
        black: Gray level of no light, 0…1.
    """
    knee, power = np.float32(KNEE), np.float32(1 / gamma)
    low, span = np.float32(255 * black), np.float32(255 * (1 - black))
    rest, bright = np.float32(1) - knee, np.float32(factor)
    rows, columns = light.shape
    for i in range(rows):
        for j in range(columns):
            e = light[i, j] * gain[i, j] * bright
            if e > knee:
                e = knee + rest * (np.float32(1) - np.exp((knee - e) / rest))
            light[i, j] = low + span * e**power


def exposure_of(gray: float, gamma: float, black: float) -> float:
    """The exposure, 1 makes white, that `expose` turns into the gray level `gray`."""
    share = max(gray / 255 - black, 1e-3) / (1 - black)
    e = float(share**gamma)
    if e > KNEE:
        return KNEE - (1 - KNEE) * math.log(max(1 - (e - KNEE) / (1 - KNEE), 1e-6))
    return e
