"""What every engine looks like: windows to logits, by one way of executing a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.specification import Network

PRECISIONS = ("float32", "tf32", "bfloat16", "float16")
"""How an engine may compute; all but float32 on a GPU only."""


class EngineError(NetworkError):
    """An engine that cannot be made or cannot answer."""


class EngineUnavailableError(EngineError):
    """An engine that is not for this machine, device or network, or is not installed here."""


@dataclass(frozen=True)
class EngineRequest:
    """What an engine is to run.

    Attributes:
        network: In evaluation mode, float32, on the CPU. An engine makes its own copy, or leaves
            it as it is.
        input_shape: Of one window: channels, bins, rows, columns.
        device: Where.
        threads: CPU threads; 0 leaves the choice to torch.
        precision: One of `PRECISIONS`.
        shift: By how many bins windows will mostly lie later than the one before; None where they
            have nothing in common. `auto` measures what such a window takes.
    """

    network: Network
    input_shape: tuple[int, int, int, int]
    device: torch.device
    threads: int = 0
    precision: str = "float32"
    shift: int | None = None

    @property
    def cpu_threads(self) -> int:
        """CPU threads, 1 or more."""
        return self.threads or torch.get_num_threads()


class Engine(ABC):
    """Executes one network until it is closed. For one thread at a time.

    Made from an `EngineRequest`; making it raises `EngineUnavailableError` where it is not for this
    machine, device or network, and `EngineError` where it should work and does not.
    """

    name: ClassVar[str]
    """By which it is asked for."""

    DEVICES: ClassVar[tuple[str, ...]] = ("cpu",)
    """Types of devices that it runs on."""

    PRECISIONS: ClassVar[tuple[str, ...]] = ("float32",)
    """How it can compute on a GPU. On a CPU all compute in float32."""

    @abstractmethod
    def __init__(self, request: EngineRequest) -> None:
        """Make it ready for one window at a time."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Of the library that executes, with its name: `torch 2.13.0`."""

    @abstractmethod
    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """Return the logits of windows; they are on the host when this returns.

        Args:
            windows: float32 `(N, C, T, S, S)`, C-contiguous; N may be 0.
            shift: By how many bins the one window lies later than that of the last call, which
                otherwise had the same content; None where they have nothing in common. An engine
                may use it to compute less, and may ignore it.

        Returns:
            float32 `(N, classes)`, not necessarily finite.

        Raises:
            EngineError: It could not answer; for instance for lack of memory.
        """

    def synchronize(self) -> None:  # noqa: B027
        """Wait until the device has finished."""

    def close(self) -> None:  # noqa: B027
        """Give its memory back; closing twice does nothing."""
