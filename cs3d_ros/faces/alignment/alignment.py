"""How a face is cut out of each frame: placed, scaled and upright, and calm over the clip.

Landmarks shake by a fraction of a pixel from frame to frame. A face that is aligned frame by frame
shakes with them, and each of its contours becomes events that nobody's face has made. So the cut is
smoothed over time, without delay, before any frame is cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.alignment.tracking import Track
from cs3d_ros.faces.errors import FaceError

_OUTLIER_WINDOW_S = 0.25
_OUTLIER_SIGMAS = 5.0
# The time that it takes grows with it, and this is as calm as a camera at rest.
_MAX_SMOOTHING_S = 60.0
# What is no outlier in any case: shares of the face's size, of its size, and radians.
_SHAKE = np.array([0.05, 0.05, 0.05, 0.05])


@dataclass(frozen=True, slots=True)
class AlignSettings:
    """How faces are cut out.

    Attributes:
        size: Sides of the cut picture in pixels.
        face_share: Width of the face as a share of them.
        smoothing_s: Standard deviation of the Gaussian over time that smooths place, size and tilt
            of the cut, up to 60 seconds; 0 aligns each frame on its own, infinity cuts the same
            place out of every frame, as a camera that stands still.
        max_gap_s: Without a face for no longer than this, the cut is interpolated.

    Raises:
        FaceError: A value out of its range.
    """

    size: int = 112
    face_share: float = 0.7
    smoothing_s: float = 0.06
    max_gap_s: float = 0.5

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 1024:
            raise FaceError(f"size is {self.size}, expected 16 to 1024 pixels")
        if not 0.2 <= self.face_share <= 1.0:
            raise FaceError(f"face_share is {self.face_share}, expected 0.2 to 1")
        if not (0 <= self.smoothing_s <= _MAX_SMOOTHING_S or self.smoothing_s == math.inf):
            raise FaceError(
                f"smoothing_s is {self.smoothing_s}, expected 0 to {_MAX_SMOOTHING_S:g} seconds "
                "or infinity"
            )
        if not 0 <= self.max_gap_s <= 60:
            raise FaceError(f"max_gap_s is {self.max_gap_s}, expected 0 to 60 seconds")


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """What is cut out of the frames of a video.

    Attributes:
        settings: How.
        first: Number of the first frame that is cut out, from 0.
        time_s: Times of the frames that are cut out, in the video's own time, shape (n,), float64.
        place: Rows of x, y, size and roll (see `Face`), smoothed, shape (n, 4), float64.
        frames_in: Frames of the video.
        found: In how many of the n frames the face was found and believed.
        rejected: In how many it was found far from where it was before and after.
        longest_gap_s: The longest time in them without a face.
        others: Frames of the video in which other faces were seen as well.
        outside: Share of the n frames whose cut reaches beyond the picture's border.
        finds_roll: Whether tilt was seen; else the face is as tilted as it was.
    """

    settings: AlignSettings
    first: int
    time_s: np.ndarray
    place: np.ndarray
    frames_in: int
    found: int
    rejected: int
    longest_gap_s: float
    others: int
    outside: float
    finds_roll: bool = True

    def __len__(self) -> int:
        return len(self.time_s)

    def remarks(self) -> list[str]:
        """What somebody who uses the result should know, one sentence each."""
        n, said = len(self), []
        if n == 1:
            said.append("a single frame: nothing moves, there will be no events")
        if n < self.frames_in:
            said.append(f"{self.frames_in - n} of {self.frames_in} frames left out: no face there")
        if self.found < n:
            said.append(
                f"no face in {n - self.found} of {n} frames, at most for {self.longest_gap_s:.2f} "
                "s: interpolated"
            )
        if self.others:
            said.append(f"other faces as well in {self.others} frames; taken is the largest")
        if self.outside > 0:
            said.append(
                f"the cut reaches beyond the picture in {self.outside:.0%} of the frames: its "
                "border is repeated there"
            )
        width = float(np.median(self.place[:, 2]))
        if width < 0.7 * self.settings.face_share * self.settings.size:
            said.append(f"the face is only {width:.0f} pixels wide: enlarged")
        if not self.finds_roll:
            said.append("only a box was found: tilt is not removed, and smaller motion is not seen")
        return said


def plan_alignment(
    track: Track, settings: AlignSettings | None = None, *, cut: bool = False
) -> Alignment:
    """Plan the cut for all frames from where the face was found.

    Places far from the median of half a second are left out (a Hampel filter) and gaps
    interpolated. Then it is smoothed by local linear regression with Gaussian weights, and what
    that has left once more ("twicing", Tukey 1977): it has no delay, no bias at the ends, and
    follows a turning head closely.

    Args:
        track: The face in every frame.
        settings: How it is cut out.
        cut: Take the longest stretch with the face where it is lost for longer than allowed.

    Raises:
        FaceError: The face is lost for longer than `settings.max_gap_s`, also at either end, and
            `cut` is False; or it jumps in every frame.
    """
    settings = settings or AlignSettings()
    believed = track.found & ~_outliers(track)
    if not believed.any():
        raise FaceError("the face jumps in every frame, expected one that moves steadily")
    stretches = _stretches(track.time_s, believed, settings.max_gap_s)
    first, last = max(stretches, key=lambda s: track.time_s[s[1] - 1] - track.time_s[s[0]])
    if not cut and last - first < len(track.time_s):
        raise FaceError(_lost(track, believed, settings.max_gap_s))
    time_s, seen = track.time_s[first:last], believed[first:last]
    place = _filled(time_s, track.faces[first:last], seen)
    place = _smoothed(time_s, place, settings.smoothing_s)
    place[:, 2] = np.exp(place[:, 2])
    return Alignment(
        settings=settings,
        first=first,
        time_s=time_s,
        place=place,
        frames_in=len(track.time_s),
        found=int(seen.sum()),
        rejected=int((track.found & ~believed)[first:last].sum()),
        longest_gap_s=_longest_gap(time_s, seen),
        others=track.others,
        outside=_outside(place, settings, track.width, track.height),
    )


def _outliers(track: Track) -> np.ndarray:
    """Which frames show the face where it can hardly have been, shape (n,), bool."""
    index = np.flatnonzero(track.found)
    outlier = np.zeros(len(track.time_s), bool)
    if len(index) < 5:
        return outlier
    rows = track.faces[index].copy()
    size = np.median(rows[:, 2])
    rows[:, :2] /= size
    rows[:, 2] = np.log(rows[:, 2])
    rows[:, 3] = np.unwrap(rows[:, 3])
    step_s = float(np.median(np.diff(track.time_s)))
    half = int(np.clip(round(_OUTLIER_WINDOW_S / max(step_s, 1e-6)), 2, (len(index) - 1) // 2))
    # Mirrored at its ends in both directions, so that steady motion stays steady there; at the
    # median of three, so that an outlier is no mirror.
    begin, end = np.median(rows[:3], axis=0), np.median(rows[-3:], axis=0)
    padded = np.concatenate(
        [2 * begin - rows[half:0:-1], rows, 2 * end - rows[-2 : -half - 2 : -1]]
    )
    for start in range(0, len(index), 4096):
        piece = padded[start : start + 4096 + 2 * half]
        windows = np.lib.stride_tricks.sliding_window_view(piece, 2 * half + 1, axis=0)
        middle = np.median(windows, axis=-1)
        spread = 1.4826 * np.median(np.abs(windows - middle[..., np.newaxis]), axis=-1)
        limit = np.maximum(_OUTLIER_SIGMAS * spread, _SHAKE)
        far = (np.abs(rows[start : start + 4096] - middle) > limit).any(axis=1)
        outlier[index[start : start + 4096]] = far
    return outlier


def _stretches(time_s: np.ndarray, seen: np.ndarray, max_gap_s: float) -> list[tuple[int, int]]:
    """First frame and the one after the last of each stretch without a gap that is too long."""
    index = np.flatnonzero(seen)
    breaks = np.flatnonzero((np.diff(index) > 1) & (np.diff(time_s[index]) > max_gap_s))
    stretches = [
        (int(part[0]), int(part[-1]) + 1) for part in np.split(index, breaks + 1) if len(part)
    ]
    # The first and last place holds for a while before and after.
    begin, end = stretches[0][0], stretches[-1][1]
    if time_s[begin] - time_s[0] <= max_gap_s:
        stretches[0] = (0, stretches[0][1])
    if time_s[-1] - time_s[end - 1] <= max_gap_s:
        stretches[-1] = (stretches[-1][0], len(time_s))
    return stretches


def _longest_gap(time_s: np.ndarray, seen: np.ndarray) -> float:
    """The longest time between two frames with a face that has frames without in between."""
    index = np.flatnonzero(seen)
    gaps = np.diff(time_s[index])[np.diff(index) > 1]
    ends = [time_s[index[0]] - time_s[0], time_s[-1] - time_s[index[-1]]]
    return float(max([*gaps, *ends]))


def _lost(track: Track, believed: np.ndarray, max_gap_s: float) -> str:
    time_s = track.time_s
    index = np.flatnonzero(believed)
    begin = [time_s[0], *time_s[index]]
    end = [*time_s[index], time_s[-1]]
    gaps = [
        (b, e)
        for b, e, frames in zip(begin, end, np.diff([-1, *index, len(time_s)]) > 1, strict=True)
        if frames and e - b > max_gap_s
    ]
    b, e = gaps[0]
    more = f", and in {len(gaps) - 1} more such gaps" if len(gaps) > 1 else ""
    return (
        f"the face is lost from {b:.2f} to {e:.2f} s{more}; at most {max_gap_s:g} s are "
        "interpolated. Take the longest stretch with the face (--cut), or cut the video before"
    )


def _filled(time_s: np.ndarray, faces: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """x, y, logarithm of the size and roll for every frame, interpolated where nothing was seen."""
    known = faces[seen]
    columns = [known[:, 0], known[:, 1], np.log(known[:, 2]), np.unwrap(known[:, 3])]
    return np.column_stack([np.interp(time_s, time_s[seen], column) for column in columns])


def _smoothed(time_s: np.ndarray, rows: np.ndarray, sigma_s: float) -> np.ndarray:
    """Rows smoothed over time; a median for an infinite `sigma_s`."""
    if math.isinf(sigma_s):
        return np.repeat(np.median(rows, axis=0)[np.newaxis], len(rows), axis=0)
    if sigma_s == 0 or len(rows) < 3:
        return rows.copy()
    smooth = _regression(time_s, rows, sigma_s)
    return smooth + _regression(time_s, rows - smooth, sigma_s)


def _regression(time_s: np.ndarray, rows: np.ndarray, sigma_s: float) -> np.ndarray:
    """Local linear regression over time with Gaussian weights, at each of the times."""
    n = len(rows)
    # Sums over the neighbours of every frame at once, one offset after the other.
    reach = 5 * sigma_s
    weight = np.ones(n)
    first, second = np.zeros(n), np.zeros(n)
    values, slopes = rows.copy(), np.zeros_like(rows)
    for offset in range(1, n):
        apart = time_s[offset:] - time_s[:-offset]
        near = apart < reach
        if not near.any():
            break
        w = np.where(near, np.exp(-0.5 * (apart / sigma_s) ** 2), 0.0)
        for here, there, d in (
            (slice(None, -offset), slice(offset, None), apart),
            (slice(offset, None), slice(None, -offset), -apart),
        ):
            weight[here] += w
            first[here] += w * d
            second[here] += w * d * d
            values[here] += w[:, np.newaxis] * rows[there]
            slopes[here] += (w * d)[:, np.newaxis] * rows[there]
    determinant = weight * second - first**2
    flat = determinant <= 1e-12 * np.maximum(weight * second, 1e-300)
    safe = np.where(flat, 1.0, determinant)[:, np.newaxis]
    line = (second[:, np.newaxis] * values - first[:, np.newaxis] * slopes) / safe
    return np.where(flat[:, np.newaxis], values / weight[:, np.newaxis], line)


def _outside(place: np.ndarray, settings: AlignSettings, width: int, height: int) -> float:
    """Share of the frames whose cut reaches beyond the picture by over 2 % of its side."""
    side = place[:, 2] / settings.face_share
    reach = side / 2 * (np.abs(np.sin(place[:, 3])) + np.abs(np.cos(place[:, 3]))) - 0.02 * side
    beyond = (
        (place[:, 0] - reach < 0)
        | (place[:, 1] - reach < 0)
        | (place[:, 0] + reach > width - 1)
        | (place[:, 1] + reach > height - 1)
    )
    return float(beyond.mean())
