"""The engine `cuda-graph`: PyTorch's kernels and our own, recorded once and replayed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from cs3d_ros.network.engines.cuda_replay import Replay
from cs3d_ros.network.engines.engine import (
    PRECISIONS,
    Engine,
    EngineError,
    EngineRequest,
    EngineUnavailableError,
)
from cs3d_ros.network.engines.self_check import Probe, first_line
from cs3d_ros.network.gpu_forms import folded_on, fused_on, has_factorized_blocks
from cs3d_ros.network.precision import arithmetic
from cs3d_ros.network.specification import Network

Form = Callable[[torch.device, Network, str], nn.Module]

FORMS: dict[str, Form] = {"folded": folded_on, "fused": fused_on}
"""What can be recorded, by name; the second with Triton's kernels, for factorized blocks only."""


class CudaGraphEngine(Engine):
    """The faster of the two `FORMS` on this device, by the time of a few replays at the start.

    A form that cannot be recorded or answers wrongly is out.
    """

    name = "cuda-graph"
    DEVICES = ("cuda",)
    PRECISIONS = PRECISIONS

    def __init__(self, request: EngineRequest) -> None:
        if not torch.cuda.is_available():
            raise EngineUnavailableError("torch finds no CUDA device here")
        self._device = request.device
        self._replay: Replay | None = None
        self.form = ""
        best_ms = np.inf
        failures: list[str] = []
        probe = Probe.of(request.network, request.input_shape)
        for name, form in FORMS.items():
            if name == "fused" and not has_factorized_blocks(request.network):
                continue
            try:
                replay = _recorded(form, request, probe)
            except Exception as error:
                # Triton, its compilers and the driver raise what they like.
                failures.append(f"{name}: {first_line(error)}")
                continue
            took_ms = replay.median_ms()
            loser: Replay | None = replay
            if took_ms < best_ms:
                loser, self._replay = self._replay, replay
                best_ms, self.form = took_ms, name
            if loser is not None:
                loser.close()
        if self._replay is None:
            raise EngineError(f"nothing can be recorded: {'; '.join(failures)}")

    @property
    def version(self) -> str:
        """Of torch, with the form that is replayed."""
        return f"torch {torch.__version__}, {self.form} form in a CUDA graph"

    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """See `Engine.infer`."""
        assert self._replay is not None
        return self._replay.infer(windows)

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """Drop the recording and give its GPU memory back."""
        if self._replay is not None:
            self._replay.close()
            self._replay = None


def _recorded(form: Form, request: EngineRequest, probe: Probe) -> Replay:
    with arithmetic(request.precision):
        module = form(request.device, request.network, request.precision)
        replay = Replay(module, request.input_shape, request.device)
    try:
        probe.check(replay.infer, request.precision)
    except EngineError:
        replay.close()
        raise
    return replay
