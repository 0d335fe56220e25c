"""The energy of a stretch of work, and how sure it is."""

import math
from dataclasses import dataclass
from typing import Literal

Method = Literal["counter", "trapezoid"]


@dataclass(frozen=True)
class EnergyWindow:
    """What was drawn between a begin and an end.

    Attributes:
        energy_j: In joules.
        uncertainty_j: Its standard uncertainty, in joules, from the sampling alone: what the
            power may have done between two readings, or what the device's counter may have been
            behind. How true the sensor is, it does not know. NaN without a counter and without a
            reading within.
        duration_s: From begin to end, in seconds.
        samples: Readings within.
        method: `counter` where the device itself counted all the time, else `trapezoid`.
    """

    energy_j: float
    uncertainty_j: float
    duration_s: float
    samples: int
    method: Method

    @property
    def mean_power_w(self) -> float:
        """Energy by duration, in watts."""
        return self.energy_j / self.duration_s


def above_idle(window: EnergyWindow, idle: EnergyWindow) -> tuple[float, float]:
    """The energy that work took more than doing nothing for as long would have.

    Args:
        window: With the work.
        idle: Without, as near in time as may be: power drifts with temperature.

    Returns:
        Joules, negative where doing nothing drew more, and their standard uncertainty.
    """
    share = window.duration_s / idle.duration_s
    return (
        window.energy_j - share * idle.energy_j,
        math.hypot(window.uncertainty_j, share * idle.uncertainty_j),
    )
