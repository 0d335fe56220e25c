"""The skeleton that C3D and CS3D share: five stages and a classifier."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from cs3d_ros.network.checks import checked_dropout
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.specification import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from cs3d_ros.network.blocks import Triple

CHANNELS = (64, 128, 256, 512, 512)
"""Output channels of the five stages, as in C3D."""

POOLS: tuple[tuple[Triple, Triple], ...] = (
    ((1, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (0, 0, 0)),
    ((2, 2, 2), (0, 1, 1)),
)
"""Kernel (also the stride) and padding of the five pools: 16×112×112 becomes 1×4×4."""

ATTENTION_PLACES = ("pool", "last", "none")
"""Where attention can be: after each pool, after the last pool alone, or nowhere."""

HIDDEN = 4096
"""Units of both hidden layers of C3D's classifier."""

_LAST_MAP = (1, 4, 4)
_LAST_VALUES = CHANNELS[-1] * math.prod(_LAST_MAP)


class FiveStageNetwork(Network):
    """Five stages of convolution, pooling and perhaps attention, then a classifier.

    Args:
        in_channels: Channels of a window.
        convolution: Makes the convolution from its input and output channels.
        pool: Makes the pool from its kernel and padding.
        classifier: Takes the last feature map, `(N, 512, 1, h, w)`, to logits; h = w = 4 for
            windows of 112×112.
        attention: Makes the attention that follows a pool from its channels.
        attention_place: One of `ATTENTION_PLACES`.

    Raises:
        NetworkError: If the place is unknown.
    """

    def __init__(
        self,
        in_channels: int,
        convolution: Callable[[int, int], nn.Module],
        pool: Callable[[Triple, Triple], nn.Module],
        classifier: nn.Module,
        attention: Callable[[int], nn.Module] | None = None,
        attention_place: str = "pool",
    ) -> None:
        super().__init__()
        if not isinstance(attention_place, str) or attention_place not in ATTENTION_PLACES:
            raise NetworkError(
                f"unknown place of the attention {attention_place!r}; choose one of "
                f"{', '.join(ATTENTION_PLACES)}"
            )
        first = {"pool": 0, "last": len(CHANNELS) - 1, "none": len(CHANNELS)}[attention_place]
        self.stages = nn.Sequential()
        for index, (out_channels, (kernel, padding)) in enumerate(
            zip(CHANNELS, POOLS, strict=True)
        ):
            stage = OrderedDict[str, nn.Module](
                convolution=convolution(in_channels, out_channels), pool=pool(kernel, padding)
            )
            if attention is not None and index >= first:
                stage["attention"] = attention(out_channels)
            self.stages.append(nn.Sequential(stage))
            in_channels = out_channels
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits `(N, num_classes)` of the windows `(N, in_channels, 16, S, S)`."""
        return self.classifier(self.stages(x))


class GlobalAveragePool(nn.Module):
    """Mean over time and space: `(N, C, T, H, W)` to `(N, C)`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Average each channel."""
        return x.mean((2, 3, 4))


class FlattenLastMap(nn.Module):
    """The last feature map as 8192 values: `(N, 512, T, H, W)` to `(N, 8192)`.

    A map of another size than 1×4×4, which is that of windows of 112×112, is averaged to it. The
    average is a function and no module, so that THOP does not count it.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Average to 1×4×4 where need be, and flatten."""
        if x.shape[2:] != _LAST_MAP:
            x = nn.functional.adaptive_avg_pool3d(x, _LAST_MAP)
        return x.flatten(1)


def linear_classifier(num_classes: int, dropout: float) -> nn.Sequential:
    """Return a global average pool, dropout and one linear layer."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            pool=GlobalAveragePool(),
            dropout=nn.Dropout(checked_dropout(dropout)),
            output=nn.Linear(CHANNELS[-1], num_classes),
        )
    )


def map_classifier(num_classes: int, dropout: float) -> nn.Sequential:
    """Return dropout and one linear layer on the whole last map: it knows where on the face."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            flatten=FlattenLastMap(),
            dropout=nn.Dropout(checked_dropout(dropout)),
            output=nn.Linear(_LAST_VALUES, num_classes),
        )
    )


def mlp_classifier(
    num_classes: int, dropout: float, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Return C3D's classifier: 8192-4096-4096-classes, dropout after both hidden layers."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            flatten=FlattenLastMap(),
            hidden1=nn.Linear(_LAST_VALUES, HIDDEN),
            activation1=activation(),
            dropout1=nn.Dropout(checked_dropout(dropout)),
            hidden2=nn.Linear(HIDDEN, HIDDEN),
            activation2=activation(),
            dropout2=nn.Dropout(checked_dropout(dropout)),
            output=nn.Linear(HIDDEN, num_classes),
        )
    )
