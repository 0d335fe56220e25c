"""The transformer that the paper compares with (section IV-B)."""

from __future__ import annotations

import torch
from torch import nn

from cs3d_ros.network.bin_features import BinFeatures, feature_count
from cs3d_ros.network.checks import checked_dropout
from cs3d_ros.network.specification import INPUT_SHAPE, Network

LAYERS = 2
HEADS = 4
WIDTH = 256
"""Encoder layers, heads of each and width of the model, as in the paper."""

_FEEDFORWARD = 4 * WIDTH


class TransformerNetwork(Network):
    """Bins as the words of a sentence: an encoder over their features, then one linear layer.

    Each bin's features are projected to the model's width, a learned vector for its place in
    time is added, and the mean over the encoded bins gives the logits. The paper states layers,
    heads and width; the rest is that of Vaswani et al. 2017, "Attention Is All You Need":
    feed-forward layers four times as wide as the model, ReLU, normalization after each part.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of a window.
        dropout: Probability of dropout of the projected bins and within the encoder.

    Raises:
        NetworkError: If the dropout is not from 0 to below 1.
    """

    def __init__(self, num_classes: int, in_channels: int, dropout: float) -> None:
        super().__init__()
        dropout = checked_dropout(dropout)
        self.features = BinFeatures()
        self.projection = nn.Linear(feature_count(in_channels), WIDTH)
        self.position = nn.Parameter(torch.empty(INPUT_SHAPE[1], WIDTH))
        nn.init.normal_(self.position, std=0.02)
        self.dropout = nn.Dropout(dropout)
        self.encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(WIDTH, HEADS, _FEEDFORWARD, dropout, batch_first=True),
            LAYERS,
            enable_nested_tensor=False,
        )
        # It is made of copies of one layer, whose weights are to differ.
        for parameter in self.encoder.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
        self.output = nn.Linear(WIDTH, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits `(N, num_classes)` of the windows `(N, in_channels, 16, S, S)`."""
        bins = self.dropout(self.projection(self.features(x)) + self.position)
        logits: torch.Tensor = self.output(self.encoder(bins).mean(1))
        return logits


def transformer(
    num_classes: int, *, in_channels: int = INPUT_SHAPE[0], dropout: float = 0.1
) -> TransformerNetwork:
    """Return two encoder layers of four heads, 256 wide, and a linear layer.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of a window.
        dropout: Probability of dropout of the projected bins and within the encoder.
    """
    return TransformerNetwork(num_classes, in_channels, dropout)
