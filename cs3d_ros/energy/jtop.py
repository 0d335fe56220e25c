"""Power of a Jetson module from the service of jetson-stats, the one behind `jtop`."""

import importlib.util
import json
import re
import sys

from cs3d_ros.energy.process import ProcessPowerSource
from cs3d_ros.energy.rails import is_connected, total_of
from cs3d_ros.energy.source import PowerReading, PowerSourceError

_FASTEST_MS = 500
_MAX_MILLIWATTS = 10_000_000
_RAIL_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)

# The child looks for modules where this process does, wherever that was set.
_CHILD = (
    "import sys; sys.path[:] = sys.argv[2:]; from cs3d_ros.energy.jtop_child import main; main()"
)


class Jtop(ProcessPowerSource):
    """The power rails of a Jetson module as `jtop.service` measures them, for all of its users.

    The service collects everything that jtop shows each time, which takes it up to half a second:
    it is not asked for more than that, and where somebody else has asked before, it keeps their
    interval. The total is made as by `cs3d_ros.energy.rails.total_of`.

    The library runs in a child process, since connecting to a service that hangs never returns.
    """

    name = "jtop"
    scope = "module"
    hint = (
        "Look at `systemctl status jtop.service`, and restart it with `sudo systemctl restart "
        "jtop.service`; this user has to be in the group jtop. A container needs "
        "/run/jtop.sock of the host, the host's group jtop, and a jetson-stats of the host's "
        "version. Some boards have no power monitor."
    )

    def __init__(self, interval_ms: int) -> None:
        """Sample every `interval_ms` milliseconds, or every 500 ms if that is less often."""
        interval_s = max(interval_ms, _FASTEST_MS) / 1000.0
        super().__init__((sys.executable, "-c", _CHILD, f"{interval_s:g}", *sys.path))

    def start(self) -> None:
        """Connect to the service, if not connected yet.

        Raises:
            PowerSourceError: If the library is not installed or Python cannot be run again.
        """
        if importlib.util.find_spec("jtop") is None:
            raise PowerSourceError(
                "jtop: jetson-stats is not installed; on a Jetson: "
                "sudo pip3 install -U jetson-stats (for the service), and "
                "pip install 'cs3d_ros[jetson]'"
            )
        super().start()

    def parse(self, line: str, t_ns: int) -> PowerReading | None:
        """Return the reading on a line of the child; see `parse_power`."""
        return parse_power(line, t_ns)


def parse_power(line: str, t_ns: int) -> PowerReading | None:
    """Read the power rails from `jtop.power` of jetson-stats 4.2 to 7.2, as JSON.

    `rail` holds the rails by name, with `power` in milliwatts. The one that jetson-stats takes for
    the total is moved to `tot` and has its `name` there; without one, `tot` is the sum of all
    rails, even of those that feed each other, and is not used here. Nor is `avg`, which is half the
    present value and half the last `avg`, whatever the time between.

    Args:
        line: The dictionary as JSON.
        t_ns: When it arrived, in nanoseconds of `time.monotonic_ns`.

    Returns:
        The reading in watts, or None if there is no rail with a number.
    """
    try:
        power = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(power, dict):
        return None
    rails = power.get("rail")
    measured = dict(rails) if isinstance(rails, dict) else {}
    total = power.get("tot")
    if isinstance(total, dict) and isinstance(total.get("name"), str):
        measured[total["name"]] = total
    power_w = {
        name: rail["power"] / 1000.0 for name, rail in measured.items() if _is_rail(name, rail)
    }
    if not power_w:
        return None
    sum_w, estimated = total_of(power_w)
    return PowerReading(t_ns, tuple(power_w), tuple(power_w.values()), sum_w, estimated)


def _is_rail(name: str, rail: object) -> bool:
    """Whether it is a power monitor's rail, with a power that can be.

    Batteries and USB-C ports stand among the rails too: they have a `status`, are not `online`, or
    have names such as `1-00081`.
    """
    if not isinstance(rail, dict) or "status" in rail or rail.get("online", True) is not True:
        return False
    milliwatts = rail.get("power")
    return (
        _RAIL_NAME.fullmatch(name) is not None
        and is_connected(name)
        and isinstance(milliwatts, int | float)
        and not isinstance(milliwatts, bool)
        # Also false for NaN.
        and abs(milliwatts) <= _MAX_MILLIWATTS
    )
