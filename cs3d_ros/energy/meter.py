"""Energy from power readings, sampled in the background."""

import math
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Literal

from cs3d_ros.energy.source import PowerReading, PowerSource, PowerSourceError

_LONGEST_BACKOFF_S = 30.0

MeterState = Literal["stopped", "starting", "running", "lost"]


@dataclass(frozen=True)
class EnergySnapshot:
    """What an `EnergyMeter` knows at one instant. Unknown numbers are NaN.

    Attributes:
        state: `starting` until the first reading, then `running`; `lost` from the moment the
            source fails until it gives a reading again; `stopped` outside start and stop.
        error: Why the source was lost, empty in every other state.
        energy_j: Energy since start in joules, up to the newest reading, without the time in
            which the source was lost.
        covered_s: The time that `energy_j` covers, in seconds.
        reading: The newest reading, None before the first.
        age_s: How old the newest reading is, in seconds.
        samples: Readings since start.
        sample_period_s: Mean time between readings, in seconds.
        idle_power_w: Mean power in watts over all time marked as idle.
        losses: How many times the source was lost since start.
    """

    state: MeterState
    error: str
    energy_j: float
    covered_s: float
    reading: PowerReading | None
    age_s: float
    samples: int
    sample_period_s: float
    idle_power_w: float
    losses: int


@dataclass
class _Tally:
    """The running sums since start, of fixed size."""

    state: MeterState = "starting"
    error: str = ""
    newest: PowerReading | None = None
    samples: int = 0
    intervals: int = 0
    energy_j: float = 0.0
    covered_s: float = 0.0
    idle_j: float = 0.0
    idle_s: float = 0.0
    losses: int = 0

    def add(self, reading: PowerReading, idle_since_ns: int | None) -> None:
        # After a loss there is no knowing what was drawn meanwhile: no interval ends here.
        if self.state == "running" and self.newest is not None:
            self._integrate(self.newest, reading, idle_since_ns)
        self.newest = reading
        self.samples += 1
        self.state, self.error = "running", ""

    def _integrate(
        self, earlier: PowerReading, later: PowerReading, idle_since_ns: int | None
    ) -> None:
        seconds = (later.t_ns - earlier.t_ns) * 1e-9
        joules = 0.5 * (earlier.power_w + later.power_w) * seconds
        self.intervals += 1
        self.covered_s += seconds
        self.energy_j += joules
        if idle_since_ns is not None and earlier.t_ns >= idle_since_ns:
            self.idle_s += seconds
            self.idle_j += joules


class EnergyMeter:
    """Integrates the power of a source over time, in a thread of its own.

    The paper's Eq. 4, E ≈ Δt·ΣPᵢ, takes N samples at a fixed interval Δt. Here every interval has
    the length that the time stamps give it and counts by the trapezoidal rule, so that a late
    sample is no error. The energy of a stretch of work is the difference of two snapshots, good
    to about one sample period at each end.

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
        self._lock = threading.Lock()
        self._tally = _Tally(state="stopped")
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
            self._tally = _Tally()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._sample, name="energy meter", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling and stop the source; the counts stay readable until the next start."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._stopping.set()
        self._source.stop()
        thread.join()

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

    def snapshot(self) -> EnergySnapshot:
        """Return the present state. Never waits for the source."""
        with self._lock:
            t = self._tally
            return EnergySnapshot(
                state=t.state,
                error=t.error,
                energy_j=t.energy_j,
                covered_s=t.covered_s,
                reading=t.newest,
                age_s=(time.monotonic_ns() - t.newest.t_ns) * 1e-9 if t.newest else math.nan,
                samples=t.samples,
                sample_period_s=t.covered_s / t.intervals if t.intervals else math.nan,
                idle_power_w=t.idle_j / t.idle_s if t.idle_s else math.nan,
                losses=t.losses,
            )

    def _sample(self) -> None:
        backoff_s = self._backoff_s
        try:
            while not self._stopping.is_set():
                try:
                    self._source.start()
                    while not self._stopping.is_set():
                        reading = self._source.read(self._timeout_s)
                        with self._lock:
                            self._tally.add(reading, self._idle_since_ns)
                        backoff_s = self._backoff_s
                except PowerSourceError as error:
                    if self._stopping.is_set():
                        break
                    with self._lock:
                        self._tally.state, self._tally.error = "lost", str(error)
                        self._tally.losses += 1
                    self._stopping.wait(backoff_s)
                    backoff_s = min(2.0 * backoff_s, _LONGEST_BACKOFF_S)
        finally:
            self._source.stop()
            with self._lock:
                self._tally.state, self._tally.error = "stopped", ""
