"""A classifier to look at, and what recognizers make of recordings."""

import numpy as np

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.network.checkpoint import untrained as untrained_network
from cs3d_ros.recognizer import Recognizer
from cs3d_ros.recordings import open_recording

CARD = untrained_network()[1]

WHOLE_BINS = 125.0
"""A hop in ms: four of the sixteen bins of a window of 500 ms."""


class Witness:
    """A classifier that keeps what it is shown and answers with a fixed distribution."""

    name = "witness"
    labels = CARD.labels
    card = CARD

    def __init__(self) -> None:
        self.tensors: list[np.ndarray] = []
        self.shifts: list[int | None] = []

    @property
    def asked(self) -> int:
        return len(self.shifts)

    def predict(self, tensor: np.ndarray, shift: int | None = None) -> np.ndarray:
        self.tensors.append(tensor)
        self.shifts.append(shift)
        return np.array([0.1, 0.4, 0.1, 0.1, 0.1, 0.1, 0.1], np.float32)


def packets(path) -> list[EventPacket]:
    with open_recording(path) as recording:
        return [packet for _, packet in recording]


def recognize(recognizer: Recognizer, stream: list[EventPacket]) -> list:
    return [recognition for packet in stream for recognition in recognizer.feed(packet)]
