"""Flood the recognizer with events and account for every one of them.

    python3 bench/flood.py [--rate 50e6] [--seconds 60] [--max-events N] [--queue-mb N] [--json]

One thread offers a packet of EVT3 vectors for every millisecond, at a steady rate, whether it is
taken or not. Another does what the worker of the node `fer` does: it decodes all that waits and
runs the network on the newest complete window. Windows follow each other without overlap, so that
each event is used once at most, and in the end

    events in = in recognised windows + in skipped windows + dropped by the queue + dropped by the
                windows + late

Exit status 1 where that does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time

import numpy as np
from node import usage

from cs3d_ros.events.evt3 import TIME_HIGH, TIME_LOW
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.nodes.packet_queue import Arrival, PacketQueue
from cs3d_ros.recognizer import DEFAULT_MAX_EVENTS, ReadyWindow, Recognizer

WIDTH, HEIGHT = 1280, 720
PACKET_NS = 1_000_000
STAMP_NS = 1_700_000_000_000_000_000
EVENTS_PER_VECTOR = 12
_WAIT_S = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=50e6, help="events per second")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--window-ms", type=float, help="default: the network's")
    parser.add_argument("--max-events", type=int, default=DEFAULT_MAX_EVENTS)
    parser.add_argument("--queue-mb", type=float, default=64.0)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = flood(arguments)
    print(json.dumps(result, indent=2) if arguments.json else as_text(result))
    sys.exit(0 if result["unaccounted"] == 0 else 1)


class Source(threading.Thread):
    """Offers packets on time, and keeps to that time when it is held up."""

    def __init__(self, queue: PacketQueue, rate: float, seconds: float) -> None:
        super().__init__(name="source", daemon=True)
        self._queue = queue
        self._words, self.events_per_packet = packet_words(round(rate * PACKET_NS * 1e-9))
        self._packets = round(seconds * 1e9 / PACKET_NS)
        self.offered = 0
        self.seconds = 0.0

    def run(self) -> None:
        """Offer one packet after the other."""
        started = time.monotonic()
        for seq in range(self._packets):
            us = seq * PACKET_NS // 1000
            words = self._words.copy()
            words[0] = TIME_HIGH << 12 | (us >> 12) & 0xFFF
            words[1] = TIME_LOW << 12 | us & 0xFFF
            packet = EventPacket(
                STAMP_NS + us * 1000, "flood", WIDTH, HEIGHT, seq, 0, "evt3", False, words.tobytes()
            )
            self._queue.put(Arrival(packet, time.monotonic_ns()))
            self.offered = seq + 1
            ahead_s = started + self.offered * PACKET_NS * 1e-9 - time.monotonic()
            if ahead_s > 0:
                time.sleep(ahead_s)
        self.seconds = time.monotonic() - started


def packet_words(events: int) -> tuple[np.ndarray, int]:
    """EVT3 words of one packet, with its time in the first two, and its number of events."""
    vectors = max(1, round(events / EVENTS_PER_VECTOR))
    words = [TIME_HIGH << 12, TIME_LOW << 12]
    columns = WIDTH // 12
    for row in range(-(-vectors // columns)):
        words += [row * 37 % HEIGHT, 0x3000 | row % 2 << 11]
        words += [0x4FFF] * min(columns, vectors - row * columns)
    return np.array(words, "<u2"), vectors * EVENTS_PER_VECTOR


def flood(arguments: argparse.Namespace) -> dict:
    classifier = Classifier.from_checkpoint("untrained")
    window_ms = arguments.window_ms or classifier.card.window_ms
    recognizer = Recognizer(
        classifier, window_ms=window_ms, hop_ms=window_ms, max_events=arguments.max_events
    )
    recognizer.warm_up()
    queue = PacketQueue(round(arguments.queue_mb * 2**20))
    source = Source(queue, arguments.rate, arguments.seconds)
    memory = [usage(os.getpid())["rss_mb"]]
    lags_s: list[float] = []
    tally = {"recognised": 0, "skipped": 0, "windows": 0, "recognitions": 0}
    next_sample = time.monotonic() + 1.0
    source.start()
    while source.is_alive() or queue.bytes_waiting:
        newest: ReadyWindow | None = None
        for arrival in queue.take_all(_WAIT_S):
            for ready in recognizer.push(arrival.packet):
                tally["windows"] += 1
                if newest is not None:
                    tally["skipped"] += newest.window.event_count
                newest = ready
        if newest is not None:
            tally["recognised"] += recognizer.classify(newest).event_count
            tally["recognitions"] += 1
            lags_s.append(source.offered * PACKET_NS * 1e-9 - newest.window.end_ns * 1e-9)
        if time.monotonic() >= next_sample:
            next_sample += 1.0
            memory.append(usage(os.getpid())["rss_mb"])
    source.join()

    # Complete the last windows.
    windows = recognizer.windows
    assert recognizer.stream.now_ns is not None
    for window in windows.push(
        Events.empty(), recognizer.stream.now_ns + 2 * windows.duration_ns + windows.hop_ns
    ):
        tally["windows"] += 1
        tally["skipped"] += window.event_count
    per_packet = source.events_per_packet
    result = {
        "rate_offered": source.offered * per_packet / source.seconds,
        "seconds": source.seconds,
        "events_in": source.offered * per_packet,
        "events_in_recognised_windows": tally["recognised"],
        "events_in_skipped_windows": tally["skipped"],
        "events_dropped_by_queue": queue.packets_dropped * per_packet,
        "events_dropped_by_windows": windows.events_dropped,
        "events_late": windows.events_late,
        "packets_dropped": queue.packets_dropped,
        "packets_lost": recognizer.stream.counters.packets_lost,
        "windows": tally["windows"],
        "recognitions": tally["recognitions"],
        "lag_max_s": max(lags_s, default=float("nan")),
        "lag_median_s": float(np.median(lags_s)) if lags_s else float("nan"),
        "memory_mb_after_10_s": max(memory[:11]),
        "memory_mb_max": max(memory),
        "memory_mb_end": memory[-1],
    }
    used = result["events_in_recognised_windows"] + result["events_in_skipped_windows"]
    dropped = (
        result["events_dropped_by_queue"]
        + result["events_dropped_by_windows"]
        + result["events_late"]
    )
    result["unaccounted"] = result["events_in"] - used - dropped
    return result


def as_text(result: dict) -> str:
    lines = [
        f"{result['rate_offered'] * 1e-6:.1f} M events/s for {result['seconds']:.1f} s",
        "",
        f"{'events in':<32}{result['events_in']:>15,}",
    ]
    for key in (
        "events_in_recognised_windows",
        "events_in_skipped_windows",
        "events_dropped_by_queue",
        "events_dropped_by_windows",
        "events_late",
        "unaccounted",
    ):
        lines.append(f"  {key.replace('_', ' '):<30}{result[key]:>15,}")
    lines += [
        "",
        f"{result['windows']} windows, {result['recognitions']} recognised; a result came "
        f"{result['lag_median_s']:.2f} s (median), {result['lag_max_s']:.2f} s (at most) after the "
        "end of its window",
        f"{result['packets_dropped']} packets dropped by the queue, {result['packets_lost']} "
        "missing by their numbers",
        f"memory: {result['memory_mb_after_10_s']:.0f} MB at most in the first 10 s, "
        f"{result['memory_mb_max']:.0f} MB at most at all, {result['memory_mb_end']:.0f} MB at the "
        "end",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
