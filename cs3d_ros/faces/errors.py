"""Errors of the faces."""

from cs3d_ros.errors import Cs3dError


class FaceError(Cs3dError):
    """A face that cannot be rendered, fitted, found or aligned from what was given."""
