"""Sets of facial expressions that their owners hand out under a licence, as event clips."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.events.packets import Events
from cs3d_ros.expressions import EXPRESSIONS, Course
from cs3d_ros.faces.alignment.aligned_video import align
from cs3d_ros.faces.alignment.alignment import AlignSettings
from cs3d_ros.faces.alignment.landmarks import LandmarkFinder
from cs3d_ros.simulation.emulator import simulate_frames
from cs3d_ros.simulation.settings import EmulatorSettings
from cs3d_ros.simulation.upsampling import upsampled

LICENSED = ("adfes", "casme2", "szu-emodage")
"""Names of the sets that `list_sources` knows."""

VIDEO_SUFFIXES = (".avi", ".m2v", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
"""Files that are taken for videos."""

MAX_CLIP_S = 60.0
"""No clip of these sets is longer; a longer video is none of them."""


@dataclass(frozen=True, slots=True, eq=False)
class LicensedClip:
    """One video of a set, before it is looked into.

    Times are in s from the video's first frame, None where the set does not say.

    Attributes:
        name: Unique in the set, of letters, digits, ".", "_" and "-".
        path: Its video file, or the folder of its numbered pictures.
        frame_rate: Pictures per second of a folder; None for a file, which knows that itself.
        subject: Who shows it.
        expression: One of EXPRESSIONS; the set's own label where none of them fits.
        original_label: The set's own label.
        onset_s: The face begins to move.
        apex_s: The expression has reached its peak.
        offset_s: It is gone.
        provenance: Where it comes from, as JSON can hold it.
    """

    name: str
    path: Path
    frame_rate: float | None
    subject: str
    expression: str
    original_label: str
    onset_s: float | None = None
    apex_s: float | None = None
    offset_s: float | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON can hold it."""
        return {**asdict(self), "path": str(self.path)}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> LicensedClip:
        """What `to_json` gave."""
        return LicensedClip(**{**value, "path": Path(value["path"])})


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """What is in the folder of a set.

    Attributes:
        items: The clips, in the order of their names.
        skipped: What was not understood or cannot be used: path, and why. Nothing of the set is
            left out silently.
        left_out: How many clips were understood and not wanted, by the reason.
    """

    items: list[LicensedClip]
    skipped: list[tuple[str, str]]
    left_out: Mapping[str, int]


class Collection:
    """Gathers the clips of a set; used by the readers.

    Args:
        name: Name of the set.
        folder: Its folder.
        labels: Its labels, in lower case, and which of EXPRESSIONS each one is; None of those that
            are none of them.
        every_label: Take clips with the other labels as well.
    """

    def __init__(
        self, name: str, folder: Path, labels: Mapping[str, str | None], every_label: bool
    ) -> None:
        self.name = name
        self.folder = folder
        self._labels = labels
        self._every_label = every_label
        self._items: dict[str, LicensedClip] = {}
        self._skipped: list[tuple[str, str]] = []
        self._left_out: dict[str, int] = {}

    def expression(self, label: str) -> str | None:
        """Which expression a label of the set is called by; None of one to leave out, counted.

        Raises:
            KeyError: Not a label of the set.
        """
        label = label.strip().lower()
        expression = self._labels[label]
        if expression is None and self._every_label:
            return label
        if expression is None:
            self.leave_out(f"{label} is none of {', '.join(EXPRESSIONS)}")
        return expression

    def add(self, clip: LicensedClip) -> None:
        """Take a clip, unless there is one of its name."""
        if clip.name in self._items:
            self.skip(clip.path, f"the same as {self._relative(self._items[clip.name].path)}")
        else:
            self._items[clip.name] = clip

    def skip(self, path: Path | str, reason: str) -> None:
        """Count what cannot be used."""
        self._skipped.append((self._relative(path), reason))

    def leave_out(self, reason: str) -> None:
        """Count a clip that is not wanted."""
        self._left_out[reason] = self._left_out.get(reason, 0) + 1

    def sources(self, expected: str) -> Sources:
        """What was gathered.

        Args:
            expected: What the folder of the set looks like.

        Raises:
            DatasetError: Nothing was understood.
        """
        if not self._items and not self._left_out:
            why = "; ".join(f"{path}: {reason}" for path, reason in self._skipped[:3])
            raise DatasetError(
                f"{self.folder}: nothing in it is of {self.name}, expected {expected}"
                + (f". {len(self._skipped)} are something else: {why}" if why else "")
            )
        items = [self._items[name] for name in sorted(self._items)]
        return Sources(items, sorted(self._skipped), dict(sorted(self._left_out.items())))

    def _relative(self, path: Path | str) -> str:
        if isinstance(path, Path) and path.is_relative_to(self.folder):
            return str(path.relative_to(self.folder))
        return str(path)


def list_sources(name: str, folder: str | Path, *, every_label: bool = False) -> Sources:
    """The clips of a licensed set. No video is opened.

    Args:
        name: One of LICENSED.
        folder: Where the set was unpacked.
        every_label: Take clips with labels beside EXPRESSIONS as well, under the set's own names;
            otherwise they are left out and counted.

    Raises:
        DatasetError: An unknown set, no such folder, or nothing of the set in it.
    """
    from cs3d_ros.datasets.adfes import read_adfes
    from cs3d_ros.datasets.casme2 import read_casme2
    from cs3d_ros.datasets.szu_emodage import read_szu_emodage

    readers: dict[str, Callable[[Path, bool], Sources]] = {
        "adfes": read_adfes,
        "casme2": read_casme2,
        "szu-emodage": read_szu_emodage,
    }
    if name not in readers:
        raise DatasetError(f"{name!r}: not a set that is known, expected {', '.join(readers)}")
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; give the one that {name} was unpacked to")
    try:
        return readers[name](folder, every_label)
    except OSError as error:
        raise DatasetError(f"{folder}: cannot be read ({error})") from error


def make_clip(
    source: LicensedClip,
    finder: LandmarkFinder,
    settings: EmulatorSettings,
    seed: int,
    light: str,
    size: int = 112,
) -> Clip:
    """Turn a video of a set into events: align the face, fill in frames, simulate the camera.

    The paper's preparation of these sets (section IV-A): crop by landmarks, rotate, gray, 112x112,
    v2e.

    Args:
        source: One of `Sources.items`.
        finder: What finds the face.
        settings: What the camera's pixels are like.
        seed: Of all randomness.
        light: One of LIGHTS, for the clip.
        size: Sides of the picture in pixels.

    Raises:
        VideoError: The video cannot be decoded.
        FaceError: It shows no face, or not all the time.
        SimulationError: It has a single frame, or settings that are impossible.
        DatasetError: It is damaged, or much longer than anything in these sets.
    """
    faces = align(source.path, finder, AlignSettings(size=size), frame_rate=source.frame_rate)
    if faces.damage is not None:
        raise DatasetError(faces.damage)
    begin_s, end_s = float(faces.alignment.time_s[0]), float(faces.alignment.time_s[-1])
    if end_s - begin_s > MAX_CLIP_S:
        raise DatasetError(
            f"{source.path}: {end_s - begin_s:.0f} s long, expected a clip of a few seconds"
        )
    if len(faces) < 2:
        raise DatasetError(f"{source.path}: a single frame, which makes no events")
    frames = ((t_s - begin_s, face) for t_s, face in faces)
    events = simulate_frames(upsampled(frames), settings, seed)
    duration_ns = round((end_s - begin_s) * 1e9)
    return Clip(
        name=source.name,
        events=_within(events, duration_ns),
        width=size,
        height=size,
        duration_ns=duration_ns,
        expression=source.expression,
        subject=source.subject,
        light=light,
        course=_course(source, begin_s, duration_ns),
        provenance={
            **source.provenance,
            "label": source.original_label,
            "finder": finder.name,
            "remarks": faces.remarks,
        },
    )


def _within(events: Events, duration_ns: int) -> Events:
    """Times as they are, but for rounding beyond the end."""
    if not len(events.t_ns) or events.t_ns[-1] <= duration_ns:
        return events
    return Events(np.minimum(events.t_ns, duration_ns), events.x, events.y, events.p)


def _course(source: LicensedClip, begin_s: float, duration_ns: int) -> Course | None:
    """When the expression comes and goes in the clip; None where the set does not say it all."""
    if source.onset_s is None or source.apex_s is None or source.offset_s is None:
        return None
    onset, apex, offset = (
        min(max(round((t_s - begin_s) * 1e9), 0), duration_ns)
        for t_s in (source.onset_s, source.apex_s, source.offset_s)
    )
    return Course(onset, apex, None, offset)


def clip_name(*parts: str) -> str:
    """A name for a clip from what tells it apart, of letters, digits, ".", "_" and "-"."""
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "_", part).strip("_") for part in parts)


def videos_in(folder: Path) -> list[Path]:
    """Videos below a folder, in the order of their paths; none that is hidden."""

    def is_shown(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return not any(part.startswith((".", "__MACOSX")) for part in parts)

    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in VIDEO_SUFFIXES and is_shown(path) and path.is_file()
    ]
