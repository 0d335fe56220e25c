"""A picture of what the network saw and what it made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from cs3d_ros.events.windows import Window
    from cs3d_ros.recognizer import ReadyWindow, Recognition

# BGR. Blue and orange are told apart by every kind of colour vision.
_ON = (255, 128, 0)
_OFF = (0, 128, 255)
_BACKGROUND = 24
_FRAME = (80, 220, 80)
_TEXT = (235, 235, 235)
_BAR = (150, 110, 60)

_PANEL_WIDTH = 260
_MIN_HEIGHT = 240
_SHOWN_NS = 64_000_000


def draw(ready: ReadyWindow, recognition: Recognition) -> np.ndarray:
    """Draw the last 64 ms of events, the region and the probabilities.

    Returns:
        A BGR picture, uint8, shape (max(height, 240), width + 260, 3): the sensor at its own
        resolution on the left, the labels with their probabilities on the right.
    """
    height = max(ready.height, _MIN_HEIGHT)
    image = np.full((height, ready.width + _PANEL_WIDTH, 3), _BACKGROUND, np.uint8)
    _draw_events(image, ready.window)
    roi = ready.roi
    cv2.rectangle(image, (roi.x, roi.y), (roi.x + roi.width - 1, roi.y + roi.height - 1), _FRAME, 1)
    _draw_panel(image[:, ready.width :], recognition)
    return image


def _draw_events(image: np.ndarray, window: Window) -> None:
    first_ns = window.end_ns - _SHOWN_NS
    for events in window.chunks:
        shown = (events.t_ns >= first_ns) & (events.t_ns < window.end_ns)
        y, x, on = events.y[shown], events.x[shown], events.p[shown] == 1
        image[y[~on], x[~on]] = _OFF
        image[y[on], x[on]] = _ON


def _draw_panel(panel: np.ndarray, recognition: Recognition) -> None:
    def write(text: str, x: int, y: int, scale: float = 0.45) -> None:
        cv2.putText(panel, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, _TEXT, 1, cv2.LINE_AA)

    write(f"{recognition.expression} {recognition.confidence:.2f}", 12, 28, 0.7)
    step = 20
    for row, (label, probability) in enumerate(
        zip(recognition.labels, recognition.probabilities, strict=True)
    ):
        y = 56 + step * row
        if y > panel.shape[0] - 3 * step // 2:
            break
        length = round((_PANEL_WIDTH - 124) * probability)
        cv2.rectangle(panel, (104, y - 11), (104 + length, y + 1), _BAR, cv2.FILLED)
        write(label, 12, y)
        write(f"{probability:.2f}", 208, y)
    write(
        f"{recognition.event_count} events  {recognition.inference_ms:.0f} ms",
        12,
        panel.shape[0] - 28,
        0.4,
    )
    write(recognition.model, 12, panel.shape[0] - 10, 0.4)
