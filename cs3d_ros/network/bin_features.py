"""What the recurrent networks and the transformer see of a window: a vector for each time bin."""

from __future__ import annotations

import torch
from torch import nn

GRID = 28
"""Rows and columns of the grid that each bin is averaged to."""


def feature_count(in_channels: int) -> int:
    """Return the number of features of one bin, C·784."""
    return in_channels * GRID**2


class BinFeatures(nn.Module):
    """Each bin's picture on a grid of 28×28: `(N, C, T, S, S)` to `(N, T, C·784)`.

    The paper does not say what its recurrent networks and its transformer are fed with. A grid
    that every size is averaged to keeps where something moved, to four pixels of 112, and makes
    the networks as large for one size as for another. The values stay as they are: normalizing
    each bin would make one stray event look like the height of an expression.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Average each picture and string its values together."""
        n, channels, bins = x.shape[:3]
        pictures = x.transpose(1, 2).flatten(0, 1)
        grids = nn.functional.adaptive_avg_pool2d(pictures, GRID)
        return grids.reshape(n, bins, feature_count(channels))
