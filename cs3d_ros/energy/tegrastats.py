"""Power of a Jetson module from `tegrastats`, which every JetPack ships."""

import re
from collections import Counter

from cs3d_ros.energy.process import ProcessPowerSource
from cs3d_ros.energy.rails import PLACE_MARK, is_connected, total_of
from cs3d_ros.energy.source import PowerReading

# "VDD_IN 4761mW/4778mW": current and average since start, without the unit before JetPack 5, and
# with the peak as a third number since JetPack 7. What has to follow keeps "RAM 775/7620MB" out,
# and one blank only keeps "CPU [5%@1224]" out, on boards with a rail that is called CPU as well.
_RAIL = re.compile(
    r"(?:^|\s)([A-Za-z]\w*) (-?\d{1,7})(?:mW)?/-?\d{1,7}(?:mW)?(?:/-?\d{1,7}(?:mW)?)?(?=\s|$)",
    re.ASCII,
)


class Tegrastats(ProcessPowerSource):
    """The power rails of a Jetson module as `tegrastats` prints them.

    The total is made as by `cs3d_ros.energy.rails.total_of`.
    """

    name = "tegrastats"
    scope = "module"
    hint = (
        "A board without a power monitor (TX1, Nano 2GB) prints no power, and some boards print "
        "it to root only: compare with `sudo tegrastats`."
    )

    def __init__(self, interval_ms: int) -> None:
        """Sample every `interval_ms` milliseconds."""
        super().__init__(("tegrastats", "--interval", str(interval_ms)))

    def parse(self, line: str, t_ns: int) -> PowerReading | None:
        """Return the reading on a line of `tegrastats`; see `parse_line`."""
        return parse_line(line, t_ns)


def parse_line(line: str, t_ns: int) -> PowerReading | None:
    """Read the power rails from a line of `tegrastats` of any JetPack, 4 to 7.

    The current value counts: the average that stands beside it runs since tegrastats was started.
    Of several rails with one name the second is called `NAME@2`, and so on.

    Args:
        line: The line, with or without a time stamp before it.
        t_ns: When it arrived, in nanoseconds of `time.monotonic_ns`.

    Returns:
        The reading in watts, or None if the line has no power rail.
    """
    power_w: dict[str, float] = {}
    times: Counter[str] = Counter()
    for name, milliwatts in _RAIL.findall(line):
        # AGX Orin prints two channels that are not connected.
        if is_connected(name):
            times[name] += 1
            place = f"{PLACE_MARK}{times[name]}" if times[name] > 1 else ""
            power_w[name + place] = int(milliwatts) / 1000.0
    if not power_w:
        return None
    total_w, estimated = total_of(power_w)
    return PowerReading(
        t_ns=t_ns,
        rails=tuple(power_w),
        rail_power_w=tuple(power_w.values()),
        power_w=total_w,
        estimated=estimated,
    )
