"""How a network was asked for: the record from which a checkpoint rebuilds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT_SHAPE = (3, 16, 112, 112)
"""What the paper's networks take, without the batch: channels, time bins, rows, columns.

Ours take it unless they are told otherwise: the channels are an option of each, and any square of
`MIN_SIZE` to `MAX_SIZE` rows and columns will do. The time bins are always 16.
"""

MAX_CHANNELS = 16
"""The most channels that a network can be built for."""

MIN_SIZE = 32
"""The fewest rows and columns of a window: below, a pool would have nothing left to pool."""

MAX_SIZE = 224
"""The most rows and columns of a window: twice the paper's."""


@dataclass(frozen=True)
class NetworkSpec:
    """The arguments of `cs3d_ros.network.build`, with every default written out.

    Attributes:
        name: Registered name of the network, such as `cs3d`.
        num_classes: Number of logits.
        options: Every option of that network; the values survive JSON unchanged.
    """

    name: str
    num_classes: int
    options: Mapping[str, object]


class Network(nn.Module):
    """A network that `build` makes: float32 `(N, C, 16, S, S)` to logits `(N, num_classes)`.

    C is its option `in_channels`; S is any whole number from `MIN_SIZE` to `MAX_SIZE`.

    Attributes:
        specification: How it was built; set by `build`.
    """

    specification: NetworkSpec
