"""Facial-expression recognition from event cameras for ROS 2.

Importing this package imports neither torch nor rclpy: each room loads what it needs.
"""

__version__ = "0.1.0"

# The generated messages (`cs3d_ros.msg`) live in the colcon install tree. Looking for further
# portions of the package on sys.path lets them be found when the Python code itself is run
# from the source tree.
__path__ = __import__("pkgutil").extend_path(__path__, __name__)
