"""Sensor time to ROS time."""


class SensorClock:
    """Estimates ROS time − sensor time from the stamps of the packets.

    A packet's stamp is the host time at which its first part arrived, so that stamp − sensor time
    of its first event is the true offset plus a delay: the time that the camera collected events
    before sending them (some ms), the transfer, and the host's scheduling. The delay varies and is
    never negative. The running minimum is therefore the tightest bound from above: the estimate is
    late by the smallest delay that has occurred, and an outlier never disturbs it. It does not
    follow a drift by which the sensor's clock loses against the host's.
    """

    def __init__(self) -> None:
        self._offset_ns: int | None = None

    @property
    def synchronised(self) -> bool:
        """Whether a stamp has been seen since the start or `reset()`."""
        return self._offset_ns is not None

    def observe(self, stamp_ns: int, first_event_ns: int) -> None:
        """Learn from a packet.

        Args:
            stamp_ns: The packet's stamp, ROS time; ignored unless positive, as drivers leave 0
                where they know none.
            first_event_ns: Sensor time of its earliest event.
        """
        if stamp_ns <= 0:
            return
        offset_ns = stamp_ns - first_event_ns
        if self._offset_ns is None or offset_ns < self._offset_ns:
            self._offset_ns = offset_ns

    def ros_time_ns(self, sensor_ns: int) -> int:
        """ROS time of a sensor time; the sensor time itself until `synchronised`."""
        return sensor_ns + (self._offset_ns or 0)

    def reset(self) -> None:
        """Forget the offset: another sensor clock, or another host clock."""
        self._offset_ns = None
