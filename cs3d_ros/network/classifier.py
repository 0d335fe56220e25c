"""Windows to probabilities: a network on a device, ready to be asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cs3d_ros.network import checkpoint
from cs3d_ros.network.device import move, resolve_device
from cs3d_ros.network.errors import CheckpointError, DeviceError, NetworkError
from cs3d_ros.network.folded import folded_form
from cs3d_ros.network.memory import keep_memory
from cs3d_ros.network.specification import Network

if TYPE_CHECKING:
    from types import TracebackType

    from cs3d_ros.network.card import ModelCard

__all__ = ["SHIPPED", "UNTRAINED", "Classifier", "resolve_device"]

# Before anything sets it; setting it holds for the whole process.
_ALL_THREADS = torch.get_num_threads()

SHIPPED = "shipped"
"""The word that asks for the weights that come with this package, in place of a path."""
UNTRAINED = "untrained"
"""The word that asks for random weights in place of a path."""
_WEIGHTS = Path(__file__).parents[1] / "weights" / "cs3d.safetensors"


class Classifier:
    """A network that classifies windows until it is closed. For one thread at a time.

    On a CPU it runs in its folded form, and from then on the process keeps memory that it has freed
    (`keep_memory`): without that, half of the time goes into the same memory again and again.

    Args:
        network: Is put into evaluation mode and moved to the device.
        card: Of that network.
        device: As for `resolve_device`.
        threads: Threads for one inference on the CPU, set for the whole process; 0 leaves
            torch's own choice.

    Raises:
        DeviceError: If there is no such device or it does not take the network.
        NetworkError: If the number of threads is negative.
    """

    def __init__(
        self,
        network: Network,
        card: ModelCard,
        device: str | torch.device = "cpu",
        threads: int = 0,
    ) -> None:
        if threads < 0:
            raise NetworkError(f"{threads} threads asked for; give 1 or more, or 0 for torch's own")
        self.card = card
        self.device = resolve_device(device)
        torch.set_num_threads(threads or _ALL_THREADS)
        move(network.eval(), self.device)
        self._network: nn.Module | None = network
        if self.device.type == "cpu":
            self._network = folded_form(network)
            keep_memory()

    @classmethod
    def from_checkpoint(
        cls,
        source: str | os.PathLike[str],
        device: str | torch.device = "cpu",
        threads: int = 0,
    ) -> Classifier:
        """Return the classifier of a checkpoint.

        Args:
            source: Path of a checkpoint; or the word `shipped` for the weights that come with this
                package, or `untrained` for random ones.
            device: As for `resolve_device`.
            threads: As for the class.

        Raises:
            CheckpointError: If the source is empty or not a usable checkpoint.
            DeviceError: If there is no such device or it does not take the network.
        """
        source = os.fspath(source)
        if not source:
            raise CheckpointError(
                f"no checkpoint given; give the path of one, `{SHIPPED}` for the weights that "
                f"come with this package, or `{UNTRAINED}` to run with random ones"
            )
        if source == SHIPPED and not _WEIGHTS.exists():
            raise CheckpointError(f"{_WEIGHTS} is missing; install this package again")
        if source == UNTRAINED:
            network, card = checkpoint.untrained()
        else:
            network, card = checkpoint.load(_WEIGHTS if source == SHIPPED else source)
        return cls(network, card, device, threads)

    @property
    def name(self) -> str:
        """Name of the model for people."""
        return self.card.name

    @property
    def labels(self) -> tuple[str, ...]:
        """One label per probability, in order."""
        return self.card.labels

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of a window: channels, bins, rows, columns."""
        return self.card.input_shape

    def predict(self, tensor: np.ndarray) -> np.ndarray:
        """Return the probabilities of one window or of a batch.

        Args:
            tensor: float32 of `input_shape`, or a batch of such: one dimension more in front.

        Returns:
            float32 `(num_classes,)` or `(N, num_classes)`; each row sums to 1.

        Raises:
            NetworkError: If the classifier is closed, the tensor is of another shape or dtype,
                or the answer is not finite.
            DeviceError: If the device runs out of memory.
        """
        if self._network is None:
            raise NetworkError(f"the classifier {self.name} is closed; make a new one")
        shape = self.input_shape
        single = tensor.ndim == len(shape)
        if tensor.dtype != np.float32 or tensor.shape[not single :] != shape:
            raise NetworkError(
                f"the tensor is {tensor.dtype} {tensor.shape}; give float32 {shape}, or a batch of "
                "such"
            )
        windows = torch.from_numpy(np.require(tensor, requirements=("C", "W")))
        if single:
            windows = windows[None]
        try:
            with torch.inference_mode():
                logits = self._network(windows.to(self.device))
                probabilities: np.ndarray = torch.softmax(logits.float(), dim=1).cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            raise DeviceError(
                f"{self.device} ran out of memory: {error}; free memory on it or choose cpu"
            ) from error
        if not np.isfinite(probabilities).all():
            raise NetworkError(
                f"the network {self.name} answered NaN; the tensor must be finite, and so must "
                "the weights and what they make of it"
            )
        return probabilities[0] if single else probabilities

    def warm_up(self, n: int = 2) -> None:
        """Classify `n` empty windows, so that the first real one is not slower than the others."""
        for _ in range(n):
            self.predict(np.zeros(self.input_shape, np.float32))
        self.synchronize()

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def close(self) -> None:
        """Drop the network and give its GPU memory back; closing twice does nothing."""
        self._network = None
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def __enter__(self) -> Classifier:
        """Return the classifier itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()
