"""Noise filters between decoding and windows: hot pixels, refractory period, background activity.

Each removes whole events and leaves the others as they are, in their order. All are off by default.
Times may step back by the jitter of EVT3. Each filter keeps at most one time per pixel.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.packets import Events
from cs3d_ros.kernels import kernel

# A hot pixel has this rate at least, ...
HOT_MIN_RATE_HZ = 20.0
# ... fires in this many of the eight slices of the learning time at least, ...
HOT_MIN_SLICES = 7
# ... and more than this many times as often as all but one of its eight neighbours.
HOT_NEIGHBOUR_RATIO = 5

_SLICES = 8
_NEVER_NS = np.iinfo(np.int64).min // 2


class NoiseError(Cs3dError):
    """Noise filters that cannot be made: impossible times or sensor."""


@dataclass(frozen=True, slots=True)
class NoiseSettings:
    """Which filters are on; 0 turns one off.

    Attributes:
        hot_pixel_learning_s: Sensor time from the first event on during which hot pixels are
            learned, in s, up to 60; 1 is a good choice.
        refractory_us: A pixel rests for this long after each of its events, in µs, up to 10⁶.
        background_activity_us: An event needs another one at one of its eight neighbours less than
            this before it, in µs, up to 10⁶. 10000 keeps what moves by 100 pixels a second.

    Raises:
        NoiseError: A value out of its range.
    """

    hot_pixel_learning_s: float = field(default=0.0, metadata={"max": 60.0})
    refractory_us: int = field(default=0, metadata={"max": 1_000_000})
    background_activity_us: int = field(default=0, metadata={"max": 1_000_000})

    def __post_init__(self) -> None:
        for setting in fields(self):
            value, limit = getattr(self, setting.name), setting.metadata["max"]
            if not (math.isfinite(value) and 0 <= value <= limit):
                raise NoiseError(
                    f"{setting.name} is {value}, expected 0 (off) to {limit}; mind the unit at the "
                    "end of its name"
                )


@kernel
def _selected(
    events: tuple[np.ndarray, ...], keep: np.ndarray, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The n events whose `keep` is 1."""
    t_ns, xs, ys, ps = events
    # One place more than needed: each is written and only kept events advance.
    kept_t = np.empty(n + 1, np.int64)
    kept_x = np.empty(n + 1, np.uint16)
    kept_y = np.empty(n + 1, np.uint16)
    kept_p = np.empty(n + 1, np.uint8)
    k = np.uintp(0)
    for i in range(t_ns.size):
        kept_t[k] = t_ns[i]
        kept_x[k] = xs[i]
        kept_y[k] = ys[i]
        kept_p[k] = ps[i]
        k += np.uintp(keep[i])
    return kept_t[:n], kept_x[:n], kept_y[:n], kept_p[:n]


@kernel
def _learn(
    events: tuple[np.ndarray, ...],
    start_ns: int,
    learning_ns: int,
    counts: np.ndarray,
    slices: np.ndarray,
) -> int:
    """Count events per pixel and note the slices; returns how many belong to the learning time."""
    t_ns, xs, ys, _ = events
    height, width = counts.shape
    slices_per_ns = _SLICES / learning_ns
    for i in range(t_ns.size):
        dt = t_ns[i] - start_ns
        if dt >= learning_ns:
            return i
        if xs[i] < width and ys[i] < height:
            which = min(max(int(dt * slices_per_ns), 0), _SLICES - 1)
            counts[ys[i], xs[i]] += np.uint32(1)
            slices[ys[i], xs[i]] |= np.uint8(1 << which)
    return t_ns.size


@kernel
def _find_hot(counts: np.ndarray, slices: np.ndarray, min_count: float, quiet: np.ndarray) -> int:
    """Clear `quiet` where a pixel is hot and return how many are."""
    height, width = counts.shape
    hot = 0
    for y in range(height):
        for x in range(width):
            if counts[y, x] < min_count:
                continue
            fired = 0
            for bit in range(_SLICES):
                fired += (slices[y, x] >> bit) & 1
            most = second = 0
            for row in range(max(y - 1, 0), min(y + 2, height)):
                for column in range(max(x - 1, 0), min(x + 2, width)):
                    if row != y or column != x:
                        other = int(counts[row, column])
                        second = max(second, min(most, other))
                        most = max(most, other)
            if fired >= HOT_MIN_SLICES and counts[y, x] > HOT_NEIGHBOUR_RATIO * second:
                quiet[y, x] = 0
                hot += 1
    return hot


@kernel
def _mark_quiet(
    events: tuple[np.ndarray, ...], first: int, quiet: np.ndarray, keep: np.ndarray
) -> int:
    """Keep all events before `first` and then those of quiet pixels; returns how many."""
    _, xs, ys, _ = events
    height, width = quiet.shape
    flat = quiet.reshape(-1)
    keep[:first] = 1
    n = first
    for i in range(first, xs.size):
        kept = 0
        if xs[i] < width and ys[i] < height:
            # Unsigned: an index that may be negative costs a check.
            kept = int(flat[np.uintp(int(ys[i]) * width + int(xs[i]))])
        keep[i] = kept
        n += kept
    return n


@kernel
def _mark_rested(
    events: tuple[np.ndarray, ...], period_ns: int, last_ns: np.ndarray, keep: np.ndarray
) -> int:
    """Keep events of pixels without a kept event within the period; returns how many."""
    t_ns, xs, ys, _ = events
    height, width = last_ns.shape[0] - 2, last_ns.shape[1] - 2
    flat = last_ns.reshape(-1)
    n = 0
    for i in range(t_ns.size):
        kept = 0
        if xs[i] < width and ys[i] < height:
            pixel = np.uintp((int(ys[i]) + 1) * (width + 2) + int(xs[i]) + 1)
            # The absolute value: should the clock ever go back, no pixel waits for it.
            if abs(t_ns[i] - flat[pixel]) >= period_ns:
                flat[pixel] = t_ns[i]
                kept = 1
        keep[i] = kept
        n += kept
    return n


@kernel
def _mark_supported(
    events: tuple[np.ndarray, ...], support_ns: int, last_ns: np.ndarray, keep: np.ndarray
) -> int:
    """Keep events with another one nearby in space and time; returns how many."""
    t_ns, xs, ys, _ = events
    height, width = last_ns.shape[0] - 2, last_ns.shape[1] - 2
    flat = last_ns.reshape(-1)
    one, two = np.uintp(1), np.uintp(2)
    n = 0
    for i in range(t_ns.size):
        kept = 0
        if xs[i] < width and ys[i] < height:
            t = t_ns[i]
            # Offsets from the upper left neighbour are never negative.
            above = np.uintp(int(ys[i]) * (width + 2) + int(xs[i]))
            here = above + np.uintp(width + 2)
            below = here + np.uintp(width + 2)
            if (
                abs(t - flat[here]) < support_ns
                or abs(t - flat[here + two]) < support_ns
                or abs(t - flat[above]) < support_ns
                or abs(t - flat[above + one]) < support_ns
                or abs(t - flat[above + two]) < support_ns
                or abs(t - flat[below]) < support_ns
                or abs(t - flat[below + one]) < support_ns
                or abs(t - flat[below + two]) < support_ns
            ):
                kept = 1
            flat[here + one] = t
        keep[i] = kept
        n += kept
    return n


class _Filter(ABC):
    """What the filters have in common.

    Attributes:
        time_ns: Learning time, refractory period or support time.
        removed: Events removed.
    """

    def __init__(self, width: int, height: int, time_ns: int) -> None:
        """Set up for a sensor of width × height pixels.

        Raises:
            NoiseError: No pixels, or a time that is not positive.
        """
        if width < 1 or height < 1 or time_ns < 1:
            raise NoiseError(
                f"a sensor of {width}x{height} pixels and a time of {time_ns} ns, expected at "
                "least one of each"
            )
        self.width = width
        self.height = height
        self.time_ns = time_ns
        self.removed = 0

    def apply(self, events: Events) -> Events:
        """What is left of the next events; the same object if that is all."""
        columns = (events.t_ns, events.x, events.y, events.p)
        keep = np.empty(len(events), np.uint8)
        n = self._mark(columns, keep)
        if n == len(events):
            return events
        self.removed += len(events) - n
        return Events(*_selected(columns, keep, n))

    @abstractmethod
    def _mark(self, columns: tuple[np.ndarray, ...], keep: np.ndarray) -> int:
        """Set `keep` to 1 for events to keep and to 0 for others; returns how many are kept."""

    @abstractmethod
    def reset(self) -> None:
        """Forget all times, as for a new epoch of the stream; keep the counter."""


class HotPixelFilter(_Filter):
    """Learns at the start which pixels are hot, and removes their events from then on.

    jAER's `HotPixelFilter` takes the most active pixels of a learning time for hot and asks that
    nothing moves meanwhile. Here something may move: a moving edge fires many neighbouring pixels,
    each for a moment, while a hot pixel fires alone and all the time. A pixel is hot if, in the
    `time_ns` from the first event on,

    - its rate was at least 20 Hz,
    - it fired in at least 7 of 8 slices of equal length,
    - it fired more than 5 times as often as all of its 8 neighbours but one, since two hot pixels
      may be neighbours.

    While learning, all events pass. Not found are pixels that become hot later, three or more hot
    pixels side by side, and weak ones amid much motion.

    Attributes:
        learning: Whether the learning time is not over yet.
        n_hot: Number of hot pixels; 0 while learning.
    """

    def __init__(self, width: int, height: int, time_ns: int) -> None:
        super().__init__(width, height, time_ns)
        self.n_hot = 0
        self._quiet = np.ones((height, width), np.uint8)
        self._learned: tuple[np.ndarray, np.ndarray] | None = None
        self._start_ns: int | None = None
        self.learning = True
        self.reset()

    @property
    def mask(self) -> np.ndarray:
        """Which pixels are hot: new array of shape (height, width), bool."""
        return self._quiet == 0

    def reset(self) -> None:
        """Forget all times: unfinished learning begins anew, what has been learned stays."""
        self._start_ns = None
        if self.learning:
            shape = (self.height, self.width)
            self._learned = np.zeros(shape, np.uint32), np.zeros(shape, np.uint8)

    def _mark(self, columns: tuple[np.ndarray, ...], keep: np.ndarray) -> int:
        first = 0
        if self._learned is not None and len(keep):
            if self._start_ns is None:
                self._start_ns = int(columns[0][0])
            counts, slices = self._learned
            first = _learn(columns, self._start_ns, self.time_ns, counts, slices)
            if first < len(keep):
                min_count = HOT_MIN_RATE_HZ * self.time_ns * 1e-9
                self.n_hot = _find_hot(counts, slices, min_count, self._quiet)
                self._learned = None
                self.learning = False
        if self.n_hot == 0:
            return len(keep)
        return _mark_quiet(columns, first, self._quiet, keep)


class _TimedFilter(_Filter):
    """A filter that knows the time of each pixel's last event."""

    def __init__(self, width: int, height: int, time_ns: int) -> None:
        super().__init__(width, height, time_ns)
        # With a rim around the sensor each pixel has eight neighbours.
        self._last_ns = np.full((height + 2, width + 2), _NEVER_NS, np.int64)

    def reset(self) -> None:
        self._last_ns.fill(_NEVER_NS)


class RefractoryFilter(_TimedFilter):
    """Removes an event if its pixel had one, of any polarity, less than `time_ns` before.

    A removed event does not restart the period: a pixel that fires all the time keeps the rate
    1 / `time_ns`, as with the refractory period of the pixels themselves. (jAER's filter restarts
    it, which silences such a pixel; here that is the work of `HotPixelFilter`.)
    """

    def _mark(self, columns: tuple[np.ndarray, ...], keep: np.ndarray) -> int:
        return _mark_rested(columns, self.time_ns, self._last_ns, keep)


class BackgroundActivityFilter(_TimedFilter):
    """Removes an event if none of its 8 neighbours had one less than `time_ns` before.

    The nearest-neighbour rule of Delbruck, "Frame-free dynamic digital vision" (2008). A pixel's
    own events do not support it, so that a lone hot pixel is removed too; removed events support
    others. An edge that moves by v pixels a second needs some 1/v seconds: less removes slow motion
    as well. Of uncorrelated noise at the rate r per pixel, 1 − exp(−8·r·`time_ns`) passes.
    """

    def _mark(self, columns: tuple[np.ndarray, ...], keep: np.ndarray) -> int:
        return _mark_supported(columns, self.time_ns, self._last_ns, keep)


class NoiseFilter:
    """The filters that the settings turn on, in the order hot pixels, refractory, background.

    Made for one size of the sensor; another size needs another one.

    Attributes:
        filters: Those that are on, in order, by name: "hot_pixels", "refractory",
            "background_activity".
    """

    def __init__(self, settings: NoiseSettings, width: int, height: int) -> None:
        """Make the filters for a sensor of width × height pixels.

        Raises:
            NoiseError: No pixels.
        """
        kinds: dict[str, tuple[type[_Filter], float]] = {
            "hot_pixels": (HotPixelFilter, settings.hot_pixel_learning_s * 1e9),
            "refractory": (RefractoryFilter, settings.refractory_us * 1e3),
            "background_activity": (
                BackgroundActivityFilter,
                settings.background_activity_us * 1e3,
            ),
        }
        self.filters = {
            name: kind(width, height, max(1, round(time_ns)))
            for name, (kind, time_ns) in kinds.items()
            if time_ns
        }

    @property
    def removed(self) -> dict[str, int]:
        """Events removed so far by each filter that is on."""
        return {name: each.removed for name, each in self.filters.items()}

    def apply(self, events: Events) -> Events:
        """What the filters leave of the next events; the same object if that is all."""
        for each in self.filters.values():
            events = each.apply(events)
        return events

    def reset(self) -> None:
        """Forget all times, as for a new epoch of the stream; keep hot pixels and counters."""
        for each in self.filters.values():
            each.reset()


def warm_up() -> None:
    """Compile the kernels, so that no packet waits for the compiler."""
    # One hot pixel by every rule, and its neighbour once it is known.
    t_ns = np.arange(0, 2_000_000, 10_000, dtype=np.int64)
    x = (t_ns > 1_500_000).astype(np.uint16)
    events = Events(t_ns, x, np.zeros_like(x), np.zeros(len(t_ns), np.uint8))
    NoiseFilter(NoiseSettings(1e-3, 1, 1), 2, 1).apply(events)
