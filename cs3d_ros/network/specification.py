"""How a network was asked for: the record from which a checkpoint rebuilds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUT_SHAPE = (3, 16, 112, 112)
"""What every network takes, without the batch: channels, time bins, rows, columns."""


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
    """A network that `build` makes: float32 `(N, 3, 16, 112, 112)` to logits `(N, num_classes)`.

    Attributes:
        specification: How it was built; set by `build`.
    """

    specification: NetworkSpec
