"""The skeleton that C3D and CS3D share: five stages and a classifier."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import torch
from torch import nn

from cs3d_ros.network.checks import is_finite_number
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.specification import INPUT_SHAPE, Network

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

_POOLED = CHANNELS[-1] * 1 * 4 * 4
_HIDDEN = 4096


class FiveStageNetwork(Network):
    """Five stages of convolution, pooling and perhaps attention, then a classifier.

    Args:
        convolution: Makes the convolution from its input and output channels.
        pool: Makes the pool from its kernel and padding.
        classifier: Takes the last feature map, `(N, 512, 1, 4, 4)`, to logits.
        attention: Makes the attention that follows each pool from its channels.
    """

    def __init__(
        self,
        convolution: Callable[[int, int], nn.Module],
        pool: Callable[[Triple, Triple], nn.Module],
        classifier: nn.Module,
        attention: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        in_channels = INPUT_SHAPE[0]
        for out_channels, (kernel, padding) in zip(CHANNELS, POOLS, strict=True):
            stage = OrderedDict[str, nn.Module](
                convolution=convolution(in_channels, out_channels), pool=pool(kernel, padding)
            )
            if attention is not None:
                stage["attention"] = attention(out_channels)
            self.stages.append(nn.Sequential(stage))
            in_channels = out_channels
        self.classifier = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits `(N, num_classes)` of the windows `(N, 3, 16, 112, 112)`."""
        return self.classifier(self.stages(x))


class GlobalAveragePool(nn.Module):
    """Mean over time and space: `(N, C, T, H, W)` to `(N, C)`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Average each channel."""
        return x.mean((2, 3, 4))


def linear_classifier(num_classes: int, dropout: float) -> nn.Sequential:
    """Return a global average pool, dropout and one linear layer."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            pool=GlobalAveragePool(),
            dropout=_dropout(dropout),
            output=nn.Linear(CHANNELS[-1], num_classes),
        )
    )


def mlp_classifier(
    num_classes: int, dropout: float, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Sequential:
    """Return C3D's classifier: 8192–4096–4096–classes, dropout after both hidden layers."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            flatten=nn.Flatten(),
            hidden1=nn.Linear(_POOLED, _HIDDEN),
            activation1=activation(),
            dropout1=_dropout(dropout),
            hidden2=nn.Linear(_HIDDEN, _HIDDEN),
            activation2=activation(),
            dropout2=_dropout(dropout),
            output=nn.Linear(_HIDDEN, num_classes),
        )
    )


def _dropout(probability: float) -> nn.Dropout:
    if not is_finite_number(probability) or not 0 <= probability < 1:
        raise NetworkError(f"the dropout is {probability!r}; give a number from 0 to below 1")
    return nn.Dropout(probability)
