"""Other looks of the whole picture than a camera's: drawings, which training never sees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import cv2
import numpy as np

_FINE, _COARSE = 0.7, 1.12
_BLUR_WIDTH = 112
_DARKEST = 0.02

_TONE, _SOFTNESS = 1.0, 0.12

_LEAST_EDGE, _FULL_EDGE = 0.035, 0.11
_INK = 0.12


def draw_cartoon(picture: np.ndarray, level: float) -> None:
    """Redraw a picture in a few flat tones with dark lines, in place.

    A simple form of Winnemöller, Olsen and Gooch 2006, "Real-time video abstraction": tones are
    steps of one stop, with soft edges; lines are where a pixel is darker than its surroundings
    (difference of Gaussians). Both work on the logarithm of the light, so that the drawing does not
    depend on the exposure.

    Args:
        picture: Linear light, shape (size, size), float32, not negative.
        level: Light that lies in the middle of a tone, such as the face's mean; positive.
    """
    scale = picture.shape[1] / _BLUR_WIDTH
    stops = np.log2(np.maximum(picture, np.float32(_DARKEST * level)) / np.float32(level))
    fine = cv2.GaussianBlur(stops, (0, 0), _FINE * scale)
    coarse = cv2.GaussianBlur(stops, (0, 0), 1.6 * _FINE * scale)
    place = fine / np.float32(_TONE)
    whole = np.rint(place)
    # Within a tone nothing changes; from one to the next the light goes over in a short ramp.
    part = np.tanh((np.abs(place - whole) - np.float32(0.5)) / np.float32(_SOFTNESS)) + 1
    tones = np.float32(_TONE) * (whole + np.float32(0.5) * part * np.sign(place - whole))
    line = np.clip((coarse - fine - _LEAST_EDGE) / (_FULL_EDGE - _LEAST_EDGE), 0, 1)
    ink = np.float32(1) - np.float32(1 - _INK) * line
    picture[:] = np.float32(level) * np.exp2(tones) * ink


STYLES: Mapping[str, Callable[[np.ndarray, float], None]] = MappingProxyType(
    {"cartoon": draw_cartoon}
)
"""Styles by name. None of them is drawn for facekit-7."""
