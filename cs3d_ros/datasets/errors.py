"""Errors of the data sets."""

from cs3d_ros.errors import Cs3dError


class DatasetError(Cs3dError):
    """A data set that cannot be made, or one that is not what it should be."""
