"""What can be wrong with a training run."""

from cs3d_ros.errors import Cs3dError


class TrainingError(Cs3dError):
    """Settings, a data set or a folder that cannot be trained with, or a loss that is no number."""
