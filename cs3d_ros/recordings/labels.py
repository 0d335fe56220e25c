"""What a recording shows when: labels beside the event packets of a rosbag2 recording.

A label is a message of the type that the node `fer` publishes, so that results and labels are two
topics of one type, and whatever plots the one plots the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cs3d_ros.recordings.bag_files import EXPRESSION_TYPE, BagFiles, typestore
from cs3d_ros.recordings.recording import RecordingError

LABEL_TOPIC = "/fer/label"
MODEL = "label"
"""The message's field `model` where nobody but a person has recognised anything."""


@dataclass(frozen=True, slots=True)
class Label:
    """One stretch of a recording and the expression that it shows.

    All times are ROS time in ns, in the clock of the packets' stamps.

    Attributes:
        log_time_ns: When it is written to the recording, and so when it is replayed.
        start_ns: Beginning of the stretch.
        end_ns: End of the stretch; equal to start_ns where only a moment is known.
        expression: Such as "happy"; see msg/ExpressionStamped.msg.
    """

    log_time_ns: int
    start_ns: int
    end_ns: int
    expression: str


def label_message(label: Label, frame_id: str) -> Any:
    """The label as a `cs3d_ros/msg/ExpressionStamped` of rosbags' type store.

    It is certain: confidence 1, and the expression the only one of `labels`. What a label does not
    know is NaN or 0.

    Raises:
        RecordingError: A label that ends before it starts.
    """
    if label.end_ns < label.start_ns:
        raise RecordingError(
            f"the label {label.expression!r} ends at {label.end_ns} ns, before its start at "
            f"{label.start_ns} ns; expected an end that is not before the start"
        )
    types = typestore().types
    time = types["builtin_interfaces/msg/Time"]
    duration = types["builtin_interfaces/msg/Duration"]
    return types[EXPRESSION_TYPE](
        header=types["std_msgs/msg/Header"](time(*_split(label.end_ns)), frame_id),
        expression=label.expression,
        valence=math.nan,
        arousal=math.nan,
        confidence=1.0,
        face_id="",
        labels=[label.expression],
        probabilities=np.ones(1, np.float32),
        window_start=time(*_split(label.start_ns)),
        window_duration=duration(*_split(label.end_ns - label.start_ns)),
        event_count=0,
        packets_lost=0,
        inference_ms=math.nan,
        latency_ms=math.nan,
        roi=types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
        model=MODEL,
    )


def read_labels(path: str | Path, topic: str = LABEL_TOPIC) -> list[Label]:
    """Read labels, or results of the node `fer`, from a rosbag2 recording.

    Args:
        path: A rosbag2 folder, or an .mcap or .db3 file of one.
        topic: Where they are, of the type `cs3d_ros/msg/ExpressionStamped`.

    Returns:
        The labels in the order of the recording.

    Raises:
        RecordingError: The recording cannot be read, or has no such topic of that type.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    files = BagFiles(path)
    try:
        sources = files.sources(topic, EXPRESSION_TYPE)
        if not sources:
            found = ", ".join(files.topics(EXPRESSION_TYPE)) or "none"
            raise RecordingError(
                f"{path}: no expressions on {topic!r}; topics of type {EXPRESSION_TYPE}: {found}"
            )
        return [_label(log_time_ns, message) for log_time_ns, message in files.messages(sources)]
    finally:
        files.close()


def _label(log_time_ns: int, message: Any) -> Label:
    return Label(
        log_time_ns, _ns(message.window_start), _ns(message.header.stamp), message.expression
    )


def _ns(time: Any) -> int:
    return int(time.sec * 1_000_000_000 + time.nanosec)


def _split(time_ns: int) -> tuple[int, int]:
    return divmod(time_ns, 1_000_000_000)
