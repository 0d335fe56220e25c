"""A square region that follows where events are: one face in front of a camera that stands still.

This is no face detector. It takes what moves for the face and assumes that there is one: shoulders
and hands that move with it make the region larger, something larger that moves elsewhere draws it
away, and a lamp that flickers holds it. Filters of `noise` before it help against noise.

Every 20 ms of sensor time the events are counted in cells of 4×4 pixels or more. A cell is active
where its count, which decays exponentially, stands out from that of the median cell: noise is
everywhere, a face is not. One or two active cells by themselves do not count: hot pixels. Active
cells not far from each other make a patch, and the patches in the region make the box to follow:

- The region moves and grows at once, but only as far as the box with its margin reaches out of it.
  A mouth that speaks in a face at rest moves nothing.
- It keeps the size of the largest box of the last `shrink_s` of activity, since a face at rest
  shows a part of itself only.
- Without activity in it, it stays for `hold_s`, since a face at rest may show nothing at all.
- It goes to a patch elsewhere that is about as large as itself, or half as large again if there is
  activity in it too, once that patch has been there for `switch_s`.
- Activity in most parts of the sensor, as when the camera moves, counts as none.

After `hold_s` it is lost, and so it is at first: the region is the sensor's centred square until
something moves.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import MIN_ROI_SIDE, Roi
from cs3d_ros.kernels import kernel

TICK_NS = 20_000_000

_MAX_CELLS = 48  # along the sensor's shorter side
_FLOOR = 4.0  # events that a cell needs to be active, ...
_FLOOR_HZ = 0.4  # ... and their rate per pixel: noise may be stronger in a part of the sensor
_GAP = 0.1  # of the sensor's shorter side, which does not part a patch
_TRIM = 0.02  # of a box's activity that may lie beyond each of its edges
_EVERYWHERE = 13  # sixteenths of the sensor with active cells that are too many for a face
_MIN_CELLS = 6  # active cells of a patch that is worth going to
_FIND_NS = 100_000_000  # how long it must have been there when lost
_PEAKS = 10  # parts of `shrink_s` whose largest boxes are kept
_ACTIVE, _ALONE = 1, 2
_END_OF_TIME_NS = np.iinfo(np.int64).max


class ActivityError(Cs3dError):
    """A tracker that cannot be made: settings out of range."""


@dataclass(frozen=True, slots=True)
class ActivitySettings:
    """How the region follows the activity; times are sensor time.

    Attributes:
        min_side: Smallest side of the region as a fraction of the sensor's shorter side, 0…1.
        margin: Side of the region as a multiple of the longer side of the box, 1…4.
        memory_s: Time constant with which counts of events decay, 0.001…10 s.
        follow_s: Time constant of moving and of changing the size, 0.001…60 s.
        shrink_s: For how long of activity the size of the largest box is kept, 0.001…60 s.
        hold_s: How long the region stays without activity in it, 0.001…60 s.
        switch_s: How long a patch elsewhere must have been there to go to it, 0.001…60 s.

    Raises:
        ActivityError: A value out of its range.
    """

    min_side: float = 0.25
    margin: float = 1.2
    memory_s: float = 0.1
    follow_s: float = 0.02
    shrink_s: float = 5.0
    hold_s: float = 3.0
    switch_s: float = 0.5

    def __post_init__(self) -> None:
        ranges = {"min_side": (0.0, 1.0), "margin": (1.0, 4.0), "memory_s": (0.001, 10.0)}
        for name in self.__slots__:
            low, high = ranges.get(name, (0.001, 60.0))
            value = getattr(self, name)
            if not low <= value <= high:
                raise ActivityError(f"{name} is {value}, expected {low:g} to {high:g}")


@kernel
def _count(
    events: tuple[np.ndarray, ...],
    first: int,
    end_ns: int,
    size: tuple[int, int],
    shift: int,
    counts: np.ndarray,
) -> int:
    """Count events into cells up to the first that is not before `end_ns`; returns its index."""
    t_ns, xs, ys = events
    width, height = size
    columns = counts.shape[1]
    flat = counts.reshape(-1)
    for i in range(first, t_ns.size):
        if t_ns[i] >= end_ns:
            return i
        if xs[i] < width and ys[i] < height:
            # Unsigned: an index that may be negative costs a check.
            cell = np.uintp((int(ys[i]) >> shift) * columns + (int(xs[i]) >> shift))
            flat[cell] += np.uint32(1)
    return t_ns.size


@kernel
def _activate(
    counts: np.ndarray, levels: np.ndarray, decay: float, floor: float, active: np.ndarray
) -> None:
    """Move the counts into the decaying levels and find the cells that are active."""
    rows, columns = levels.shape
    for r in range(rows):
        for c in range(columns):
            levels[r, c] = levels[r, c] * decay + counts[r, c]
            counts[r, c] = 0
    # The median absolute deviation, times 1.48 for a normal distribution: a face does not spoil it.
    noise = np.median(levels)
    deviation = 1.48 * np.median(np.abs(levels - noise))
    threshold = noise + 6.0 * deviation + floor
    for r in range(rows):
        for c in range(columns):
            active[r, c] = levels[r, c] >= threshold
            # Without a limit a strong edge would be seen long after it has left.
            levels[r, c] = min(levels[r, c], 3.0 * threshold)
    for r in range(rows):
        for c in range(columns):
            if active[r, c]:
                near = -1
                for y in range(max(r - 1, 0), min(r + 2, rows)):
                    for x in range(max(c - 1, 0), min(c + 2, columns)):
                        near += active[y, x] != 0
                active[r, c] = _ACTIVE if near >= 2 else _ALONE


@kernel
def _sixteenths(active: np.ndarray) -> int:
    """How many fields of a 4×4 grid over the sensor have active cells."""
    rows, columns = active.shape
    fields = np.zeros((4, 4), np.uint8)
    for r in range(rows):
        for c in range(columns):
            if active[r, c] == _ACTIVE:
                fields[4 * r // rows, 4 * c // columns] = 1
    return fields.sum()


@kernel
def _label(active: np.ndarray, gap: int, labels: np.ndarray, stack: np.ndarray) -> int:
    """Number the patches of active cells, up to `gap` cells apart, from 1 on; returns how many."""
    rows, columns = active.shape
    labels[:] = 0
    n = 0
    for start in range(rows * columns):
        r, c = start // columns, start % columns
        if active[r, c] != _ACTIVE or labels[r, c]:
            continue
        n += 1
        labels[r, c] = n
        stack[0] = start
        waiting = 1
        while waiting:
            waiting -= 1
            r, c = stack[waiting] // columns, stack[waiting] % columns
            for y in range(max(r - gap, 0), min(r + gap + 1, rows)):
                for x in range(max(c - gap, 0), min(c + gap + 1, columns)):
                    if active[y, x] == _ACTIVE and labels[y, x] == 0:
                        labels[y, x] = n
                        stack[waiting] = y * columns + x
                        waiting += 1
    return n


@kernel
def _trimmed(activity: np.ndarray) -> tuple[float, float]:
    """Between which places most activity lies, that of each entry being spread evenly over it."""
    total = np.append(np.zeros(1), np.cumsum(activity))
    edges = np.array([_TRIM, 1.0 - _TRIM]) * total[-1]
    first, last = np.interp(edges, total, np.arange(total.size).astype(np.float64))
    return first, last


@kernel
def _extent(
    levels: np.ndarray, labels: np.ndarray, n: int, window: tuple[int, ...], join: bool
) -> tuple[int, float, float, float, float]:
    """Where the patch is that has the most cells in a window, and with `join` others with it.

    Args:
        levels: Activity of the cells.
        labels: Number of each cell's patch, 0 for none.
        n: Number of patches.
        window: Left, top, right, bottom in cells, the latter two exclusive.
        join: Take in the patches that are mostly in the window.

    Returns:
        Active cells, 0 if none is in the window, and the edges left, top, right, bottom in cells.
    """
    rows, columns = labels.shape
    left, top, right, bottom = window
    cells = np.zeros(n + 1, np.int64)
    inside = np.zeros(n + 1, np.int64)
    for r in range(rows):
        for c in range(columns):
            if labels[r, c]:
                cells[labels[r, c]] += 1
                inside[labels[r, c]] += top <= r < bottom and left <= c < right
    most = np.argmax(inside)
    if inside[most] == 0:
        return 0, 0.0, 0.0, 0.0, 0.0
    total = 0
    by_row = np.zeros(rows)
    by_column = np.zeros(columns)
    for r in range(rows):
        for c in range(columns):
            label = labels[r, c]
            if label and (label == most or (join and 2 * inside[label] > cells[label])):
                total += 1
                by_row[r] += levels[r, c]
                by_column[c] += levels[r, c]
    x0, x1 = _trimmed(by_column)
    y0, y1 = _trimmed(by_row)
    return total, x0, y0, x1, y1


class ActivityTracker:
    """Follows the activity on one sensor; the module says how.

    Deterministic, and independent of how the stream is cut into calls, as long as a call is not
    about more than `hold_s`.
    """

    def __init__(self, width: int, height: int, settings: ActivitySettings | None = None) -> None:
        """Set up for a sensor of width × height pixels; None: the default settings.

        Raises:
            RoiError: The sensor is smaller than 8×8 pixels.
        """
        self.width = width
        self.height = height
        self.settings = settings or ActivitySettings()
        self._default = Roi.centred_square(width, height)
        self._max_side = float(min(width, height))
        self._min_side = max(float(MIN_ROI_SIDE), self.settings.min_side * self._max_side)
        self._shift = max(2, math.ceil(math.log2(self._max_side / _MAX_CELLS)))
        shape = (-(-height >> self._shift), -(-width >> self._shift))
        self._floor = max(_FLOOR, _FLOOR_HZ * self.settings.memory_s * 4.0**self._shift)
        self._gap = max(1, round(_GAP * min(shape)))
        self._counts = np.zeros(shape, np.uint32)
        self._levels = np.zeros(shape, np.float64)
        self._active = np.zeros(shape, np.uint8)
        self._labels = np.zeros(shape, np.int32)
        self._stack = np.zeros(self._labels.size, np.int32)
        self.reset()

    def reset(self) -> None:
        """Forget everything, as for a new epoch of the stream."""
        self._counts[:] = 0
        self._levels[:] = 0
        self._tick_end_ns: int | None = None
        self._lost = True
        self._quiet_ns = 0
        self._rival_ns = 0
        self._x = self._y = self._side = 0.0
        self._peaks: deque[float] = deque(maxlen=_PEAKS)
        self._peak_ns = 0

    @property
    def lost(self) -> bool:
        """Whether there is nothing to follow; the region is the centred square then."""
        return self._lost

    @property
    def roi(self) -> Roi:
        """The region: a square on the sensor."""
        if self._lost:
            return self._default
        side = round(self._side)
        x = min(max(round(self._x - 0.5 * side), 0), self.width - side)
        y = min(max(round(self._y - 0.5 * side), 0), self.height - side)
        return Roi(x, y, side, side)

    def observe(self, events: Events, now_ns: int) -> None:
        """Take in the next events.

        After a pause of more than `hold_s` and a second, it starts over.

        Args:
            events: In the order of arrival. One that comes late counts at the time of its coming.
            now_ns: The newest sensor time reached; an event ahead of it counts as of now.
        """
        columns = (events.t_ns, events.x, events.y)
        size = (self.width, self.height)
        first = 0
        oldest_ns = now_ns - round(self.settings.hold_s * 1e9) - 1_000_000_000
        if self._tick_end_ns is None or self._tick_end_ns < oldest_ns:
            self.reset()
            begin_ns = int(events.t_ns[0]) if len(events) else now_ns
            begin_ns = min(max(begin_ns, oldest_ns), now_ns) // TICK_NS * TICK_NS
            self._tick_end_ns = begin_ns + TICK_NS
            first = _count(columns, 0, begin_ns, size, self._shift, self._counts)
            self._counts[:] = 0
        while self._tick_end_ns <= now_ns:
            first = _count(columns, first, self._tick_end_ns, size, self._shift, self._counts)
            self._tick()
            self._tick_end_ns += TICK_NS
        _count(columns, first, _END_OF_TIME_NS, size, self._shift, self._counts)

    def _tick(self) -> None:
        """Follow what has been counted."""
        decay = math.exp(-TICK_NS * 1e-9 / self.settings.memory_s)
        _activate(self._counts, self._levels, decay, self._floor, self._active)
        patches = 0
        if _sixteenths(self._active) < _EVERYWHERE:
            patches = _label(self._active, self._gap, self._labels, self._stack)
        followed = patches > 0 and not self._lost and self._follow(patches)
        self._quiet_ns = 0 if followed else self._quiet_ns + TICK_NS
        if self._quiet_ns > self.settings.hold_s * 1e9:
            self._lost = True
        if patches == 0 or not self._go_elsewhere(patches, followed):
            self._rival_ns = 0

    def _follow(self, patches: int) -> bool:
        """Follow the activity in the region; False if there is none."""
        roi, shift = self.roi, self._shift
        right, bottom = -(-(roi.x + roi.width) >> shift), -(-(roi.y + roi.height) >> shift)
        window = (roi.x >> shift, roi.y >> shift, right, bottom)
        cells, *box = self._box(patches, window, True)
        if cells == 0:
            return False
        quickly = 1.0 - math.exp(-TICK_NS * 1e-9 / self.settings.follow_s)
        self._side += quickly * (self._largest(self._side_for(*box)) - self._side)
        reach = 0.5 * self._side / self.settings.margin
        self._x += quickly * _way(self._x, reach, box[0], box[2])
        self._y += quickly * _way(self._y, reach, box[1], box[3])
        return True

    def _go_elsewhere(self, patches: int, followed: bool) -> bool:
        """Go to the largest patch once it is time; False if it does not deserve that."""
        rows, columns = self._labels.shape
        cells, *box = self._box(patches, (0, 0, columns, rows), False)
        side = self._side_for(*box)
        least, wait_ns = 0.0, _FIND_NS
        if not self._lost:
            least = (1.5 if followed else 0.75) * self._side
            wait_ns = round(self.settings.switch_s * 1e9)
        if cells < _MIN_CELLS or side < least:
            return False
        self._rival_ns += TICK_NS
        if self._rival_ns >= wait_ns:
            self._lost = False
            self._quiet_ns = self._rival_ns = self._peak_ns = 0
            self._peaks.clear()
            self._side = self._largest(side)
            self._x, self._y = 0.5 * (box[0] + box[2]), 0.5 * (box[1] + box[3])
        return True

    def _box(self, patches: int, window: tuple[int, ...], join: bool) -> tuple[float, ...]:
        """As `_extent`, with the edges in pixels."""
        cells, *edges = _extent(self._levels, self._labels, patches, window, join)
        return (cells, *(edge * (1 << self._shift) for edge in edges))

    def _side_for(self, left: float, top: float, right: float, bottom: float) -> float:
        """The side of a region that shows a box."""
        side = self.settings.margin * max(right - left, bottom - top)
        return min(max(side, self._min_side), self._max_side)

    def _largest(self, side: float) -> float:
        """The largest of this side and those of the last `shrink_s` with activity."""
        if not self._peaks or self._peak_ns * _PEAKS >= self.settings.shrink_s * 1e9:
            self._peaks.append(0.0)
            self._peak_ns = 0
        self._peak_ns += TICK_NS
        self._peaks[-1] = max(self._peaks[-1], side)
        return max(self._peaks)


def _way(centre: float, reach: float, low: float, high: float) -> float:
    """How far the centre has to go for low…high to be within its reach."""
    if high - low > 2.0 * reach:
        return 0.5 * (low + high) - centre
    return max(high - reach - centre, 0.0) + min(low + reach - centre, 0.0)


def warm_up() -> None:
    """Compile the kernels, so that no packet waits for the compiler."""
    x, y = (np.arange(1024, dtype=np.uint16) % 32, np.arange(1024, dtype=np.uint16) // 32)
    tracker = ActivityTracker(128, 128)
    for now_ns in range(0, 10 * TICK_NS, TICK_NS):
        t_ns = np.full(1024, now_ns, np.int64)
        tracker.observe(Events(t_ns, x, y, np.zeros(1024, np.uint8)), now_ns)
