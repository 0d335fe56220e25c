"""The same networks, for inference alone: normalization and threshold folded into the weights.

In evaluation a normalization is one factor and one summand for each channel. The factor goes into
the weights of the convolution before it, the summand less θ of the neuron after it becomes that
convolution's bias, and a soft spiking neuron is left as a ReLU. A factorized block becomes

    x ─ DW(3,1,1) ─ PW ─ ReLU ─ DW(1,3,3) ─ PW (+ shortcut) ─ ReLU

Feature maps lie in memory as `(N, T, H, W, C)`, so that a pointwise convolution is one product of
matrices that is written once, and all else happens in place.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from cs3d_ros.network.blocks import (
    FactorizedConv3d,
    JointAttention,
    MultiPool3d,
    TemporalAttention,
)
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.neurons import SoftSpikingNeuron
from cs3d_ros.network.specification import Network
from cs3d_ros.network.stages import FiveStageNetwork


def folded_form(network: Network) -> nn.Module:
    """Return a module that computes what the network does in evaluation, on a CPU.

    Results differ by rounding only. The weights are copies: later changes of the network do not
    reach it. A network that is not made of five stages is returned as it is.

    Args:
        network: On the CPU, in evaluation mode.

    Raises:
        NetworkError: It is in training mode.
    """
    if network.training:
        raise NetworkError("a network in training mode cannot be folded; call eval() on it first")
    if not isinstance(network, FiveStageNetwork):
        return network
    return _FoldedForm(network)


class _FoldedForm(nn.Module):
    """See `folded_form`; windows `(N, C, T, H, W)` to logits."""

    def __init__(self, network: FiveStageNetwork) -> None:
        super().__init__()
        with torch.no_grad():
            self.steps = nn.Sequential(
                *(folded(module) for stage in network.stages for module in stage.children())
            )
        self.classifier = network.classifier
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.steps(x.permute(0, 2, 3, 4, 1).contiguous())
        logits: torch.Tensor = self.classifier(x.permute(0, 4, 1, 2, 3))
        return logits


def folded(module: nn.Module) -> nn.Module:
    """Return the folded form of a stage's convolution, pool or attention, for `(N, T, H, W, C)`."""
    if isinstance(module, FactorizedConv3d):
        return Factorized(module)
    if isinstance(module, JointAttention):
        return Attention(module)
    if isinstance(module, (MultiPool3d, nn.MaxPool3d, nn.AvgPool3d)):
        return Pool(module)
    return Full(module)


class Factorized(nn.Module):
    """A `FactorizedConv3d`."""

    def __init__(self, block: FactorizedConv3d) -> None:
        super().__init__()
        # (C, 1, 3, 1): pictures whose rows are time bins.
        self.in_time = _copied(block.temporal_depthwise.weight.squeeze(3))
        self.first, self.first_bias = _pointwise(
            block.temporal_pointwise, block.temporal_norm, block.temporal_neuron
        )
        self.in_space = _copied(block.spatial_depthwise.weight.squeeze(2))
        self.second, self.second_bias = _pointwise(
            block.spatial_pointwise, block.spatial_norm, block.spatial_neuron
        )
        shortcut = block.shortcut
        self.shortcut = (
            shortcut.weight.flatten(1).t().contiguous() if isinstance(shortcut, nn.Conv3d) else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block: `(N, T, H, W, in_channels)` to `(N, T, H, W, out_channels)`."""
        n, t, h, w, c = x.shape
        d = len(self.first_bias)
        # All sizes are given: an empty batch has no way to tell one that is left out.
        y = x.view(n, t, h * w, c).permute(0, 3, 1, 2)
        y = functional.conv2d(y, self.in_time, padding=(1, 0), groups=c)
        y = y.permute(0, 2, 3, 1).reshape(n * t * h * w, c)
        y = self.first_product(y, self.first).view(n * t, h, w, d)
        return self.after_first(y, x.view(n * t, h, w, c)).view(n, t, h, w, d)

    def first_product(self, rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Return the first ReLU's output `(rows, out_channels)`.

        Args:
            rows: `(rows, K)`.
            matrix: `(K, out_channels)`.
        """
        return torch.addmm(self.first_bias, rows, matrix).relu_()

    def after_first(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Go on from the first ReLU.

        Args:
            y: What has come out of it, `(frames, H, W, out_channels)`.
            x: What has come into the block, `(frames, H, W, in_channels)`.
        """
        f, h, w, d = y.shape
        y = functional.conv2d(y.permute(0, 3, 1, 2), self.in_space, padding=1, groups=d)
        y = y.permute(0, 2, 3, 1).reshape(f * h * w, d)
        y = torch.addmm(self.second_bias, y, self.second)
        x = x.reshape(f * h * w, x.shape[3])
        if self.shortcut is None:
            y += x
        else:
            y.addmm_(x, self.shortcut)
        return y.relu_().view(f, h, w, d)


class Full(nn.Module):
    """A full convolution with its normalization and activation."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        convolution, norm, activation = module.children()
        assert isinstance(convolution, nn.Conv3d)
        factor, summand = _of(norm, activation)
        weight = convolution.weight * factor.view(-1, 1, 1, 1, 1)
        self.weight = weight.contiguous(memory_format=torch.channels_last_3d)
        assert convolution.bias is not None
        self.bias = convolution.bias * factor + summand

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute it: `(N, T, H, W, in_channels)` to `(N, T, H, W, out_channels)`."""
        y = functional.conv3d(x.permute(0, 4, 1, 2, 3), self.weight, self.bias, padding=1)
        return y.relu_().permute(0, 2, 3, 4, 1).contiguous()


class Pool(nn.Module):
    """Maximum, average, or the mean of both."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.averages = not isinstance(pool, nn.MaxPool3d)
        self.maximizes = not isinstance(pool, nn.AvgPool3d)
        one = pool.average if isinstance(pool, MultiPool3d) else pool
        assert isinstance(one, (nn.MaxPool3d, nn.AvgPool3d))
        kernel, padding = one.kernel_size, one.padding
        assert isinstance(kernel, tuple)
        assert isinstance(padding, tuple)
        self.bins, self.kernel, self.padding = kernel[0], kernel[1:], padding[1:]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool `(N, T, H, W, C)` in space and time."""
        n, t = x.shape[:2]
        return self.in_time([y.unflatten(0, (n, t)) for y in self.in_space(x.flatten(0, 1))])

    def in_space(self, x: torch.Tensor) -> list[torch.Tensor]:
        """Pool pictures `(frames, H, W, C)`: to their average, their maximum, or both."""
        pictures = x.permute(0, 3, 1, 2)
        pooled = []
        if self.averages:
            # In space, then along time: padding counts in neither, and all bins weigh the same.
            pooled.append(
                functional.avg_pool2d(
                    pictures, self.kernel, padding=self.padding, count_include_pad=False
                )
            )
        if self.maximizes:
            pooled.append(functional.max_pool2d(pictures, self.kernel, padding=self.padding))
        return [y.permute(0, 2, 3, 1) for y in pooled]

    def in_time(self, pooled: list[torch.Tensor]) -> torch.Tensor:
        """Pool what `in_space` gave, each `(N, T, H, W, C)` now, along time, and both into one."""
        if self.bins > 1:
            cells = [y.unflatten(1, (y.shape[1] // self.bins, self.bins)) for y in pooled]
            pooled = [cells[0].mean(2)] if self.averages else []
            pooled += [cells[-1].amax(2)] if self.maximizes else []
        if len(pooled) == 1:
            return pooled[0].contiguous()
        average, maximum = pooled
        return average.add(maximum).mul_(0.5)


class Attention(nn.Module):
    """A `JointAttention`."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        assert isinstance(attention, JointAttention)
        # Not a module: it is never moved or saved.
        self.temporal = _temporal_weights(attention.temporal)
        convolution = attention.spatial.convolution
        self.weight = _copied(convolution.weight.squeeze(2))
        assert convolution.bias is not None
        self.bias = convolution.bias.clone()
        self.gain = attention.GAIN

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the features `(N, T, H, W, C)` with their weights."""
        n, t, h, w, c = x.shape
        x = x.view(n * t, h * w, c)
        y = x * self.temporal(x.mean(1), x.amax(1), n).add_(1).unsqueeze(1)
        pooled = torch.stack((y.mean(2), y.amax(2)), dim=1).view(n * t, 2, h, w)
        weights = functional.conv2d(pooled, self.weight, self.bias, padding=3).sigmoid_()
        weights = weights.add_(1).div_(self.gain).view(n * t, h * w, 1)
        # (y·(1 + W) + x) / gain
        return x.div(self.gain).addcmul_(y, weights).view(n, t, h, w, c)


TemporalWeights = Callable[[torch.Tensor, torch.Tensor, int], torch.Tensor]
"""From averages and maxima `(N·T, C)` and N to weights `(N·T, C)`, or `(N·T, 1)` per frame."""


def _temporal_weights(attention: TemporalAttention) -> TemporalWeights:
    if isinstance(attention.shared, nn.Sequential):
        return _per_channel(attention.shared)
    assert isinstance(attention.shared, nn.Conv3d)
    return _per_frame(attention.shared)


def _per_channel(shared: nn.Sequential) -> TemporalWeights:
    down, _, up = shared
    assert isinstance(down, nn.Conv3d)
    assert isinstance(up, nn.Conv3d)
    into, back = down.weight.flatten(1), up.weight.flatten(1)

    def weights(average: torch.Tensor, maximum: torch.Tensor, n: int) -> torch.Tensor:
        hidden = functional.linear(torch.stack((average, maximum)), into, down.bias).relu_()
        return functional.linear(hidden, back, up.bias).amax(0).sigmoid_()

    return weights


def _per_frame(shared: nn.Conv3d) -> TemporalWeights:
    weight, bias = shared.weight.flatten(2), shared.bias

    def weights(average: torch.Tensor, maximum: torch.Tensor, n: int) -> torch.Tensor:
        t = len(average) // max(n, 1)
        pooled = torch.stack((average.mean(1), maximum.amax(1))).view(2 * n, 1, t)
        answers = functional.conv1d(pooled, weight, bias, padding=1)
        return answers.view(2, n * t, 1).amax(0).sigmoid_()

    return weights


def _pointwise(
    convolution: nn.Conv3d, norm: nn.BatchNorm3d, neuron: nn.Module
) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrix (in, out) and bias (out,) of a pointwise convolution with what follows it."""
    factor, summand = _of(norm, neuron)
    return (convolution.weight.flatten(1) * factor.view(-1, 1)).t().contiguous(), summand


def _of(norm: nn.Module, activation: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Factor and summand of a normalization, θ of the activation taken off."""
    assert isinstance(norm, nn.BatchNorm3d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    threshold = activation.threshold if isinstance(activation, SoftSpikingNeuron) else 0.0
    factor = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor - threshold


def _copied(weight: torch.Tensor) -> torch.Tensor:
    """In channels-last order."""
    return weight.clone(memory_format=torch.channels_last)
