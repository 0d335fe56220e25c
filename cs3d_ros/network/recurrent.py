"""RNN and LSTM, which the paper compares with (section IV-B)."""

from __future__ import annotations

import torch
from torch import nn

from cs3d_ros.network.bin_features import BinFeatures, feature_count
from cs3d_ros.network.checks import checked_dropout
from cs3d_ros.network.specification import INPUT_SHAPE, Network

LAYERS = 2
UNITS = 128
"""Recurrent layers and units of each, as in the paper."""


class RecurrentNetwork(Network):
    """Recurrent layers over the bins' features, then one linear layer.

    The logits come from the state after the last bin, the only one that has seen them all.

    Args:
        recurrent: `nn.RNN`, whose units are tanh, or `nn.LSTM`.
        num_classes: Number of logits.
        in_channels: Channels of a window.
        dropout: Probability of dropout after each recurrent layer.

    Raises:
        NetworkError: If the dropout is not from 0 to below 1.
    """

    def __init__(
        self,
        recurrent: type[nn.RNN] | type[nn.LSTM],
        num_classes: int,
        in_channels: int,
        dropout: float,
    ) -> None:
        super().__init__()
        dropout = checked_dropout(dropout)
        self.features = BinFeatures()
        self.recurrent = recurrent(
            feature_count(in_channels), UNITS, LAYERS, batch_first=True, dropout=dropout
        )
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(UNITS, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logits `(N, num_classes)` of the windows `(N, in_channels, 16, S, S)`."""
        states, _ = self.recurrent(self.features(x))
        logits: torch.Tensor = self.output(self.dropout(states[:, -1]))
        return logits


def rnn(
    num_classes: int, *, in_channels: int = INPUT_SHAPE[0], dropout: float = 0.5
) -> RecurrentNetwork:
    """Return two recurrent layers of 128 tanh units and a linear layer.

    Args:
        num_classes: Number of logits.
        in_channels: Channels of a window.
        dropout: Probability of dropout after each recurrent layer.
    """
    return RecurrentNetwork(nn.RNN, num_classes, in_channels, dropout)


def lstm(
    num_classes: int, *, in_channels: int = INPUT_SHAPE[0], dropout: float = 0.5
) -> RecurrentNetwork:
    """Return two layers of 128 LSTM units and a linear layer. The arguments are those of `rnn`."""
    return RecurrentNetwork(nn.LSTM, num_classes, in_channels, dropout)
