"""Tensors to logits: the networks by name. Torch, no ROS.

>>> network = build("cs3d", num_classes=7, classifier="linear")
>>> logits = network(torch.zeros(1, 3, 16, 112, 112))
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from cs3d_ros.network.c3d import c3d, c3d_attention, c3d_factorized, c3d_ssn
from cs3d_ros.network.checks import is_whole_number
from cs3d_ros.network.cs3d import cs3d
from cs3d_ros.network.errors import CheckpointError, DeviceError, NetworkError
from cs3d_ros.network.recurrent import lstm, rnn
from cs3d_ros.network.specification import (
    INPUT_SHAPE,
    MAX_CHANNELS,
    MAX_SIZE,
    MIN_SIZE,
    Network,
    NetworkSpec,
)
from cs3d_ros.network.transformer import transformer

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "INPUT_SHAPE",
    "MAX_CHANNELS",
    "MAX_CLASSES",
    "MAX_SIZE",
    "MIN_SIZE",
    "CheckpointError",
    "DeviceError",
    "Network",
    "NetworkError",
    "NetworkSpec",
    "build",
    "default_options",
    "names",
    "rebuild",
]

MAX_CLASSES = 1000
"""The most classes that a network is built for: a guard against absurd requests."""

_NETWORKS: dict[str, Callable[..., Network]] = {
    "c3d": c3d,
    "c3d+ssn": c3d_ssn,
    "c3d+factorized": c3d_factorized,
    "c3d+attention": c3d_attention,
    "cs3d": cs3d,
    "rnn": rnn,
    "lstm": lstm,
    "transformer": transformer,
}


def names() -> tuple[str, ...]:
    """Return the names that `build` knows."""
    return tuple(_NETWORKS)


def default_options(name: str) -> dict[str, object]:
    """Return the options of a network with their defaults; all survive JSON unchanged.

    Raises:
        NetworkError: If the name is unknown.
    """
    if not isinstance(name, str) or name not in _NETWORKS:
        raise NetworkError(f"unknown network {name!r}; choose one of {', '.join(_NETWORKS)}")
    parameters = inspect.signature(_NETWORKS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


def build(name: str, num_classes: int = 7, **options: object) -> Network:
    """Return a randomly initialized network, in training mode, on torch's default device.

    It takes float32 `(N, in_channels, 16, S, S)` to logits `(N, num_classes)`, for any S from
    `MIN_SIZE` to `MAX_SIZE`; `specification` on it records the arguments with every default written
    out. The random weights follow torch's global generator.

    Args:
        name: One of `names()`.
        num_classes: Number of logits, from 2 to `MAX_CLASSES`.
        **options: Any of `default_options(name)`. Every network has `in_channels`, the channels of
            a window, from 1 to `MAX_CHANNELS`.

    Raises:
        NetworkError: If the name, an option or the number of classes is not one that can be built.
    """
    return rebuild(NetworkSpec(name, num_classes, options))


def rebuild(specification: NetworkSpec) -> Network:
    """Return a new network as `build` does, from the record of its arguments."""
    name, num_classes = specification.name, specification.num_classes
    options = default_options(name)
    if not is_whole_number(num_classes, 2, MAX_CLASSES):
        raise NetworkError(
            f"{num_classes!r} classes asked for; give a whole number from 2 to {MAX_CLASSES}"
        )
    unknown = sorted(specification.options.keys() - options.keys())
    if unknown:
        raise NetworkError(
            f"{name} has no option {', '.join(unknown)}; it has {', '.join(options)}"
        )
    options.update(specification.options)
    in_channels = options["in_channels"]
    if not is_whole_number(in_channels, 1, MAX_CHANNELS):
        raise NetworkError(
            f"the windows are to have {in_channels!r} channels; give a whole number from 1 to "
            f"{MAX_CHANNELS}"
        )
    network = _NETWORKS[name](num_classes, **options)
    network.specification = NetworkSpec(name, num_classes, options)
    return network
