"""A video to a recording of events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from cs3d_ros.events.packets import MAX_SENSOR_SIDE, Events
from cs3d_ros.recordings.output import check_target, kind_of, replaced
from cs3d_ros.recordings.recording import expanded
from cs3d_ros.simulation.emulator import Emulator
from cs3d_ros.simulation.errors import SimulationError
from cs3d_ros.simulation.event_writer import write_events
from cs3d_ros.simulation.settings import PRESETS, EmulatorSettings
from cs3d_ros.simulation.upsampling import DEFAULT_RATE, check_rate, upsampled
from cs3d_ros.simulation.video import open_video

MAX_SLOW_MOTION = 10_000.0


@dataclass(slots=True)
class Simulation:
    """What a simulation has done.

    Attributes:
        width: Width of the sensor in pixels.
        height: Height of the sensor in pixels.
        frames: Frames of the video.
        frames_between: Frames interpolated between them.
        duration_s: Time from the first to the last frame.
        events: Events written.
        on: ON events among them.
        deferred: Events that came late, because one frame made too many; see `Emulator`.
        damage: What of the video could not be decoded; None if nothing.
        video_remarks: What else is not as it should be with the video.
    """

    width: int = 0
    height: int = 0
    frames: int = 0
    frames_between: int = 0
    duration_s: float = 0.0
    events: int = 0
    on: int = 0
    deferred: int = 0
    damage: str | None = None
    video_remarks: list[str] = field(default_factory=list)

    def remarks(self) -> list[str]:
        """What the user may not expect, as sentences."""
        remarks = list(self.video_remarks)
        if self.deferred:
            remarks.append(
                f"{self.deferred} events came late: single frames made more than fit into memory"
            )
        return remarks


def simulate(
    source: str | Path,
    target: str | Path,
    *,
    settings: EmulatorSettings = PRESETS["sufficient"],
    seed: int = 0,
    size: tuple[int, int] | None = None,
    frame_rate: float = DEFAULT_RATE,
    video_rate: float | None = None,
    slow_motion: float = 1.0,
    overwrite: bool = False,
) -> Simulation:
    """Write the events that an event camera would have sent of what a video shows.

    Event times begin with 0 at the first frame, and so do the stamps of packets: the same video,
    settings and seed make the same bytes. The output appears under its name when it is complete.
    Memory does not grow with the video, other than for .npz.

    Args:
        source: A video file, or a folder of numbered pictures.
        target: What to write, by its suffix: .raw (EVT3), .csv or .npz; a rosbag2 folder with EVT3
            packets (mono, if a side has more than 2048 pixels) without a suffix or with a slash at
            the end.
        settings: What the pixels are like.
        seed: Of all randomness, not negative.
        size: Width and height of the sensor in pixels: of each frame, the largest centred part of
            that shape is scaled to it. None: as the video.
        frame_rate: Frames per second that the emulator gets at least; see `upsampling.upsampled`.
        video_rate: Frames per second of the source; a folder needs it, for a file it replaces the
            time stamps.
        slow_motion: How many times slower than the truth the video plays.
        overwrite: Replace an output that exists; see `recordings.output.check_target`.

    Raises:
        VideoError: The video cannot be opened or decoded, or the size of its pictures changes.
        SimulationError: Impossible choices, a video of one frame, or one that makes no events.
        RecordingError: The output exists, or cannot be written.
        PacketError: The sensor is too large for .raw.
    """
    kind = kind_of(target)
    target = expanded(target)
    check_rate(frame_rate)
    if not 1.0 / MAX_SLOW_MOTION <= slow_motion <= MAX_SLOW_MOTION:
        raise SimulationError(
            f"a slow motion of {slow_motion}, expected how many times slower than the truth the "
            f"video plays, up to {MAX_SLOW_MOTION:g}"
        )
    if size is not None and not all(0 < side <= MAX_SENSOR_SIDE for side in size):
        raise SimulationError(
            f"a sensor of {size[0]}x{size[1]} pixels, expected 1 to {MAX_SENSOR_SIDE} on each side"
        )
    done = Simulation()
    with open_video(source, video_rate) as video:
        done.width, done.height = size or (video.width, video.height)
        emulator = Emulator(settings, done.height, done.width, seed)
        check_target(video.path, target, kind, overwrite)
        frames = _frames(video, done, size, slow_motion)
        chunks = _chunks(upsampled(frames, frame_rate), emulator, done)
        with replaced(target, overwrite) as new:
            write_events(new, kind, chunks, (done.width, done.height))
        done.frames_between -= done.frames
        done.deferred = emulator.deferred
        done.damage, done.video_remarks = video.damage, list(video.remarks)
    return done


def _frames(
    video: Iterable[tuple[float, np.ndarray]],
    done: Simulation,
    size: tuple[int, int] | None,
    slow_motion: float,
) -> Iterator[tuple[float, np.ndarray]]:
    """The video's frames as the sensor is to see them, at their true times."""
    for t_s, frame in video:
        done.frames += 1
        done.duration_s = t_s / slow_motion
        yield done.duration_s, frame if size is None else fitted(frame, *size)


def fitted(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    """The largest centred part of a frame with the shape of a sensor, scaled to it.

    Args:
        frame: Shape (H, W), uint8.
        width: Of the sensor in pixels.
        height: Of the sensor in pixels.

    Returns:
        Shape (height, width), uint8.
    """
    rows, columns = frame.shape
    scale = min(columns / width, rows / height)
    part_w = min(columns, max(1, round(width * scale)))
    part_h = min(rows, max(1, round(height * scale)))
    x, y = (columns - part_w) // 2, (rows - part_h) // 2
    part = frame[y : y + part_h, x : x + part_w]
    how = cv2.INTER_AREA if scale > 1.0 else cv2.INTER_LINEAR
    return cv2.resize(part, (width, height), interpolation=how)


def _chunks(
    frames: Iterable[tuple[float, np.ndarray]], emulator: Emulator, done: Simulation
) -> Iterator[Events]:
    for t_s, frame in frames:
        done.frames_between += 1
        events = emulator.feed(frame, t_s)
        done.events += len(events)
        done.on += int(np.count_nonzero(events.p))
        yield events
    if done.frames < 2:
        raise SimulationError(
            "the video has one frame only; events come from what changes from frame to frame"
        )
    if not done.events:
        raise SimulationError(
            "nothing in the video changes enough to make an event, and nothing was written; lower "
            "thresholds or noise would make some"
        )
