"""What the node `fer` reports on `/diagnostics`."""

from __future__ import annotations

import statistics
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cs3d_ros.events.packets import EventPacket
    from cs3d_ros.nodes.packet_queue import PacketQueue
    from cs3d_ros.recognizer import Recognition, Recognizer

_SILENCE_S = 2.0
_RECENT = 64


@dataclass
class FerReport:
    """Counts since the node was activated.

    One worker writes and one timer reads; a summary may be a packet behind itself.
    """

    packets: int = 0
    bad_packets: int = 0
    internal_errors: int = 0
    windows: int = 0
    windows_skipped: int = 0
    windows_gated: int = 0
    windows_failed: int = 0
    rois_refused: int = 0
    recognitions: int = 0
    frame_id: str = ""
    _last_error: str = ""
    _last_packet: EventPacket | None = None
    _inference_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _latency_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _before: dict[str, int] = field(default_factory=dict)
    _before_ns: int = field(default_factory=time.monotonic_ns)

    def packet(self, packet: EventPacket) -> None:
        """A packet was decoded."""
        self.packets += 1
        self.frame_id = packet.frame_id
        self._last_packet = packet

    def bad_packet(self, error: str) -> None:
        """A packet was skipped."""
        self.bad_packets += 1
        self._last_error = error

    def window_failed(self, error: str) -> None:
        """The network could not answer."""
        self.windows_failed += 1
        self._last_error = error

    def recognised(self, recognition: Recognition, latency_ms: float) -> None:
        """A recognition was published."""
        self.recognitions += 1
        if recognition.inferred:
            self._inference_ms.append(recognition.inference_ms)
        else:
            self.windows_gated += 1
        self._latency_ms.append(latency_ms)

    def summary(
        self, recognizer: Recognizer, queue: PacketQueue, topic: str, publishers: int
    ) -> tuple[list[str], dict[str, object]]:
        """Warnings about what happened since the last summary, and all numbers.

        Returns:
            Sentences, none if all is well, and the key-value pairs of the status.
        """
        stream, windows = recognizer.stream, recognizer.windows
        now_ns = time.monotonic_ns()
        seconds = max((now_ns - self._before_ns) * 1e-9, 1e-9)
        decoder, clock = stream.decoder, stream.clock
        noise, tracker = recognizer.noise_filter, recognizer.tracker
        counts = {
            "packets_received": queue.packets_in,
            "packets": self.packets,
            "events": decoder.counters.events if decoder else 0,
            "bad_packets": self.bad_packets,
            "packets_lost": stream.counters.packets_lost,
            "packets_late": stream.counters.packets_late,
            "packets_dropped": queue.packets_dropped,
            "events_dropped": windows.events_dropped,
            "windows": self.windows,
            "windows_skipped": self.windows_skipped,
            "windows_gated": self.windows_gated,
            "windows_failed": self.windows_failed,
            "rois_refused": self.rois_refused,
            "regions_missed": recognizer.regions_missed,
            "recognitions": self.recognitions,
            "resets": stream.counters.resets,
            "host_clock_jumps": clock.jumps,
            "reserved_words": decoder.counters.reserved_words if decoder else 0,
            "events_out_of_bounds": decoder.counters.out_of_bounds if decoder else 0,
            "truncated_bytes": decoder.counters.truncated_bytes if decoder else 0,
            "internal_errors": self.internal_errors,
            "engines_failed": len(recognizer.classifier.engine_failures),
        }
        new = {key: count - self._before.get(key, 0) for key, count in counts.items()}
        self._before, self._before_ns = counts, now_ns

        last = self._last_packet
        values: dict[str, object] = {
            "model": recognizer.classifier.name,
            "device": str(recognizer.classifier.device),
            "engine": recognizer.classifier.engine,
            "engine_failures": "; ".join(recognizer.classifier.engine_failures),
            "encoding": last.encoding if last else "",
            "sensor": f"{last.width}x{last.height}" if last else "",
            "packets_per_s": new["packets_received"] / seconds,
            "events_per_s": new["events"] / seconds,
            "recognitions_per_s": new["recognitions"] / seconds,
            "inference_ms": _median(self._inference_ms),
            "latency_ms": _median(self._latency_ms),
            "queue_bytes": queue.bytes_waiting,
            "clock_offset_s": _or_nan(clock.offset_ns, 1e-9),
            "clock_drift_ppm": _or_nan(clock.drift, 1e6),
            "roi_lost": tracker.lost if tracker else False,
            **{f"noise_{name}": n for name, n in (noise.removed if noise else {}).items()},
            "last_error": self._last_error,
            **counts,
        }
        silence_s = (now_ns - queue.last_arrival_ns) * 1e-9
        return self._warnings(new, topic, publishers, silence_s), values

    def _warnings(
        self, new: dict[str, int], topic: str, publishers: int, silence_s: float
    ) -> list[str]:
        warnings = []
        if new["bad_packets"]:
            warnings.append(f"{new['bad_packets']} packets skipped: {self._last_error}")
        elif publishers == 0:
            warnings.append(f"nobody publishes {topic}")
        elif silence_s > _SILENCE_S:
            warnings.append(
                f"{publishers} publish {topic}, but nothing has come for {silence_s:.0f} s"
            )
        sentences = {
            "packets_lost": "packets lost on the way or dropped here",
            "packets_dropped": "packets dropped, because decoding does not keep up",
            "events_dropped": "events dropped, because max_events is reached",
            "windows_skipped": "windows skipped, because the network is slower than the hop",
            "windows_failed": "windows without a result; see last_error",
            "rois_refused": "regions on ~/roi refused; see the log",
            "regions_missed": "windows without the region from ~/roi, which is off the sensor",
            "host_clock_jumps": "times the clock of the packets' stamps was set",
            "internal_errors": "internal errors; see the log",
            "engines_failed": "engines failed, others run; see engine_failures",
        }
        warnings += [f"{new[key]} {text}" for key, text in sentences.items() if new[key]]
        return warnings


def _or_nan(value: float | None, scale: float) -> float:
    return float("nan") if value is None else value * scale


def _median(values: deque[float]) -> float:
    recent = list(values)
    return statistics.median(recent) if recent else float("nan")
