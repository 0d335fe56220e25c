"""Where somebody shows an expression: before a camera in a laboratory, or to a robot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cs3d_ros.faces.errors import FaceError


@dataclass(frozen=True, slots=True)
class Venue:
    """How much goes on beside an expression, and how clear it is. All of it is our choice.

    Attributes:
        moods: Share of each of `moods.MOODS` of all stretches of time, by name.
        mounts: How often the camera is carried in which way; see `camera_motion`.
        talk_share: Share of stretches in which a face speaks.
        neutral_talk_share: The same in a clip without an expression.
        neutral_distractions: How much more often a face that shows nothing moves for other reasons.
        micro_share: Share of micro-expressions where no intensity is asked for.
        gamma: Range of the exponent by which the picture's contrasts are lowered, as the next two
            for `look.draw_look`.
        dim_gray: Range of a face's mean gray in insufficient light, 0…255.
        dim_stray: Most of that which is stray light, 0…1.
    """

    moods: Mapping[str, float]
    mounts: Mapping[str, float]
    talk_share: float
    neutral_talk_share: float
    neutral_distractions: float
    micro_share: float
    gamma: tuple[float, float]
    dim_gray: tuple[float, float]
    dim_stray: float


ROBOT, LAB = "robot", "lab"

VENUES: Mapping[str, Venue] = MappingProxyType(
    {
        ROBOT: Venue(
            moods={"still": 0.15, "calm": 0.35, "moving": 0.35, "wild": 0.15},
            mounts={"fixed": 0.4, "held": 0.25, "walking": 0.2, "vibrating": 0.15},
            talk_share=0.35,
            neutral_talk_share=0.55,
            neutral_distractions=2.0,
            micro_share=0.25,
            gamma=(1.0, 2.4),
            dim_gray=(18, 60),
            dim_stray=0.4,
        ),
        LAB: Venue(
            moods={"still": 0.6, "calm": 0.4, "moving": 0.0, "wild": 0.0},
            mounts={"fixed": 0.9, "held": 0.1, "walking": 0.0, "vibrating": 0.0},
            talk_share=0.0,
            neutral_talk_share=0.1,
            neutral_distractions=2.0,
            micro_share=0.1,
            gamma=(1.0, 1.4),
            dim_gray=(40, 75),
            dim_stray=0.1,
        ),
    }
)
"""Venues by name. `robot`: people talk, turn, walk and are shaken with the robot's camera. `lab`:
they sit before a fixed camera and hold still, as in the databases of posed expressions."""


def venue(name: str) -> Venue:
    """The venue of a name in `VENUES`.

    Raises:
        FaceError: There is none.
    """
    if name not in VENUES:
        raise FaceError(f"unknown venue {name!r}, expected one of {', '.join(VENUES)}")
    return VENUES[name]
