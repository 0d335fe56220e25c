"""Energy of Intel and AMD processors from RAPL, which they count themselves."""

import re
import time
from pathlib import Path

from cs3d_ros.energy.polled import PolledPowerSource
from cs3d_ros.energy.source import PowerReading, PowerSourceError
from cs3d_ros.energy.sysfs import SysfsNumber, read_word

_PACKAGE = re.compile(r"package-\d{1,4}(?:-die-\d{1,4})?", re.ASCII)

# More than any package draws, so that a counter that is set back is told from one that wraps.
_MAX_PACKAGE_W = 2000.0
_UJ_PER_W_NS = 1e-3

_STANDSTILL_NS = 1_000_000_000


class Rapl(PolledPowerSource):
    """The energy counters of the processors' packages, summed.

    The kernel shows them as power capping zones, those of AMD processors under the name
    `intel-rapl` as well. Only the packages count (of packages with several dies each die is a
    zone): cores and uncore are within their package; memory (`dram`) is outside of it, and few
    machines have it; `psys` is the whole platform, which contains the packages. The zones
    `intel-rapl-mmio` are the same packages once more.

    Power is the mean since the reading before, and since the start for the first one. Readings
    are at least half a sampling interval apart, as the counters move once a millisecond or so.

    A counter wraps at `max_energy_range_uj`, which takes minutes at full load. Two wraps between
    two readings cannot be told from one. So a gap in which a package at 2000 W could have come
    that far (33 s on AMD, 131 s on most Intel processors) ends the source with an error, and so
    does a counter that went back without a wrap, or stands still for a second.
    """

    name = "rapl"
    scope = "cpu_package"

    def __init__(self, interval_ms: int, root: Path = Path("/sys")) -> None:
        """Sample every `interval_ms` milliseconds.

        Args:
            interval_ms: Sampling interval in milliseconds.
            root: Where sysfs is mounted.
        """
        super().__init__(interval_ms)
        self.averaging_s = interval_ms / 1000.0
        self._folder = root / "class/powercap"
        self._shortest_ns = interval_ms * 500_000
        self._packages: list[_Package] = []
        self._begin_ns = self._t_ns = 0

    def open(self) -> None:
        """Find the packages, and take the reading from which energy and power count.

        Raises:
            PowerSourceError: There are none, or one of them may not be read.
        """
        self._begin_ns = time.monotonic_ns()
        missing = ""
        try:
            for zone in self._zones():
                # Where a container hides the zones, links to them are left.
                try:
                    name = read_word(zone / "name")
                except FileNotFoundError as error:
                    missing = f" ({error})"
                    continue
                if _PACKAGE.fullmatch(name):
                    self._packages.append(_Package(name, zone))
        except PermissionError as error:
            raise PowerSourceError(
                f"rapl: {error.filename} may be read by root only, since CVE-2020-8694: it lets"
                f" users guess what others compute. `sudo chmod a+r {self._folder}/"
                "intel-rapl:*/energy_uj` opens it until the next boot; for good, write into"
                ' /etc/udev/rules.d/70-rapl.rules: SUBSYSTEM=="powercap", ACTION=="add",'
                ' KERNEL=="intel-rapl:*", RUN+="/bin/chmod a+r /sys%p/energy_uj"'
            ) from error
        except (OSError, ValueError) as error:
            raise PowerSourceError(f"rapl: cannot be read: {error}") from error
        if not self._packages:
            raise PowerSourceError(
                f"rapl: no processor package in {self._folder}{missing}. ARM processors and most"
                " virtual machines have none; the kernel may need `sudo modprobe intel_rapl_msr`;"
                " Docker hides it without `--security-opt systempaths=unconfined`"
            )
        self._t_ns = time.monotonic_ns()

    def sample(self) -> PowerReading:
        """Return the energy since the start, and the mean power since the reading before.

        Raises:
            PowerSourceError: The counters can no longer be read, or cannot be trusted.
        """
        before_ns = self._t_ns
        before_uj = [package.counted_uj for package in self._packages]
        pause_ns = before_ns + self._shortest_ns - time.monotonic_ns()
        while True:
            if self._stopped.wait(max(0, pause_ns) * 1e-9):
                raise PowerSourceError("rapl: stopped")
            try:
                self._count()
            except (OSError, ValueError) as error:
                raise PowerSourceError(f"rapl: lost while running: {error}") from error
            spent_uj = [
                package.counted_uj - before
                for package, before in zip(self._packages, before_uj, strict=True)
            ]
            if any(spent_uj):
                break
            if self._t_ns - before_ns > _STANDSTILL_NS:
                raise PowerSourceError(
                    "rapl: the counters stand still, as in virtual machines that only show them"
                )
            pause_ns = self._shortest_ns
        uj_per_w = (self._t_ns - before_ns) * _UJ_PER_W_NS
        rail_power_w = tuple(spent / uj_per_w for spent in spent_uj)
        return PowerReading(
            t_ns=self._t_ns,
            rails=tuple(package.name for package in self._packages),
            rail_power_w=rail_power_w,
            power_w=sum(rail_power_w),
            estimated=False,
            energy_j=sum(package.counted_uj for package in self._packages) * 1e-6,
        )

    def _zones(self) -> list[Path]:
        # Not those within others, which have two numbers: intel-rapl:0:1.
        zones = [zone for zone in self._folder.glob("intel-rapl:*") if _number(zone).isdecimal()]
        return sorted(zones, key=lambda zone: int(_number(zone)))

    def _count(self) -> None:
        begin_ns = time.monotonic_ns()
        values_uj = [package.read() for package in self._packages]
        end_ns = time.monotonic_ns()
        # Whoever interrupts the reading makes it late: no more than this can have gone by.
        longest_ns = end_ns - self._begin_ns
        for package, value_uj in zip(self._packages, values_uj, strict=True):
            package.count(value_uj, longest_ns)
        self._begin_ns = begin_ns
        self._t_ns = (begin_ns + end_ns) // 2

    def close(self) -> None:
        """Close the counters."""
        while self._packages:
            self._packages.pop().close()


class _Package:
    """One counter, freed from its wraps."""

    def __init__(self, name: str, zone: Path) -> None:
        self.name = name
        self.counted_uj = 0
        with SysfsNumber(zone / "max_energy_range_uj") as range_file:
            self._range_uj = range_file.read()
        if self._range_uj <= 0:
            raise ValueError(
                f"{zone}/max_energy_range_uj is {self._range_uj}, expected more than 0"
            )
        self._zone = zone
        self._file = SysfsNumber(zone / "energy_uj")
        try:
            self._last_uj = self.read()
        except BaseException:
            self._file.close()
            raise

    def read(self) -> int:
        value_uj = self._file.read()
        if not 0 <= value_uj <= self._range_uj:
            raise ValueError(f"{self._zone} counts {value_uj} µJ, expected 0 to {self._range_uj}")
        return value_uj

    def count(self, now_uj: int, elapsed_ns: int) -> None:
        """Add what was spent within `elapsed_ns` nanoseconds, after which `now_uj` was read."""
        limit_uj = _MAX_PACKAGE_W * elapsed_ns * _UJ_PER_W_NS
        if limit_uj >= self._range_uj:
            raise ValueError(
                f"{self._zone} was not read for {elapsed_ns * 1e-9:.0f} s, in which it may have"
                " wrapped more than once"
            )
        spent_uj = now_uj - self._last_uj
        if spent_uj < 0:
            spent_uj += self._range_uj
        if spent_uj > limit_uj:
            raise ValueError(f"{self._zone} jumped from {self._last_uj} to {now_uj} µJ")
        self._last_uj = now_uj
        self.counted_uj += spent_uj

    def close(self) -> None:
        self._file.close()


def _number(zone: Path) -> str:
    return zone.name.partition(":")[2]
