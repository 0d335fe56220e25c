"""Errors of the simulation."""

from cs3d_ros.errors import Cs3dError


class SimulationError(Cs3dError):
    """Frames or settings that no events can be made from."""


class VideoError(Cs3dError):
    """A video that cannot be opened or decoded."""
