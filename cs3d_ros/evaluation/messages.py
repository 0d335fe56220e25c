"""What a network says, window by window, about a recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.predictions import progress_bar
from cs3d_ros.events.packets import PacketError
from cs3d_ros.events.roi import RoiError
from cs3d_ros.recognizer import DEFAULT_HOP_MS, Recognition, Recognizer
from cs3d_ros.recordings import open_recording

if TYPE_CHECKING:
    from cs3d_ros.events.activity import ActivitySettings
    from cs3d_ros.events.roi import Roi
    from cs3d_ros.network.classifier import Classifier

_MAX_BACK_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """Probabilities at the ends of windows, as the node `fer` would publish them.

    Attributes:
        labels: The k classes.
        stamps_ns: int64 (n,), n at least 1, ends of the windows in the clock of the packets'
            stamps, ascending.
        probabilities: float32 (n, k).
        window_ns: Length of a window.
        packets_skipped: Packets that could not be decoded.
        packets_lost: Packets that are missing by their sequence numbers.

    Raises:
        EvaluationError: Lengths that do not fit, or no messages.
    """

    labels: tuple[str, ...]
    stamps_ns: np.ndarray
    probabilities: np.ndarray
    window_ns: int
    packets_skipped: int = 0
    packets_lost: int = 0

    def __post_init__(self) -> None:
        if self.probabilities.shape != (len(self.stamps_ns), len(self.labels)):
            raise EvaluationError(
                f"probabilities of shape {self.probabilities.shape} for {len(self.stamps_ns)} "
                f"messages of {len(self.labels)} classes"
            )
        if not len(self.stamps_ns) or (np.diff(self.stamps_ns) < 0).any():
            raise EvaluationError("no messages, or their times do not ascend")

    @property
    def begin_ns(self) -> int:
        """Beginning of the first window: the recording's first event."""
        return int(self.stamps_ns[0]) - self.window_ns

    @property
    def duration_ns(self) -> int:
        """From the beginning of the first window to the end of the last."""
        return int(self.stamps_ns[-1]) - self.begin_ns


def recognize(
    classifier: Classifier,
    path: Path,
    *,
    topic: str | None = None,
    hop_ms: float = DEFAULT_HOP_MS,
    roi: Roi | ActivitySettings | None = None,
    progress: bool = False,
) -> Messages:
    """Run a network over a recording, as the node `fer` would, but without leaving out a window.

    Args:
        classifier: The network; its card says the length of the windows.
        path: Whatever `open_recording` reads.
        topic: Topic of the event packets in a bag; may be left out where there is only one.
        hop_ms: From one window to the next.
        roi: Region of the sensor to look at; None: its largest centred square; settings: follow the
            activity with them.
        progress: Whether to show a progress bar on stderr.

    Raises:
        RecordingError: The recording cannot be read.
        EvaluationError: It holds no whole window, or its time goes back by more than a second.
        WindowError: A hop that is not positive.
        TensorError, NetworkError: The network does not fit, or does not answer.
    """
    recognizer = Recognizer(classifier, hop_ms=hop_ms, roi=roi)
    found: list[Recognition] = []
    skipped, last_error = 0, ""
    with (
        open_recording(path, topic) as recording,
        # How many there will be is known at the end only.
        progress_bar(path.name if progress else None, None, "window") as advance,
    ):
        for _, packet in recording:
            try:
                for recognition in recognizer.feed(packet):
                    found.append(recognition)
                    advance(1)
            except (PacketError, RoiError) as error:
                skipped, last_error = skipped + 1, str(error)
    if not found:
        reason = f"; {skipped} packets could not be decoded: {last_error}" if skipped else ""
        raise EvaluationError(
            f"{path}: too short, it holds no whole window of "
            f"{recognizer.windows.duration_ns * 1e-6:g} ms, as this network takes them{reason}"
        )
    stamps_ns = np.array([r.stamp_ns for r in found], np.int64)
    if (np.diff(stamps_ns) < -_MAX_BACK_NS).any():
        raise EvaluationError(
            f"{path}: its time goes back, as of a recording that starts over; cut it there, and "
            "evaluate the pieces one by one"
        )
    return Messages(
        labels=classifier.labels,
        # The estimate of the sensor's clock steps back by a little where it becomes better.
        stamps_ns=np.maximum.accumulate(stamps_ns),
        probabilities=np.array([r.probabilities for r in found], np.float32),
        window_ns=recognizer.windows.duration_ns,
        packets_skipped=skipped,
        packets_lost=recognizer.stream.counters.packets_lost,
    )
