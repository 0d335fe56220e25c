"""Windows of clips as tensors, for training and evaluation with torch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Dataset

from cs3d_ros.datasets.augmentation import preset
from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.clip_windows import (
    cut_window,
    draw_rise_window,
    draw_window,
    grid_windows,
    rise_window,
    shows_movement,
    window_label,
)
from cs3d_ros.datasets.dataset import Part
from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.shards import ClipInfo
from cs3d_ros.events.noise import NoiseFilter, NoiseSettings
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.tensors import (
    DEFAULT_BINS,
    DEFAULT_REPRESENTATION,
    DEFAULT_SIZE,
    bin_window,
    channels,
)
from cs3d_ros.events.windows import Window
from cs3d_ros.expressions import NEUTRAL

_TRIES = 64
_PLACES_A_WINDOW = 16


class _Windows(Dataset):
    """What all kinds of windows have in common."""

    def __init__(
        self,
        part: Part,
        window_ns: int,
        bins: int,
        size: int,
        representation: str,
        background_activity_us: int,
    ) -> None:
        channels(representation)
        self._noise = NoiseSettings(background_activity_us=background_activity_us)
        # What happened in this time before a window supports the window's first events.
        self._margin_ns = background_activity_us * 1000
        self.part = part
        self.labels = part.labels
        self.window_ns = window_ns
        self.bins = bins
        self.size = size
        self.representation = representation
        self._index = {label: index for index, label in enumerate(part.labels)}

    def _label(self, info: ClipInfo | Clip, start_ns: int, end_ns: int) -> int | None:
        """Index of the class that a window shows; None where it cannot be said."""
        label = window_label(info.course, info.expression, start_ns, end_ns)
        # Data sets without neutral have no class for the time before an onset.
        return None if label is None else self._index.get(label)

    def _cut(self, clip: Clip, start_ns: int) -> torch.Tensor:
        return self._tensor(self._filtered(clip, start_ns), clip)

    def _filtered(self, clip: Clip, start_ns: int) -> Events:
        """The events of the window that begins at start_ns, at times from its beginning on."""
        begin_ns, end_ns = start_ns - self._margin_ns, start_ns + self.window_ns
        around = cut_window(clip, begin_ns, end_ns).chunks[0]
        events = NoiseFilter(self._noise, clip.width, clip.height).apply(around)
        events = events.take(slice(int(np.searchsorted(events.t_ns, start_ns)), None))
        return Events(events.t_ns - start_ns, events.x, events.y, events.p)

    def _tensor(self, events: Events, clip: Clip) -> torch.Tensor:
        window = Window(0, self.window_ns, (events,), len(events))
        roi = Roi.centred_square(clip.width, clip.height)
        array = bin_window(window, roi, self.bins, self.size, self.representation)
        return torch.from_numpy(array)


class WindowDataset(_Windows):
    """Windows drawn at random, one from each clip and epoch, for training.

    Item i is `(tensor, label)`: float32 of shape (C, T, H, W) and the index of the class. It
    depends on seed, epoch and i alone, whatever the number of the DataLoader's workers.

    A window lies anywhere in its clip where it is clear what it shows; see
    `clip_windows.window_label`.

    Args:
        part: The clips.
        window_ns: Length of a window.
        bins: Number T of time bins.
        size: Height and width of the tensor.
        representation: One of `cs3d_ros.events.tensors.representations()`.
        augmentation: Name in `augmentation.PRESETS`.
        seed: Of all randomness, not negative.
        moving: Leave out windows of an expression that is held still; see
            `clip_windows.shows_movement`.
        expression_share: How often a clip of an expression gives a window that shows it, 0 to 1;
            otherwise it gives one that does not. None leaves it to chance, so that a window of
            0.5 s in a clip of 2 s is neutral three times as often as any other class.
        rise_share: How often a window that is to show the expression is drawn about its rise: with
            the middle of the rise in the middle third of the window, as far as the clip reaches.
        background_activity_us: Time of the background-activity filter that the events go through
            before they are augmented; 0 for none. See `cs3d_ros.events.noise`.
    """

    def __init__(
        self,
        part: Part,
        window_ns: int,
        bins: int = DEFAULT_BINS,
        size: int = DEFAULT_SIZE,
        representation: str = DEFAULT_REPRESENTATION,
        augmentation: str = "none",
        seed: int = 0,
        *,
        moving: bool = False,
        expression_share: float | None = None,
        rise_share: float = 0.0,
        background_activity_us: int = 0,
    ) -> None:
        super().__init__(part, window_ns, bins, size, representation, background_activity_us)
        preset(augmentation)
        if expression_share is not None and not 0 <= expression_share <= 1:
            raise DatasetError(f"an expression share of {expression_share}, expected 0 to 1")
        if not 0 <= rise_share <= 1:
            raise DatasetError(f"a rise share of {rise_share}, expected 0 to 1")
        if rise_share and expression_share is None:
            raise DatasetError(
                f"a rise share of {rise_share} without an expression share, of which it is a share"
            )
        if seed < 0:
            raise DatasetError(f"a seed of {seed}, expected a whole number from 0 on")
        self.augmentation = augmentation
        self.seed = seed
        self.moving = moving
        self.expression_share = expression_share
        self.rise_share = rise_share
        # Shared, so that workers that live for several epochs see it change.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __len__(self) -> int:
        return len(self.part)

    @property
    def epoch(self) -> int:
        """The epoch whose windows are drawn now."""
        return int(self._epoch)

    @epoch.setter
    def epoch(self, value: int) -> None:
        self._epoch.fill_(value)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """The window of clip `index` in this epoch.

        Raises:
            IndexError: There is no such clip.
            DatasetError: The clip cannot be read, or no window of it clearly shows one of the
                classes.
        """
        clip = self.part[index]
        rng = np.random.default_rng([self.seed, self.epoch, index % len(self)])
        start_ns, _, label = self._draw(clip, rng)
        events = self._filtered(clip, start_ns)
        augment = preset(self.augmentation)
        events = augment(events, clip.width, clip.height, self.window_ns, rng)
        # A window ends before its last moment, which is where reversed time puts its first one.
        t_ns = np.minimum(events.t_ns, self.window_ns - 1)
        return self._tensor(Events(t_ns, events.x, events.y, events.p), clip), label

    def _draw(self, clip: Clip, rng: np.random.Generator) -> tuple[int, int, int]:
        wanted = None
        if self.expression_share is not None and clip.expression != NEUTRAL:
            wanted = rng.random() < self.expression_share
        # Without a share nothing is drawn for it: windows stay those of the seed.
        rise = bool(wanted and self.rise_share and rng.random() < self.rise_share)
        for start_ns, end_ns in self._places(clip, rng, rise):
            label = self._clear_label(clip, start_ns, end_ns)
            if label is not None and wanted in (None, self.labels[label] != NEUTRAL):
                return start_ns, end_ns, label
        # A moment in a long clip, whose other windows show no class or another one.
        hop_ns = max(1, self.window_ns // _PLACES_A_WINDOW)
        places = grid_windows(clip.duration_ns, self.window_ns, hop_ns)
        labels = [(*place, self._clear_label(clip, *place)) for place in places]
        clear = [(start, end, label) for start, end, label in labels if label is not None]
        if clear:
            kept = [c for c in clear if wanted in (None, self.labels[c[2]] != NEUTRAL)] or clear
            return kept[rng.integers(len(kept))]
        raise DatasetError(
            f"clip {clip.name}: no window of {self.window_ns * 1e-6:g} ms clearly shows one of "
            f"{list(self.labels)}"
        )

    def _places(
        self, clip: Clip, rng: np.random.Generator, about_the_rise: bool
    ) -> Iterator[tuple[int, int]]:
        """Where a window may lie: about the rise at first if that is asked for, then anywhere."""
        if about_the_rise:
            yield draw_rise_window(clip.course, clip.duration_ns, rng, self.window_ns)
        for _ in range(_TRIES):
            yield draw_window(clip.duration_ns, rng, self.window_ns)

    def _clear_label(self, clip: Clip, start_ns: int, end_ns: int) -> int | None:
        """As `_label`; None as well where the expression is held still and is not wanted so."""
        label = self._label(clip, start_ns, end_ns)
        if label is None or not self.moving or clip.course is None:
            return label
        if self.labels[label] == NEUTRAL or shows_movement(clip.course, start_ns, end_ns):
            return label
        return None


class ClipWindowDataset(_Windows):
    """One window of each clip, that in which its expression comes, for evaluation clip by clip.

    Item i is `(tensor, label)` as of `WindowDataset`, of clip i and its class; see
    `clip_windows.rise_window`.

    Args:
        part: The clips.
        window_ns: Length of a window.
        bins: Number T of time bins.
        size: Height and width of the tensor.
        representation: One of `cs3d_ros.events.tensors.representations()`.
        background_activity_us: Time of the background-activity filter that the events go through;
            0 for none. A window is then that of a stream through the filter, which knows the events
            just before the window.
    """

    def __init__(
        self,
        part: Part,
        window_ns: int,
        bins: int = DEFAULT_BINS,
        size: int = DEFAULT_SIZE,
        representation: str = DEFAULT_REPRESENTATION,
        *,
        background_activity_us: int = 0,
    ) -> None:
        super().__init__(part, window_ns, bins, size, representation, background_activity_us)

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """The window of clip `index`.

        Raises:
            IndexError: There is no such clip.
            DatasetError: The clip cannot be read.
        """
        clip = self.part[index]
        start_ns, _ = rise_window(clip.course, clip.duration_ns, self.window_ns)
        return self._cut(clip, start_ns), self._index[clip.expression]


class GridWindowDataset(_Windows):
    """All windows of all clips at a fixed distance, for evaluation.

    Item i is `(tensor, label)` as of `WindowDataset`. Windows of which it cannot be said what they
    show are left out.

    Args:
        part: The clips.
        window_ns: Length of a window.
        hop_ns: From one window to the next.
        bins: Number T of time bins.
        size: Height and width of the tensor.
        representation: One of `cs3d_ros.events.tensors.representations()`.
        background_activity_us: Time of the background-activity filter that the events go through;
            0 for none. A window is then that of a stream through the filter, which knows the events
            just before the window.

    Attributes:
        places: Index of the clip, beginning and label of each window.
    """

    def __init__(
        self,
        part: Part,
        window_ns: int,
        hop_ns: int,
        bins: int = DEFAULT_BINS,
        size: int = DEFAULT_SIZE,
        representation: str = DEFAULT_REPRESENTATION,
        *,
        background_activity_us: int = 0,
    ) -> None:
        super().__init__(part, window_ns, bins, size, representation, background_activity_us)
        self.places: list[tuple[int, int, int]] = []
        for index, info in enumerate(part.table()):
            for start_ns, end_ns in grid_windows(info.duration_ns, window_ns, hop_ns):
                label = self._label(info, start_ns, end_ns)
                if label is not None:
                    self.places.append((index, start_ns, label))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        """A window.

        Raises:
            IndexError: There is no such window.
            DatasetError: The clip cannot be read.
        """
        which, start_ns, label = self.places[index]
        clip = self.part[which]
        return self._cut(clip, start_ns), label
