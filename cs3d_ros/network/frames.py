"""The same networks, executed faster on a CPU: frames as pictures, channels last.

The modules of a network stay the reference that is counted and saved. Here the convolutions of
factorized blocks run on pictures, which CPUs have fast kernels for: one along time on a picture of
each window whose rows are time bins, one in space and one of single points on the N·T frames as a
batch of pictures. What stands between them is in `cs3d_ros.network.frame_functions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from cs3d_ros.network.blocks import FactorizedConv3d, JointAttention, MultiPool3d
from cs3d_ros.network.frame_functions import attend, multi_pool, normalize_and_fire
from cs3d_ros.network.stages import FiveStageNetwork

if TYPE_CHECKING:
    from cs3d_ros.network.specification import Network


def frame_form(network: Network) -> nn.Module:
    """Return a module that computes what the network does, of the same parameters.

    Training it trains the network, and the network's mode is its own: `train` and `eval` on it
    reach the network. Results differ by rounding only. A network without factorized blocks runs
    as it is, with its feature maps in channels-last order where it is made of convolutions.

    Args:
        network: Stays as it is but for the order of its weights in memory.
    """
    if not isinstance(network, FiveStageNetwork):
        return network
    network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return _FrameForm(network)


class _FrameForm(nn.Module):
    """See `frame_form`; windows `(N, C, T, H, W)` to logits."""

    def __init__(self, network: FiveStageNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            # Our own functions take the types that they are given, and no others.
            logits: torch.Tensor = self.network(x)
            return logits
        x = x.contiguous(memory_format=torch.channels_last_3d)
        for stage in self.network.stages:
            for module in stage.children():
                if isinstance(module, FactorizedConv3d):
                    x = _factorized(module, x)
                elif isinstance(module, MultiPool3d):
                    x = multi_pool(module, x)
                elif isinstance(module, JointAttention) and module.temporal.is_per_channel:
                    x = attend(module, x)
                else:
                    x = module(x)
        logits = self.network.classifier(x)
        return logits


def _factorized(block: FactorizedConv3d, x: torch.Tensor) -> torch.Tensor:
    y = _pointwise(_along_time(x, block.temporal_depthwise.weight), block.temporal_pointwise)
    y = normalize_and_fire(block.temporal_norm, block.temporal_neuron, y)
    y = _pointwise(_in_space(y, block.spatial_depthwise.weight), block.spatial_pointwise)
    shortcut = block.shortcut
    residual = _pointwise(x, shortcut) if isinstance(shortcut, nn.Conv3d) else x
    return normalize_and_fire(block.spatial_norm, block.spatial_neuron, y, residual)


def _pictures(x: torch.Tensor) -> torch.Tensor:
    """`(N, C, T, H, W)` as `(N·T, C, H, W)`, without a copy where the channels are last."""
    return x.transpose(1, 2).flatten(0, 1)


def _along_time(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Depthwise convolution (3, 1, 1), of one picture for each window: rows are time bins."""
    n, c, t, h, w = x.shape
    picture = x.permute(0, 2, 3, 4, 1).reshape(n, t, h * w, c).permute(0, 3, 1, 2)
    y = functional.conv2d(picture, weight.squeeze(3), padding=(1, 0), groups=c)
    return y.permute(0, 2, 3, 1).view(n, t, h, w, c).permute(0, 4, 1, 2, 3)


def _in_space(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Depthwise convolution (1, 3, 3)."""
    y = functional.conv2d(_pictures(x), weight.squeeze(2), padding=1, groups=x.shape[1])
    return y.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


def _pointwise(x: torch.Tensor, convolution: nn.Conv3d) -> torch.Tensor:
    points = x.permute(0, 2, 3, 4, 1)
    y = functional.linear(points, convolution.weight.flatten(1))
    return y.permute(0, 4, 1, 2, 3)
