"""The same networks, tile by tile on a CPU: what is in between stays in the processor's cache.

A factorized block with its pool is one pass over the map: some rows at a time go through both
depthwise and both pointwise convolutions and are pooled, so that neither the map between the halves
nor the one before the pool, four times as large as what is left of it, is ever written to memory.
Frames do not depend on each other but for their neighbours in the block's input: they are shared
out to threads, and those that the window before had too are not computed again.

Between its kernels it leaves torch alone, whose threads go on waiting actively for some time after
each operation, on the processors that are needed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

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
        self._workers = _Workers(threads)
        self._input = x = _Frames(bins, height, width, channels)
        self._stages: list[_Stage] = []
        with torch.no_grad():
            for modules in network.stages:
                stage = _Stage(list(modules.children()), x, self._workers)
                self._stages.append(stage)
                x = stage.y
            self._classify = _classifier(network.classifier)
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
        channels, bins, height, width = self.input_shape
        # What an exception leaves unfinished is not built upon.
        knows, self._knows = self._knows, False
        if not (knows and self._reuses and shift is not None and 0 <= shift < bins):
            shift = None
        self._workers.run(
            kernels.channels_last, np.arange(bins, dtype=np.int64).reshape(bins, 1),
            window.ctypes.data, channels, bins, height * width, self._input.address,
        )  # fmt: skip
        for index, stage in enumerate(self._stages):
            if shift is not None and index < len(_REACH):
                stage.run(stage.move(shift, _REACH[index]))
            else:
                stage.run(range(len(stage.x.offsets)))
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


class _Workers:
    """Threads that work at the units of a kernel together."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads - 1, "cs3d_tile") if threads > 1 else None

    def run(self, kernel: Callable[..., None], units: np.ndarray, *arguments: Any) -> None:
        """Call a kernel in as many threads as there is work for.

        Args:
            kernel: Takes the counter, the units, `arguments`.
            units: `(units, …)`.
            arguments: A list has an element for each thread.
        """
        counter = np.zeros(1, np.int64)
        own = [
            [one[i] if isinstance(one, list) else one for one in arguments]
            for i in range(min(self.threads, len(units)))
        ]
        others = [self._pool.submit(kernel, counter, units, *one) for one in own[1:] if self._pool]
        try:
            kernel(counter, units, *own[0])
        finally:
            # Even where a signal came: they write to the same memory as whatever is next.
            for other in others:
                other.result()

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

    def __init__(self, modules: Sequence[nn.Module], x: _Frames, workers: _Workers) -> None:
        block, pool_module, *attention = modules
        assert isinstance(block, FactorizedConv3d)
        self.x, self._workers = x, workers
        pool, outputs = Pool(pool_module), block.temporal_norm.num_features
        self._weights = _weights_of(Factorized(block))
        padding, frames, self._bins = pool.padding[0], len(x.offsets), pool.bins
        height, width = ((n + 2 * padding) // 2 for n in (x.height, x.width))
        # Rows of the pool that are made of one tile.
        step = min(-(-_PIXELS // (2 * x.width)), height)
        self._kind = _kind_of(pool)
        self._shape = (x.height, x.width, x.channels, outputs, padding, self._kind, step)
        self._pooled = _Frames(frames, height, width, outputs)
        is_separate = self._kind == kernels.SEPARATE
        self._maximum = _Frames(frames if is_separate else 0, height, width, outputs)
        self.y = self._pooled
        if self._bins > 1:
            self.y = _Frames(frames // self._bins, height, width, outputs)
        self._parts = _parts(frames, height, step, workers.threads)
        self._scratch = [self._make_scratch(step) for _ in range(workers.threads)]
        means = len(self.y.offsets) * outputs
        self._mean, self._peak = kernels.empty(means), kernels.empty(means)
        self._attention = _Attention(attention[0], self.y, workers) if attention else None

    def _make_scratch(self, step: int) -> kernels.Arrays:
        width, inputs, outputs = self._shape[1:4]
        most, rows = (2 * step + 2) * width + kernels.ROWS, 2 * step * width + kernels.ROWS
        return kernels.Arrays(
            kernels.empty(most * kernels.row_stride(inputs)),
            kernels.empty(most * outputs),
            kernels.empty(rows * kernels.row_stride(inputs + outputs)),
            kernels.empty(rows * outputs),
        )

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

    def run(self, frames: Sequence[int]) -> None:
        """Compute the block and the pool of some frames, and what comes after.

        Where time is pooled, that is computed for all frames.
        """
        x, to = [-1, *self.x.offsets, -1], self._pooled.offsets
        units = [(*x[i : i + 3], to[i], *part) for i in frames for part in self._parts]
        self._workers.run(
            kernels.convolve, np.array(units, np.int64), self.x.address, self._shape,
            self._weights.addresses, self._pooled.address, self._maximum.address,
            [scratch.addresses for scratch in self._scratch],
        )  # fmt: skip
        if self._bins > 1:
            frames = range(len(self.y.offsets))
            units = [(to[2 * i], to[2 * i + 1], self.y.offsets[i], i) for i in frames]
        elif self._attention is not None:
            units = [(to[i], -1, to[i], i) for i in frames]
        else:
            return
        self._workers.run(
            kernels.combine, np.array(units, np.int64), self._pooled.address, self._maximum.address,
            self.y.height * self.y.width, self.y.channels, self._kind, self.y.address,
            kernels.address(self._mean), kernels.address(self._peak),
        )  # fmt: skip
        if self._attention is not None:
            pooled = (a.reshape(-1, self.y.channels)[frames] for a in (self._mean, self._peak))
            self._attention.run(frames, *pooled)


class _Attention:
    """A joint attention."""

    def __init__(self, module: nn.Module, y: _Frames, workers: _Workers) -> None:
        assert isinstance(module, JointAttention)
        self.mixes_frames = len(module.temporal.pooled_axes) > 2
        self._y, self._workers, self._gain = y, workers, module.GAIN
        self._temporal = _temporal(module.temporal.shared)
        form = Attention(module)
        self._kernel = kernels.Arrays(kernels.aligned(form.weight.contiguous().numpy()))
        self._bias = np.float32(form.bias.item())
        wide = int(kernels.plane_stride(y.width))
        size = 2 * (y.height + 6) * wide + wide
        self._scratch = [kernels.Arrays(kernels.empty(size)) for _ in range(workers.threads)]

    def run(self, frames: Sequence[int], mean: np.ndarray, peak: np.ndarray) -> None:
        """Apply it to some frames.

        Args:
            frames: Which; all of them where it mixes frames.
            mean: Of each of their channels over space, `(frames, channels)`.
            peak: The largest of their values, alike.
        """
        y = self._y
        if self.mixes_frames:
            mean, peak = mean.mean(1, keepdims=True), peak.max(1, keepdims=True)
        larger = np.maximum(self._temporal(mean), self._temporal(peak))
        factors = np.empty((len(frames), y.channels), np.float32)
        factors[:] = 1 + 1 / (1 + np.exp(-larger))
        units = np.array([(y.offsets[i], row) for row, i in enumerate(frames)], np.int64)
        self._workers.run(
            kernels.attend, units, y.address, y.height, y.width, y.channels,
            kernels.address(factors), self._kernel.addresses[0], self._bias, self._gain,
            [scratch.addresses[0] for scratch in self._scratch],
        )  # fmt: skip


_OfFrames = Callable[[np.ndarray], np.ndarray]


def _temporal(shared: nn.Module) -> _OfFrames:
    """The shared convolution of a temporal attention, of frames `(T, C)`, or `(T, 1)` per frame."""
    parameters = [parameter.numpy().copy() for parameter in shared.parameters()]
    if isinstance(shared, nn.Conv3d):
        taps, bias = parameters[0].ravel(), parameters[1]

        def per_frame(pooled: np.ndarray) -> np.ndarray:
            padded = np.pad(pooled, ((1, 1), (0, 0)))
            answers: np.ndarray = bias + sum(
                tap * padded[i : i + len(pooled)] for i, tap in enumerate(taps)
            )
            return answers

        return per_frame
    into, into_bias, back, back_bias = parameters
    into, back = into.reshape(into.shape[:2]), back.reshape(back.shape[:2])

    def per_channel(pooled: np.ndarray) -> np.ndarray:
        # einsum works in this thread alone.
        hidden = np.maximum(np.einsum("tc,hc->th", pooled, into) + into_bias, 0)
        answers: np.ndarray = np.einsum("th,ch->tc", hidden, back) + back_bias
        return answers

    return per_channel


def _kind_of(pool: Pool) -> int:
    if not pool.maximizes:
        return kernels.AVERAGE
    if not pool.averages:
        return kernels.MAXIMUM
    return kernels.SEPARATE if pool.bins > 1 else kernels.MULTI


def _parts(frames: int, rows: int, step: int, threads: int) -> list[tuple[int, int]]:
    """Rows of a pooled frame in parts, where there are fewer frames than threads can work at."""
    parts = min(-(-2 * threads // frames), -(-rows // step)) if threads > 1 else 1
    edges = [rows * i // parts for i in range(parts + 1)]
    return list(pairwise(edges))


def _weights_of(block: Factorized) -> kernels.Arrays:
    """What `cpu_kernels.convolve` takes."""
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


def _classifier(module: nn.Module) -> _OfFrames:
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
