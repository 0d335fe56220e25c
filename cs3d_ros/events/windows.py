"""Sliding windows on sensor time."""

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.packets import Events

# EVT3 times step back by up to 16 µs, also from one packet to the next.
JITTER_NS = 16_000


class WindowError(Cs3dError):
    """Windows that cannot be made: impossible duration, hop or bound."""


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """The events of one stretch of sensor time.

    Attributes:
        start_ns: Sensor time of the beginning, inclusive.
        end_ns: Sensor time of the end, exclusive.
        chunks: Events in the order of arrival, shared and not copied. Chunks at the edges also hold
            events outside the window: an event is a member if start_ns <= t_ns < end_ns.
        event_count: Number of members.
    """

    start_ns: int
    end_ns: int
    chunks: tuple[Events, ...]
    event_count: int


class _Chunk(NamedTuple):
    events: Events
    first_ns: int
    last_ns: int

    def members(self, start_ns: int, end_ns: int) -> int:
        """Number of events in [start_ns, end_ns)."""
        if start_ns <= self.first_ns and self.last_ns < end_ns:
            return len(self.events)
        if self.last_ns < start_ns or end_ns <= self.first_ns:
            return 0
        t_ns = self.events.t_ns
        return int(np.count_nonzero((t_ns >= start_ns) & (t_ns < end_ns)))

    def first_since(self, start_ns: int) -> int:
        """Time of the earliest event at or after start_ns, which there is."""
        if self.first_ns >= start_ns:
            return self.first_ns
        t_ns = self.events.t_ns
        return int(t_ns[t_ns >= start_ns].min())


class SlidingWindows:
    """Cuts a stream of events into windows of equal duration that begin every hop.

    The first window begins at the first time seen, the others a multiple of the hop later. With a
    hop beyond the duration, the events between two windows belong to none; they count as dropped or
    late like others. A window is complete as soon as the sensor's time has passed its end by 16 µs,
    the most that EVT3 times step back, so that no member can follow; also without events, if the
    encoding tells time without them.

    Bounded memory: beyond `max_events`, the oldest chunks are dropped whole. Bounded work: in one
    push, windows without events that ended more than one duration before now are skipped.

    Attributes:
        duration_ns: Length of a window.
        hop_ns: Distance of the beginnings of consecutive windows.
        max_events: Events kept at most after a push.
        events_dropped: Events dropped for `max_events` before all their windows were complete.
        events_late: Events that came after a window which they belong to was complete, or that
            precede the first.
        empty_windows_skipped: Windows without events that were not handed out.
    """

    def __init__(self, duration_ns: int, hop_ns: int, max_events: int) -> None:
        """Set up.

        Raises:
            WindowError: A value that is not positive.
        """
        if duration_ns <= 0 or hop_ns <= 0:
            raise WindowError(
                f"windows of {duration_ns * 1e-6:g} ms every {hop_ns * 1e-6:g} ms, expected a "
                "positive duration and a positive hop"
            )
        if max_events <= 0:
            raise WindowError(f"room for {max_events} events, expected a positive number")
        self.duration_ns = duration_ns
        self.hop_ns = hop_ns
        self.max_events = max_events
        self.events_dropped = 0
        self.events_late = 0
        self.empty_windows_skipped = 0
        self._chunks: deque[_Chunk] = deque()
        self._buffered = 0
        self._start_ns: int | None = None
        self._closed_ns = 0

    @property
    def buffered_events(self) -> int:
        """Number of events kept for windows to come."""
        return self._buffered

    def reset(self) -> None:
        """Forget all events and times, as for a new epoch of the stream; keep the counters."""
        self._chunks.clear()
        self._buffered = 0
        self._start_ns = None

    def push(self, events: Events, now_ns: int) -> list[Window]:
        """Add events and hand out the windows that are complete.

        Args:
            events: The next events, in any order; kept, not copied.
            now_ns: The newest sensor time reached.

        Returns:
            Complete windows in the order of time.
        """
        if self._start_ns is None:
            first_ns = int(events.t_ns.min()) if len(events) else now_ns
            self._start_ns = self._closed_ns = first_ns
        if len(events):
            self._add(
                _Chunk(events, int(events.t_ns.min()), int(events.t_ns.max())), self._start_ns
            )

        windows = []
        while self._start_ns + self.duration_ns + JITTER_NS <= now_ns:
            window = self._window(self._start_ns)
            if window.event_count == 0 and window.end_ns < self._recent(now_ns):
                hops = self._hops_without_events(self._start_ns, now_ns)
                self.empty_windows_skipped += hops
            else:
                windows.append(window)
                hops = 1
            self._start_ns += hops * self.hop_ns
            self._closed_ns = self._start_ns - self.hop_ns + self.duration_ns
            self._forget_before(self._start_ns)

        while self._buffered > self.max_events:
            chunk = self._chunks.popleft()
            self._buffered -= len(chunk.events)
            self.events_dropped += chunk.members(self._start_ns, chunk.last_ns + 1)
        return windows

    def _add(self, chunk: _Chunk, start_ns: int) -> None:
        self.events_late += chunk.members(chunk.first_ns, self._closed_ns)
        if chunk.last_ns >= start_ns:
            self._chunks.append(chunk)
            self._buffered += len(chunk.events)

    def _window(self, start_ns: int) -> Window:
        end_ns = start_ns + self.duration_ns
        counts = [chunk.members(start_ns, end_ns) for chunk in self._chunks]
        members = (chunk.events for chunk, n in zip(self._chunks, counts, strict=True) if n)
        return Window(start_ns, end_ns, tuple(members), sum(counts))

    def _recent(self, now_ns: int) -> int:
        """The end from which on empty windows are handed out; windows before it are complete."""
        return now_ns - JITTER_NS - self.duration_ns

    def _hops_without_events(self, start_ns: int, now_ns: int) -> int:
        """Hops from an empty window to the next that has events or is recent, at least one."""
        recent = -((start_ns + self.duration_ns - self._recent(now_ns)) // self.hop_ns)
        following = [c.first_since(start_ns) for c in self._chunks if c.last_ns >= start_ns]
        if following:
            next_event_ns = min(following)
            occupied = (next_event_ns - start_ns - self.duration_ns) // self.hop_ns + 1
            return max(1, min(recent, occupied))
        return max(1, recent)

    def _forget_before(self, start_ns: int) -> None:
        if any(chunk.last_ns < start_ns for chunk in self._chunks):
            self._chunks = deque(c for c in self._chunks if c.last_ns >= start_ns)
            self._buffered = sum(len(chunk.events) for chunk in self._chunks)
