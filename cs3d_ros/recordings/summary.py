"""What a recording holds: counts, sums, rates and losses."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.recordings import open_recording
from cs3d_ros.recordings.decoded import DecodedPackets, Timeline
from cs3d_ros.recordings.recording import Recording, RecordingError

PEAK_NS = 10_000_000
"""The peak rate is taken over this much sensor time, in ns."""

# Stamps before 2000 count from the start of a computer or a simulation.
_REAL_DATE_NS = 946_684_800_000_000_000


@dataclass(slots=True)
class Summary:
    """What a recording holds.

    All counts and sums are over the events that an `EventStream` hands out. Sums are exact.

    Attributes:
        topic: Topic of the packets; empty where the format has none.
        encoding: Wire format of the first packet; None without packets.
        width: Sensor width in pixels, of the first packet; None without packets.
        height: Sensor height in pixels, likewise.
        frame_id: `header.frame_id`, likewise.
        messages: Packets.
        payload_bytes: Bytes of their payloads.
        events: Change events.
        on: Events with polarity 1.
        off: Events with polarity 0.
        triggers: External triggers.
        sum_x: Sum of the columns.
        sum_y: Sum of the rows.
        sum_t_ns: Sum of the sensor times in ns.
        t_first_ns: Earliest sensor time in ns; None without events. Where the stream starts over
            (`resets`), the earliest over all its clocks.
        t_last_ns: Latest sensor time in ns, likewise.
        duration_ns: Sensor time from the earliest to the latest event, in ns; summed over the
            stretches between resets. None without events.
        mean_events_per_s: Events over `duration_ns`; None where that is 0 or None.
        peak_events_per_s: The most events in 10 ms of sensor time, as a rate; None where
            `duration_ns` is shorter than that or None.
        stamp_first_ns: First stamp other than 0, ROS time in ns; None where there is none.
        stamp_last_ns: Last stamp other than 0, likewise.
        packets_lost: Packets missing by their sequence numbers.
        packets_late: Packets dropped because a newer one had come before.
        bad_packets: Packets that cannot be decoded.
        last_error: Why the last of these cannot; None without any.
        resets: How often the stream starts over: a loop, a restart, a jump of the clock.
        sensor_changes: How many of these are changes of size or encoding.
        skipped_words: Words that carry neither event nor state by design.
        reserved_words: Words of a type that the format reserves.
        events_out_of_bounds: Events outside the sensor, dropped.
        dropped_unsynced: Events and triggers dropped because their time or place was not known.
        truncated_bytes: Bytes at the end of payloads that make no whole word.
        damage: Why the recording could not be read to its end; None where it could.
    """

    topic: str = ""
    encoding: str | None = None
    width: int | None = None
    height: int | None = None
    frame_id: str | None = None
    messages: int = 0
    payload_bytes: int = 0
    events: int = 0
    on: int = 0
    off: int = 0
    triggers: int = 0
    sum_x: int = 0
    sum_y: int = 0
    sum_t_ns: int = 0
    t_first_ns: int | None = None
    t_last_ns: int | None = None
    duration_ns: int | None = None
    mean_events_per_s: float | None = None
    peak_events_per_s: float | None = None
    stamp_first_ns: int | None = None
    stamp_last_ns: int | None = None
    packets_lost: int = 0
    packets_late: int = 0
    bad_packets: int = 0
    last_error: str | None = None
    resets: int = 0
    sensor_changes: int = 0
    skipped_words: int = 0
    reserved_words: int = 0
    events_out_of_bounds: int = 0
    dropped_unsynced: int = 0
    truncated_bytes: int = 0
    damage: str | None = None


def summarize(path: str | Path, topic: str | None = None) -> Summary:
    """Read a recording to its end, or to where it is damaged, and sum it up.

    Memory is bounded by the largest packet.

    Args:
        path: What `open_recording` opens.
        topic: Topic of the event packets; may be left out where there is only one.

    Raises:
        RecordingError: The recording cannot be opened.
    """
    with open_recording(path, topic) as recording:
        return sum_up(recording)


def sum_up(recording: Recording) -> Summary:
    """What `summarize` does, of a recording that is open already."""
    summary = Summary(topic=recording.topic)
    decoded = DecodedPackets(recording)
    timeline = Timeline()
    peak = _Peak()
    try:
        for _, packet, events in decoded:
            _add_packet(summary, packet)
            if events:
                _add_events(summary, events)
                peak.add(timeline.place(decoded.stream.epoch, events.t_ns))
            summary.triggers += len(decoded.stream.triggers)
    except RecordingError as error:
        summary.damage = str(error)
    if summary.events:
        summary.duration_ns = timeline.duration_ns
        if timeline.duration_ns:
            summary.mean_events_per_s = summary.events / (timeline.duration_ns * 1e-9)
        if timeline.duration_ns >= PEAK_NS:
            summary.peak_events_per_s = peak.most / (PEAK_NS * 1e-9)
    _add_counters(summary, decoded)
    return summary


def _add_packet(summary: Summary, packet: EventPacket) -> None:
    if summary.encoding is None:
        summary.encoding = packet.encoding
        summary.width, summary.height = packet.width, packet.height
        summary.frame_id = packet.frame_id
    if packet.stamp_ns:
        if summary.stamp_first_ns is None:
            summary.stamp_first_ns = packet.stamp_ns
        summary.stamp_last_ns = packet.stamp_ns


def _add_events(summary: Summary, events: Events) -> None:
    on = int(np.count_nonzero(events.p))
    first_ns, last_ns = int(events.t_ns.min()), int(events.t_ns.max())
    summary.events += len(events)
    summary.on += on
    summary.off += len(events) - on
    summary.sum_x += int(events.x.sum(dtype=np.uint64))
    summary.sum_y += int(events.y.sum(dtype=np.uint64))
    summary.sum_t_ns += _exact_sum(events.t_ns)
    if summary.t_first_ns is None or first_ns < summary.t_first_ns:
        summary.t_first_ns = first_ns
    if summary.t_last_ns is None or last_ns > summary.t_last_ns:
        summary.t_last_ns = last_ns


def _exact_sum(values: np.ndarray) -> int:
    """Sum of int64 values; six times in ns since 1970 overflow int64, their halves do not."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _add_counters(summary: Summary, decoded: DecodedPackets) -> None:
    counters = decoded.stream.counters
    summary.messages = decoded.packets
    summary.payload_bytes = decoded.payload_bytes
    summary.bad_packets = decoded.bad_packets
    summary.last_error = decoded.last_error or None
    summary.packets_lost = counters.packets_lost
    summary.packets_late = counters.packets_late
    summary.resets = counters.resets
    summary.sensor_changes = counters.sensor_changes
    words = decoded.words
    summary.skipped_words = words.skipped_words
    summary.reserved_words = words.reserved_words
    summary.events_out_of_bounds = words.out_of_bounds
    summary.dropped_unsynced = words.dropped_unsynced
    summary.truncated_bytes = words.truncated_bytes


class _Peak:
    """The most events in one bin of `PEAK_NS`, without keeping all bins.

    Attributes:
        most: Events in the fullest bin so far.
    """

    def __init__(self) -> None:
        self.most = 0
        self._open: Counter[int] = Counter()

    def add(self, t_ns: np.ndarray) -> None:
        """Count events; those of a packet lie close together, nearly in the order of time."""
        bins = t_ns // PEAK_NS
        begins = np.concatenate(([0], np.flatnonzero(np.diff(bins)) + 1))
        counts = np.diff(begins, append=len(bins))
        for which, count in zip(bins[begins].tolist(), counts.tolist(), strict=True):
            self._open[which] += count
            self.most = max(self.most, self._open[which])
        # Times step back by some µs, so that the bin before the newest is still open.
        newest = max(self._open)
        self._open = Counter({b: n for b, n in self._open.items() if b >= newest - 1})


def as_text(summary: Summary) -> str:
    """The summary as lines for a person."""
    rows = [
        ("encoding", summary.encoding or "-"),
        ("sensor", _sensor(summary)),
        ("recorded", _recorded(summary)),
        ("packets", f"{summary.messages:,} with {summary.payload_bytes:,} bytes"),
        ("events", _events(summary)),
        ("sensor time", _sensor_time(summary)),
        ("rate", _rate(summary)),
        ("lost", _listed(summary.packets_lost, "packets") or "nothing"),
        ("skipped", _skipped(summary) or "nothing"),
    ]
    if summary.topic:
        rows.insert(0, ("topic", summary.topic))
    if summary.resets:
        rows.append(
            ("restarts", f"{summary.resets}, of these {summary.sensor_changes} with another sensor")
        )
    return "\n".join(f"{name:<12} {value}" for name, value in rows)


def _sensor(summary: Summary) -> str:
    if summary.width is None:
        return "-"
    return f"{summary.width}x{summary.height}, frame {summary.frame_id!r}"


def _recorded(summary: Summary) -> str:
    first_ns, last_ns = summary.stamp_first_ns, summary.stamp_last_ns
    if first_ns is None or last_ns is None:
        return "-"
    seconds = (last_ns - first_ns) * 1e-9
    if first_ns < _REAL_DATE_NS:
        return f"{seconds:.3f} s by stamps without a date"
    date = datetime.fromtimestamp(first_ns // 1_000_000_000, timezone.utc)
    return f"{date:%Y-%m-%d %H:%M:%S} UTC, {seconds:.3f} s by stamps"


def _events(summary: Summary) -> str:
    if not summary.events:
        return f"0, {summary.triggers:,} triggers"
    share = summary.on / summary.events
    return f"{summary.events:,} ({share:.1%} ON), {summary.triggers:,} triggers"


def _sensor_time(summary: Summary) -> str:
    if summary.t_first_ns is None or summary.t_last_ns is None or summary.duration_ns is None:
        return "-"
    return (
        f"{summary.t_first_ns * 1e-9:.6f} to {summary.t_last_ns * 1e-9:.6f} s, "
        f"duration {summary.duration_ns * 1e-9:.6f} s"
    )


def _rate(summary: Summary) -> str:
    if summary.mean_events_per_s is None:
        return "-"
    mean = f"mean {rate_text(summary.mean_events_per_s)}"
    if summary.peak_events_per_s is None:
        return mean
    return f"{mean}, peak {rate_text(summary.peak_events_per_s)} over {PEAK_NS // 1_000_000} ms"


def rate_text(events_per_s: float) -> str:
    """A rate with three digits and its unit, such as "65.9 kev/s"."""
    for factor, unit in ((1e9, "Gev/s"), (1e6, "Mev/s"), (1e3, "kev/s")):
        # 999.5 would round to 1e+03.
        if events_per_s >= 0.9995 * factor:
            return f"{events_per_s / factor:.3g} {unit}"
    return f"{events_per_s:.3g} ev/s"


def _skipped(summary: Summary) -> str:
    # Words without events by design are no loss.
    parts = (
        (summary.bad_packets, "bad packets"),
        (summary.packets_late, "late packets"),
        (summary.events_out_of_bounds, "events off the sensor"),
        (summary.dropped_unsynced, "events before time and place were known"),
        (summary.reserved_words, "reserved words"),
        (summary.truncated_bytes, "stray bytes"),
    )
    return ", ".join(text for count, what in parts if (text := _listed(count, what)))


def _listed(count: int, what: str) -> str:
    return f"{count:,} {what}" if count else ""
