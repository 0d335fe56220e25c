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
from cs3d_ros.recordings.recording import LAST_ROS_TIME_NS, RecordingError, expanded

LABEL_TOPIC = "/fer/label"
MODEL = "label"
"""The message's field `model` where nobody but a person has recognised anything."""


@dataclass(frozen=True, slots=True)
class Label:
    """One stretch of a recording and the expression that it shows.

    All times are ROS time in ns.

    Attributes:
        log_time_ns: When it is replayed, in the clock of the recording's log times; that need not
            be the clock of the stamps.
        start_ns: Beginning of the stretch, in the clock of the packets' stamps.
        end_ns: End of the stretch, likewise; equal to start_ns where only a moment is known.
        expression: Such as "happy"; see msg/ExpressionStamped.msg.

    Raises:
        RecordingError: A time that ROS does not have, an end before the start, or an expression
            that is no text.
    """

    log_time_ns: int
    start_ns: int
    end_ns: int
    expression: str

    def __post_init__(self) -> None:
        if not isinstance(self.expression, str):
            raise RecordingError(
                f"a label with the expression {self.expression!r}, expected a text such as 'happy'"
            )
        for name in ("log_time_ns", "start_ns", "end_ns"):
            value = getattr(self, name)
            if not 0 <= value <= LAST_ROS_TIME_NS:
                raise RecordingError(
                    f"the label {self.expression!r} has {name} = {value}, expected ROS time from 0 "
                    f"to {LAST_ROS_TIME_NS} ns"
                )
        if self.end_ns < self.start_ns:
            raise RecordingError(
                f"the label {self.expression!r} ends at {self.end_ns} ns, before its start at "
                f"{self.start_ns} ns; expected an end that is not before the start"
            )


def label_message(label: Label, frame_id: str) -> Any:
    """The label as a `cs3d_ros/msg/ExpressionStamped` of rosbags' type store.

    It is certain: confidence 1, and the expression the only one of `labels`. What a label does not
    know is NaN or 0.
    """
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
        RecordingError: The recording cannot be read, has no such topic of that type, or a message
            there that is no `Label`.
    """
    path = expanded(path)
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
        messages = list(files.messages(sources))
    finally:
        files.close()
    return [_label(path, log_time_ns, message) for log_time_ns, message in messages]


def has_labels(bag: Path) -> bool:
    """Whether a rosbag2 recording has labels on LABEL_TOPIC.

    Raises:
        RecordingError: It cannot be read.
    """
    files = BagFiles(bag)
    try:
        return LABEL_TOPIC in files.topics(EXPRESSION_TYPE)
    finally:
        files.close()


def _label(path: Path, log_time_ns: int, message: Any) -> Label:
    start_ns, end_ns = _ns(message.window_start), _ns(message.header.stamp)
    try:
        return Label(log_time_ns, start_ns, end_ns, message.expression)
    except RecordingError as error:
        raise RecordingError(f"{path}: {error}") from error


def _ns(time: Any) -> int:
    return int(time.sec * 1_000_000_000 + time.nanosec)


def _split(time_ns: int) -> tuple[int, int]:
    return divmod(time_ns, 1_000_000_000)
