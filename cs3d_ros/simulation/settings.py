"""What a simulated pixel is like: thresholds, bandwidth and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType

from cs3d_ros.simulation.errors import SimulationError

MIN_THRESHOLD = 0.01
"""Thresholds are not below this, neither as a setting nor as drawn for a pixel."""


@dataclass(frozen=True, slots=True)
class EmulatorSettings:
    """The parameters of v2e's pixel model, with its defaults.

    The model: Hu, Liu, Delbruck, "v2e: From Video Frames to Realistic DVS Events", CVPR Workshops
    2021. A rate, cutoff or period of 0 turns its effect off.

    Attributes:
        positive_threshold: Rise of the log intensity (natural logarithm) that makes an ON event,
            0.01 to 10.
        negative_threshold: Fall that makes an OFF event, 0.01 to 10.
        threshold_sigma: Standard deviation of the thresholds from pixel to pixel, up to 10.
        cutoff_hz: Bandwidth of a pixel in full light; it falls in proportion to the intensity.
        leak_rate_hz: ON events of each pixel without any change, per second.
        leak_jitter: Random part of the leak in each frame, as a standard deviation relative to it.
        leak_decades: Standard deviation of the decadic logarithm of the leak rate from pixel to
            pixel ("noise rate CoV decades" in v2e).
        shot_noise_rate_hz: Noise events of each pixel in the dark per second, both polarities
            together; in full light it is a quarter of that.
        refractory_ms: A pixel rests for this long after an event.

    Raises:
        SimulationError: A value out of its range.
    """

    positive_threshold: float = field(default=0.2, metadata={"min": MIN_THRESHOLD, "max": 10.0})
    negative_threshold: float = field(default=0.2, metadata={"min": MIN_THRESHOLD, "max": 10.0})
    threshold_sigma: float = field(default=0.03, metadata={"max": 10.0})
    cutoff_hz: float = field(default=300.0, metadata={"max": 1e6})
    leak_rate_hz: float = field(default=0.01, metadata={"max": 100.0})
    leak_jitter: float = field(default=0.1, metadata={"max": 10.0})
    leak_decades: float = field(default=0.1, metadata={"max": 1.0})
    shot_noise_rate_hz: float = field(default=0.001, metadata={"max": 1000.0})
    refractory_ms: float = field(default=0.5, metadata={"max": 1e6})

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            low, high = setting.metadata.get("min", 0.0), setting.metadata["max"]
            if not (
                isinstance(value, int | float) and math.isfinite(value) and low <= value <= high
            ):
                raise SimulationError(
                    f"{setting.name} is {value!r}, expected a number from {low:g} to {high:g}; "
                    "mind the unit at the end of its name"
                )


PRESETS = MappingProxyType(
    {
        "sufficient": EmulatorSettings(),
        "insufficient": EmulatorSettings(
            threshold_sigma=0.05, cutoff_hz=30.0, leak_rate_hz=0.1, shot_noise_rate_hz=5.0
        ),
        "clean": EmulatorSettings(
            threshold_sigma=0.02,
            cutoff_hz=0.0,
            leak_rate_hz=0.0,
            leak_jitter=0.0,
            leak_decades=0.0,
            shot_noise_rate_hz=0.0,
            refractory_ms=0.0,
        ),
    }
)
"""Light by name: v2e's defaults, its "noisy" (low light) and its "clean" parameters."""

_HELD_OUT = EmulatorSettings(
    positive_threshold=0.3,
    negative_threshold=0.15,
    threshold_sigma=0.04,
    cutoff_hz=100.0,
    leak_rate_hz=0.2,
    leak_decades=0.2,
    shot_noise_rate_hz=0.1,
    refractory_ms=3.0,
)

HELD_OUT = MappingProxyType(
    {
        "sufficient": _HELD_OUT,
        "insufficient": replace(
            _HELD_OUT, threshold_sigma=0.05, cutoff_hz=20.0, shot_noise_rate_hz=3.0
        ),
    }
)
"""Another camera, which training never sees, by light.

Half as sensitive to rising as to falling light, slower, with longer rests and more leak. In
insufficient light it is slower still, but has less shot noise than that of PRESETS. All values are
our choice but for the leak of 0.2 Hz, which Guo and Delbruck report of the recordings in "Low cost
and latency event camera background activity denoising" (2022).
"""
