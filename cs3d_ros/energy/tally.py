"""Running sums over power readings, and what they were at any moment in between."""

import math
from dataclasses import dataclass, field
from typing import Literal

from cs3d_ros.energy.source import PowerReading, PowerSourceError
from cs3d_ros.energy.window import EnergyWindow

MeterState = Literal["stopped", "starting", "running", "lost"]


@dataclass(frozen=True)
class Edge:
    """The sums at one moment.

    Attributes:
        energy_j: Energy since start, in joules.
        power_w: Power at this moment, in watts.
        variance_j2: Variance of the energy since start, in J²; see `Tally`.
        samples: Readings since start.
        uncounted: Whole intervals since start that no counter of the device covers.
        is_counted: Whether a counter covers the interval that this moment lies in.
    """

    energy_j: float
    power_w: float
    variance_j2: float
    samples: int
    uncounted: int
    is_counted: bool


@dataclass
class Mark:
    """A moment whose sums are known once a reading came after it.

    Attributes:
        t_ns: When it is, in nanoseconds of `time.monotonic_ns`.
        losses: How many times the source had been lost by then.
        edge: The sums at this moment, None before they are known.
        error: Why they will never be known; empty while they may.
    """

    t_ns: int
    losses: int
    edge: Edge | None = None
    error: str = ""


@dataclass
class Tally:
    """The sums since start, of fixed size.

    Each interval between two readings counts by the device's own counter where it has one, and
    else by the trapezoidal rule. What a trapezoid may be wrong by follows from how much the power
    changed from one reading to the next: with T as the interval and d as the change its variance is
    taken as (T·d)²/2, which is what independent fluctuations between readings come to. A slow
    change adds little, bursts shorter than the interval add all of their power.
    """

    state: MeterState = "starting"
    error: str = ""
    newest: PowerReading | None = None
    samples: int = 0
    intervals: int = 0
    uncounted: int = 0
    energy_j: float = 0.0
    variance_j2: float = 0.0
    step_j: float = 0.0
    covered_s: float = 0.0
    idle_j: float = 0.0
    idle_s: float = 0.0
    idle_variance_j2: float = 0.0
    losses: int = 0
    marks: list[Mark] = field(default_factory=list)

    def add(self, reading: PowerReading, idle_since_ns: int | None) -> None:
        """Take the next reading in.

        Args:
            reading: The reading, later than the one before.
            idle_since_ns: Since when nothing is inferred; None if something is.
        """
        # After a loss there is no knowing what was drawn meanwhile: no interval ends here.
        if self.state == "running" and self.newest is not None:
            self._integrate(self.newest, reading, idle_since_ns)
        self.newest = reading
        self.samples += 1
        self.state, self.error = "running", ""

    def lose(self, error: str) -> None:
        """Take note that the source was lost; nothing is known until it is back."""
        self.state, self.error = "lost", error
        self.losses += 1
        self._fail_marks(error)

    def stop(self) -> None:
        """Take note that no reading will come."""
        self.state, self.error = "stopped", ""
        self._fail_marks("the energy meter was stopped")

    @property
    def uncertainty_j(self) -> float:
        """Standard uncertainty of `energy_j` from the sampling; see `window_between`."""
        return math.sqrt(self.variance_j2 + self.step_j**2 / 6)

    @property
    def idle_uncertainty_w(self) -> float:
        """That of the idle power, in watts; NaN without any."""
        if not self.idle_s:
            return math.nan
        return math.sqrt(self.idle_variance_j2 + self.step_j**2 / 6) / self.idle_s

    def _fail_marks(self, error: str) -> None:
        for mark in self.marks:
            mark.error = error
        self.marks.clear()

    def _integrate(
        self, earlier: PowerReading, later: PowerReading, idle_since_ns: int | None
    ) -> None:
        seconds = (later.t_ns - earlier.t_ns) * 1e-9
        counted = _counted_j(earlier, later)
        change_w = later.power_w - earlier.power_w
        self._resolve(earlier, later, seconds, counted)
        variance_j2 = 0.0
        if counted is None:
            joules = 0.5 * (earlier.power_w + later.power_w) * seconds
            variance_j2 = 0.5 * (seconds * change_w) ** 2
            self.uncounted += 1
        else:
            joules = counted
            self.step_j = max(self.step_j, joules)
        self.intervals += 1
        self.covered_s += seconds
        self.energy_j += joules
        self.variance_j2 += variance_j2
        if idle_since_ns is not None and earlier.t_ns >= idle_since_ns:
            self.idle_s += seconds
            self.idle_j += joules
            self.idle_variance_j2 += variance_j2

    def _resolve(
        self, earlier: PowerReading, later: PowerReading, seconds: float, counted: float | None
    ) -> None:
        """Tell the marks within this interval, which is not added yet, their sums."""
        for mark in [mark for mark in self.marks if mark.t_ns <= later.t_ns]:
            self.marks.remove(mark)
            if mark.t_ns < earlier.t_ns:
                mark.error = "no reading came before it"
                continue
            share = (mark.t_ns - earlier.t_ns) * 1e-9 / seconds if seconds else 0.0
            change_w = later.power_w - earlier.power_w
            power_w = earlier.power_w + share * change_w
            if counted is None:
                joules = 0.5 * (earlier.power_w + power_w) * share * seconds
                variance_j2 = 0.5 * (share * seconds * change_w) ** 2
            else:
                joules, variance_j2 = share * counted, 0.0
            mark.edge = Edge(
                self.energy_j + joules,
                power_w,
                self.variance_j2 + variance_j2,
                self.samples,
                self.uncounted,
                counted is not None,
            )


def _counted_j(earlier: PowerReading, later: PowerReading) -> float | None:
    """What the device counted between two readings; None if it does not count."""
    if earlier.energy_j is None or later.energy_j is None or later.energy_j < earlier.energy_j:
        return None
    return later.energy_j - earlier.energy_j


def window_between(begin: Mark, end: Mark, *, step_j: float, averaging_s: float) -> EnergyWindow:
    """The window between two marks.

    Args:
        begin: Resolved.
        end: Resolved, later.
        step_j: The largest step of the device's counter from one reading to the next, in joules.
            A counter may be behind by that much at either end.
        averaging_s: As of the source: the power of such a source at an end lies between that
            before and that after.

    Raises:
        PowerSourceError: The source was lost in between, or its counter has never moved.
    """
    first, last = begin.edge, end.edge
    if first is None or last is None or begin.losses != end.losses:
        why = begin.error or end.error or "it is back again"
        raise PowerSourceError(
            f"the power source was lost while energy was measured: {why}. Measure again"
        )
    duration_s = (end.t_ns - begin.t_ns) * 1e-9
    energy_j = last.energy_j - first.energy_j
    is_counted = first.is_counted and last.is_counted and first.uncounted == last.uncounted
    if is_counted:
        if step_j == 0:
            raise PowerSourceError(
                f"the energy counter of the device did not move within {duration_s:g} s; measure "
                "for longer"
            )
        variance_j2 = step_j**2 / 6
    elif first.samples == last.samples:
        # Nobody has looked.
        variance_j2 = math.nan
    else:
        # Rounding must not make it negative.
        variance_j2 = max(0.0, last.variance_j2 - first.variance_j2)
        mean_w = energy_j / duration_s if duration_s > 0 else first.power_w
        for edge in (first, last):
            variance_j2 += (0.5 * averaging_s * (edge.power_w - mean_w)) ** 2
    return EnergyWindow(
        energy_j=energy_j,
        uncertainty_j=math.sqrt(variance_j2),
        duration_s=duration_s,
        samples=last.samples - first.samples,
        method="counter" if is_counted else "trapezoid",
    )
