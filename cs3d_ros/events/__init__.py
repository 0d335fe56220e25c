"""Bytes to events to windows to tensors. NumPy and Numba; neither torch nor ROS."""
