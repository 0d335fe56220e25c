"""The estimate of ROS time from sensor time."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from cs3d_ros.events.clock import SensorClock

SENSOR_START_NS = 14_224_870_000
HOST_START_NS = 1_750_000_000_000_000_000
PACKET_NS = 4_000_000


def jittery_link(
    seed: int, seconds: float, drift: float, delay_ns: float = 1e6
) -> Iterator[tuple[int, int, int]]:
    """(stamp, sensor time, offset as late as the smallest delay) of the packets of one camera.

    Delays are exponentially distributed, 2 ms beyond the smallest; one packet in 500 is held up,
    and with it all that follow it, for up to 50 ms.
    """
    rng = np.random.default_rng(seed)
    held_until_ns = 0.0
    for i in range(int(seconds * 1e9 / PACKET_NS)):
        sensor_ns = SENSOR_START_NS + i * PACKET_NS
        offset_ns = HOST_START_NS + round(drift * i * PACKET_NS)
        sent_ns = sensor_ns + offset_ns
        if rng.random() < 0.002:
            held_until_ns = sent_ns + rng.uniform(0, 50e6)
        stamp_ns = max(sent_ns + round(delay_ns + rng.exponential(2e6)), round(held_until_ns))
        yield stamp_ns, sensor_ns, offset_ns + round(delay_ns)


def errors_ms(clock: SensorClock, link) -> np.ndarray:
    """Error of the estimate after each packet, against what the smallest delay allows."""
    errors = []
    for stamp_ns, sensor_ns, offset_ns in link:
        clock.observe(stamp_ns, sensor_ns)
        errors.append(clock.ros_time_ns(sensor_ns) - sensor_ns - offset_ns)
    return np.array(errors) * 1e-6


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("drift", [80e-6, -80e-6, 0.0])
def test_the_error_on_a_jittery_link_is_as_stated(drift, seed):
    clock = SensorClock()
    errors = np.abs(errors_ms(clock, jittery_link(seed, 120, drift)))
    second = 250
    assert errors[second : 12 * second].max() < 1.0
    assert errors[12 * second :].max() < 0.02
    assert clock.drift == pytest.approx(drift, abs=0.1e-6)
    assert clock.jumps == 0


def test_without_drift_the_smallest_offset_would_be_milliseconds_late():
    offsets = [
        (stamp_ns - sensor_ns, offset_ns)
        for stamp_ns, sensor_ns, offset_ns in jittery_link(0, 120, 80e-6)
    ]
    smallest = min(offset for offset, _ in offsets)
    assert (offsets[-1][1] - smallest) * 1e-6 == pytest.approx(9.5, abs=0.2)


def test_the_smallest_delay_decides():
    clock = SensorClock()
    for sensor_ns, delay_ns in ((1_000, 500), (2_000, 20), (3_000, 900)):
        clock.observe(1_000_000 + sensor_ns + delay_ns, sensor_ns)
    assert clock.ros_time_ns(5_000) == 1_000_000 + 5_000 + 20
    assert clock.offset_ns == 1_000_020
    assert clock.drift is None


def test_an_estimate_is_never_later_than_a_stamp_of_the_last_minute():
    clock = SensorClock()
    seen = []
    for stamp_ns, sensor_ns, _ in jittery_link(5, 70, 300e-6):
        clock.observe(stamp_ns, sensor_ns)
        seen.append((stamp_ns, sensor_ns))
    late = [clock.ros_time_ns(sensor_ns) - stamp_ns for stamp_ns, sensor_ns in seen[-15_000:]]
    # A second of packets is judged by its smallest offset, so that drift within it does not count.
    assert max(late) < 10_000


def test_ros_time_goes_forward_with_the_sensor():
    clock = SensorClock()
    times = []
    for stamp_ns, sensor_ns, _ in jittery_link(1, 90, -80e-6):
        clock.observe(stamp_ns, sensor_ns)
        times.append(clock.ros_time_ns(sensor_ns))
    # The estimate is corrected by less than a packet's length once a second has been seen.
    assert min(b - a for a, b in pairwise(times[250:])) > 0


def test_a_drift_beyond_any_oscillator_is_not_believed():
    clock = SensorClock()
    errors_ms(clock, jittery_link(0, 30, 5_000e-6))
    assert clock.drift == 500e-6


def test_a_host_clock_set_back_starts_over_at_once():
    clock = SensorClock()
    errors_ms(clock, jittery_link(0, 20, 0.0))
    sensor_ns = SENSOR_START_NS + 20_000_000_000
    set_back_ns = HOST_START_NS - 200_000_000
    clock.observe(set_back_ns + sensor_ns + 3_000_000, sensor_ns)
    assert clock.jumps == 1
    assert clock.offset_ns == set_back_ns + 3_000_000
    assert clock.drift is None


def test_a_host_clock_set_forward_is_believed_after_some_seconds():
    clock = SensorClock()
    errors_ms(clock, jittery_link(0, 20, 0.0))
    ahead_ns = HOST_START_NS + 200_000_000
    for i in range(5_000, 7_500):
        sensor_ns = SENSOR_START_NS + i * PACKET_NS
        clock.observe(ahead_ns + sensor_ns + 1_000_000, sensor_ns)
        if i == 5_500:
            assert clock.jumps == 0
            assert clock.offset_ns == pytest.approx(HOST_START_NS + 1_000_000, abs=50_000)
    assert clock.jumps == 1
    assert clock.offset_ns == pytest.approx(ahead_ns + 1_000_000, abs=1_000)


def test_a_stall_of_two_seconds_is_no_jump():
    clock = SensorClock()
    link = list(jittery_link(0, 40, 20e-6))
    held = [
        (max(stamp, link[5_500][0]) if 5_000 <= i < 5_500 else stamp, sensor, offset)
        for i, (stamp, sensor, offset) in enumerate(link)
    ]
    errors = np.abs(errors_ms(clock, held))
    assert clock.jumps == 0
    assert errors[3_000:].max() < 0.05


def test_a_camera_that_was_silent_for_an_hour_is_followed():
    clock = SensorClock()
    errors_ms(clock, jittery_link(0, 20, 50e-6))
    sensor_ns = SENSOR_START_NS + 3_620_000_000_000
    offset_ns = HOST_START_NS + round(50e-6 * 3_620_000_000_000)
    clock.observe(offset_ns + sensor_ns + 1_000_000, sensor_ns)
    assert clock.offset_ns == pytest.approx(offset_ns + 1_000_000, abs=5_000_000)


def test_sensor_times_that_go_back_a_little_do_no_harm():
    clock = SensorClock()
    for i in range(20_000):
        sensor_ns = SENSOR_START_NS + i * PACKET_NS - (i % 3) * 5_000_000
        clock.observe(HOST_START_NS + sensor_ns + 1_000_000, sensor_ns)
    assert clock.offset_ns == HOST_START_NS + 1_000_000
    assert clock.drift == pytest.approx(0.0, abs=1e-9)


def test_memory_is_bounded():
    clock = SensorClock()
    for second in range(1_000):
        clock.observe(HOST_START_NS + second * 1_100_000_000, second * 1_100_000_000)
    assert len(clock._minima) <= 61


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
