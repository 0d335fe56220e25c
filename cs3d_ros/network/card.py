"""What a checkpoint says about its network: the model card."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.network import MAX_CLASSES
from cs3d_ros.network.checks import is_finite_number, is_whole_number
from cs3d_ros.network.errors import CheckpointError
from cs3d_ros.network.specification import (
    INPUT_SHAPE,
    MAX_CHANNELS,
    MAX_SIZE,
    MIN_SIZE,
    NetworkSpec,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

FORMAT_VERSION = 1
"""The version of the JSON header that this package reads and writes."""

DEFAULT_LABELS = EXPRESSIONS
"""The seven classes, in the words of ROS4HRI."""

MAX_WINDOW_MS = 60_000.0
MAX_BACKGROUND_ACTIVITY_US = 1_000_000

_NETWORK_FIELDS = {"name", "num_classes", "options"}
# Headers from before there was such a filter lack it.
_MAY_LACK = {"background_activity_us"}


@dataclass(frozen=True)
class ModelCard:
    """Everything but the weights that recognizing with a network takes.

    Attributes:
        name: Name of the model for people, such as `cs3d-untrained`.
        network: From which the network is rebuilt.
        labels: One per logit, in order.
        representation: Name of the tensor representation it was trained on.
        window_ms: Duration of a window in milliseconds, above 0 and at most `MAX_WINDOW_MS`.
        bins: Time bins of a window; 16 for every network.
        size: Rows and columns of a window in pixels, from 32 to 224; 112 in the paper.
        background_activity_us: Time of the background-activity filter that the events went through,
            up to `MAX_BACKGROUND_ACTIVITY_US`; 0 for none. See `cs3d_ros.events.noise`.
        provenance: Where the weights come from (data, command, seed, commit, metrics); anything
            that JSON holds.

    Raises:
        CheckpointError: If a value is not of its kind or range, or the labels do not match the
            number of classes.
    """

    name: str
    network: NetworkSpec
    labels: tuple[str, ...]
    representation: str
    window_ms: float
    bins: int = INPUT_SHAPE[1]
    size: int = INPUT_SHAPE[2]
    background_activity_us: int = 0
    provenance: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, text in (("name", self.name), ("representation", self.representation)):
            if not _is_text(text):
                raise CheckpointError(f"the model's {what} is {text!r}; give a printable text")
        _check_labels(self.labels, self.network.num_classes)
        if not is_finite_number(self.window_ms) or not 0 < self.window_ms <= MAX_WINDOW_MS:
            raise CheckpointError(
                f"the window is {self.window_ms!r} ms; give a number above 0, at most "
                f"{MAX_WINDOW_MS:g}"
            )
        bins = INPUT_SHAPE[1]
        if not is_whole_number(self.bins, bins, bins) or not is_whole_number(
            self.size, MIN_SIZE, MAX_SIZE
        ):
            raise CheckpointError(
                f"the input is {self.bins!r} bins of {self.size!r} rows and columns; the networks "
                f"take {bins} bins of {MIN_SIZE} to {MAX_SIZE}"
            )
        _in_channels(self.network)
        if not is_whole_number(self.background_activity_us, 0, MAX_BACKGROUND_ACTIVITY_US):
            raise CheckpointError(
                f"background_activity_us is {self.background_activity_us!r}; give a whole number "
                f"from 0 (no filter) to {MAX_BACKGROUND_ACTIVITY_US}"
            )
        if not isinstance(self.provenance, dict):
            raise CheckpointError(
                f"the provenance is a {type(self.provenance).__name__}; give a dictionary"
            )

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of a window: channels, bins, rows, columns."""
        return _in_channels(self.network), self.bins, self.size, self.size

    def to_json(self) -> str:
        """Return the card as JSON.

        Raises:
            CheckpointError: If the options or the provenance hold what JSON does not.
        """
        header = {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "network": {
                "name": self.network.name,
                "num_classes": self.network.num_classes,
                "options": dict(self.network.options),
            },
            "labels": list(self.labels),
            "representation": self.representation,
            "window_ms": self.window_ms,
            "bins": self.bins,
            "size": self.size,
            "background_activity_us": self.background_activity_us,
            "provenance": self.provenance,
        }
        try:
            return json.dumps(header, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(
                f"the model card cannot be written as JSON: {error}; keep to texts, finite "
                "numbers, lists and dictionaries"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Return the card that `to_json` wrote; without a background-activity filter it has none.

        Raises:
            CheckpointError: If the text is not JSON, of another format version, or not a card.
        """
        try:
            header = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"the header is not JSON: {error}") from error
        if not isinstance(header, dict) or "format_version" not in header:
            raise CheckpointError("the header has no format_version")
        version = header.pop("format_version")
        if not is_whole_number(version, FORMAT_VERSION, FORMAT_VERSION):
            raise CheckpointError(
                f"the format version is {version}; this package reads {FORMAT_VERSION}: "
                "use the package that wrote the file, or a newer one"
            )
        _check_fields("header", header, set(cls.__dataclass_fields__), _MAY_LACK)
        network, labels = header.pop("network"), header.pop("labels")
        _check_fields("header's network", network, _NETWORK_FIELDS)
        if not isinstance(network["options"], dict):
            raise CheckpointError("the header's network options are not a JSON object")
        if not isinstance(labels, list):
            raise CheckpointError("the header's labels are not a JSON array")
        return cls(network=NetworkSpec(**network), labels=tuple(labels), **header)


def _in_channels(network: NetworkSpec) -> int:
    in_channels = network.options.get("in_channels", INPUT_SHAPE[0])
    if not is_whole_number(in_channels, 1, MAX_CHANNELS):
        raise CheckpointError(
            f"the network takes {in_channels!r} channels; from 1 to {MAX_CHANNELS} are supported"
        )
    return in_channels


def _check_labels(labels: tuple[str, ...], num_classes: int) -> None:
    if not isinstance(labels, tuple) or not all(map(_is_text, labels)):
        raise CheckpointError(f"the labels are {labels}; give a tuple of printable texts")
    if len(set(labels)) != len(labels):
        raise CheckpointError(f"the labels {labels} are not all different")
    if not is_whole_number(num_classes, 2, MAX_CLASSES):
        raise CheckpointError(
            f"the network has {num_classes} classes; from 2 to {MAX_CLASSES} are supported"
        )
    if len(labels) != num_classes:
        raise CheckpointError(
            f"{len(labels)} labels for a network of {num_classes} classes; give one per class"
        )


def _check_fields(
    what: str, found: object, expected: set[str], may_lack: Set[str] = frozenset()
) -> None:
    if not isinstance(found, dict):
        raise CheckpointError(f"the {what} is not a JSON object")
    for problem, fields in (
        ("lacks", expected - may_lack - found.keys()),
        ("has", found.keys() - expected),
    ):
        if fields:
            raise CheckpointError(
                f"the {what} {problem} {', '.join(sorted(fields))}; expected "
                f"{', '.join(sorted(expected))}"
            )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != "" and value.isprintable()
