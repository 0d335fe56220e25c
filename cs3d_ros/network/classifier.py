"""Windows to probabilities: a network on a device, ready to be asked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from cs3d_ros.network import checkpoint
from cs3d_ros.network.device import resolve_device, set_threads
from cs3d_ros.network.engines.engine import Engine, EngineError, EngineRequest
from cs3d_ros.network.engines.selection import AUTO, Choice, open_engine
from cs3d_ros.network.errors import CheckpointError, NetworkError
from cs3d_ros.network.specification import Network

if TYPE_CHECKING:
    from types import TracebackType

    from cs3d_ros.network.card import ModelCard

__all__ = ["SHIPPED", "UNTRAINED", "Classifier", "resolve_device"]

SHIPPED = "shipped"
"""The word that asks for the weights that come with this package, in place of a path."""
UNTRAINED = "untrained"
"""The word that asks for random weights in place of a path."""
SHIPPED_WEIGHTS = Path(__file__).parents[1] / "weights" / "cs3d.safetensors"


class Classifier:
    """A network that classifies windows until it is closed. For one thread at a time.

    An engine executes it, which was seen to give the network's answer to one window. With the
    engine `auto`, the next best one takes over where it fails later on.

    Args:
        network: Is put into evaluation mode; it has to be on the CPU.
        card: Of that network.
        device: As for `resolve_device`.
        threads: Threads for one inference on the CPU, set for the whole process; 0 leaves
            torch's own choice.
        engine: One of `engine_names()`: an engine, or `auto` for the fastest.
        precision: How to compute, one of `engines.engine.PRECISIONS`.
        hop_ms: From one window to the next, in ms, where windows will overlap: `auto` takes what is
            fastest then. 0: they will not.

    Attributes:
        asked: How often it was asked. Who passes a shift has to make sure that nobody else has
            asked since.
        engine_failures: One line for each engine that should have worked and did not, in the order
            of time.

    Raises:
        DeviceError: If there is no such device or it does not take the network.
        EngineError: If the engine cannot be had, or does not give the network's answers.
        NetworkError: If the number of threads is negative.
    """

    def __init__(
        self,
        network: Network,
        card: ModelCard,
        device: str | torch.device = "cpu",
        threads: int = 0,
        engine: str = "torch",
        precision: str = "float32",
        hop_ms: float = 0.0,
    ) -> None:
        set_threads(threads)
        self.card = card
        self.device = resolve_device(device)
        request = EngineRequest(
            network.eval(),
            card.input_shape,
            self.device,
            threads,
            precision,
            _whole_bins(hop_ms * card.bins / card.window_ms, card.bins),
        )
        self.asked = 0
        self.engine_failures: list[str] = []
        self._engine: Engine | None = None
        self._serve(open_engine(engine, request))
        # What another engine could be made from, and those that it must not be.
        self._request = request if engine == AUTO else None
        self._failed: list[str] = []

    def _serve(self, choice: Choice) -> None:
        self._engine, self._reason = choice.engine, choice.reason
        self.engine_failures += choice.failures

    @classmethod
    def from_checkpoint(
        cls,
        source: str | os.PathLike[str],
        device: str | torch.device = "cpu",
        threads: int = 0,
        engine: str = "torch",
        precision: str = "float32",
        hop_ms: float = 0.0,
    ) -> Classifier:
        """Return the classifier of a checkpoint.

        Args:
            source: Path of a checkpoint; or the word `shipped` for the weights that come with this
                package, or `untrained` for random ones.
            device: As for `resolve_device`.
            threads: As for the class.
            engine: As for the class.
            precision: As for the class.
            hop_ms: As for the class.

        Raises:
            CheckpointError: If the source is empty or not a usable checkpoint.
            DeviceError, EngineError, NetworkError: As the class.
        """
        source = os.fspath(source)
        if not source:
            raise CheckpointError(
                f"no checkpoint given; give the path of one, `{SHIPPED}` for the weights that "
                f"come with this package, or `{UNTRAINED}` to run with random ones"
            )
        if source == SHIPPED and not SHIPPED_WEIGHTS.exists():
            raise CheckpointError(f"{SHIPPED_WEIGHTS} is missing; install this package again")
        if source == UNTRAINED:
            network, card = checkpoint.untrained()
        else:
            network, card = checkpoint.load(SHIPPED_WEIGHTS if source == SHIPPED else source)
        return cls(network, card, device, threads, engine, precision, hop_ms)

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

    @property
    def engine(self) -> str:
        """Name of the engine that serves; empty once it is closed."""
        return self._engine.name if self._engine else ""

    @property
    def engine_reason(self) -> str:
        """One line for people: which engine in which version, and why this one."""
        return self._reason

    def predict(self, tensor: np.ndarray, shift: int | None = None) -> np.ndarray:
        """Return the probabilities of one window or of a batch.

        Args:
            tensor: float32 of `input_shape`, or a batch of such: one dimension more in front.
            shift: For one window: by how many bins it lies later than the one before, which
                otherwise had the same content; None where that is not known. See `Engine.infer`.

        Returns:
            float32 `(num_classes,)` or `(N, num_classes)`; each row sums to 1.

        Raises:
            NetworkError: If the classifier is closed, the tensor is of another shape or dtype,
                or the answer is not finite.
            EngineError: If the engine cannot answer, for instance for lack of memory.
        """
        if self._engine is None:
            raise NetworkError(f"the classifier {self.name} is closed; make a new one")
        shape = self.input_shape
        single = tensor.ndim == len(shape)
        if tensor.dtype != np.float32 or tensor.shape[not single :] != shape:
            raise NetworkError(
                f"the tensor is {tensor.dtype} {tensor.shape}; give float32 {shape}, or a batch of "
                "such"
            )
        if not np.isfinite(tensor).all():
            # Not every engine lets them pass through to the answer.
            raise NetworkError("the tensor has NaN or infinite numbers; give finite ones")
        self.asked += 1
        windows = np.require(tensor, requirements=("C", "W"))
        probabilities = _softmax(
            self._infer(windows[None], shift) if single else self._infer(windows, None)
        )
        if not np.isfinite(probabilities).all():
            raise NetworkError(
                f"the network {self.name} answered NaN; what its weights make of the tensor is too "
                "large"
            )
        return probabilities[0] if single else probabilities

    def _infer(self, windows: np.ndarray, shift: int | None) -> np.ndarray:
        assert self._engine is not None
        try:
            return self._engine.infer(windows, shift)
        except EngineError as error:
            if self._request is None:
                raise
            self._fall_back(self._request, error)
        return self._infer(windows, None)

    def _fall_back(self, request: EngineRequest, error: EngineError) -> None:
        """Go on with the best of the engines that have not failed yet.

        Raises:
            EngineError: There is none; the one that has failed stays, and may be asked again.
        """
        assert self._engine is not None
        self._failed.append(self._engine.name)
        self.engine_failures.append(f"engine {self._engine.name}: {error}")
        # It may hold the memory that the next one needs.
        self._request = None
        choice = open_engine(AUTO, request, without=self._failed)
        self._engine.close()
        self._serve(choice)
        self._request = request

    def warm_up(self, n: int = 2) -> None:
        """Classify `n` empty windows, so that the first real one is not slower than the others."""
        for _ in range(n):
            self.predict(np.zeros(self.input_shape, np.float32))
        self.synchronize()

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        if self._engine is not None:
            self._engine.synchronize()

    def close(self) -> None:
        """Drop the network and give its memory back; closing twice does nothing."""
        if self._engine is not None:
            self._engine.close()
        self._engine = self._request = None

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


def _whole_bins(shift: float, bins: int) -> int | None:
    """A shift as a number of bins, where it leaves some in common."""
    return round(shift) if shift == round(shift) and 0 < shift < bins else None


def _softmax(logits: np.ndarray) -> np.ndarray:
    probabilities: np.ndarray = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    return probabilities
