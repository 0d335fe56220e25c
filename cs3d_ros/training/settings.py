"""What a training run is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any

from cs3d_ros.datasets.augmentation import preset as augmentation_of
from cs3d_ros.events.tensors import channels
from cs3d_ros.network import MAX_SIZE, MIN_SIZE, default_options
from cs3d_ros.network.card import MAX_BACKGROUND_ACTIVITY_US, MAX_WINDOW_MS
from cs3d_ros.network.checks import is_finite_number, is_whole_number
from cs3d_ros.training.errors import TrainingError

SCHEDULES = ("constant", "one-cycle")
BFLOAT16_PRODUCTS = "bf16-matmul"
"""The precision in which numbers are float32, and products of matrices multiply bfloat16."""
PRECISIONS = ("32-true", BFLOAT16_PRODUCTS, "bf16-mixed")
MACHINE_FIELDS = frozenset({"device", "threads", "workers"})
"""What may change when a run goes on: where it runs, not what it does."""

_MOST = 1_000_000


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides what a training run does with its data set.

    Attributes:
        network: One of `cs3d_ros.network.names()`.
        options: Options of that network other than its defaults; `in_channels` follows from the
            representation.
        representation: One of `cs3d_ros.events.tensors.representations()`.
        window_ms: Length of a window.
        sizes: Pairs (first epoch, size in pixels): the input grows during training. The first
            begins with epoch 0, the last is the size of the network that is kept.
        epochs: How often all clips are seen.
        batch: Windows to one step of the optimizer. What is left of an epoch's last batch is left
            out; the order of the clips changes from epoch to epoch.
        micro_batch: Windows that go through the network together. The gradients of a batch are
            added up, so that this is a matter of memory and caches, but for batch norm: its
            statistics are those of a micro batch.
        learning_rate: Of Adam; with the one-cycle schedule the largest.
        weight_decay: Decoupled, as in AdamW, of weights but not of biases and norms; 0 is Adam.
        schedule: "constant", or "one-cycle": a linear rise over the first tenth of all steps, then
            half a cosine down to nearly nothing.
        label_smoothing: Share of the target that is spread evenly over all classes.
        augmentation: Name in `cs3d_ros.datasets.augmentation.PRESETS`.
        background_activity_us: Time of the background-activity filter that the events go through,
            before augmentation, and that the network then brings along; 0 for none.
        moving: Whether windows of expressions are only drawn where the face moves.
        expression_share: Share of the windows of expression clips that show the expression rather
            than the neutral face before or after it; None takes windows as they come.
        rise_share: Share of the windows showing an expression that are drawn about its rise, which
            is where validation and evaluation of clips look; 0 draws them anywhere.
        patience: Stop after this many epochs at the last size without a better validation
            accuracy; 0 never does, nor does any number with the one-cycle schedule.
        clips: Train on that many clips, equally many of each class and light as far as there are
            any, chosen by the seed; 0 takes all.
        seed: Of all randomness: weights, order, windows, augmentation, dropout.
        precision: "32-true"; "bf16-matmul", which rounds what products of matrices multiply to
            bfloat16 and adds up float32, for CPUs with AMX; or "bf16-mixed", for GPUs that know
            bfloat16.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads; 0 leaves them as they are.
        workers: Processes that read and bin windows ahead; 0 does it in between, which is right
            on a CPU.
        gradient_clip: Largest norm of the gradient of all weights; 0 for no limit.

    Raises:
        Cs3dError: A value is not of its kind or range, or there is nothing of that name.
    """

    network: str = "cs3d"
    options: Mapping[str, object] = field(default_factory=dict)
    representation: str = "on_off_recency"
    window_ms: float = 500.0
    sizes: tuple[tuple[int, int], ...] = ((0, 112),)
    epochs: int = 30
    batch: int = 16
    micro_batch: int = 4
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    schedule: str = "constant"
    label_smoothing: float = 0.0
    augmentation: str = "none"
    background_activity_us: int = 0
    moving: bool = True
    expression_share: float | None = 0.85
    rise_share: float = 0.0
    patience: int = 0
    clips: int = 0
    seed: int = 0
    precision: str = "32-true"
    device: str = "auto"
    threads: int = 0
    workers: int = 0
    gradient_clip: float = 0.0

    def __post_init__(self) -> None:
        # JSON has neither tuples nor whole numbers that are floats.
        object.__setattr__(self, "sizes", _as_pairs(self.sizes))
        for name in (
            "window_ms",
            "learning_rate",
            "weight_decay",
            "label_smoothing",
            "rise_share",
        ):
            object.__setattr__(self, name, _as_float(name, getattr(self, name)))
        self._check_names()
        for name in ("epochs", "batch", "micro_batch"):
            _check_whole(name, getattr(self, name), 1)
        for name in ("patience", "clips", "seed", "threads", "workers"):
            _check_whole(name, getattr(self, name), 0, 2**31 - 1 if name == "seed" else _MOST)
        _check_whole(
            "background_activity_us", self.background_activity_us, 0, MAX_BACKGROUND_ACTIVITY_US
        )
        _check_number("window_ms", self.window_ms, MAX_WINDOW_MS, above=True)
        _check_number("learning_rate", self.learning_rate, 10.0, above=True)
        _check_number("weight_decay", self.weight_decay, 10.0)
        _check_number("label_smoothing", self.label_smoothing, 0.9)
        _check_number("gradient_clip", self.gradient_clip, 1e9)
        if self.expression_share is not None:
            _check_number("expression_share", self.expression_share, 1.0)
        _check_number("rise_share", self.rise_share, 1.0)
        if self.rise_share and self.expression_share is None:
            raise TrainingError(
                f"rise_share is {self.rise_share!r} without an expression_share, of which it is a "
                "share; give both"
            )
        if not isinstance(self.moving, bool):
            raise TrainingError(f"moving is {self.moving!r}; give true or false")
        if self.micro_batch > self.batch:
            raise TrainingError(
                f"a micro batch of {self.micro_batch} windows is larger than the batch of "
                f"{self.batch}; give at most that"
            )
        _check_sizes(self.sizes, self.epochs)

    def _check_names(self) -> None:
        if not isinstance(self.options, Mapping):
            raise TrainingError(f"options is {self.options!r}; give names with values")
        for name in ("network", "representation", "augmentation", "device"):
            if not isinstance(getattr(self, name), str):
                raise TrainingError(f"{name} is {getattr(self, name)!r}; give a name")
        default_options(self.network)
        channels(self.representation)
        augmentation_of(self.augmentation)
        for name, known in (("schedule", SCHEDULES), ("precision", PRECISIONS)):
            if getattr(self, name) not in known:
                raise TrainingError(
                    f"unknown {name} {getattr(self, name)!r}; choose one of {', '.join(known)}"
                )

    @property
    def size(self) -> int:
        """The last size, that of the network that is kept."""
        return self.sizes[-1][1]

    def size_in(self, epoch: int) -> int:
        """The size of the input in an epoch."""
        return next(size for first, size in reversed(self.sizes) if first <= epoch)

    @property
    def window_ns(self) -> int:
        """Length of a window in ns."""
        return round(self.window_ms * 1e6)

    def network_options(self) -> dict[str, object]:
        """The options to build the network with."""
        n = channels(self.representation)
        given = dict(self.options)
        if given.setdefault("in_channels", n) != n:
            raise TrainingError(
                f"in_channels is {given['in_channels']!r}, but {self.representation} has {n} "
                "channels; leave it out"
            )
        return given

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        content: dict[str, Any] = json.loads(
            json.dumps(asdict(self) | {"options": {**self.options}})
        )
        return content

    @classmethod
    def from_dict(cls, content: object) -> TrainingSettings:
        """What `to_dict` gave, after JSON; what is missing has its default.

        Raises:
            Cs3dError: A name that is none, or a value that is not of its kind or range.
        """
        if not isinstance(content, dict):
            raise TrainingError("the settings are not a JSON object; give names with values")
        unknown = sorted(content.keys() - {f.name for f in fields(cls)})
        if unknown:
            raise TrainingError(
                f"unknown settings {', '.join(unknown)}; expected some of "
                f"{', '.join(f.name for f in fields(cls))}"
            )
        return cls(**content)


def _as_pairs(sizes: object) -> tuple[tuple[int, int], ...]:
    try:
        pairs = tuple((first, size) for first, size in sizes)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise TrainingError(
            f"sizes is {sizes!r}; give pairs of a first epoch and a size, such as ((0, 112),)"
        ) from None
    return pairs


def _check_sizes(sizes: tuple[tuple[int, int], ...], epochs: int) -> None:
    for first, size in sizes:
        if not is_whole_number(first, 0, _MOST) or not is_whole_number(size, MIN_SIZE, MAX_SIZE):
            raise TrainingError(
                f"a size of {size!r} from epoch {first!r} on; give whole numbers, sizes from "
                f"{MIN_SIZE} to {MAX_SIZE}"
            )
    starts = [first for first, _ in sizes]
    if not starts or starts[0] != 0 or sorted(set(starts)) != starts or starts[-1] >= epochs:
        raise TrainingError(
            f"sizes begin in epochs {starts}; the first has to begin in epoch 0, each later than "
            f"the one before, and the last before the end after {epochs} epochs"
        )


def _as_float(name: str, value: object) -> object:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _check_whole(name: str, value: object, low: int, high: int = _MOST) -> None:
    if not is_whole_number(value, low, high):
        raise TrainingError(f"{name} is {value!r}; give a whole number from {low} to {high}")


def _check_number(name: str, value: object, high: float, *, above: bool = False) -> None:
    if not is_finite_number(value) or not 0 <= value <= high or (above and value == 0):
        lowest = "above 0" if above else "from 0 on"
        raise TrainingError(f"{name} is {value!r}; give a number {lowest}, at most {high:g}")


PRESETS: Mapping[str, TrainingSettings] = MappingProxyType(
    {
        "paper": TrainingSettings(epochs=50, patience=10),
        "tuned": TrainingSettings(
            window_ms=800.0,
            sizes=((0, 56),),
            epochs=60,
            batch=8,
            learning_rate=8e-4,
            weight_decay=1e-2,
            schedule="one-cycle",
            label_smoothing=0.05,
            augmentation="mild",
            background_activity_us=5000,
            rise_share=0.5,
            gradient_clip=5.0,
        ),
    }
)
"""Settings by name.

"paper" is the protocol of the paper, as far as it tells: Adam, learning rate 1e-4, batch 16, 112
pixels. "tuned" is for a CPU: near the settings of the last runs of the weights that ship, longer,
since it begins with nothing.
"""


def preset(name: str) -> TrainingSettings:
    """The settings of a preset.

    Raises:
        TrainingError: There is none of that name.
    """
    if name not in PRESETS:
        raise TrainingError(f"unknown preset {name!r}; choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
