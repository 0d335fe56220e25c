"""Factorized blocks whose products add bias and shortcut and apply the ReLU as they write.

torch has such operators for its compiler, in oneDNN's library for CPUs. They are no public
interface, so that each block is tried before it is used.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from cs3d_ros.network.blocks import FactorizedConv3d
from cs3d_ros.network.folded import Factorized

_ALIKE = 1e-5


class FusedFactorized(Factorized):
    """A `Factorized` that computes the same in fewer passes over memory, for float32."""

    def __init__(self, block: FactorizedConv3d) -> None:
        super().__init__(block)
        weight = self.second.t()[:, :, None, None]
        self._second_kernel = weight.contiguous(memory_format=torch.channels_last)

    def first_product(self, rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """See `Factorized.first_product`."""
        if not len(rows):
            return super().first_product(rows, matrix)
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, matrix.t(), self.first_bias, "relu", [], ""
        )
        return product

    def after_first(self, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """See `Factorized.after_first`."""
        f, h, w, d = y.shape
        if not f or self.shortcut is None:
            return super().after_first(y, x)
        y = functional.conv2d(y.permute(0, 3, 1, 2), self.in_space, padding=1, groups=d)
        total = torch.mm(x.reshape(f * h * w, x.shape[3]), self.shortcut)
        total = torch.ops.mkldnn._convolution_pointwise_.binary(
            total.view(f, h, w, d).permute(0, 3, 1, 2),
            y,
            self._second_kernel,
            self.second_bias,
            [0, 0],
            [1, 1],
            [1, 1],
            1,
            "add",
            1.0,
            "relu",
            [],
            "",
        )
        return total.permute(0, 2, 3, 1)


def fastest_block(block: FactorizedConv3d) -> Factorized:
    """Return the fused form of a block where torch has it and it is right, or the plain one."""
    plain = Factorized(block)
    x = torch.linspace(-1, 1, 2 * 4 * 4 * block.temporal_depthwise.in_channels)
    x = x.view(1, 2, 4, 4, block.temporal_depthwise.in_channels)
    try:
        with torch.inference_mode():
            fused = FusedFactorized(block)
            expected, found = plain(x), fused(x)
    except (AttributeError, RuntimeError):
        return plain
    # Written so that NaN fails.
    alike = bool((found - expected).abs().max() <= _ALIKE * expected.abs().max())
    return fused if alike and found.is_contiguous() else plain
