"""How an expression comes and goes: onset, apex, release, offset, and every unit's own way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cs3d_ros.expressions import Course
from cs3d_ros.faces.acting.curves import minimum_jerk, sway
from cs3d_ros.faces.errors import FaceError

SHORTEST_S = 0.2
"""No expression is shorter: Yan et al. 2013 found none below 0.17 s."""

FULL_ONSET_S = (0.2, 0.7)
FULL_APEX_S = (0.2, 2.2)
FULL_TOTAL_S = (0.5, 4.0)
"""Ekman 2003, "Emotions Revealed": most expressions last 0.5 to 4 s."""

MICRO_ONSET_S = (0.06, 0.2)
MICRO_APEX_S = (0.03, 0.15)
MICRO_TOTAL_S = (0.2, 0.5)
"""Yan et al. 2013, "How fast are the leaked facial expressions": within 0.5 s, onset 0.26 s."""

_SLOWER_OFFSET = (1.1, 2.2)
_LATEST_UNIT_S = 0.1
_LEAST_AT_APEX = 0.92


@dataclass(frozen=True, slots=True)
class Timing:
    """When an expression comes and goes, in seconds from the clip's beginning, ascending.

    Attributes:
        onset_s: The face begins to move.
        apex_s: The peak is reached.
        release_s: It begins to fade.
        offset_s: It is gone.
    """

    onset_s: float
    apex_s: float
    release_s: float
    offset_s: float

    def moved(self, by_s: float) -> Timing:
        """The same course, earlier or later."""
        return Timing(
            self.onset_s + by_s, self.apex_s + by_s, self.release_s + by_s, self.offset_s + by_s
        )

    def course(self, duration_s: float) -> Course:
        """What a clip of this length shows of it: cut at its end, in ns.

        A release after the end is None. An onset before the end is asked for.
        """
        onset, apex, release, offset = (
            round(min(t, duration_s) * 1e9)
            for t in (self.onset_s, self.apex_s, self.release_s, self.offset_s)
        )
        return Course(onset, apex, release if self.release_s < duration_s else None, offset)


def draw_timing(rng: np.random.Generator, intensity: str, longest_s: float = np.inf) -> Timing:
    """Draw how long an expression takes to come, stays, and takes to go; it begins at 0 s.

    Full: onset 0.2 to 0.7 s (deliberate ones are quicker than felt ones: Schmidt et al. 2006,
    "Movement differences between deliberate and spontaneous facial expressions"), all of it 0.5 to
    4 s. Micro: all of it 0.2 to 0.5 s. The offset takes 1.1 to 2.2 times as long as the onset, as
    far as the whole leaves time.

    Args:
        rng: Source of randomness.
        intensity: "full" or "micro".
        longest_s: All three parts are made quicker by one factor to end by then.

    Raises:
        FaceError: Less time than SHORTEST_S.
    """
    if not longest_s >= SHORTEST_S:
        raise FaceError(f"{longest_s} s for an expression, expected at least {SHORTEST_S} s")
    micro = intensity == "micro"
    onset = rng.uniform(*(MICRO_ONSET_S if micro else FULL_ONSET_S))
    apex = rng.uniform(*(MICRO_APEX_S if micro else FULL_APEX_S))
    offset = onset * rng.uniform(*_SLOWER_OFFSET)
    total = onset + apex + offset
    shortest, longest = MICRO_TOTAL_S if micro else FULL_TOTAL_S
    factor = np.clip(total, shortest, min(longest, longest_s)) / total
    parts = np.cumsum([onset, apex, offset]) * factor
    return Timing(0.0, *(float(p) for p in parts))


def draw_envelopes(
    time_s: np.ndarray, rng: np.random.Generator, timing: Timing, units: int
) -> np.ndarray:
    """How much of its strength each of an expression's units shows at each time.

    Each unit rises by minimum jerk, from up to 0.1 s after the onset; the first begins at the onset
    itself. In 30 % of cases it rises in two steps. A rise may be quick first or last (time warped
    by a power of 0.75 to 1.4). During the apex the units tremble and drift together, by at most
    8 %. They fall one after the other; the last is gone at the offset.

    Args:
        time_s: Times to evaluate at, shape (n,), ascending.
        rng: Source of randomness; what is drawn does not depend on the times.
        timing: When the expression comes and goes.
        units: How many units there are.

    Returns:
        Shape (n, units), float64, 0…1: exactly 0 up to the onset and from the offset on, at least
        0.92 from the apex to the release.
    """
    rise_s, fall_s = timing.apex_s - timing.onset_s, timing.offset_s - timing.release_s
    late = rng.random(units) * min(_LATEST_UNIT_S, 0.3 * rise_s)
    early = rng.random(units) * 0.15 * rise_s
    late[0] = 0.0
    warp = rng.uniform(0.75, 1.4) * rng.uniform(0.93, 1.07, units)
    steps = rng.random() < 0.3
    level, pause, when = rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.3), rng.uniform(0.25, 0.5)

    since = time_s[:, None] - timing.onset_s - late
    share = np.clip(since / (rise_s - late - early), 0.0, 1.0) ** warp
    if steps:
        first = minimum_jerk(share / when)
        second = minimum_jerk((share - when - pause) / (1.0 - when - pause))
        rise = level * first + (1.0 - level) * second
    else:
        rise = minimum_jerk(share)

    waits = rng.random(units) * 0.25 * fall_s
    ends = rng.random(units) * 0.2 * fall_s
    ends[int(rng.integers(units))] = 0.0
    slower = rng.uniform(0.7, 1.3)
    gone = (time_s[:, None] - timing.release_s - waits) / (fall_s - waits - ends)
    fall = 1.0 - minimum_jerk(np.clip(gone, 0.0, 1.0) ** slower)

    # Zero at both ends of the apex, so that neither the rise nor the fall is bent.
    held = np.clip((time_s - timing.apex_s) / max(timing.release_s - timing.apex_s, 1e-9), 0.0, 1.0)
    tremble = 0.5 + 0.5 * np.tanh(
        0.7 * sway(time_s, rng, 0.3, 2.0, 1)[:, 0] + 0.3 * sway(time_s, rng, 4.0, 8.0, 1)[:, 0]
    )
    depth = rng.uniform(0.0, 1.0 - _LEAST_AT_APEX)
    apex = 1.0 - depth * np.sin(np.pi * held) * tremble
    return rise * fall * apex[:, None]
