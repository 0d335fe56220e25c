"""Watts to joules. Standard library and vendor tools only.

with EnergyMeter(open_source()) as meter:
    before = meter.snapshot()
    work()
    after = meter.snapshot()
joules = after.energy_j - before.energy_j
"""

from cs3d_ros.energy.meter import EnergyMeter, EnergySnapshot, MeterState
from cs3d_ros.energy.probe import INTERVAL_MS_RANGE, SOURCE_NAMES, open_source
from cs3d_ros.energy.source import PowerReading, PowerSource, PowerSourceError

__all__ = [
    "INTERVAL_MS_RANGE",
    "SOURCE_NAMES",
    "EnergyMeter",
    "EnergySnapshot",
    "MeterState",
    "PowerReading",
    "PowerSource",
    "PowerSourceError",
    "open_source",
]
