"""CS3D: factorized blocks, multi-pool, joint attention and a classifier (paper, section III)."""

from __future__ import annotations

from functools import partial

from cs3d_ros.network.blocks import (
    POOLING,
    FactorizedConv3d,
    JointAttention,
    TemporalAttention,
    start_small,
)
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.neurons import STEEPNESS, SURROGATE, THRESHOLD, SoftSpikingNeuron
from cs3d_ros.network.specification import INPUT_SHAPE
from cs3d_ros.network.stages import (
    CHANNELS,
    FiveStageNetwork,
    linear_classifier,
    map_classifier,
    mlp_classifier,
)

CLASSIFIERS = {"linear": linear_classifier, "map": map_classifier, "mlp": mlp_classifier}
"""The classifiers by name: "a fully connected or classification layer", says the paper."""


def cs3d(
    num_classes: int,
    *,
    in_channels: int = INPUT_SHAPE[0],
    pool: str = "multi",
    attention_place: str = "pool",
    temporal_attention: str = "per_channel",
    reduction: int = 16,
    classifier: str = "linear",
    threshold: float = THRESHOLD,
    steepness: float = STEEPNESS,
    surrogate: str = SURROGATE,
    dropout: float = 0.5,
) -> FiveStageNetwork:
    """Return CS3D: C3D's five stages, each a factorized block, multi-pool and joint attention.

    The options are in the order of the data: what comes in, the parts as it meets them, then the
    neurons and the dropout.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of a window.
        pool: `multi` (the mean of average and maximum), `max` or `average`.
        attention_place: `pool` (after each pool), `last` (after the last pool alone) or `none`.
        temporal_attention: Kind of temporal attention, `per_channel` or `per_frame`.
        reduction: Reduction of the temporal attention `per_channel`.
        classifier: `linear` (global average pool and one linear layer), `map` (one linear layer on
            the whole last map) or `mlp` (C3D's).
        threshold: θ of the neurons.
        steepness: k of the neurons.
        surrogate: Surrogate gradient of the neurons.
        dropout: Probability of dropout in the classifier.

    Raises:
        NetworkError: If an option has no such value.
    """
    for what, kind, known in (
        ("pool", pool, list(POOLING)),
        ("classifier", classifier, list(CLASSIFIERS)),
    ):
        if not isinstance(kind, str) or kind not in known:
            raise NetworkError(f"unknown {what} {kind!r}; choose one of {', '.join(known)}")
    # They are refused as well where there is no attention.
    TemporalAttention.check(CHANNELS[-1], temporal_attention, reduction)
    neuron = partial(SoftSpikingNeuron, threshold, steepness, surrogate)
    head = CLASSIFIERS[classifier](num_classes, dropout)
    # The first answers are near uniform.
    start_small(head[-1])
    return FiveStageNetwork(
        in_channels,
        partial(FactorizedConv3d, neuron=neuron),
        POOLING[pool],
        head,
        partial(JointAttention, temporal=temporal_attention, reduction=reduction),
        attention_place,
    )
