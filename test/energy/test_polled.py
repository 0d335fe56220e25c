"""A source that is asked at regular times."""

import threading
import time

import pytest

from cs3d_ros.energy import PowerReading, PowerSourceError
from cs3d_ros.energy.polled import PolledPowerSource
from fake_tools import wait_until


class Sensor(PolledPowerSource):
    """Gives 3 W, fails when told to, and counts how often it is opened and closed."""

    name = "sensor"
    scope = "module"

    def __init__(self, interval_ms: int) -> None:
        super().__init__(interval_ms)
        self.opened = self.closed = 0
        self.failure: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def open(self) -> None:
        self.opened += 1
        if self.failure is not None:
            raise self.failure

    def sample(self) -> PowerReading:
        self.may_answer.wait()
        if self.failure is not None:
            raise self.failure
        return PowerReading(time.monotonic_ns(), ("VDD_IN",), (3.0,), 3.0, False)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def sensor() -> Sensor:
    return Sensor(50)


def test_it_is_asked_at_once_and_then_once_an_interval(sensor: Sensor) -> None:
    slow = Sensor(5000)
    slow.start()
    began_s = time.monotonic()
    slow.read(10)
    assert time.monotonic() - began_s < 2.5
    slow.stop()
    sensor.start()
    began = time.monotonic_ns()
    times_s = [(sensor.read(5).t_ns - began) * 1e-9 for _ in range(6)]
    sensor.stop()
    # Late ones do not shift those that follow: never faster, and the last one is due at 0.25 s.
    assert times_s[-1] > 0.249
    assert (sensor.opened, sensor.closed) == (1, 1)


def test_a_late_reader_does_not_catch_up(sensor: Sensor) -> None:
    sensor.start()
    sensor.read(5)
    time.sleep(0.5)
    began = time.monotonic()
    for _ in range(4):
        sensor.read(5)
    # Of ten times that have passed one is made up for; then it is regular again.
    assert time.monotonic() - began > 0.09
    sensor.stop()


def test_starting_and_stopping_twice_is_harmless(sensor: Sensor) -> None:
    sensor.stop()
    assert (sensor.opened, sensor.closed) == (0, 0)
    for round_ in (1, 2):
        sensor.start()
        sensor.start()
        assert sensor.read(5).power_w == 3
        sensor.stop()
        sensor.stop()
        assert (sensor.opened, sensor.closed) == (round_, round_)


def test_reading_before_the_start_is_refused(sensor: Sensor) -> None:
    with pytest.raises(PowerSourceError, match="sensor: not started"):
        sensor.read(5)


def test_what_fails_to_open_is_closed_and_can_be_tried_again(sensor: Sensor) -> None:
    sensor.failure = PowerSourceError("no such chip")
    with pytest.raises(PowerSourceError, match="no such chip"):
        sensor.start()
    assert (sensor.opened, sensor.closed) == (1, 1)
    sensor.failure = None
    sensor.start()
    assert sensor.read(5).power_w == 3
    sensor.stop()


def test_what_fails_to_read_is_closed_and_can_be_tried_again(sensor: Sensor) -> None:
    sensor.start()
    sensor.failure = PowerSourceError("fell off")
    with pytest.raises(PowerSourceError, match="fell off"):
        sensor.read(5)
    assert sensor.closed == 1
    with pytest.raises(PowerSourceError, match="not started"):
        sensor.read(5)
    sensor.failure = None
    sensor.start()
    assert sensor.read(5).power_w == 3
    sensor.stop()
    assert sensor.closed == 2


def test_a_time_out_shorter_than_the_interval_is_told() -> None:
    sensor = Sensor(1000)
    sensor.start()
    sensor.read(5)
    with pytest.raises(PowerSourceError, match=r"no power reading within 0\.1 s"):
        sensor.read(0.1)
    assert sensor.closed == 1


def test_stopping_wakes_a_waiting_reader() -> None:
    sensor = Sensor(60_000)
    sensor.start()
    sensor.read(5)
    errors: list[Exception] = []

    def read() -> None:
        try:
            sensor.read(90)
        except PowerSourceError as error:
            errors.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(0.05)
    sensor.stop()
    reader.join(10)
    assert not reader.is_alive()
    assert errors
    assert sensor.closed == 1


def test_stopping_does_not_wait_for_a_sensor_that_hangs(sensor: Sensor) -> None:
    sensor.start()
    sensor.may_answer.clear()
    reader = threading.Thread(target=sensor.read, args=(5,))
    reader.start()
    time.sleep(0.05)
    began = time.monotonic()
    sensor.stop()
    assert time.monotonic() - began < 2
    assert sensor.closed == 0
    # Should it come back, it is closed then.
    sensor.may_answer.set()
    reader.join(5)
    wait_until(lambda: sensor.closed == 1)
