"""What can be wrong with a reproduction."""

from cs3d_ros.errors import Cs3dError


class ReproductionError(Cs3dError):
    """A table, row, seed, data set or folder that no table can be made with."""
