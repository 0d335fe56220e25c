"""How all networks of a table are trained: settings by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.training.settings import PRESETS, TrainingSettings

PROTOCOLS: Mapping[str, TrainingSettings] = MappingProxyType(
    {
        "paper": PRESETS["paper"],
        "tuned": PRESETS["tuned"],
        "quick": TrainingSettings(
            sizes=((0, 32),),
            epochs=15,
            clips=1400,
            batch=8,
            learning_rate=3e-4,
            weight_decay=1e-2,
            schedule="one-cycle",
            label_smoothing=0.05,
            background_activity_us=5000,
            gradient_clip=1.0,
        ),
    }
)
"""Settings by name.

"paper" and "tuned" are the training presets; "quick" is small enough for a table on a CPU within
hours: 100 clips of each of seven classes in each of two lights, 32 pixels. Its learning rate is for
C3D's sake: at 1e-3 its loss rises from 2 to 16 within the first steps. Its batches are of 8, not 16
as in the paper: twice as many steps for the same time.
"""


def protocol(
    name: str, *, epochs: int | None = None, size: int | None = None, **changes: Any
) -> TrainingSettings:
    """The settings of a protocol.

    Args:
        name: Name in `PROTOCOLS`.
        epochs: Another number of epochs; the epochs in which the input grows move in proportion.
        size: Another size of the input, from the first epoch to the last.
        **changes: Other fields of the settings; None leaves one as it is.

    Raises:
        ReproductionError: There is no such protocol.
        Cs3dError: A value is not of its kind or range.
    """
    if name not in PROTOCOLS:
        raise ReproductionError(f"unknown protocol {name!r}; choose one of {', '.join(PROTOCOLS)}")
    settings = PROTOCOLS[name]
    given = {key: value for key, value in changes.items() if value is not None}
    if epochs is not None:
        given["epochs"] = epochs
    if size is not None:
        given["sizes"] = ((0, size),)
    elif epochs is not None and epochs > 0:
        given["sizes"] = _stretched(settings.sizes, settings.epochs, epochs)
    # Larger parts than batches are refused.
    if "batch" in given and "micro_batch" not in given:
        given["micro_batch"] = min(settings.micro_batch, given["batch"])
    return replace(settings, **given)


def _stretched(
    sizes: tuple[tuple[int, int], ...], before: int, after: int
) -> tuple[tuple[int, int], ...]:
    """The same sizes at the same shares of all epochs; the last is there for one at least."""
    moved = {min(first * after // before, after - 1): size for first, size in sizes}
    return tuple(sorted(moved.items()))
