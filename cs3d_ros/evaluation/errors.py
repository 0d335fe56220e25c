"""The error of this room."""

from cs3d_ros.errors import Cs3dError


class EvaluationError(Cs3dError):
    """Data or labels that nothing can be said about."""
