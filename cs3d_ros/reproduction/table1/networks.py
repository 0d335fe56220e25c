"""Networks as they are measured: executed as this package does, with inputs that lie ready."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cs3d_ros.events.tensors import DEFAULT_BINS
from cs3d_ros.network.checkpoint import untrained
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.network.errors import DeviceError, NetworkError

SEED = 0
# Of the cells of `on_off_recency`, 1 to 3 % hold something where a face moves.
_FILLED = 0.03


class MeasuredNetwork(Classifier):
    """An untrained network that is asked again and again, with a batch that lies on its device.

    What a `Classifier` does besides, on the way to the device and back, is left out: it is the same
    for all networks.

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
        network, card = untrained(name, seed=SEED, size=size)
        self._dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
        super().__init__(network.to(self._dtype), card, device, threads)
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
        generator = torch.Generator().manual_seed(SEED)
        values = torch.rand(shape, generator=generator)
        filled = torch.rand(shape, generator=generator) < _FILLED
        self._batch = None
        with self._memory_told(batch):
            self._batch = (values * filled).to(self.device, self._dtype)

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
        """Drop the network and its batch."""
        self._batch = None
        super().close()

    @contextmanager
    def _memory_told(self, batch: int) -> Iterator[None]:
        try:
            yield
        except torch.cuda.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} ran out of memory with a batch of {batch} of {self.name}: {error}; "
                "give smaller ones with --batch"
            ) from error


@contextmanager
def arithmetic(precision: str) -> Iterator[None]:
    """Let convolutions and matrix products on a GPU round as the precision says, in this block.

    Torch lets convolutions round to TF32 unless it is told not to.
    """
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = precision != "float32"
    try:
        yield
    finally:
        cudnn.allow_tf32, matmul.allow_tf32 = before
