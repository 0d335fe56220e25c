"""Networks and windows to compare ways of execution with."""

import pytest
import torch
from torch import nn

from cs3d_ros.network import build, stages
from cs3d_ros.network.specification import Network

BINS = 16
FIVE_STAGES = ("c3d", "c3d+ssn", "c3d+factorized", "c3d+attention", "cs3d")
OPTIONS = [
    {"threshold": 0.0},
    {"threshold": 1.0, "surrogate": "sigmoid_derivative", "steepness": 10.0},
    {"temporal_attention": "per_frame"},
    {"temporal_attention": "per_frame", "attention_place": "last"},
    {"attention_place": "none", "pool": "max"},
    {"pool": "average", "reduction": 4},
    {"classifier": "map"},
    {"classifier": "mlp"},
    {"in_channels": 2},
]


def trained(name: str, narrow: bool = False, **options: object) -> Network:
    """A network whose normalizations and biases are not those it begins with, in evaluation.

    A narrow one has a quarter of the channels and hidden layers of 32 units: with all of them, C3D
    has 240 MB.
    """
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        if narrow:
            channels = tuple(channels // 4 for channels in stages.CHANNELS)
            patch.setattr(stages, "CHANNELS", channels)
            patch.setattr(stages, "_LAST_VALUES", channels[-1] * 16)
            patch.setattr(stages, "HIDDEN", 32)
        network = build(name, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.2, 3.0)
    for parameter in network.parameters():
        if parameter.ndim == 1 or parameter.std() < 2e-3:
            parameter.data.add_(torch.randn(parameter.shape).mul_(0.05))
    return network.eval()


def windows(n: int, channels: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    dense = torch.randn(n, channels, 16, size, size, generator=generator)
    return dense * (torch.rand(dense.shape, generator=generator) < 0.2)


class Stream:
    """Windows of an endless stream of random bins."""

    def __init__(self, channels: int = 3, size: int = 32) -> None:
        self._generator = torch.Generator().manual_seed(2)
        self._shape = (1, channels, BINS, size, size)
        self.window = self._bins()

    def later(self, shift: int | None) -> torch.Tensor:
        """The window that is `shift` bins later; one with nothing in common for None."""
        if shift is None or not 0 <= shift < BINS:
            self.window = self._bins()
        elif shift:
            self.window = torch.cat((self.window, self._bins()[:, :, :shift]), 2)[:, :, shift:]
        return self.window

    def _bins(self) -> torch.Tensor:
        dense = torch.randn(self._shape, generator=self._generator)
        return dense * (torch.rand(dense.shape, generator=self._generator) < 0.2)


def assert_alike(found: torch.Tensor, expected: torch.Tensor) -> None:
    # Answers that are all alike would be right by chance.
    assert expected.std() > 1e-3
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()
