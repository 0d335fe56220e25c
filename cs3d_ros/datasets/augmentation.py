"""Augmentations on events, as Spiking-FER and EventDrop have them.

An augmentation is a pure function `(events, width, height, duration_ns, rng) -> events`. It takes
events in ascending order of time, 0 <= t_ns <= duration_ns, on width × height pixels, and gives
such events; those that it was given stay as they are, but may be handed on.

Sources: Barchid et al., "Spiking-FER", CBMI 2023 (the common ones, and mirror); Gu et al.,
"EventDrop", IJCAI 2021, whose ratios go in steps of 0.1 (time, at random) and 0.05 (area).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

import numpy as np

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.events.packets import Events

Augmentation: TypeAlias = Callable[[Events, int, int, int, np.random.Generator], Events]

NOISE_SHARE = 0.2
POLARITY_FLIPS = 0.2
MOST_SHIFT = 0.07
CROP_AREAS = (0.5, 1.0)
CROP_ASPECTS = (3 / 4, 4 / 3)
_CROP_TRIES = 10


def flip(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Swap left and right."""
    return replace(events, x=np.subtract(width - 1, events.x, dtype=events.x.dtype))


def add_noise(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Add background noise: 20 % more events, evenly spread over time, pixels and polarities."""
    n = round(NOISE_SHARE * len(events))
    noise = Events(
        np.sort(rng.integers(0, duration_ns, n, endpoint=True)),
        rng.integers(0, width, n, dtype=np.uint16),
        rng.integers(0, height, n, dtype=np.uint16),
        rng.integers(0, 2, n, dtype=np.uint8),
    )
    # Both are in order, so that merging them is faster than sorting.
    places = np.searchsorted(events.t_ns, noise.t_ns, side="right") + np.arange(n)
    is_event = np.ones(len(events) + n, bool)
    is_event[places] = False

    def merged(theirs: np.ndarray, added: np.ndarray) -> np.ndarray:
        both = np.empty(len(is_event), theirs.dtype)
        both[is_event] = theirs
        both[places] = added
        return both

    return Events(
        merged(events.t_ns, noise.t_ns),
        merged(events.x, noise.x),
        merged(events.y, noise.y),
        merged(events.p, noise.p),
    )


def reverse_time(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Let time run backwards: what became brighter becomes darker."""
    backwards = events.take(slice(None, None, -1))
    return replace(backwards, t_ns=duration_ns - backwards.t_ns, p=1 - backwards.p)


def flip_polarities(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Give each event the other polarity with a probability of 0.2."""
    chosen = rng.random(len(events), dtype=np.float32) < POLARITY_FLIPS
    return replace(events, p=events.p ^ chosen.view(np.uint8))


def shift(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Move the picture by up to 7 % of its sides; what leaves it is lost."""
    moved = []
    for place, size in ((events.x, width), (events.y, height)):
        most = round(MOST_SHIFT * size)
        step = int(rng.integers(-most, most, endpoint=True))
        # Unsigned: what leaves on the left comes out far beyond the right.
        moved.append(place + np.uint16(step % (1 << 16)))
    x, y = moved
    inside = (x < width) & (y < height)
    return replace(events, x=x, y=y).take(inside)


def resize_crop(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Cut out a rectangle and enlarge it to the whole picture.

    Its area is 0.5 to 1 of the picture, its aspect 3/4 to 4/3 of the picture's (neither is given by
    the source; a smaller area would cut the face). An event becomes one event at a random place
    within its enlarged pixel, so that no lines stay empty.
    """
    w, h = _crop_size(width, height, rng)
    column, row, inside = _within(events, width, height, w, h, rng)
    kept = events.take(inside)
    x = _enlarged(column[inside], w, width, rng)
    y = _enlarged(row[inside], h, height, rng)
    return replace(kept, x=x, y=y)


def _crop_size(width: int, height: int, rng: np.random.Generator) -> tuple[int, int]:
    for _ in range(_CROP_TRIES):
        area = rng.uniform(*CROP_AREAS)
        root_of_aspect = np.exp(rng.uniform(*np.log(CROP_ASPECTS)) / 2)
        w = max(1, round(width * np.sqrt(area) * root_of_aspect))
        h = max(1, round(height * np.sqrt(area) / root_of_aspect))
        if w <= width and h <= height:
            return w, h
    return width, height


def _enlarged(place: np.ndarray, size: int, full_size: int, rng: np.random.Generator) -> np.ndarray:
    """Places 0…size-1 as places 0…full_size-1, in integers so that none is out of bounds."""
    # Of each pixel's stretch of full_size parts, size of which make one of the new pixels.
    if size == full_size:
        return place
    part = rng.integers(0, full_size, len(place), dtype=np.uint16)
    return ((place.astype(np.int32) * full_size + part) // size).astype(np.uint16)


def _within(
    events: Events, width: int, height: int, w: int, h: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places relative to a rectangle of w × h pixels anywhere, and which lie inside of it."""
    left = np.uint16(rng.integers(0, width - w + 1))
    top = np.uint16(rng.integers(0, height - h + 1))
    # Unsigned: what lies left of it or above comes out far beyond it.
    column, row = events.x - left, events.y - top
    return column, row, (column < w) & (row < h)


def drop_by_time(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Drop all events of an interval of 0.1 to 0.9 of the time."""
    length_ns = duration_ns * int(rng.integers(1, 10)) // 10
    start_ns = int(rng.integers(0, duration_ns - length_ns, endpoint=True))
    first, last = np.searchsorted(events.t_ns, (start_ns, start_ns + length_ns))
    return events.take(np.r_[0:first, last : len(events)])


def drop_by_area(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Drop all events in a rectangle with sides of 0.05 to 0.25 of the picture's."""
    ratio = int(rng.integers(1, 6)) / 20
    w, h = round(width * ratio), round(height * ratio)
    _, _, inside = _within(events, width, height, w, h, rng)
    return events.take(~inside)


def drop_at_random(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Drop 0.1 to 0.9 of the events, chosen at random."""
    n = len(events)
    kept = n - n * int(rng.integers(1, 10)) // 10
    return events.take(np.sort(rng.choice(n, kept, replace=False, shuffle=False)))


def event_drop(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """EventDrop: nothing, or drop by time, by area or at random, each as likely."""
    choice = (_identity, drop_by_time, drop_by_area, drop_at_random)[int(rng.integers(4))]
    return choice(events, width, height, duration_ns, rng)


def mirror(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    """Replace one half of the picture, left or right, by the mirror image of the other.

    The middle column of an odd width stays as it is.
    """
    mirrored = np.subtract(width - 1, events.x, dtype=events.x.dtype)
    is_kept = events.x <= mirrored if rng.integers(2) else events.x >= mirrored
    # An event and its image follow each other, so that the order in time needs no sorting.
    pair = np.repeat(np.flatnonzero(is_kept), 2)
    both = events.take(pair)
    both.x[1::2] = mirrored[pair[1::2]]
    wanted = np.ones(len(pair), bool)
    wanted[1::2] = both.x[1::2] != both.x[::2]
    return both if wanted.all() else both.take(wanted)


def _identity(
    events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
) -> Events:
    return events


def compose(*steps: tuple[float, Augmentation]) -> Augmentation:
    """One augmentation after the other, each with its probability."""

    def composed(
        events: Events, width: int, height: int, duration_ns: int, rng: np.random.Generator
    ) -> Events:
        for probability, augmentation in steps:
            if rng.random() < probability:
                events = augmentation(events, width, height, duration_ns, rng)
        return events

    return composed


_COMMON = (
    (0.5, flip),
    (0.5, add_noise),
    (0.2, reverse_time),
    (1.0, flip_polarities),
    (1.0, resize_crop),
)

PRESETS = MappingProxyType(
    {
        "none": compose(),
        "mild": compose((0.5, flip), (1.0, shift), (0.3, add_noise), (0.3, drop_by_area)),
        "spiking-fer": compose(*_COMMON),
        "eventdrop": compose(*_COMMON, (1.0, event_drop)),
        "eventdrop+mirror": compose(*_COMMON, (1.0, event_drop), (0.5, mirror)),
    }
)
"""Augmentations by name: `mild` is ours, changes that a camera on a robot makes as well; the others
are those of the rows of the paper's Table III, each with the ones before."""


def preset(name: str) -> Augmentation:
    """The augmentation of a name in `PRESETS`.

    Raises:
        DatasetError: There is none.
    """
    if name not in PRESETS:
        raise DatasetError(f"unknown augmentation {name!r}, expected one of: {', '.join(PRESETS)}")
    return PRESETS[name]
