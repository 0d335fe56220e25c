"""The engine `torch`: PyTorch itself, which is always there."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cs3d_ros.network.device import move
from cs3d_ros.network.engines.engine import PRECISIONS, Engine, EngineError, EngineRequest
from cs3d_ros.network.folded import folded_form
from cs3d_ros.network.frame_parts import frame_parts
from cs3d_ros.network.gpu_forms import folded_on
from cs3d_ros.network.memory import keep_memory
from cs3d_ros.network.precision import arithmetic
from cs3d_ros.network.reuse import WindowReuse
from cs3d_ros.network.specification import Network


def execution_form(network: Network, device: torch.device) -> nn.Module:
    """Return a module that computes what the network does in evaluation, for a device.

    On a CPU it is a `WindowReuse`, or the folded form of a network that has no frame parts; and
    from then on the process keeps memory that it has freed (`keep_memory`): without that, half of
    the time goes into the same memory again and again. On a GPU it is the network itself, moved
    there.

    Raises:
        DeviceError: If the device does not take it.
    """
    if device.type == "cpu":
        keep_memory()
        parts = frame_parts(network, fused=True)
        return folded_form(network) if parts is None else WindowReuse(parts)
    move(network, device)
    return network


class TorchEngine(Engine):
    """On a CPU `execution_form`; on a GPU the folded form, in any precision."""

    name = "torch"
    DEVICES = ("cpu", "cuda")
    PRECISIONS = PRECISIONS

    def __init__(self, request: EngineRequest) -> None:
        self._device, self._precision = request.device, request.precision
        self._module: nn.Module | None
        if self._device.type == "cpu":
            self._module = execution_form(request.network, self._device)
        else:
            self._module = folded_on(self._device, request.network, self._precision)

    @property
    def version(self) -> str:
        """Of torch."""
        return f"torch {torch.__version__}"

    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """See `Engine.infer`."""
        assert self._module is not None
        reuse = (shift,) if isinstance(self._module, WindowReuse) else ()
        try:
            with torch.inference_mode(), arithmetic(self._precision):
                logits = self._module(torch.from_numpy(windows).to(self._device), *reuse)
                answer: np.ndarray = logits.float().cpu().numpy()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise EngineError(f"{self._device} ran out of memory: {error}") from error
        return answer

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """Drop the network and give its GPU memory back."""
        self._module = None
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
