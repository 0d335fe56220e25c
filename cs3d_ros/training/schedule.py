"""The learning rate of each step."""

from __future__ import annotations

import math

RISE = 0.1
"""Share of all steps in which the one-cycle schedule rises."""


def learning_rate(schedule: str, largest: float, step: int, steps: int) -> float:
    """The learning rate of a step; it depends on nothing else.

    Args:
        schedule: "constant" or "one-cycle".
        largest: The constant, or the peak.
        step: From 0 on.
        steps: Number of steps of the whole run.
    """
    if schedule == "constant":
        return largest
    rise = max(1, round(RISE * steps))
    if step < rise:
        return largest * (step + 1) / rise
    return largest * (1 + math.cos(math.pi * (step - rise + 1) / (steps - rise + 1))) / 2
