"""A module as a CUDA graph: recorded once, then replayed for every window."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import numpy as np
import torch

from cs3d_ros.network.engines.engine import EngineError
from cs3d_ros.network.engines.self_check import first_line

Module = Callable[[torch.Tensor], torch.Tensor]
"""From windows to logits."""

# Libraries choose and load their kernels in the first runs, which cannot be recorded.
_WARM_UPS = 3
_TIMED = 20


class Replay:
    """One window at a time through a recorded module. For one thread at a time.

    A replay is one call for all kernels of a network, most of which take less time than it takes
    to launch them. Windows and logits pass through pinned memory, which the GPU reads by itself.

    Args:
        module: Takes float32 windows on the device to float32 logits.
        input_shape: Of one window: channels, bins, rows, columns.
        device: Of type `cuda`.
    """

    def __init__(
        self, module: Module, input_shape: tuple[int, int, int, int], device: torch.device
    ) -> None:
        shape = (1, *input_shape)
        self._device = device
        self._stream = torch.cuda.Stream(device)
        # The weights were laid down in the stream that is current now.
        self._stream.wait_stream(torch.cuda.current_stream(device))
        # Kept: the recording refers to its weights by address.
        self._module: Module | None = module
        with torch.cuda.device(device), torch.cuda.stream(self._stream), torch.inference_mode():
            self._window = torch.zeros(shape, pin_memory=True)
            self._input = torch.zeros(shape, device=device)
            for _ in range(_WARM_UPS):
                module(self._input)
            self._stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(
                self._graph, stream=self._stream, capture_error_mode="thread_local"
            ):
                self._logits = module(self._input)
            self._answer = torch.zeros(self._logits.shape, pin_memory=True)

    def infer(self, windows: np.ndarray) -> np.ndarray:
        """Return the logits of windows.

        Args:
            windows: float32 `(N, C, T, S, S)`; N may be 0.

        Returns:
            float32 `(N, classes)`.

        Raises:
            EngineError: The windows have another shape, or the device failed.
        """
        if windows.shape[1:] != self._window.shape[1:]:
            raise EngineError(
                f"windows of {windows.shape[1:]} given, {tuple(self._window.shape[1:])} expected"
            )
        answers = np.empty((len(windows), self._answer.shape[1]), np.float32)
        try:
            with torch.cuda.stream(self._stream), torch.inference_mode():
                for window, answer in zip(windows, answers, strict=True):
                    self._window.numpy()[0] = window
                    self._input.copy_(self._window, non_blocking=True)
                    self._graph.replay()
                    self._answer.copy_(self._logits, non_blocking=True)
                    self._stream.synchronize()
                    answer[:] = self._answer.numpy()[0]
        except RuntimeError as error:
            raise EngineError(f"{self._device} failed: {first_line(error)}") from error
        return answers

    def median_ms(self) -> float:
        """Time of a replay by the GPU's own clock, without the copies; milliseconds."""
        times = []
        with torch.cuda.stream(self._stream):
            for _ in range(_TIMED):
                began = torch.cuda.Event(enable_timing=True)
                ended = torch.cuda.Event(enable_timing=True)
                began.record(self._stream)
                self._graph.replay()
                ended.record(self._stream)
                ended.synchronize()
                times.append(began.elapsed_time(ended))
        return statistics.median(times)

    def close(self) -> None:
        """Give the memory back; closing twice does nothing."""
        if self._module is None:
            return
        self._stream.synchronize()
        self._graph.reset()
        self._module = None
        del self._input, self._logits, self._window, self._answer
        torch.cuda.empty_cache()
