"""What a run trains and validates on: checked parts, chosen clips, batches in their order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from cs3d_ros.datasets.dataset import Dataset, Part, open_dataset
from cs3d_ros.datasets.loading import ClipWindowDataset, WindowDataset
from cs3d_ros.datasets.manifest import MANIFEST, sha256_of
from cs3d_ros.events.tensors import DEFAULT_BINS
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.settings import TrainingSettings

TRAIN, VALIDATION = "train", "validation"

_NAMED = 5


class TrainingData:
    """A data set to train on.

    Args:
        folder: The data set.
        settings: What to take of it, and how.

    Attributes:
        name: Name of the data set.
        labels: The classes, in the order of the network's outputs.
        checksum: SHA-256 of its manifest, which holds those of all its files.
        clips: Number of clips that are trained on.

    Raises:
        DatasetError: There is no whole data set.
        TrainingError: A part is missing, too small or of one class, or two share people.
    """

    def __init__(self, folder: Path, settings: TrainingSettings) -> None:
        dataset = open_dataset(folder)
        check(dataset)
        self.name = dataset.manifest.name
        self.labels = dataset.labels
        self.checksum = sha256_of(dataset.path / MANIFEST)
        self._settings = settings
        self._train, self._validation = dataset.part(TRAIN), dataset.part(VALIDATION)
        self._chosen = choose_clips(self._train, settings.clips, settings.seed)
        self.clips = len(self._chosen)
        if self.clips < settings.batch:
            raise TrainingError(
                f"{dataset.path}: {self.clips} clips to train on are less than a batch of "
                f"{settings.batch}; take more clips, or a smaller batch"
            )

    @property
    def steps(self) -> int:
        """Number of whole batches in an epoch."""
        return self.clips // self._settings.batch

    def order(self, epoch: int) -> np.ndarray:
        """Indices of the clips of an epoch as an array (steps, batch); from seed and epoch alone.

        What does not fill a batch is left out; see `TrainingSettings.batch`.
        """
        rng = np.random.default_rng([self._settings.seed, epoch])
        order = rng.permutation(self._chosen)
        batch = self._settings.batch
        return order[: self.steps * batch].reshape(self.steps, batch)

    def name_of(self, index: int) -> str:
        """Name of a clip of the train part."""
        return self._train.table()[index].name

    def train_windows(self, epoch: int, batches: list[list[int]], device: str) -> Iterator[Any]:
        """Micro batches of an epoch: windows (n, C, T, S, S) float32 and classes (n,) int64.

        Args:
            epoch: Which.
            batches: Indices of the clips of each micro batch.
            device: Type of the device that they go to.
        """
        settings = self._settings
        windows = WindowDataset(
            self._train,
            settings.window_ns,
            DEFAULT_BINS,
            settings.size_in(epoch),
            settings.representation,
            settings.augmentation,
            settings.seed,
            moving=settings.moving,
            expression_share=settings.expression_share,
            rise_share=settings.rise_share,
            background_activity_us=settings.background_activity_us,
        )
        windows.epoch = epoch
        return iter(self._loader(windows, batches, device))

    def validation_windows(self, size: int, rank: int, ranks: int, device: str) -> Iterator[Any]:
        """Micro batches of the validation part, one window a clip; every `ranks`-th for a rank."""
        settings = self._settings
        windows = ClipWindowDataset(
            self._validation,
            settings.window_ns,
            DEFAULT_BINS,
            size,
            settings.representation,
            background_activity_us=settings.background_activity_us,
        )
        mine = list(range(rank, len(windows), ranks))
        n = settings.micro_batch
        batches = [mine[i : i + n] for i in range(0, len(mine), n)]
        return iter(self._loader(windows, batches, device))

    def _loader(self, windows: Any, batches: list[list[int]], device: str) -> DataLoader:
        return DataLoader(
            windows,
            batch_sampler=batches,
            num_workers=self._settings.workers,
            pin_memory=device == "cuda",
        )


def check(dataset: Dataset) -> None:
    """Refuse a data set that no honest network can come out of.

    Raises:
        TrainingError: It has no train or validation part, one of them is empty or of one class, or
            the same people are in two parts.
    """
    parts = dataset.manifest.parts
    for name in (TRAIN, VALIDATION):
        if name not in parts:
            raise TrainingError(
                f"{dataset.path}: has no part {name!r}, only {', '.join(parts) or 'none'}; train "
                "on a data set with one, whose people are in no other part"
            )
        shown = sorted(label for label, count in parts[name].expressions.items() if count)
        if len(shown) < 2:
            raise TrainingError(
                f"{dataset.path}: its part {name} has {parts[name].clips} clips, of "
                f"{f'one class ({shown[0]})' if shown else 'no class'}; there have to be two "
                "classes at least"
            )
        strange = sorted(set(shown) - set(dataset.labels))
        if strange:
            raise TrainingError(
                f"{dataset.path}: its part {name} has clips of {', '.join(strange)}, which are "
                f"none of its classes {', '.join(dataset.labels)}; make the data set again"
            )
    for one, other in combinations(parts, 2):
        both = sorted(set(parts[one].subjects) & set(parts[other].subjects))
        if both:
            more = f" and {len(both) - _NAMED} more" if len(both) > _NAMED else ""
            raise TrainingError(
                f"{dataset.path}: {len(both)} people are in {one} as well as in {other}: "
                f"{', '.join(both[:_NAMED])}{more}; a network would be tested on faces that it "
                "knows. Make the data set with each person in one part"
            )


def choose_clips(part: Part, clips: int, seed: int) -> np.ndarray:
    """Indices of the clips to train on, int64 in ascending order.

    Args:
        part: The train part.
        clips: How many; 0 for all. As many of each class and light as the others, while there are
            any left.
        seed: Decides which.
    """
    if clips == 0 or clips >= len(part):
        return np.arange(len(part))
    groups = defaultdict(list)
    for index, info in enumerate(part.table()):
        groups[info.expression, info.light].append(index)
    rng = np.random.default_rng([seed, clips])
    shuffled = [rng.permutation(groups[key]) for key in sorted(groups)]
    rounds = max(map(len, shuffled))
    # A round takes one clip of each group; groups that are short drop out.
    dealt = [group[i] for i in range(rounds) for group in shuffled if i < len(group)]
    return np.sort(np.array(dealt[:clips], np.int64))
