"""What can be wrong with a network, a checkpoint or a device: one class for each."""

from cs3d_ros.errors import Cs3dError


class NetworkError(Cs3dError):
    """An unknown network, an option that it does not have, or an input that does not fit it."""


class CheckpointError(Cs3dError):
    """A file that is not a usable checkpoint, or a network that cannot be saved as one."""


class DeviceError(Cs3dError):
    """A device that does not exist here, or that cannot hold the network."""
