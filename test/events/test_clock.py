"""The estimate of ROS time from sensor time."""

from cs3d_ros.events.clock import SensorClock


def test_the_smallest_delay_decides():
    clock = SensorClock()
    for sensor_ns, delay_ns in ((1_000, 500), (2_000, 20), (3_000, 900)):
        clock.observe(1_000_000 + sensor_ns + delay_ns, sensor_ns)
    assert clock.ros_time_ns(5_000) == 1_000_000 + 5_000 + 20


def test_missing_stamps_teach_nothing():
    clock = SensorClock()
    clock.observe(0, 5_000)
    clock.observe(-1, 5_000)
    assert not clock.synchronised
    assert clock.ros_time_ns(7_000) == 7_000
    clock.observe(100_000, 5_000)
    clock.observe(0, 6_000)
    assert clock.synchronised
    assert clock.ros_time_ns(7_000) == 102_000


def test_reset_forgets_the_offset():
    clock = SensorClock()
    clock.observe(100_000, 5_000)
    clock.reset()
    assert not clock.synchronised
    clock.observe(900_000, 5_000)
    assert clock.ros_time_ns(5_000) == 900_000
