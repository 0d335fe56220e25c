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
                *(_folded(module) for stage in network.stages for module in stage.children())
            )
        self.classifier = network.classifier
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.steps(x.permute(0, 2, 3, 4, 1).contiguous())
        logits: torch.Tensor = self.classifier(x.permute(0, 4, 1, 2, 3))
        return logits


def _folded(module: nn.Module) -> nn.Module:
    if isinstance(module, FactorizedConv3d):
        return _Factorized(module)
    if isinstance(module, JointAttention):
        return _Attention(module)
    if isinstance(module, (MultiPool3d, nn.MaxPool3d, nn.AvgPool3d)):
        return _Pool(module)
    return _Full(module)


class _Factorized(nn.Module):
    """A `FactorizedConv3d`."""

    def __init__(self, block: FactorizedConv3d) -> None:
        super().__init__()
        # (C, 1, 3, 1): pictures whose rows are time bins.
        self._in_time = _copied(block.temporal_depthwise.weight.squeeze(3))
        self._first, self._first_bias = _pointwise(
            block.temporal_pointwise, block.temporal_norm, block.temporal_neuron
        )
        self._in_space = _copied(block.spatial_depthwise.weight.squeeze(2))
        self._second, self._second_bias = _pointwise(
            block.spatial_pointwise, block.spatial_norm, block.spatial_neuron
        )
        shortcut = block.shortcut
        self._shortcut = (
            shortcut.weight.flatten(1).t().contiguous() if isinstance(shortcut, nn.Conv3d) else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, h, w, c = x.shape
        d = len(self._second_bias)
        # All sizes are given: an empty batch has no way to tell one that is left out.
        y = x.view(n, t, h * w, c).permute(0, 3, 1, 2)
        y = functional.conv2d(y, self._in_time, padding=(1, 0), groups=c)
        y = y.permute(0, 2, 3, 1).reshape(n * t * h * w, c)
        y = torch.addmm(self._first_bias, y, self._first).relu_()
        y = y.view(n * t, h, w, d).permute(0, 3, 1, 2)
        y = functional.conv2d(y, self._in_space, padding=1, groups=d)
        y = y.permute(0, 2, 3, 1).reshape(n * t * h * w, d)
        y = torch.addmm(self._second_bias, y, self._second)
        x = x.view(n * t * h * w, c)
        if self._shortcut is None:
            y += x
        else:
            y.addmm_(x, self._shortcut)
        return y.relu_().view(n, t, h, w, d)


class _Full(nn.Module):
    """A full convolution with its normalization and activation."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        convolution, norm, activation = module.children()
        assert isinstance(convolution, nn.Conv3d)
        factor, summand = _of(norm, activation)
        weight = convolution.weight * factor.view(-1, 1, 1, 1, 1)
        self._weight = weight.contiguous(memory_format=torch.channels_last_3d)
        assert convolution.bias is not None
        self._bias = convolution.bias * factor + summand

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.conv3d(x.permute(0, 4, 1, 2, 3), self._weight, self._bias, padding=1)
        return y.relu_().permute(0, 2, 3, 4, 1).contiguous()


class _Pool(nn.Module):
    """Maximum, average, or the mean of both."""

    def __init__(self, pool: MultiPool3d | nn.MaxPool3d | nn.AvgPool3d) -> None:
        super().__init__()
        self._averages = not isinstance(pool, nn.MaxPool3d)
        self._maximizes = not isinstance(pool, nn.AvgPool3d)
        one = pool.average if isinstance(pool, MultiPool3d) else pool
        kernel, padding = one.kernel_size, one.padding
        assert isinstance(kernel, tuple)
        assert isinstance(padding, tuple)
        self._bins, self._kernel, self._padding = kernel[0], kernel[1:], padding[1:]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        average = self._average(x) if self._averages else None
        maximum = self._maximum(x) if self._maximizes else None
        if average is None or maximum is None:
            both = average if maximum is None else maximum
            assert both is not None
            return both.contiguous()
        return average.add_(maximum).mul_(0.5)

    def _average(self, x: torch.Tensor) -> torch.Tensor:
        # In space, then along time: padding counts in neither, and all bins weigh the same.
        y = functional.avg_pool2d(
            _pictures(x), self._kernel, padding=self._padding, count_include_pad=False
        )
        return self._bins_of(y, x).mean(2)

    def _maximum(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.max_pool2d(_pictures(x), self._kernel, padding=self._padding)
        return self._bins_of(y, x).amax(2)

    def _bins_of(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Pictures as `(N, T / bins, bins, H, W, C)`."""
        n, t = x.shape[:2]
        return y.permute(0, 2, 3, 1).unflatten(0, (n, t // self._bins, self._bins))


class _Attention(nn.Module):
    """A `JointAttention`."""

    def __init__(self, attention: JointAttention) -> None:
        super().__init__()
        # Not a module: it is never moved or saved.
        self._temporal = _temporal_weights(attention.temporal)
        convolution = attention.spatial.convolution
        self._weight = _copied(convolution.weight.squeeze(2))
        assert convolution.bias is not None
        self._bias = convolution.bias.clone()
        self._gain = attention.GAIN

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, h, w, c = x.shape
        x = x.view(n * t, h * w, c)
        y = x * self._temporal(x.mean(1), x.amax(1), n).add_(1).unsqueeze(1)
        pooled = torch.stack((y.mean(2), y.amax(2)), dim=1).view(n * t, 2, h, w)
        weights = functional.conv2d(pooled, self._weight, self._bias, padding=3).sigmoid_()
        weights = weights.add_(1).div_(self._gain).view(n * t, h * w, 1)
        # (y·(1 + W) + x) / gain
        return x.div(self._gain).addcmul_(y, weights).view(n, t, h, w, c)


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


def _pictures(x: torch.Tensor) -> torch.Tensor:
    """`(N, T, H, W, C)` as `(N·T, C, H, W)`, without a copy."""
    return x.flatten(0, 1).permute(0, 3, 1, 2)
