"""Energy from power readings, sampled in the background."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from cs3d_ros.energy.source import PowerReading, PowerSource, PowerSourceError
from cs3d_ros.energy.tally import Mark, MeterState, Tally, window_between
from cs3d_ros.energy.window import EnergyWindow, Method

_LONGEST_BACKOFF_S = 30.0
_GRACE_S = 3.0


@dataclass(frozen=True)
class EnergySnapshot:
    """What an `EnergyMeter` knows at one instant. Unknown numbers are NaN.

    Attributes:
        state: `starting` until the first reading, then `running`; `lost` from the moment the
            source fails, or hangs for longer than it may, until it gives a reading again;
            `stopped` outside start and stop.
        error: Why the source was lost, empty in every other state.
        energy_j: Energy since start in joules, up to the newest reading, without the time in
            which the source was lost.
        uncertainty_j: Standard uncertainty of `energy_j` from the sampling, in joules; see
            `EnergyWindow`.
        covered_s: The time that `energy_j` covers, in seconds.
        reading: The newest reading, None before the first.
        age_s: How old the newest reading is, in seconds.
        samples: Readings since start.
        sample_period_s: Mean time between readings, in seconds.
        idle_power_w: Mean power in watts over all time marked as idle.
        idle_uncertainty_w: Its standard uncertainty from the sampling, in watts.
        losses: How many times the source was lost since start.
        method: `counter` where the device itself has counted all of `energy_j`, else `trapezoid`.
    """

    state: MeterState
    error: str
    energy_j: float
    uncertainty_j: float
    covered_s: float
    reading: PowerReading | None
    age_s: float
    samples: int
    sample_period_s: float
    idle_power_w: float
    idle_uncertainty_w: float
    losses: int
    method: Method


class EnergyMeter:
    """Integrates the power of a source over time, in a thread of its own.

    The paper's Eq. 4, E ≈ Δt·ΣPᵢ, takes N samples at a fixed interval Δt. Here every interval has
    the length that the time stamps give it and counts by the trapezoidal rule, so that a late
    sample is no error; where the device counts its energy itself, by that. The energy of a stretch
    of work is what `end` returns for the mark of `begin`.

    A source that fails is started again, first after `backoff_s`, then after twice the time, up
    to half a minute. Memory use does not grow with time.

    Use it as a context manager, or call `start` and `stop`.
    """

    def __init__(
        self, source: PowerSource, *, timeout_s: float = 5.0, backoff_s: float = 1.0
    ) -> None:
        """Prepare to sample `source`, which the meter starts, restarts and stops.

        Args:
            source: Where to read; may be running already, as `open_source` returns it.
            timeout_s: After this many seconds without a reading the source counts as lost. Has to
                be longer than the sampling interval.
            backoff_s: How long to wait before the first restart, in seconds.
        """
        self._source = source
        self._timeout_s = timeout_s
        self._backoff_s = backoff_s
        self._lock = threading.Condition()
        self._tally = Tally(state="stopped")
        self._began_ns = 0
        self._idle_since_ns: int | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def source(self) -> PowerSource:
        """The source that is sampled."""
        return self._source

    def start(self) -> None:
        """Begin to sample, with all counts at zero; without effect on a running meter."""
        if self._thread is not None:
            return
        with self._lock:
            self._tally = Tally()
            self._began_ns = time.monotonic_ns()
        # Of its own, as a thread that hung in a driver at the last stop may still come back.
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._sample,
            args=(self._tally, self._stopping),
            name="energy meter",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling and stop the source; the counts stay readable until the next start."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._source.stop()
        # A sensor may hang inside its driver for good; that must not hang us too.
        thread.join(_GRACE_S)
        self._end(self._tally)

    def __enter__(self) -> "EnergyMeter":
        """Start and return the meter."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the meter."""
        self.stop()

    def mark_idle(self) -> None:
        """Say that from now on nothing is inferred: readings count towards the idle power."""
        with self._lock:
            if self._idle_since_ns is None:
                self._idle_since_ns = time.monotonic_ns()

    def mark_busy(self) -> None:
        """Say that inference begins: readings no longer count towards the idle power."""
        with self._lock:
            self._idle_since_ns = None

    def begin(
        self, synchronize: Callable[[], None] | None = None, *, timeout_s: float = 10.0
    ) -> Mark:
        """Begin a stretch of work, once the source has given a reading.

        Args:
            synchronize: Waits until all that was started before is done, such as
                `torch.cuda.synchronize`: a GPU works on after the call that started it.
            timeout_s: How long to wait for the first reading, in seconds.

        Raises:
            PowerSourceError: The source gives no reading.
        """
        with self._lock:
            self._lock.wait_for(lambda: self._tally.state in ("running", "stopped"), timeout_s)
            if self._tally.state != "running":
                why = self._tally.error or f"the energy meter is {self._tally.state}"
                raise PowerSourceError(f"there is no power reading to begin with: {why}")
        return self._mark(synchronize)

    def end(
        self,
        begin: Mark,
        synchronize: Callable[[], None] | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> EnergyWindow:
        """End a stretch of work: wait for the next reading and return the energy since `begin`.

        The waiting is not part of the stretch.

        Args:
            begin: What `begin` returned.
            synchronize: As of `begin`.
            timeout_s: How long to wait for the reading, in seconds.

        Raises:
            PowerSourceError: The source was lost, or the meter stopped, since `begin`.
        """
        end = self._mark(synchronize)
        with self._lock:
            if not self._lock.wait_for(lambda: end.edge is not None or end.error, timeout_s):
                self._tally.marks.remove(end)
                end.error = f"no reading within {timeout_s:g} s"
            if begin.t_ns < self._began_ns:
                raise PowerSourceError("the energy meter was stopped since the begin")
            return window_between(
                begin,
                end,
                step_j=self._tally.step_j,
                averaging_s=self._source.averaging_s,
            )

    def _mark(self, synchronize: Callable[[], None] | None) -> Mark:
        if synchronize is not None:
            synchronize()
        with self._lock:
            mark = Mark(time.monotonic_ns(), self._tally.losses)
            if self._tally.state == "running":
                self._tally.marks.append(mark)
            else:
                mark.error = self._tally.error or f"the energy meter is {self._tally.state}"
            return mark

    def snapshot(self) -> EnergySnapshot:
        """Return the present state. Never waits for the source."""
        with self._lock:
            t = self._tally
            age_s = (time.monotonic_ns() - t.newest.t_ns) * 1e-9 if t.newest else math.nan
            state, error = t.state, t.error
            if state == "running" and age_s > self._timeout_s:
                state, error = "lost", f"{self._source.name}: no reading for {age_s:.0f} s"
            return EnergySnapshot(
                state=state,
                error=error,
                energy_j=t.energy_j,
                uncertainty_j=t.uncertainty_j,
                covered_s=t.covered_s,
                reading=t.newest,
                age_s=age_s,
                samples=t.samples,
                sample_period_s=t.covered_s / t.intervals if t.intervals else math.nan,
                idle_power_w=t.idle_j / t.idle_s if t.idle_s else math.nan,
                idle_uncertainty_w=t.idle_uncertainty_w,
                losses=t.losses,
                method="counter" if t.intervals and not t.uncounted else "trapezoid",
            )

    def _sample(self, tally: Tally, stopping: threading.Event) -> None:
        backoff_s = self._backoff_s
        try:
            while not stopping.is_set():
                try:
                    self._source.start()
                    while not stopping.is_set():
                        reading = self._source.read(self._timeout_s)
                        with self._lock:
                            if stopping.is_set():
                                break
                            tally.add(reading, self._idle_since_ns)
                            self._lock.notify_all()
                        backoff_s = self._backoff_s
                except PowerSourceError as error:
                    with self._lock:
                        if stopping.is_set():
                            break
                        tally.lose(str(error))
                        self._lock.notify_all()
                    stopping.wait(backoff_s)
                    backoff_s = min(2.0 * backoff_s, _LONGEST_BACKOFF_S)
        finally:
            # Not a new run's, where this one comes back late.
            if stopping is self._stopping:
                self._source.stop()
            self._end(tally)

    def _end(self, tally: Tally) -> None:
        with self._lock:
            tally.stop()
            self._lock.notify_all()
