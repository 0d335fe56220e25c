"""C3D, and C3D with one part of CS3D at a time (paper, section IV-E).

Convolutions of 64-128-256-512-512 channels, 3×3×3, each with batch normalization and an
activation; max pools; linear layers 8192-4096-4096-classes.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from cs3d_ros.network.blocks import FactorizedConv3d, JointAttention, TemporalAttention, max_pool
from cs3d_ros.network.neurons import STEEPNESS, SURROGATE, THRESHOLD, SoftSpikingNeuron
from cs3d_ros.network.specification import INPUT_SHAPE
from cs3d_ros.network.stages import CHANNELS, FiveStageNetwork, mlp_classifier

if TYPE_CHECKING:
    from collections.abc import Callable


def c3d(
    num_classes: int, *, in_channels: int = INPUT_SHAPE[0], dropout: float = 0.5
) -> FiveStageNetwork:
    """Return C3D.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of a window.
        dropout: Probability of dropout in the classifier.
    """
    return FiveStageNetwork(
        in_channels, _full_convolution, max_pool, mlp_classifier(num_classes, dropout)
    )


def c3d_ssn(
    num_classes: int,
    *,
    in_channels: int = INPUT_SHAPE[0],
    threshold: float = THRESHOLD,
    steepness: float = STEEPNESS,
    surrogate: str = SURROGATE,
    dropout: float = 0.5,
) -> FiveStageNetwork:
    """Return C3D with a soft spiking neuron in place of every ReLU.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of a window.
        threshold: θ of the neurons.
        steepness: k of the neurons.
        surrogate: Surrogate gradient of the neurons.
        dropout: Probability of dropout in the classifier.
    """
    neuron = partial(SoftSpikingNeuron, threshold, steepness, surrogate)
    return FiveStageNetwork(
        in_channels,
        partial(_full_convolution, activation=neuron),
        max_pool,
        mlp_classifier(num_classes, dropout, neuron),
    )


def c3d_factorized(
    num_classes: int,
    *,
    in_channels: int = INPUT_SHAPE[0],
    threshold: float = THRESHOLD,
    steepness: float = STEEPNESS,
    surrogate: str = SURROGATE,
    dropout: float = 0.5,
) -> FiveStageNetwork:
    """Return C3D with a factorized block in place of every convolution.

    The blocks hold soft spiking neurons; the classifier keeps its ReLUs. The arguments are
    those of `c3d_ssn`.
    """
    neuron = partial(SoftSpikingNeuron, threshold, steepness, surrogate)
    return FiveStageNetwork(
        in_channels,
        partial(FactorizedConv3d, neuron=neuron),
        max_pool,
        mlp_classifier(num_classes, dropout),
    )


def c3d_attention(
    num_classes: int,
    *,
    in_channels: int = INPUT_SHAPE[0],
    attention_place: str = "pool",
    temporal_attention: str = "per_channel",
    reduction: int = 16,
    dropout: float = 0.5,
) -> FiveStageNetwork:
    """Return C3D with joint attention.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of a window.
        attention_place: `pool` (after each pool), `last` (after the last pool alone) or `none`,
            which is C3D itself.
        temporal_attention: Kind of temporal attention, `per_channel` or `per_frame`.
        reduction: Reduction of the temporal attention `per_channel`.
        dropout: Probability of dropout in the classifier.
    """
    TemporalAttention.check(CHANNELS[-1], temporal_attention, reduction)
    return FiveStageNetwork(
        in_channels,
        _full_convolution,
        max_pool,
        mlp_classifier(num_classes, dropout),
        partial(JointAttention, temporal=temporal_attention, reduction=reduction),
        attention_place,
    )


def _full_convolution(
    in_channels: int, out_channels: int, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Module:
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            convolution=nn.Conv3d(in_channels, out_channels, 3, padding=1),
            norm=nn.BatchNorm3d(out_channels),
            activation=activation(),
        )
    )
