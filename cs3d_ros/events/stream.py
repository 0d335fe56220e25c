"""One camera's packets to events, through losses, restarts and looped recordings."""

from dataclasses import dataclass

from cs3d_ros.events.clock import SensorClock
from cs3d_ros.events.packets import Decoder, EventPacket, Events, Triggers, decoder_for

# Best-effort transport swaps neighbours; a step back by more is a restart or a looped recording.
REORDER_DISTANCE = 16
REORDER_NS = 1_000_000_000
# The sensor's clock and the stamps advance alike, up to the delays of the transport, by which the
# sensor can fall behind. Beyond this the sensor restarted, its clock turned over unseen, or a word
# was damaged; ahead, it would hold up all windows until it is caught up with.
MAX_AHEAD_NS = 2_000_000_000
MAX_BEHIND_NS = 10_000_000_000
# Drivers send a packet every few ms.
MAX_SPAN_NS = 10_000_000_000
# A longer gap is another driver, or a damaged number, rather than packets that were lost.
MAX_LOSS = 100_000

_SEQ_TURN = 1 << 64


@dataclass(slots=True)
class StreamCounters:
    """What a stream has met since it was made; no reset clears it.

    Attributes:
        packets: Packets decoded.
        packets_lost: Packets missing by their sequence numbers. One that comes late counts both
            here and as late: its events are lost all the same.
        packets_late: Packets dropped because a newer one had come before.
        resets: Starts over, whatever the reason.
        sensor_changes: Starts over because size or encoding changed.
        clock_jumps: Starts over because sensor time and stamps, or events and the newest sensor
            time, fell apart.
    """

    packets: int = 0
    packets_lost: int = 0
    packets_late: int = 0
    resets: int = 0
    sensor_changes: int = 0
    clock_jumps: int = 0


class EventStream:
    """Decodes the packets of one topic in the order of arrival.

    Times are comparable within one `epoch` only. The epoch increments, and everything starts over,
    when

    - the size of the sensor or the encoding changes,
    - the sequence goes back by more than 16, or by less with a stamp that goes forward, or forward
      by more than 100,000: the driver restarted, or a recording loops,
    - the stamp goes back by more than a second,
    - from one packet to the next, sensor time gets ahead of the stamps by more than 2 s or falls
      behind by more than 10 s; or, without stamps, a packet's events are more than 2 s behind the
      newest time; or they span more than 10 s. That packet is dropped, as its times straddle two
      clocks.

    A packet up to 16 behind the newest, with a stamp not ahead of it, is late and dropped; more
    than 16 of those in a row are a short recording that loops. Stamps of 0 are not compared.

    Attributes:
        counters: See `StreamCounters`.
        clock: Estimate of ROS time from sensor time.
        epoch: How often the stream has started over.
        decoder: Decoder of the present encoding; None before the first packet.
        triggers: The external triggers of the last packet.
    """

    def __init__(self) -> None:
        self.counters = StreamCounters()
        self.clock = SensorClock()
        self.epoch = 0
        self.decoder: Decoder | None = None
        self.triggers = Triggers.empty()
        self._format: tuple[str, int, int] | None = None
        self._seq: int | None = None
        self._stamp_ns = 0
        # Of the last packet that moved the newest sensor time; not all encodings do without events.
        self._now_stamp_ns = 0
        self._late_in_a_row = 0

    @property
    def now_ns(self) -> int | None:
        """The newest sensor time reached in this epoch, in ns; None before there is one."""
        return None if self.decoder is None else self.decoder.now_ns

    def ros_time_ns(self, sensor_ns: int) -> int:
        """ROS time in ns of a sensor time in ns; see `SensorClock.ros_time_ns`."""
        return self.clock.ros_time_ns(sensor_ns)

    def feed(self, packet: EventPacket) -> Events:
        """Decode the next packet; no events where it is late or shows a jump of the clock.

        Raises:
            PacketError: The packet cannot be decoded. The stream goes on with the next one.
        """
        self.triggers = Triggers.empty()
        decoder = self._decoder(packet)
        step = self._sequence_step(packet)
        stamped = packet.stamp_ns > 0 and self._stamp_ns > 0
        stamp_step_ns = packet.stamp_ns - self._stamp_ns if stamped else 0
        lost = 0

        if stamp_step_ns < -REORDER_NS:
            self._start_over()
        elif step < 1:
            is_late = step >= -REORDER_DISTANCE and stamp_step_ns <= 0
            if is_late and self._late_in_a_row < REORDER_DISTANCE:
                self._late_in_a_row += 1
                self.counters.packets_late += 1
                return Events.empty()
            self._start_over()
        elif step > MAX_LOSS:
            self._start_over()
        elif step > 1:
            decoder.resync()
            lost = step - 1

        before_ns = decoder.now_ns
        events = decoder.decode(packet)
        self._seq = packet.seq
        self._stamp_ns = packet.stamp_ns
        self._late_in_a_row = 0
        self.counters.packets += 1
        self.counters.packets_lost += lost

        # The earliest rather than the first: between TIME_HIGH and TIME_LOW, EVT3 events can be
        # some ms ahead of the sensor, which would pull the clock's estimate for good.
        earliest_ns = int(events.t_ns.min()) if len(events) else None
        if self._times_fall_apart(packet.stamp_ns, before_ns, events, earliest_ns):
            self.counters.clock_jumps += 1
            self._start_over()
            return Events.empty()

        if decoder.now_ns != before_ns:
            self._now_stamp_ns = packet.stamp_ns
        self.triggers = decoder.triggers
        if earliest_ns is not None:
            self.clock.observe(packet.stamp_ns, earliest_ns)
        return events

    def _times_fall_apart(
        self, stamp_ns: int, before_ns: int | None, events: Events, earliest_ns: int | None
    ) -> bool:
        """Whether a packet's times go with those before, and with each other; see the class."""
        now_ns = self.now_ns
        if now_ns is None:
            return False
        # Otherwise the latest is no further: do not look for it in every packet.
        if earliest_ns is not None and now_ns - earliest_ns > MAX_AHEAD_NS:
            latest_ns = int(events.t_ns.max())
            if latest_ns - earliest_ns > MAX_SPAN_NS or now_ns - latest_ns > MAX_AHEAD_NS:
                return True
        if before_ns is None or now_ns == before_ns or stamp_ns <= 0 or self._now_stamp_ns <= 0:
            return False
        ahead_ns = (now_ns - before_ns) - (stamp_ns - self._now_stamp_ns)
        return not -MAX_BEHIND_NS <= ahead_ns <= MAX_AHEAD_NS

    def _decoder(self, packet: EventPacket) -> Decoder:
        """The decoder for this packet's format, starting over where that has changed."""
        new_format = (packet.encoding, packet.width, packet.height)
        if self.decoder is not None and new_format == self._format:
            return self.decoder
        decoder = decoder_for(*new_format)
        if self.decoder is not None:
            decoder.counters = self.decoder.counters
            self.counters.sensor_changes += 1
            self._start_over()
        self.decoder = decoder
        self._format = new_format
        return decoder

    def _sequence_step(self, packet: EventPacket) -> int:
        """How far the sequence advances, modulo 2^64 and signed; 1 is the next packet."""
        if self._seq is None:
            return 1
        step = (packet.seq - self._seq) % _SEQ_TURN
        return step if step < _SEQ_TURN // 2 else step - _SEQ_TURN

    def _start_over(self) -> None:
        self.epoch += 1
        self.counters.resets += 1
        self.clock.reset()
        self._seq = None
        self._stamp_ns = 0
        self._now_stamp_ns = 0
        self._late_in_a_row = 0
        if self.decoder is not None:
            self.decoder.reset()
