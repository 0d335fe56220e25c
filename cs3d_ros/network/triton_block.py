"""A factorized block for a GPU, by the kernels of `triton_kernels`.

Not yet measured on a GPU: which of the two ways is the faster one for a number of channels, and
with which sizes, is set by what fits there (see `Tiling`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from cs3d_ros.errors import Cs3dError
from cs3d_ros.extras import load_extra
from cs3d_ros.network.blocks import FactorizedConv3d
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.folded import _pointwise

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
"""What the kernels take; they add up in float32."""

PRODUCTS = ("ieee", "tf32", "tf32x3")
"""How matrices of float32 are multiplied: exactly, in TF32, or in three products of TF32."""

FUSED_CHANNELS = 256
"""The most channels that one program adds up for a tile: with more, registers do not suffice."""


def kernels() -> Any:
    """Return the module `triton_kernels`.

    Raises:
        NetworkError: Triton is not installed, or too old: the kernels need `tl.gather`, which is
            there from 3.2 on.
    """
    try:
        load_extra("triton", "deploy")
    except Cs3dError as error:
        raise NetworkError(str(error)) from error
    from cs3d_ros.network import triton_kernels

    if not hasattr(triton_kernels.tl, "gather"):
        raise NetworkError(
            f"triton {triton_kernels.triton.__version__} is too old for the fused kernel; "
            "install 3.2 or newer"
        )
    return triton_kernels


@dataclass(frozen=True)
class Tiling:
    """How `fused_block` cuts a picture.

    All output channels of a tile are added up in registers, of which a multiprocessor has 65536:
    for 256 pixels of 64 channels, 128 of 128 or 64 of 256. The pixel around a tile is computed
    with it, so that 1.31, 1.52 or 1.78 times the products are made that the picture needs.

    Attributes:
        rows: Rows of a tile with the pixel around it; a power of two.
        columns: Columns of the same.
    """

    rows: int
    columns: int

    def tiles(self, height: int, width: int) -> tuple[int, int]:
        """Tiles down and across a picture."""
        return math.ceil(height / (self.rows - 2)), math.ceil(width / (self.columns - 2))

    @staticmethod
    def of(channels: int, height: int, width: int) -> Tiling:
        """Return the one that computes the fewest pixels more than once or for nothing.

        Args:
            channels: Channels out.
            height: Rows of the picture.
            width: Columns of the picture.
        """
        largest = {64: 256, 128: 128, 256: 64}[_block(channels, FUSED_CHANNELS, smallest=64)]

        def computed(one: Tiling) -> int:
            return math.prod(one.tiles(height, width)) * one.rows * one.columns

        return min((one for one in _TILINGS if one.rows * one.columns <= largest), key=computed)


_TILINGS = (Tiling(16, 16), Tiling(8, 16), Tiling(16, 8), Tiling(8, 8))


class TritonBlock(nn.Module):
    """A `FactorizedConv3d` in evaluation: maps `(N, T, H, W, C)` to `(N, T, H, W, D)`.

    Its weights are copies. Its matrices are of the dtype, as the maps are; all else is float32.

    Args:
        block: In evaluation mode, float32; on the device where the maps will be.
        dtype: One of `DTYPES`.
        product: One of `PRODUCTS`; without effect on the half precisions.
        is_fused: Whether one kernel does it all; by default up to `FUSED_CHANNELS`.

    Raises:
        NetworkError: The kernels are not available, an argument has no such value, or the block
            has more channels than one kernel can do.
    """

    def __init__(
        self,
        block: FactorizedConv3d,
        dtype: torch.dtype = torch.float32,
        product: str = "ieee",
        is_fused: bool | None = None,
    ) -> None:
        super().__init__()
        if dtype not in DTYPES:
            raise NetworkError(
                f"the kernels do not take {dtype}; choose one of {', '.join(map(str, DTYPES))}"
            )
        if product not in PRODUCTS:
            raise NetworkError(f"unknown product {product!r}; choose one of {', '.join(PRODUCTS)}")
        self._kernels = kernels()
        self._product = product
        with torch.no_grad():
            first, first_bias = _pointwise(
                block.temporal_pointwise, block.temporal_norm, block.temporal_neuron
            )
            second, second_bias = _pointwise(
                block.spatial_pointwise, block.spatial_norm, block.spatial_neuron
            )
            # The tap comes first, so that the channels of one lie together.
            self._in_time = block.temporal_depthwise.weight.flatten(1).t().contiguous()
            self._in_space = block.spatial_depthwise.weight.flatten(1).t().contiguous()
            self._first, self._first_bias = first.to(dtype), first_bias
            self._second, self._second_bias = second.to(dtype), second_bias
            shortcut = block.shortcut
            self._has_matrix = isinstance(shortcut, nn.Conv3d)
            self._shortcut = (
                shortcut.weight.flatten(1).t().to(dtype).contiguous()
                if isinstance(shortcut, nn.Conv3d)
                else self._second
            )
        self.channels = tuple(self._first.shape)
        self.is_fused = self.channels[1] <= FUSED_CHANNELS if is_fused is None else is_fused
        if self.is_fused and self.channels[1] > FUSED_CHANNELS:
            raise NetworkError(
                f"one kernel makes at most {FUSED_CHANNELS} channels, this block has "
                f"{self.channels[1]}; use two kernels"
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Compute the block.

        Args:
            x: `(N, T, H, W, C)`, of the dtype, on the device of the weights; N may be 0.

        Raises:
            NetworkError: It has another dtype or number of channels.
        """
        channels_in, channels_out = self.channels
        if x.dtype != self._first.dtype or x.ndim != 5 or x.shape[-1] != channels_in:
            raise NetworkError(
                f"the block takes (N, T, H, W, {channels_in}) of {self._first.dtype}; given "
                f"{tuple(x.shape)} of {x.dtype}"
            )
        x = x.contiguous()
        out = x.new_empty((*x.shape[:-1], channels_out))
        if out.numel():
            (self._one_kernel if self.is_fused else self._two_kernels)(x, out)
        return out

    def _one_kernel(self, x: torch.Tensor, out: torch.Tensor) -> None:
        (n, t, h, w, _), (c, d) = x.shape, self.channels
        tiling = Tiling.of(d, h, w)
        down, across = tiling.tiles(h, w)
        self._kernels.fused_block[(n * t * down * across,)](
            x, self._in_time, self._first, self._first_bias, self._in_space, self._second,
            self._second_bias, self._shortcut, out, t, h, w, down, across,
            C=c, D=d, ROWS=tiling.rows, COLUMNS=tiling.columns, BLOCK_C=_block(c, 32),
            BLOCK_K=_block(d, 16 if d <= 64 else 32), BLOCK_D=_block(d, FUSED_CHANNELS),
            HAS_MATRIX=self._has_matrix, PRECISION=self._product, num_warps=8, num_stages=1,
        )  # fmt: skip

    def _two_kernels(self, x: torch.Tensor, out: torch.Tensor) -> None:
        (n, t, h, w, _), (c, d) = x.shape, self.channels
        pixels = n * t * h * w
        # Few pixels are left where there are many channels: small blocks make more programs.
        block_p, block_d = 32 if pixels < 8192 else 64, _block(d, 64)
        grid = (math.ceil(pixels / block_p), math.ceil(d / block_d))
        between = torch.empty_like(out)
        self._kernels.first_half[grid](
            x, self._in_time, self._first, self._first_bias, between, pixels, t, h * w,
            C=c, D=d, BLOCK_P=block_p, BLOCK_C=_block(c, 32), BLOCK_D=block_d,
            PRECISION=self._product, num_warps=4, num_stages=3,
        )  # fmt: skip
        self._kernels.second_half[grid](
            x, between, self._in_space, self._second, self._second_bias, self._shortcut, out,
            pixels, h, w, C=c, D=d, BLOCK_P=block_p, BLOCK_C=_block(max(c, d), 32),
            BLOCK_D=block_d, HAS_MATRIX=self._has_matrix, PRECISION=self._product, num_warps=4,
            num_stages=3,
        )  # fmt: skip


def _block(channels: int, largest: int, smallest: int = 16) -> int:
    """The power of two from this number of channels on, between these limits."""
    return min(max(smallest, 1 << (channels - 1).bit_length()), largest)
