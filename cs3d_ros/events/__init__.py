"""Bytes to events to windows to tensors. NumPy and Numba; neither torch nor ROS."""

# Importing a wire format is what registers its decoder.
from cs3d_ros.events import activity, evt2, evt3, evt21, libcaer, libcaer_cmp, mono, noise, tensors


def warm_up() -> None:
    """Compile every kernel from packets to tensors, some seconds at first, a fraction when cached.

    Without it the first packet and the first window wait for the compiler.
    """
    for module in (evt2, evt3, evt21, libcaer, libcaer_cmp, mono, noise, activity, tensors):
        module.warm_up()
