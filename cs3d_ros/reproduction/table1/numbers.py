"""Numbers of Table I as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cs3d_ros.reproduction.table1.results import spread

SCOPES = {
    "module": "the whole module with its CPU, GPU and memory, without the carrier board",
    "gpu": "the whole graphics board with its memory, whoever uses it; not the CPU that starts "
    "its work",
    "cpu_package": "the processors' packages, whoever uses them; not memory and board",
}
"""What is in the energy, by the scope of a power source."""


def title(network: str) -> str:
    """A network as the paper writes it."""
    return network.upper()


def percent(share: float) -> str:
    """With two decimals and without the sign, such as "21.97"."""
    return f"{100 * share:.2f}"


def scaled(values: Sequence[float], factor: float) -> str:
    """Mean ± deviation of values times a factor, the mean to three digits, such as "12.3 ± 0.4"."""
    mean, deviation = spread([factor * value for value in values])
    decimals = decimals_of(mean)
    # Adding 0 makes of -0 a 0.
    text = f"{round(mean, decimals) + 0.0:.{decimals}f}"
    return text if deviation is None else f"{text} ± {deviation:.{decimals}f}"


def decimals_of(value: float) -> int:
    """How many decimals show a value to three digits, at most four."""
    if value == 0 or not math.isfinite(value):
        return 0
    return min(4, max(0, 2 - math.floor(math.log10(abs(value)))))


def watts(low: float, high: float) -> str:
    """A range of powers, such as "2.31 to 2.45 W"."""
    decimals = decimals_of(high)
    one, other = f"{low:.{decimals}f}", f"{high:.{decimals}f}"
    return f"{one} W" if one == other else f"{one} to {other} W"
