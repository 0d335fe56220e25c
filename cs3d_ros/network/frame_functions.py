"""What stands between the convolutions of the frame form, as functions that torch can train.

Each reads and writes a map as few times as can be (`cs3d_ros.network.frame_kernels`). Maps are
`(N, C, T, H, W)` with the channels last in memory, float32 or float64, on a CPU. A window is
worked on by one thread, as many windows at a time as torch has threads; results do not depend on
how many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import nn

from cs3d_ros.network import frame_kernels as kernels
from cs3d_ros.network.blocks import JointAttention, MultiPool3d
from cs3d_ros.network.neurons import SoftSpikingNeuron

_DERIVATIVE = "sigmoid_derivative"


def normalize_and_fire(
    norm: nn.BatchNorm3d,
    neuron: nn.Module,
    y: torch.Tensor,
    residual: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return `neuron(norm(y) + residual)`; in training the statistics of `norm` move."""
    assert isinstance(neuron, SoftSpikingNeuron)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if norm.training:
        mean, variance = _statistics(y)
        count = y.numel() // y.shape[1]
        assert norm.momentum is not None
        assert norm.num_batches_tracked is not None
        with torch.no_grad():
            norm.num_batches_tracked.add_(1)
            norm.running_mean.lerp_(mean.to(y.dtype), norm.momentum)
            unbiased = variance * (count / max(count - 1, 1))
            norm.running_var.lerp_(unbiased.to(y.dtype), norm.momentum)
    else:
        mean, variance = norm.running_mean.double(), norm.running_var.double()
    deviation = (variance + norm.eps).sqrt()
    out: torch.Tensor = _NormalizeAndFire.apply(
        y, residual, norm.weight, norm.bias, mean, deviation, neuron, norm.training
    )
    return out


def multi_pool(pool: MultiPool3d, x: torch.Tensor) -> torch.Tensor:
    """Return `pool(x)`."""
    out: torch.Tensor = _MultiPool.apply(x, pool.average.kernel_size, pool.average.padding)
    return out


def attend(attention: JointAttention, x: torch.Tensor) -> torch.Tensor:
    """Return `attention(x)`; its temporal attention has a weight for each channel and frame."""
    average, maximum = _PoolSpace.apply(x)
    shared = attention.temporal.shared
    temporal = 1 + torch.sigmoid(torch.maximum(shared(average), shared(maximum)))
    pooled = _PoolChannels.apply(x, temporal)
    spatial = 1 + torch.sigmoid(attention.spatial.convolution(pooled))
    out: torch.Tensor = _Weigh.apply(x, temporal, spatial, 1 / attention.GAIN)
    return out


def _statistics(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance of each channel, float64."""
    rows = _rows(y)
    sums = np.zeros((2, len(rows), y.shape[1]))
    _each(len(rows), lambda n: kernels.moments(rows[n], sums[0, n], sums[1, n]))
    mean, square = torch.from_numpy(sums.sum(1) / (rows.shape[0] * rows.shape[1]))
    return mean, (square - mean * mean).clamp_min_(0)


class _NormalizeAndFire(torch.autograd.Function):
    """`max(0, weight·(y − mean)/deviation + bias − θ + residual)`."""

    @staticmethod
    def forward(
        ctx: Any,
        y: torch.Tensor,
        residual: torch.Tensor | None,
        weight: torch.Tensor,
        bias: torch.Tensor,
        mean: torch.Tensor,
        deviation: torch.Tensor,
        neuron: SoftSpikingNeuron,
        moves: bool,
    ) -> torch.Tensor:
        scale = weight.double() / deviation
        shift = bias.double() - neuron.threshold - mean * scale
        ctx.save_for_backward(y, residual, mean, deviation, scale, shift)
        ctx.neuron, ctx.moves = neuron, moves
        out = _map_like(y)
        rows, residuals, outs = _rows(y), _rows_or_none(residual), _rows(out)
        a, b = _numbers(scale, y), _numbers(shift, y)
        _each(len(y), lambda n: kernels.fire(rows[n], _of(residuals, n), a, b, outs[n]))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        y, residual, mean, deviation, scale, shift = ctx.saved_tensors
        neuron = ctx.neuron
        by_z = _map_like(y)
        rows, residuals, outs = _rows(y), _rows_or_none(residual), _rows(by_z)
        given = _rows(gradients[0])
        sums = np.zeros((2, len(rows), y.shape[1]))
        a, b = _numbers(scale, y), _numbers(shift, y)
        steepness, is_derivative = np.float32(neuron.steepness), neuron.surrogate == _DERIVATIVE

        def of_window(n: int) -> None:
            kernels.fire_backward(
                rows[n], _of(residuals, n), a, b, steepness, is_derivative,
                given[n], outs[n], sums[0, n], sums[1, n],
            )  # fmt: skip

        _each(len(y), of_window)
        by_bias, products = torch.from_numpy(sums.sum(1))
        by_weight = (products - mean * by_bias) / deviation
        # What the mean and the deviation, which follow y, take back.
        count = rows.shape[0] * rows.shape[1] if ctx.moves else np.inf
        of_y = -scale * by_weight / (deviation * count)
        constant = -scale * by_bias / count - of_y * mean
        by_y = by_z if residual is None else _map_like(y)
        a, b, c = (_numbers(v, y) for v in (scale, of_y, constant))
        targets = _rows(by_y)
        _each(len(y), lambda n: kernels.combine(outs[n], rows[n], a, b, c, targets[n]))
        return (
            by_y,
            None if residual is None else by_z,
            by_weight.to(y.dtype),
            by_bias.to(y.dtype),
            None, None, None, None,
        )  # fmt: skip


class _MultiPool(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, kernel: tuple[int, int, int], padding: tuple[int, int, int]
    ) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.cells = kernel, padding
        maps = _last(x)
        shape = [
            (size + 2 * p) // k for size, k, p in zip(maps.shape[1:4], kernel, padding, strict=True)
        ]
        out = _map_like(x, shape)
        outs = _last(out)
        _each(len(x), lambda n: kernels.multi_pool(maps[n], kernel, padding, outs[n]))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        kernel, padding = ctx.cells
        out = _map_like(x)
        maps, given, outs = _last(x), _last(gradients[0]), _last(out)
        _each(
            len(x),
            lambda n: kernels.multi_pool_backward(maps[n], kernel, padding, given[n], outs[n]),
        )
        return out, None, None


class _PoolSpace(torch.autograd.Function):
    """Mean and maximum of each frame and channel, `(N, C, T, 1, 1)` each."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = _pixels(x)
        n, t, _, c = maps.shape
        mean, top, ties = (x.new_empty(n, t, c) for _ in range(3))
        a, b, d = mean.numpy(), top.numpy(), ties.numpy()
        _each(n, lambda n: kernels.pool_space(maps[n], a[n], b[n], d[n]))
        ctx.save_for_backward(x, top, ties)
        return tuple(v.transpose(1, 2)[..., None, None] for v in (mean, top))  # type: ignore[return-value]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        x, top, ties = ctx.saved_tensors
        by_mean, by_top = (g.flatten(2).transpose(1, 2) for g in gradients)
        out = _map_like(x)
        maps, outs, tops = _pixels(x), _pixels(out), top.numpy()
        of_mean = (by_mean / maps.shape[2]).contiguous().numpy()
        of_top = (by_top / ties).contiguous().numpy()
        _each(
            len(x),
            lambda n: kernels.pool_space_backward(maps[n], tops[n], of_mean[n], of_top[n], outs[n]),
        )
        return out


class _PoolChannels(torch.autograd.Function):
    """Mean and maximum over the channels of `gain·x`, `(N, 2, T, H, W)`."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
        maps, gains = _pixels(x), _pixels(gain)[:, :, 0]
        n, t, p, _ = maps.shape
        out, ties = x.new_empty(n, 2, t, p), x.new_empty(n, t, p)
        a, b = out.numpy(), ties.numpy()
        _each(n, lambda n: kernels.pool_channels(maps[n], gains[n], a[n, 0], a[n, 1], b[n]))
        ctx.save_for_backward(x, gain, out, ties)
        return out.view(n, 2, t, *x.shape[3:])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, gain, pooled, ties = ctx.saved_tensors
        by_mean, by_top = gradients[0].flatten(3).unbind(1)
        out, by_gain = _map_like(x), _map_like(gain).zero_()
        maps, gains, outs = _pixels(x), _pixels(gain)[:, :, 0], _pixels(out)
        tops, gain_outs = pooled[:, 1].numpy(), _pixels(by_gain)[:, :, 0]
        of_mean = (by_mean / maps.shape[3]).contiguous().numpy()
        of_top = (by_top / ties).contiguous().numpy()

        def of_window(n: int) -> None:
            kernels.pool_channels_backward(
                maps[n], gains[n], tops[n], of_mean[n], of_top[n], outs[n], gain_outs[n]
            )

        _each(len(x), of_window)
        return out, by_gain


class _Weigh(torch.autograd.Function):
    """`scale·(temporal·spatial + 1)·x`."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, temporal: torch.Tensor, spatial: torch.Tensor, scale: float
    ) -> torch.Tensor:
        ctx.save_for_backward(x, temporal, spatial)
        ctx.scale = scale
        out = _map_like(x)
        maps, a, b, outs = _pixels(x), *_weights(temporal, spatial), _pixels(out)
        gain = maps.dtype.type(scale)
        _each(len(x), lambda n: kernels.weigh(maps[n], a[n], b[n], gain, outs[n]))
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, temporal, spatial = ctx.saved_tensors
        out, by_temporal, by_spatial = map(_map_like, (x, temporal, spatial))
        by_temporal.zero_()
        maps, given, outs = _pixels(x), _pixels(gradients[0]), _pixels(out)
        a, b = _weights(temporal, spatial)
        a_outs, b_outs = _weights(by_temporal, by_spatial)
        scale = maps.dtype.type(ctx.scale)

        def of_window(n: int) -> None:
            kernels.weigh_backward(
                maps[n], a[n], b[n], scale, given[n], outs[n], a_outs[n], b_outs[n]
            )

        _each(len(x), of_window)
        return out, by_temporal, by_spatial, None


def _each(windows: int, work: Callable[[int], None]) -> None:
    """Do the work of each window."""
    threads = min(torch.get_num_threads(), windows)
    if threads < 2:
        for n in range(windows):
            work(n)
    else:
        list(_pool(threads).map(work, range(windows)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="frames")


def _map_like(x: torch.Tensor, size: Sequence[int] | None = None) -> torch.Tensor:
    """A new map with the channels last in memory, of a size `(T, H, W)` where one is given."""
    n, c, *rest = x.shape
    return x.new_empty(n, *(size or rest), c).permute(0, 4, 1, 2, 3)


def _last(x: torch.Tensor) -> np.ndarray:
    """A map as `(N, T, H, W, C)`, in the same memory where the channels are last there."""
    values: np.ndarray = x.detach().permute(0, 2, 3, 4, 1).contiguous().numpy()
    return values


def _pixels(x: torch.Tensor) -> np.ndarray:
    """A map as `(N, T, P, C)`."""
    values = _last(x)
    return values.reshape(*values.shape[:2], -1, values.shape[4])


def _rows(x: torch.Tensor) -> np.ndarray:
    """A map as `(N, rows, C)`."""
    return _last(x).reshape(len(x), -1, x.shape[1])


def _rows_or_none(x: torch.Tensor | None) -> np.ndarray | None:
    return None if x is None else _rows(x)


def _of(maps: np.ndarray | None, n: int) -> np.ndarray | None:
    return None if maps is None else maps[n]


def _weights(temporal: torch.Tensor, spatial: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Weights `(N, C, T, 1, 1)` as `(N, T, C)`, and `(N, 1, T, H, W)` as `(N, T, P)`."""
    return _pixels(temporal)[:, :, 0], _pixels(spatial)[..., 0]


def _numbers(values: torch.Tensor, like: torch.Tensor) -> np.ndarray:
    numbers: np.ndarray = values.detach().to(like.dtype).numpy()
    return numbers
