"""What every power source looks like: something to start, to read and to stop."""

from dataclasses import dataclass
from typing import Protocol

from cs3d_ros.errors import Cs3dError


class PowerSourceError(Cs3dError):
    """A power source is missing, gives no reading, or was lost.

    The message names the source, says what it last said and what to do about it.
    """


@dataclass(frozen=True)
class PowerReading:
    """The power drawn at one instant.

    Attributes:
        t_ns: When the reading arrived, in nanoseconds of `time.monotonic_ns`.
        rails: Names of the supply rails, as the source spells them.
        rail_power_w: Power of each rail in watts, in the order of `rails`. A sensor's offset can
            make an unloaded rail slightly negative.
        power_w: Power of everything in the source's scope, in watts.
        estimated: True if no sensor measures the total and `power_w` is a sum of rails.
        energy_j: What the device itself has counted within the scope, in joules from some moment
            on, never falling until the source is started again; None if it does not count.
    """

    t_ns: int
    rails: tuple[str, ...]
    rail_power_w: tuple[float, ...]
    power_w: float
    estimated: bool
    energy_j: float | None = None


class PowerSource(Protocol):
    """A place to read power from.

    One thread reads; `start` and `stop` may be called from any thread, and more than once.

    Attributes:
        name: How the source is called in parameters and messages, such as `tegrastats`.
        scope: What the total covers: `module` (a Jetson module with its CPU, GPU and memory),
            `gpu` (a whole graphics board, whoever uses it) or `cpu_package` (the processors'
            packages, without memory and board).
        averaging_s: The power is a mean over so many seconds before it is read; 0.0 if it is the
            power at that moment.
    """

    name: str
    scope: str
    averaging_s: float

    def start(self) -> None:
        """Begin to sample; without effect on a source that already does.

        Raises:
            PowerSourceError: If the source does not exist on this machine.
        """

    def read(self, timeout_s: float) -> PowerReading:
        """Return the newest reading that was not returned before, waiting for one if need be.

        Args:
            timeout_s: How long to wait, in seconds. Has to be longer than the sampling interval.

        Raises:
            PowerSourceError: If no reading came in time, or the source has ended or was stopped.
                The source is stopped then, and may be started again.
        """

    def stop(self) -> None:
        """Stop sampling and release everything; wakes a `read` that waits in another thread."""
