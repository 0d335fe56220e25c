"""A network in three parts: two that go through a window frame by frame, and the rest.

Time is pooled for the first time after the second stage. Up to there a frame, that is the features
of one time bin, depends on the frame before it, on itself and on the next one alone. So the frames
of the first two stages, which hold most of the work, need not be computed again where an earlier
window had them in common (`cs3d_ros.network.reuse`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from cs3d_ros.network.blocks import FactorizedConv3d, JointAttention
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.folded import Attention, Factorized, Full, Pool, folded
from cs3d_ros.network.fused_products import fastest_block
from cs3d_ros.network.specification import Network
from cs3d_ros.network.stages import FiveStageNetwork

Maps = tuple[torch.Tensor, ...]


class FramePart(nn.Module):
    """A stage of a network up to where time is pooled; made by `frame_parts`.

    It takes F frames and their neighbours, which need not be those of one window: each frame is
    computed for itself. Feature maps are float32 and lie in memory in the order of their axes.
    """

    def __init__(
        self, convolution: nn.Module, pool: nn.Module, attention: nn.Module | None, fused: bool
    ) -> None:
        super().__init__()
        self._on_frames: nn.Module
        self._whole: Factorized | Full
        if isinstance(convolution, FactorizedConv3d):
            self._whole = fastest_block(convolution) if fused else Factorized(convolution)
            self._on_frames = _FactorizedFrames(self._whole)
        else:
            self._whole = Full(convolution)
            self._on_frames = _FullFrames(self._whole)
        self._pool = Pool(pool)
        self._attention = None if attention is None else Attention(attention)

    def forward(self, before: torch.Tensor, frames: torch.Tensor, following: torch.Tensor) -> Maps:
        """Compute F frames.

        Args:
            before: `(F, H, W, C)`, the frame before each; zeros before the first of a window.
            frames: `(F, H, W, C)`.
            following: `(F, H, W, C)`, the frame after each; zeros after the last of a window.

        Returns:
            Maps `(F, H/2, W/2, out_channels)`. Where the pool of this stage pools time as well,
            which is left to the next part, there are two for a pool of averages and maxima: its
            average and its maximum in space. Otherwise there is one.
        """
        # A window of one frame each.
        maps = self._after(self._on_frames(before, frames, following).unsqueeze(1))
        return tuple(y.squeeze(1) for y in maps)

    def whole(self, x: torch.Tensor) -> Maps:
        """Compute all frames of windows `(N, T, H, W, C)`: to maps with the same two first axes."""
        return self._after(self._whole(x))

    def _after(self, x: torch.Tensor) -> Maps:
        n, t = x.shape[:2]
        pooled = [y.unflatten(0, (n, t)) for y in self._pool.in_space(x.flatten(0, 1))]
        if self._pool.bins > 1:
            return tuple(pooled)
        x = self._pool.in_time(pooled)
        return (x if self._attention is None else self._attention(x),)


class Rest(nn.Module):
    """A network from where its second stage pools time; made by `frame_parts`."""

    def __init__(self, pool: nn.Module, others: list[nn.Module], classifier: nn.Module) -> None:
        super().__init__()
        self._pool = Pool(pool)
        self._steps = nn.Sequential(*(folded(module) for module in others))
        self._classifier = classifier

    def forward(self, *maps: torch.Tensor) -> torch.Tensor:
        """Return the logits `(N, num_classes)`.

        Args:
            maps: Those of stage 2, `(N, 16, H, W, C)`.
        """
        x = self._steps(self._pool.in_time(list(maps)))
        logits: torch.Tensor = self._classifier(x.permute(0, 4, 1, 2, 3))
        return logits


@dataclass(frozen=True)
class FrameParts:
    """A network in evaluation, on a CPU, in three modules. The weights are copies.

    Attributes:
        first: Stage 1, with its pool and its attention; takes windows.
        second: Stage 2, with its pool in space; takes the map of `first`.
        rest: All else; takes the maps of `second`.
    """

    first: FramePart
    second: FramePart
    rest: Rest


def frame_parts(network: Network, fused: bool = False) -> FrameParts | None:
    """Return the parts of a network, or None where it has none.

    It has none where it is not made of five stages, or where the attention of its first stage looks
    at several frames (`per_frame`).

    Args:
        network: On the CPU, in evaluation mode.
        fused: Whether factorized blocks may use operators that torch alone has: they are faster,
            and cannot be exported.

    Raises:
        NetworkError: It is in training mode.
    """
    if network.training:
        raise NetworkError("a network in training mode has no frame parts; call eval() on it first")
    if not isinstance(network, FiveStageNetwork):
        return None
    first, second, *others = (list(stage.children()) for stage in network.stages)
    attention = first[2] if len(first) > 2 else None
    if isinstance(attention, JointAttention) and len(attention.temporal.pooled_axes) > 2:
        return None
    convolution, pool = second[:2]
    following = [*second[2:], *(module for stage in others for module in stage)]
    with torch.no_grad():
        return FrameParts(
            FramePart(first[0], first[1], attention, fused).eval(),
            FramePart(convolution, pool, None, fused).eval(),
            Rest(pool, following, network.classifier).eval(),
        )


class _FactorizedFrames(nn.Module):
    """A `FactorizedConv3d` on frames and their neighbours."""

    # Rows of fewer channels are too short for elementwise work.
    FEW_CHANNELS = 16

    def __init__(self, block: Factorized) -> None:
        super().__init__()
        self._block = block
        # (3, C)
        self._in_time = block.in_time.flatten(1).t().contiguous()
        self._joint: torch.Tensor | None = None
        if self._in_time.shape[1] <= self.FEW_CHANNELS:
            # Both convolutions before the first ReLU as one product.
            self._joint = (self._in_time.unsqueeze(2) * block.first).flatten(0, 1)

    def forward(
        self, before: torch.Tensor, frames: torch.Tensor, following: torch.Tensor
    ) -> torch.Tensor:
        f, h, w, c = frames.shape
        if self._joint is not None:
            y = torch.cat((before, frames, following), 3).view(f * h * w, 3 * c)
            y = self._block.first_product(y, self._joint)
        else:
            y = before * self._in_time[0]
            y.addcmul_(frames, self._in_time[1]).addcmul_(following, self._in_time[2])
            y = self._block.first_product(y.view(f * h * w, c), self._block.first)
        return self._block.after_first(y.view(f, h, w, y.shape[1]), frames)


class _FullFrames(nn.Module):
    """A full convolution, as one in two dimensions with the channels of three frames."""

    def __init__(self, full: Full) -> None:
        super().__init__()
        weight = full.weight.transpose(1, 2).flatten(1, 2)
        self._weight = weight.contiguous(memory_format=torch.channels_last)
        self._bias = full.bias

    def forward(
        self, before: torch.Tensor, frames: torch.Tensor, following: torch.Tensor
    ) -> torch.Tensor:
        x = torch.cat((before, frames, following), 3).permute(0, 3, 1, 2)
        y = functional.conv2d(x, self._weight, self._bias, padding=1)
        return y.relu_().permute(0, 2, 3, 1).contiguous()
