"""What CS3D is made of: factorized convolution, pooling and attention.

Feature maps are float32 tensors `(N, C, T, H, W)`: batch, channels, time bins, rows, columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from cs3d_ros.network.checks import is_whole_number
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.neurons import SoftSpikingNeuron

if TYPE_CHECKING:
    from collections.abc import Callable

Triple = tuple[int, int, int]


def _depthwise(channels: int, kernel: Triple) -> nn.Conv3d:
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return nn.Conv3d(channels, channels, kernel, padding=padding, groups=channels, bias=False)


def _pointwise(in_channels: int, out_channels: int) -> nn.Conv3d:
    return nn.Conv3d(in_channels, out_channels, 1, bias=False)


def start_small(layer: nn.Module) -> None:
    """Give a last layer small random weights: its output starts near zero, whatever comes in."""
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=1e-3)


class FactorizedConv3d(nn.Module):
    """A 3×3×3 convolution split into time, space and channels (paper, section III-B).

        x ─ DW(3,1,1) ─ PW ─ BN ─ SSN ─ DW(1,3,3) ─ PW ─ BN ─ (+ shortcut) ─ SSN

    DW is a depthwise and PW a 1×1×1 convolution. The shortcut is the input itself, or a 1×1×1
    convolution without normalization where the number of channels changes. No convolution has a
    bias; each but the shortcut leads to a normalization, which has one.

    Shapes: `(N, in_channels, T, H, W)` to `(N, out_channels, T, H, W)`.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        neuron: Makes one neuron; called twice.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        neuron: Callable[[], nn.Module] = SoftSpikingNeuron,
    ) -> None:
        super().__init__()
        self.temporal_depthwise = _depthwise(in_channels, (3, 1, 1))
        self.temporal_pointwise = _pointwise(in_channels, out_channels)
        self.temporal_norm = nn.BatchNorm3d(out_channels)
        self.temporal_neuron = neuron()
        self.spatial_depthwise = _depthwise(out_channels, (1, 3, 3))
        self.spatial_pointwise = _pointwise(out_channels, out_channels)
        self.spatial_norm = nn.BatchNorm3d(out_channels)
        self.spatial_neuron = neuron()
        self.shortcut: nn.Module = (
            nn.Identity() if in_channels == out_channels else _pointwise(in_channels, out_channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Convolve along time, then along space, and add the shortcut."""
        y = self.temporal_norm(self.temporal_pointwise(self.temporal_depthwise(x)))
        y = self.temporal_neuron(y)
        y = self.spatial_norm(self.spatial_pointwise(self.spatial_depthwise(y)))
        return self.spatial_neuron(y + self.shortcut(x))


class MultiPool3d(nn.Module):
    """The mean of average and maximum pooling over the same cells.

    The paper names a "Multi-Pool layer" (section III) without defining it. Padding counts in
    neither: the average of a cell at the border is over its true elements only.

    Args:
        kernel: Size of a cell along T, H and W, and the stride.
        padding: Padding on both sides of T, H and W.
    """

    def __init__(self, kernel: Triple, padding: Triple = (0, 0, 0)) -> None:
        super().__init__()
        self.average = average_pool(kernel, padding)
        self.maximum = max_pool(kernel, padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool `(N, C, T, H, W)` to cells."""
        return 0.5 * (self.average(x) + self.maximum(x))


def max_pool(kernel: Triple, padding: Triple = (0, 0, 0)) -> nn.Module:
    """Return maximum pooling over the cells of a `MultiPool3d`."""
    return nn.MaxPool3d(kernel, padding=padding)


def average_pool(kernel: Triple, padding: Triple = (0, 0, 0)) -> nn.Module:
    """Return average pooling over the cells of a `MultiPool3d`; padding does not count."""
    return nn.AvgPool3d(kernel, padding=padding, count_include_pad=False)


POOLING: dict[str, Callable[[Triple, Triple], nn.Module]] = {
    "multi": MultiPool3d,
    "max": max_pool,
    "average": average_pool,
}
"""The kinds of pools by name."""


class TemporalAttention(nn.Module):
    """Weights from global pooling that emphasize key frames: `F + W ⊙ F` (Algorithm 1).

    The average and the maximum over space pass through a shared convolution; the larger of the
    two, through a sigmoid, is the weight. It starts near 1/2, where the sigmoid can learn. The
    paper's prose can be read in two ways:

    - `per_channel`: pooled to `(N, C, T, 1, 1)`, two 1×1×1 convolutions C → C/r → C; one weight
      per channel and frame.
    - `per_frame`: pooled over channels too, `(N, 1, T, 1, 1)`, one convolution of three bins along
      T; one weight per frame.

    Args:
        channels: C of the feature map.
        kind: `per_channel` or `per_frame`.
        reduction: r of `per_channel`, from 1 to C; squeeze-and-excitation's 16 by default.
            `per_frame` does not use it.

    Raises:
        NetworkError: If the kind is unknown or the reduction leaves no channel.
    """

    KINDS = ("per_channel", "per_frame")

    def __init__(self, channels: int, kind: str = "per_channel", reduction: int = 16) -> None:
        super().__init__()
        self.check(channels, kind, reduction)
        self.shared: nn.Module
        if kind == "per_channel":
            self.pooled_axes: tuple[int, ...] = (3, 4)
            self.shared = nn.Sequential(
                nn.Conv3d(channels, channels // reduction, 1),
                nn.ReLU(),
                nn.Conv3d(channels // reduction, channels, 1),
            )
            start_small(self.shared[-1])
        else:
            self.pooled_axes = (1, 3, 4)
            self.shared = nn.Conv3d(1, 1, (3, 1, 1), padding=(1, 0, 0))
            start_small(self.shared)

    @classmethod
    def check(cls, channels: int, kind: str, reduction: int) -> None:
        """Make sure that there is such an attention.

        Raises:
            NetworkError: As the class.
        """
        if not isinstance(kind, str) or kind not in cls.KINDS:
            raise NetworkError(
                f"unknown temporal attention {kind!r}; choose one of {', '.join(cls.KINDS)}"
            )
        if not is_whole_number(reduction, 1, channels):
            raise NetworkError(
                f"the attention's reduction is {reduction!r}; give a whole number from 1 to the "
                f"number of channels, {channels}"
            )

    @property
    def is_per_channel(self) -> bool:
        """Whether each channel has weights of its own."""
        return 1 not in self.pooled_axes

    def weights(self, features: torch.Tensor) -> torch.Tensor:
        """Return the weights in (0, 1): `(N, C, T, 1, 1)`, or `(N, 1, T, 1, 1)` per frame."""
        average = self.shared(features.mean(self.pooled_axes, keepdim=True))
        maximum = self.shared(features.amax(self.pooled_axes, keepdim=True))
        return torch.sigmoid(torch.maximum(average, maximum))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `F + W ⊙ F`."""
        return features * (1 + self.weights(features))


class SpatialAttention(nn.Module):
    """Weights from pooling over channels that emphasize regions: `F + W ⊙ F` (Algorithm 2).

    The average and the maximum over channels, `(N, 2, T, H, W)`, pass through one convolution
    2 → 1 of kernel (1, 7, 7) and a sigmoid. The weights start near 1/2.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(2, 1, (1, 7, 7), padding=(0, 3, 3))
        start_small(self.convolution)

    def weights(self, features: torch.Tensor) -> torch.Tensor:
        """Return the weights in (0, 1): `(N, 1, T, H, W)`."""
        pooled = torch.cat((features.mean(1, keepdim=True), features.amax(1, keepdim=True)), dim=1)
        return torch.sigmoid(self.convolution(pooled))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `F + W ⊙ F`."""
        return features * (1 + self.weights(features))


class JointAttention(nn.Module):
    """Temporal before spatial attention, with a residual: `SA(TA(F)) + F` (paper, Eq. 3).

    The sum is divided by `GAIN`, so that features keep their size while all weights are near 1/2.
    Without that they grow by this factor from stage to stage, past what normalization holds in
    check: the shortcuts outweigh all else, and training hardly begins.

    Args:
        channels: C of the feature map.
        temporal: Kind of `TemporalAttention`.
        reduction: Reduction of `TemporalAttention`.
    """

    GAIN = 1.5 * 1.5 + 1
    """What weights of 1/2 make of 1."""

    def __init__(self, channels: int, temporal: str = "per_channel", reduction: int = 16) -> None:
        super().__init__()
        self.temporal = TemporalAttention(channels, temporal, reduction)
        self.spatial = SpatialAttention()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return `(SA(TA(F)) + F) / GAIN`, of the shape of F."""
        joint: torch.Tensor = self.spatial(self.temporal(features)) + features
        return joint.mul_(1 / self.GAIN)
