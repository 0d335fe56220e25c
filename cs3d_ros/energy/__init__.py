"""Watts to joules. Standard library, vendor tools and vendor libraries only.

with EnergyMeter(open_source()) as meter:
    begin = meter.begin()
    work()
    window = meter.end(begin)
joules = window.energy_j
"""

from cs3d_ros.energy.meter import EnergyMeter, EnergySnapshot
from cs3d_ros.energy.probe import INTERVAL_MS_RANGE, SOURCE_NAMES, open_source
from cs3d_ros.energy.source import PowerReading, PowerSource, PowerSourceError
from cs3d_ros.energy.tally import Mark, MeterState
from cs3d_ros.energy.window import EnergyWindow, above_idle

__all__ = [
    "INTERVAL_MS_RANGE",
    "SOURCE_NAMES",
    "EnergyMeter",
    "EnergySnapshot",
    "EnergyWindow",
    "Mark",
    "MeterState",
    "PowerReading",
    "PowerSource",
    "PowerSourceError",
    "above_idle",
    "open_source",
]
