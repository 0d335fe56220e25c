"""A power source that is asked for each reading, at a fixed interval."""

import threading
import time
from abc import ABC, abstractmethod

from cs3d_ros.energy.source import PowerReading, PowerSourceError

_GRACE_S = 0.5


class PolledPowerSource(ABC):
    """A `PowerSource` that is opened once and then asked at regular times.

    A derived class gives `open`, `sample` and `close`, which are never called at the same time.

    Attributes:
        name: See `PowerSource`.
        scope: See `PowerSource`.
        averaging_s: See `PowerSource`.
    """

    name: str
    scope: str
    averaging_s: float = 0.0

    def __init__(self, interval_ms: int) -> None:
        """Sample every `interval_ms` milliseconds."""
        self._interval_ns = interval_ms * 1_000_000
        self._access = threading.Lock()
        self._stopped = threading.Event()
        self._stopped.set()
        self._is_open = False
        self._due_ns = 0

    @abstractmethod
    def open(self) -> None:
        """Find and open everything.

        Raises:
            PowerSourceError: It is not there, or may not be read; what was opened is closed by
                `close`.
        """

    @abstractmethod
    def sample(self) -> PowerReading:
        """Return the power of this moment.

        Raises:
            PowerSourceError: It can no longer be read.
        """

    @abstractmethod
    def close(self) -> None:
        """Release everything that `open` took, even where it stopped half way."""

    def start(self) -> None:
        """Open the source, if it is not open yet.

        Raises:
            PowerSourceError: If it cannot be opened.
        """
        with self._access:
            if self._is_open and not self._stopped.is_set():
                return
            self._close()
            self._is_open = True
            try:
                self.open()
            except BaseException:
                self._close()
                raise
            self._stopped.clear()
            self._due_ns = time.monotonic_ns()

    def read(self, timeout_s: float) -> PowerReading:
        """Return a new reading at the next of the regular times, or at once if that has passed.

        Args:
            timeout_s: How long to wait at most, in seconds.

        Raises:
            PowerSourceError: If the source fails, is not started, was stopped meanwhile, or the
                next time lies beyond the time-out; it is stopped then.
        """
        wait_s = (self._due_ns - time.monotonic_ns()) * 1e-9
        if not self._stopped.wait(max(0.0, min(wait_s, timeout_s))) and wait_s > timeout_s:
            self.stop()
            raise PowerSourceError(f"{self.name}: no power reading within {timeout_s:g} s")
        with self._access:
            if self._stopped.is_set():
                self._close()
                raise PowerSourceError(f"{self.name}: not started")
            # A reader that is late does not ask several times at once to catch up.
            self._due_ns = max(self._due_ns, time.monotonic_ns() - self._interval_ns)
            self._due_ns += self._interval_ns
            try:
                return self.sample()
            except BaseException:
                self._stopped.set()
                raise
            finally:
                # Also where `stop` came meanwhile and did not wait any longer.
                if self._stopped.is_set():
                    self._close()

    def stop(self) -> None:
        """Release the source; without effect if it is not started."""
        self._stopped.set()
        # A sensor may hang inside its driver. Then the reader closes it, if it ever comes back.
        if self._access.acquire(timeout=_GRACE_S):
            try:
                self._close()
            finally:
                self._access.release()

    def _close(self) -> None:
        if self._is_open:
            self._is_open = False
            self.close()
