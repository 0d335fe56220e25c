"""The same networks, tile by tile on a CPU: what is in between stays in the processor's cache.

A factorized block with its pool is one pass over the map: some rows at a time go through both
depthwise and both pointwise convolutions and are pooled, so that neither the map between the halves
nor the one before the pool, four times as large as what is left of it, is ever written to memory.
Frames do not depend on each other but for their neighbours in the block's input: they are shared
out to threads, and those that the window before had too are not computed again.

A window is one plan, which all threads go through together (`cs3d_ros.network.cpu_kernels.work`).
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import pairwise

import numpy as np
import torch
from torch import nn

from cs3d_ros.network import cpu_kernels as kernels
from cs3d_ros.network.blocks import FactorizedConv3d, JointAttention
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.folded import Attention, Factorized, Pool
from cs3d_ros.network.specification import Network
from cs3d_ros.network.stages import FiveStageNetwork, GlobalAveragePool

# Pixels of a tile at least: rows enough to use a panel of weights several times.
_PIXELS = 4 * kernels.ROWS
# Frames at either end that zero padding along time has a part in, after one and two stages.
_REACH = (1, 2)
# Frames that are computed at least where others are reused: 1 new one, and 1 at either end.
_FEWEST = 3


class TiledNetwork:
    """A network of factorized blocks in evaluation, for one window at a time.

    The weights are copies.

    Args:
        network: On the CPU, in evaluation mode, float32.
        input_shape: Of a window: channels, bins, rows, columns.
        threads: How many work at a window, the caller's among them.

    Raises:
        NetworkError: It is in training mode, or not `is_tileable`.
    """

    def __init__(
        self, network: Network, input_shape: tuple[int, int, int, int], threads: int
    ) -> None:
        if network.training:
            raise NetworkError(
                "a network in training mode cannot be tiled; call eval() on it first"
            )
        if not is_tileable(network):
            raise NetworkError(
                "the network is not made of five stages of factorized blocks with a multiple of "
                f"{kernels.COLUMNS} channels"
            )
        assert isinstance(network, FiveStageNetwork)
        self.input_shape = input_shape
        channels, bins, height, width = input_shape
        self._input = x = _Frames(bins, height, width, channels)
        self._turned = height * width, x.address
        self._stages: list[_Stage] = []
        with torch.no_grad():
            for modules in network.stages:
                stage = _Stage(list(modules.children()), x, threads)
                self._stages.append(stage)
                x = stage.y
            self._classify = _classifier(network.classifier)
        self._workers = _Workers(threads, max(stage.scratch_size for stage in self._stages))
        self._reuses = not self._stages[0].mixes_frames
        self._knows = False

    def __call__(self, window: np.ndarray, shift: int | None = None) -> np.ndarray:
        """Return the logits `(classes,)` of one window.

        Args:
            window: float32, of `input_shape`.
            shift: By how many bins it lies later than that of the last call, which otherwise had
                the same content; None where that is not known.

        Raises:
            NetworkError: The window is of another shape.
        """
        if window.shape != self.input_shape:
            raise NetworkError(f"a window of {window.shape} given, {self.input_shape} expected")
        # Kernels believe what they are given.
        window = np.ascontiguousarray(window, np.float32)
        # What an exception leaves unfinished is not built upon.
        knows, self._knows = self._knows, False
        bins = self.input_shape[1]
        if not (knows and self._reuses and shift is not None and 0 <= shift < bins):
            shift = None
        plan = _Plan()
        turn = (kernels.address(window), self.input_shape[0], bins, *self._turned)
        plan.add(kernels.TURN, turn, [(t,) for t in range(bins)])
        for index, stage in enumerate(self._stages):
            frames: Sequence[int] = range(len(stage.x.offsets))
            if shift is not None and index < len(_REACH):
                frames = stage.move(shift, _REACH[index])
            stage.plan(plan, frames)
        self._workers.go_through(plan)
        self._knows = True
        return self._classify(self._stages[-1].y.as_array())

    def close(self) -> None:
        """End the threads."""
        self._workers.close()


def is_tileable(network: Network) -> bool:
    """Whether a network is made of five stages that all begin with a factorized block.

    Their channels have to fill whole tiles of a product, as those of all networks here do.
    """
    blocks = [next(stage.children()) for stage in getattr(network, "stages", ())]
    return bool(blocks) and all(
        isinstance(block, FactorizedConv3d)
        and not block.temporal_norm.num_features % kernels.COLUMNS
        for block in blocks
    )


class _Plan:
    """What `cpu_kernels.work` goes through."""

    def __init__(self) -> None:
        self._steps: list[tuple[int, ...]] = []
        self._units: list[tuple[int, ...]] = []

    def add(self, kind: int, arguments: tuple[int, ...], units: Sequence[tuple[int, ...]]) -> None:
        """Add a step: what to do, and for which units."""
        begin = len(self._units)
        step = (kind, begin, begin + len(units), *arguments)
        self._steps.append((*step, *[0] * (kernels.COLUMNS_OF_PLAN - len(step))))
        self._units += [(*unit, *[0] * (6 - len(unit))) for unit in units]

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps, units and counters."""
        steps = np.array(self._steps, np.int64)
        return steps, np.array(self._units, np.int64), np.zeros((len(steps), 2), np.int64)


class _Workers:
    """Threads that go through plans together, the caller's among them."""

    def __init__(self, threads: int, scratch_size: int) -> None:
        self._scratch = [kernels.empty(scratch_size) for _ in range(threads)]
        self._ids: list[int] = []
        self._pool = None
        if threads > 1:
            self._pool = ThreadPoolExecutor(threads - 1, "cs3d_tile", self._begin)

    def _begin(self) -> None:
        self._ids.append(threading.get_native_id())

    def go_through(self, plan: _Plan) -> None:
        """Return when all is done, and no thread is at it any more."""
        arrays = plan.arrays()
        self._keep_off()
        mine, *others = (kernels.address(scratch) for scratch in self._scratch)
        helpers = [
            self._pool.submit(kernels.work, *arrays, scratch) for scratch in others if self._pool
        ]
        try:
            kernels.work(*arrays, mine)
        finally:
            for helper in helpers:
                # One that has not begun yet has nothing to do any more.
                if not helper.cancel():
                    helper.result()

    def _keep_off(self) -> None:
        """Keep the other threads off the processor that the caller runs on."""
        if not (self._ids and hasattr(os, "sched_setaffinity")):
            return
        others = os.sched_getaffinity(0) - {ctypes.CDLL(None).sched_getcpu()}
        for thread in self._ids if others else ():
            # It may have ended, and processors may have been taken away meanwhile.
            with suppress(OSError):
                os.sched_setaffinity(thread, others)

    def close(self) -> None:
        if self._pool:
            self._pool.shutdown()


class _Frames:
    """A map `(frames, height, width, channels)`; where in it each frame begins may change."""

    def __init__(self, frames: int, height: int, width: int, channels: int) -> None:
        self.height, self.width, self.channels = height, width, channels
        self.size = height * width * channels
        self.offsets = [i * self.size for i in range(frames)]
        self._memory = kernels.empty(frames * self.size)
        self.address = kernels.address(self._memory)

    def as_array(self) -> np.ndarray:
        """The map, its frames as they lie in memory."""
        return self._memory.reshape(len(self.offsets), self.height, self.width, self.channels)


class _Stage:
    """A factorized block, its pool and perhaps its attention."""

    def __init__(self, modules: Sequence[nn.Module], x: _Frames, threads: int) -> None:
        block, pool_module, *attention = modules
        assert isinstance(block, FactorizedConv3d)
        self.x = x
        pool, outputs = Pool(pool_module), block.temporal_norm.num_features
        self._weights = _weights_of(Factorized(block))
        padding, frames, self._bins = pool.padding[0], len(x.offsets), pool.bins
        height, width = ((n + 2 * padding) // 2 for n in (x.height, x.width))
        # Rows of the pool that are made of one tile.
        at_once = min(-(-_PIXELS // (2 * x.width)), height)
        kind = _kind_of(pool)
        self._pooled = _Frames(frames, height, width, outputs)
        is_separate = kind == kernels.SEPARATE
        self._maximum = _Frames(frames if is_separate else 0, height, width, outputs)
        self.y = self._pooled
        if self._bins > 1:
            self.y = _Frames(frames // self._bins, height, width, outputs)
        self._parts = _parts(frames, height, at_once, threads)
        sizes = _scratch_sizes(x.width, x.channels, outputs, at_once)
        self.scratch_size = sum(sizes)
        self._convolve = (
            x.address, x.height, x.width, x.channels, outputs, padding, kind, at_once,
            *self._weights.addresses, self._pooled.address, self._maximum.address,
            *(4 * sum(sizes[:i]) for i in (1, 2, 3)),
        )  # fmt: skip
        means = len(self.y.offsets) * outputs
        self._pooled_channels = kernels.Arrays(kernels.empty(means), kernels.empty(means))
        self._combine = (
            self._pooled.address, self._maximum.address, height * width, outputs, kind,
            self.y.address, *self._pooled_channels.addresses,
        )  # fmt: skip
        self._attention = None
        if attention:
            self._attention = _Attention(attention[0], self.y, self._pooled_channels)
            self.scratch_size = max(self.scratch_size, self._attention.scratch_size)

    @property
    def mixes_frames(self) -> bool:
        """Whether a frame after the attention depends on all frames of the window."""
        return self._attention is not None and self._attention.mixes_frames

    def move(self, shift: int, reach: int) -> list[int]:
        """Let the frames be those of a window that lies later; return which are to be computed."""
        offsets = self._pooled.offsets
        t = len(offsets)
        kept = {i: offsets[i + shift] for i in range(reach, t - reach - shift)}
        free = iter(set(offsets) - set(kept.values()))
        missing = [i for i in range(t) if i not in kept]
        self._pooled.offsets[:] = [kept[i] if i in kept else next(free) for i in range(t)]
        return missing

    def plan(self, plan: _Plan, frames: Sequence[int]) -> None:
        """Plan to compute the block and the pool of some frames, and what comes after.

        Where time is pooled, that is computed for all frames.
        """
        x, to = [-1, *self.x.offsets, -1], self._pooled.offsets
        plan.add(
            kernels.CONVOLVE,
            self._convolve,
            [(*x[i : i + 3], to[i], *part) for i in frames for part in self._parts],
        )
        if self._bins > 1:
            frames = range(len(self.y.offsets))
            units = [(to[2 * i], to[2 * i + 1], self.y.offsets[i], i) for i in frames]
        elif self._attention is not None:
            units = [(to[i], -1, to[i], i) for i in frames]
        else:
            return
        plan.add(kernels.COMBINE, self._combine, units)
        if self._attention is not None:
            attended = [(self.y.offsets[i], i) for i in frames]
            plan.add(kernels.ATTEND, self._attention.arguments, attended)


class _Attention:
    """What a joint attention is to the kernels."""

    def __init__(self, module: nn.Module, y: _Frames, pooled: kernels.Arrays) -> None:
        assert isinstance(module, JointAttention)
        self.mixes_frames = len(module.temporal.pooled_axes) > 2
        temporal, hidden = _temporal_of(module.temporal.shared)
        spatial = Attention(module)
        numbers = (spatial.weight.contiguous().numpy().ravel(), [spatial.bias.item(), module.GAIN])
        self._weights = kernels.Arrays(
            kernels.aligned(temporal), kernels.aligned(np.concatenate(numbers))
        )
        self.scratch_size = y.channels + (2 * (y.height + 6) + 1) * int(
            kernels.plane_stride(y.width)
        )
        # The hidden layer lies where the planes will.
        self.scratch_size += hidden
        self.arguments = (
            y.address, len(y.offsets), y.height, y.width, y.channels, *pooled.addresses,
            self._weights.addresses[0], hidden, self._weights.addresses[1],
        )  # fmt: skip


def _temporal_of(shared: nn.Module) -> tuple[np.ndarray, int]:
    """The weights of a temporal attention, and its hidden units; 0 for one weight per frame."""
    parameters = [
        parameter.numpy().reshape(len(parameter), -1) for parameter in shared.parameters()
    ]
    if isinstance(shared, nn.Conv3d):
        return np.concatenate([parameter.ravel() for parameter in parameters]), 0
    into, into_bias, back, back_bias = parameters
    each = (into, into_bias, back.T, back_bias)
    return np.concatenate([parameter.ravel() for parameter in each]), len(into)


def _kind_of(pool: Pool) -> int:
    if not pool.maximizes:
        return kernels.AVERAGE
    if not pool.averages:
        return kernels.MAXIMUM
    return kernels.SEPARATE if pool.bins > 1 else kernels.MULTI


def _parts(frames: int, rows: int, step: int, threads: int) -> list[tuple[int, int]]:
    """Rows of a pooled frame in parts, so that there are twice as many as threads, or more."""
    parts = min(-(-2 * threads // min(frames, _FEWEST)), -(-rows // step)) if threads > 1 else 1
    edges = [rows * i // parts for i in range(parts + 1)]
    return list(pairwise(edges))


def _scratch_sizes(width: int, inputs: int, outputs: int, at_once: int) -> tuple[int, ...]:
    """Elements of the maps between the steps of a tile."""
    rows = 2 * at_once
    fresh, all_rows = ((n * width + kernels.ROWS) for n in (rows + 2, rows))
    sizes = (
        fresh * int(kernels.row_stride(inputs)),
        fresh * outputs,
        all_rows * int(kernels.row_stride(inputs + outputs)),
        all_rows * outputs,
    )
    return tuple(-(-size // 16) * 16 for size in sizes)


def _weights_of(block: Factorized) -> kernels.Arrays:
    """The weights that `cpu_kernels` wants for a block."""
    in_time, in_space = block.in_time.flatten(1).t(), block.in_space.flatten(1).t()
    # The input itself is a product too: such blocks come last, where maps are smallest.
    shortcut = torch.eye(len(block.first_bias)) if block.shortcut is None else block.shortcut
    return kernels.Arrays(
        kernels.aligned(in_time.numpy()),
        kernels.packed(block.first.numpy()),
        kernels.aligned(block.first_bias.numpy()),
        kernels.aligned(in_space.numpy()),
        kernels.packed(torch.cat((block.second, shortcut)).numpy()),
        kernels.aligned(block.second_bias.numpy()),
    )


def _classifier(module: nn.Module) -> Callable[[np.ndarray], np.ndarray]:
    """A classifier, from the last map `(frames, H, W, C)` to the logits `(classes,)`."""
    layers = [layer for layer in module.children() if not isinstance(layer, nn.Dropout)]
    if isinstance(layers[0], GlobalAveragePool) and len(layers) == 2:
        weight, bias = (parameter.numpy().copy() for parameter in layers[1].parameters())

        def linear(x: np.ndarray) -> np.ndarray:
            answers: np.ndarray = np.einsum("c,kc->k", x.mean((0, 1, 2)), weight) + bias
            return answers

        return linear

    def any_other(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            logits: np.ndarray = module(torch.from_numpy(x).permute(3, 0, 1, 2).unsqueeze(0))[
                0
            ].numpy()
        return logits

    return any_other
