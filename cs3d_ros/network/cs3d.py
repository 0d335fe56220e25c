"""CS3D: factorized blocks, multi-pool, joint attention and a classifier (paper, section III)."""

from __future__ import annotations

from functools import partial

from cs3d_ros.network.blocks import FactorizedConv3d, JointAttention, MultiPool3d, start_small
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.neurons import STEEPNESS, SURROGATE, THRESHOLD, SoftSpikingNeuron
from cs3d_ros.network.stages import FiveStageNetwork, linear_classifier, mlp_classifier

CLASSIFIERS = {"linear": linear_classifier, "mlp": mlp_classifier}
"""The classifiers by name: "a fully connected or classification layer", says the paper."""


def cs3d(
    num_classes: int,
    *,
    classifier: str = "linear",
    threshold: float = THRESHOLD,
    steepness: float = STEEPNESS,
    surrogate: str = SURROGATE,
    temporal_attention: str = "per_channel",
    reduction: int = 16,
    dropout: float = 0.5,
) -> FiveStageNetwork:
    """Return CS3D: C3D's five stages, each a factorized block, multi-pool and joint attention.

    Args:
        num_classes: Number of logits.
        classifier: `linear` (global average pool and one linear layer) or `mlp` (C3D's).
        threshold: θ of the neurons.
        steepness: k of the neurons.
        surrogate: Surrogate gradient of the neurons.
        temporal_attention: Kind of temporal attention.
        reduction: Reduction of the temporal attention.
        dropout: Probability of dropout in the classifier.

    Raises:
        NetworkError: If an option has no such value.
    """
    if not isinstance(classifier, str) or classifier not in CLASSIFIERS:
        raise NetworkError(
            f"unknown classifier {classifier!r}; choose one of {', '.join(CLASSIFIERS)}"
        )
    neuron = partial(SoftSpikingNeuron, threshold, steepness, surrogate)
    head = CLASSIFIERS[classifier](num_classes, dropout)
    # Joint attention starts with weights near 1/2, which makes the features 3.25 times as large
    # in each stage; the first answers are to be near uniform all the same.
    start_small(head[-1])
    return FiveStageNetwork(
        partial(FactorizedConv3d, neuron=neuron),
        MultiPool3d,
        head,
        partial(JointAttention, temporal=temporal_attention, reduction=reduction),
    )
