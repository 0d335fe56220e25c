"""`pip install .` for the part that needs no ROS: the library and the `cs3d` command.

A ROS workspace builds with CMakeLists.txt instead, which also makes the messages.
"""

from setuptools import find_packages, setup

setup(
    packages=find_packages(include=["cs3d_ros", "cs3d_ros.*"]),
    package_data={"cs3d_ros": ["demo/*/*", "weights/*"]},
)
