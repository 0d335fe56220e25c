"""Networks as they are measured: executed as this package does, with inputs that lie ready."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from cs3d_ros.benchmark.subject import lively
from cs3d_ros.events.tensors import DEFAULT_BINS
from cs3d_ros.network.device import set_threads
from cs3d_ros.network.engines.self_check import sample_window
from cs3d_ros.network.engines.torch_engine import execution_form
from cs3d_ros.network.errors import DeviceError, NetworkError

SEED = 0


class MeasuredNetwork:
    """An untrained network that is asked again and again, with a batch that lies on its device.

    It is executed as by the engine `torch`. What a `Classifier` does besides, on the way to the
    device and back, is left out: it is the same for all networks.

    Args:
        name: Of the network.
        device: Where it runs.
        precision: One of `table1.settings.PRECISIONS`.
        size: Rows and columns of an input.
        threads: CPU threads; 0: all.
    """

    def __init__(
        self, name: str, device: torch.device, precision: str, size: int, threads: int
    ) -> None:
        network, card = lively(name, size, SEED)
        self._dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        set_threads(threads)
        self.name, self.device, self.input_shape = card.name, device, card.input_shape
        self._network: nn.Module | None = execution_form(network.to(self._dtype).eval(), device)
        tensors = (*network.parameters(), *network.buffers())
        self._weight_bytes = sum(t.numel() * t.element_size() for t in tensors)
        self._batch: torch.Tensor | None = None
        self._allocated = 0

    def prepare(self, batch: int) -> None:
        """Lay a batch of random inputs ready, about as full as those of a camera.

        Raises:
            DeviceError: The device has no room for it.
        """
        shape = (batch, self.input_shape[0], DEFAULT_BINS, *self.input_shape[2:])
        windows = torch.from_numpy(sample_window(shape, SEED))
        self._batch = None
        with self._memory_told(batch):
            self._batch = windows.to(self.device, self._dtype)

    def infer(self) -> None:
        """Put the batch through the network, and wait until it is done.

        Raises:
            NetworkError: It is closed, or no batch lies ready.
            DeviceError: The device runs out of memory.
        """
        if self._network is None or self._batch is None:
            raise NetworkError(f"the network {self.name} is closed or has no batch")
        with torch.inference_mode(), self._memory_told(len(self._batch)):
            self._network(self._batch)
            self.synchronize()

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def begin_memory(self) -> None:
        """Begin to watch the GPU's memory; without effect on a CPU."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            self._allocated = torch.cuda.memory_allocated(self.device)

    def peak_memory_bytes(self) -> int | None:
        """Weights, batch, and what inferences since `begin_memory` added at most; None on a CPU."""
        if self.device.type != "cuda" or self._batch is None:
            return None
        added = torch.cuda.max_memory_allocated(self.device) - self._allocated
        inputs = self._batch.numel() * self._batch.element_size()
        return self._weight_bytes + inputs + added

    def close(self) -> None:
        """Drop the network and its batch, and give their GPU memory back."""
        self._network = self._batch = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @contextmanager
    def _memory_told(self, batch: int) -> Iterator[None]:
        try:
            yield
        except torch.cuda.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} ran out of memory with a batch of {batch} of {self.name}: {error}; "
                "give smaller ones with --batch"
            ) from error
