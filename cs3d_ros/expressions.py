"""The expressions that are told apart, and when one comes and goes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from cs3d_ros.errors import Cs3dError

EXPRESSIONS = ("neutral", "happy", "sad", "surprised", "scared", "disgusted", "angry")
"""The seven classes, in the words of ROS4HRI and the order of a network's outputs."""

NEUTRAL = "neutral"
"""What a face shows that shows no expression."""


@dataclass(frozen=True, slots=True)
class Course:
    """When an expression comes and goes, in ns from the clip's beginning.

    The terms are those of FACS coding: onset, apex, offset.

    Attributes:
        onset_ns: The face begins to move.
        apex_ns: The expression has reached its peak.
        release_ns: It begins to fade; None where the source does not say.
        offset_ns: It is gone, or the last that the clip shows of it.

    Raises:
        Cs3dError: Times before 0 or in another order.
    """

    onset_ns: int
    apex_ns: int
    release_ns: int | None
    offset_ns: int

    def __post_init__(self) -> None:
        times = [self.onset_ns, self.apex_ns, self.release_ns, self.offset_ns]
        known = [t for t in times if t is not None]
        if any(a > b for a, b in pairwise(known)) or known[0] < 0:
            raise Cs3dError(
                f"an expression with onset, apex, release, offset at {times} ns, expected times "
                "from 0 on in this order"
            )
