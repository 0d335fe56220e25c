"""The same networks, executed faster on a CPU: frames as pictures, channels last.

The modules of a network stay the reference that is counted and saved. Here the factorized blocks
and the multi-pools run as operations on pictures, which CPUs have fast kernels for: a depthwise
convolution along time is three frames added up, one in space and one of single points treat the
N·T frames as a batch of pictures, and θ is part of the bias of the normalization before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from cs3d_ros.network.blocks import FactorizedConv3d, MultiPool3d
from cs3d_ros.network.neurons import SoftSpikingNeuron, soft_threshold
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
        x = x.contiguous(memory_format=torch.channels_last_3d)
        for stage in self.network.stages:
            for module in stage.children():
                if isinstance(module, FactorizedConv3d):
                    x = _factorized(module, x)
                elif isinstance(module, MultiPool3d):
                    x = _multi_pool(module, x)
                else:
                    x = module(x)
        logits: torch.Tensor = self.network.classifier(x)
        return logits


def _factorized(block: FactorizedConv3d, x: torch.Tensor) -> torch.Tensor:
    y = _pointwise(_along_time(x, block.temporal_depthwise.weight), block.temporal_pointwise)
    y = _normalized(block.temporal_norm, y, block.temporal_neuron)
    y = _fire(y, block.temporal_neuron)
    y = _pointwise(_in_space(y, block.spatial_depthwise.weight), block.spatial_pointwise)
    y = _normalized(block.spatial_norm, y, block.spatial_neuron)
    shortcut = block.shortcut
    # In place: normalization does not need its result again.
    y += _pointwise(x, shortcut) if isinstance(shortcut, nn.Conv3d) else x
    return _fire(y, block.spatial_neuron)


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
    y = functional.conv2d(_pictures(x), convolution.weight.squeeze(2))
    return y.unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


def _multi_pool(pool: MultiPool3d, x: torch.Tensor) -> torch.Tensor:
    kernel, padding = pool.average.kernel_size, pool.average.padding
    assert isinstance(kernel, tuple)
    assert isinstance(padding, tuple)
    n, _, t, _, _ = x.shape
    # In space, then along time: padding counts in neither, and all bins weigh the same.
    y = functional.avg_pool2d(
        _pictures(x), kernel[1:], padding=padding[1:], count_include_pad=False
    ).unflatten(0, (n, t // kernel[0], kernel[0]))
    average = (y.mean(2) if kernel[0] > 1 else y.squeeze(2)).transpose(1, 2)
    return 0.5 * (average + pool.maximum(x))


def _normalized(norm: nn.BatchNorm3d, y: torch.Tensor, neuron: nn.Module) -> torch.Tensor:
    """Normalize, and subtract the threshold of the neuron that follows."""
    assert isinstance(neuron, SoftSpikingNeuron)
    assert norm.momentum is not None
    assert norm.num_batches_tracked is not None
    if norm.training:
        norm.num_batches_tracked.add_(1)
    return functional.batch_norm(
        y,
        norm.running_mean,
        norm.running_var,
        norm.weight,
        norm.bias - neuron.threshold,
        norm.training,
        norm.momentum,
        norm.eps,
    )


def _fire(z: torch.Tensor, neuron: nn.Module) -> torch.Tensor:
    """What a neuron makes of `x − θ`."""
    assert isinstance(neuron, SoftSpikingNeuron)
    return soft_threshold(z, 0.0, neuron.steepness, neuron.surrogate)
