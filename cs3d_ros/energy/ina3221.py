"""Power of a Jetson module from its INA3221 monitors, read through sysfs."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cs3d_ros.energy.polled import PolledPowerSource
from cs3d_ros.energy.rails import INPUT_RAILS, PLACE_MARK, is_connected, total_of
from cs3d_ros.energy.source import PowerReading, PowerSourceError
from cs3d_ros.energy.sysfs import SysfsNumber, read_word

_MAX_MILLIWATTS = 10_000_000


@dataclass(frozen=True)
class _Driver:
    """Where a driver puts what it knows of a channel; `{}` stands for the channel's number.

    Attributes:
        folders: Where its chips' files are, below `bus/i2c/drivers`. The second part is a chip's
            bus and address; the number in the last part changes from boot to boot.
        channels: The numbers of the channels that measure a rail.
        label: The file with the label.
        quantities: The files whose product is the power, in whole thousandths; what follows is
            for channels that lack the first.
    """

    folders: str
    channels: range
    label: str
    quantities: tuple[tuple[str, ...], ...]


_DRIVERS = (
    # JetPack 4: millivolts, milliamperes and milliwatts of an industrial I/O device.
    _Driver(
        "ina3221x/*/iio:device*",
        range(3),
        "rail_name_{}",
        (("in_power{}_input",), ("in_voltage{}_input", "in_current{}_input")),
    ),
    # Since JetPack 5, and in the kernel proper: millivolts and milliamperes of a hardware
    # monitor, whose inputs 4 to 7 are voltages of the shunts and their sum.
    _Driver("ina3221/*/hwmon/hwmon*", range(1, 4), "in{}_label", (("in{}_input", "curr{}_input"),)),
)


@dataclass(frozen=True)
class _Rail:
    label: str
    place: str
    files: tuple[SysfsNumber, ...]

    def power_w(self) -> float:
        milliwatts = float(self.files[0].read())
        for file in self.files[1:]:
            milliwatts *= file.read() / 1000.0
        if abs(milliwatts) >= _MAX_MILLIWATTS:
            raise ValueError(f"rail {self.label} draws {milliwatts:g} mW, which cannot be")
        return milliwatts / 1000.0


class Ina3221(PolledPowerSource):
    """The power rails of a Jetson module as the kernel's driver of its power monitors tells them.

    This is where `tegrastats` reads too, without the child process. JetPack 4 has the driver
    `ina3221x`, newer ones have `ina3221`. Left out are channels that are not connected, have no
    label, or give no number when the source is started.

    The total is made as by `cs3d_ros.energy.rails.total_of`. Rails of one label on several
    channels are told apart by bus, address and channel: `VDD_5V@1-0041:2`.
    """

    name = "ina3221"
    scope = "module"

    def __init__(self, interval_ms: int, root: Path = Path("/sys")) -> None:
        """Sample every `interval_ms` milliseconds.

        Args:
            interval_ms: Sampling interval in milliseconds.
            root: Where sysfs is mounted.
        """
        super().__init__(interval_ms)
        self._drivers = root / "bus/i2c/drivers"
        self._files = ExitStack()
        self._rails: dict[str, _Rail] = {}

    def open(self) -> None:
        """Find the rails, and open the files of those that give a number.

        Raises:
            PowerSourceError: There is none, or the rail that measures the whole module is one of
                those that give no number.
        """
        found: list[_Rail] = []
        failures: list[Exception] = []
        for driver, folder, channel in self._channels():
            try:
                label = read_word(folder / driver.label.format(channel))
            except (OSError, ValueError) as error:
                failures.append(error)
                continue
            if not is_connected(label):
                continue
            place = f"{folder.relative_to(self._drivers).parts[1]}:{channel}"
            try:
                found.append(self._open_rail(driver, folder, channel, label, place))
            except (OSError, ValueError) as error:
                # A sum of the other rails would pass for the module's power, and be too small.
                if label in INPUT_RAILS:
                    raise PowerSourceError(_explain(error)) from error
                failures.append(error)
        if not found:
            raise PowerSourceError(self._why_nothing(failures))
        labels = Counter(rail.label for rail in found)
        self._rails = {
            rail.label if labels[rail.label] == 1 else f"{rail.label}{PLACE_MARK}{rail.place}": rail
            for rail in found
        }

    def sample(self) -> PowerReading:
        """Return the power of all rails, read one after the other.

        Raises:
            PowerSourceError: One of them gives no number any more.
        """
        try:
            power_w = {name: rail.power_w() for name, rail in self._rails.items()}
        except (OSError, ValueError) as error:
            raise PowerSourceError(f"ina3221: lost while running: {error}") from error
        total_w, estimated = total_of(power_w)
        return PowerReading(
            t_ns=time.monotonic_ns(),
            rails=tuple(power_w),
            rail_power_w=tuple(power_w.values()),
            power_w=total_w,
            estimated=estimated,
        )

    def close(self) -> None:
        """Close all files."""
        self._rails = {}
        self._files.close()

    def _channels(self) -> Iterator[tuple[_Driver, Path, int]]:
        for driver in _DRIVERS:
            for folder in sorted(self._drivers.glob(driver.folders)):
                for channel in driver.channels:
                    yield driver, folder, channel

    def _open_rail(
        self, driver: _Driver, folder: Path, channel: int, label: str, place: str
    ) -> _Rail:
        errors: list[Exception] = []
        for names in driver.quantities:
            try:
                with ExitStack() as opened:
                    files = tuple(
                        opened.enter_context(SysfsNumber(folder / name.format(channel)))
                        for name in names
                    )
                    rail = _Rail(label, place, files)
                    rail.power_w()
                    self._files.push(opened.pop_all())
                    return rail
            except (OSError, ValueError) as error:
                errors.append(error)
        raise _most_telling(errors[::-1])

    def _why_nothing(self, failures: list[Exception]) -> str:
        if failures:
            return _explain(_most_telling(failures))
        return (
            f"ina3221: no power monitor below {self._drivers}/ina3221 and ina3221x. Jetson boards"
            " have one, but for Nano 2GB; a container sees it if it has the host's /sys"
        )


def _most_telling(errors: list[Exception]) -> Exception:
    """Return what a user can change, rather than what a board does not have."""
    return min(
        errors,
        key=lambda error: (
            not isinstance(error, PermissionError),
            isinstance(error, FileNotFoundError),
        ),
    )


def _explain(error: Exception) -> str:
    if isinstance(error, PermissionError):
        folder = Path(error.filename).parent
        return (
            f"ina3221: {error.filename} may not be read by this user: `sudo chmod a+r {folder}/*`"
            " opens it until the next boot"
        )
    return f"ina3221: gives no power: {error}"
