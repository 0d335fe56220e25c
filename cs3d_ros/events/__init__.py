"""Bytes to events to windows to tensors. NumPy and Numba; neither torch nor ROS."""

# Importing a wire format is what registers its decoder.
from cs3d_ros.events import evt3 as evt3
