"""Whether a value from a caller or from a file is a usable number."""

from __future__ import annotations

import math
from typing import TypeGuard

from cs3d_ros.network.errors import NetworkError


def is_finite_number(value: object) -> TypeGuard[int | float]:
    """Return whether the value is an int or a float that a finite float can hold; no bool."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def is_whole_number(value: object, low: int, high: int) -> TypeGuard[int]:
    """Return whether the value is an int from `low` to `high`; no bool."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def checked_dropout(probability: float) -> float:
    """Return the probability of dropout as it is.

    Raises:
        NetworkError: If it is not a number from 0 to below 1.
    """
    if not is_finite_number(probability) or not 0 <= probability < 1:
        raise NetworkError(f"the dropout is {probability!r}; give a number from 0 to below 1")
    return probability
