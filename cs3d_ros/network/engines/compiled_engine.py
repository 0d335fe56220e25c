"""The engine `torch-compile`: the folded form, compiled by PyTorch for this machine."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cs3d_ros.network.engines.cuda_replay import Module, Replay
from cs3d_ros.network.engines.engine import (
    PRECISIONS,
    Engine,
    EngineError,
    EngineRequest,
    EngineUnavailableError,
)
from cs3d_ros.network.engines.self_check import first_line
from cs3d_ros.network.folded import folded_form
from cs3d_ros.network.gpu_forms import folded_on
from cs3d_ros.network.memory import keep_memory
from cs3d_ros.network.precision import arithmetic

# Torch's errors for a compiler that is not there, or cannot compile (no headers of Python, ...).
_NO_COMPILER = ("InvalidCxxCompiler", "CppCompileError", "CppWrapperCodegenError")


class CompiledEngine(Engine):
    """The folded form through `torch.compile`, for one window of one shape.

    On a CPU torch writes C++ and needs a C++ compiler. On a GPU it writes Triton kernels, tries
    several for each product (`max-autotune-no-cudagraphs`), and the result is recorded like that of
    the engine `cuda-graph`. Torch's own recording (`reduce-overhead`) is bound to the thread that
    made it. What was compiled stays in torch's cache on disk.
    """

    name = "torch-compile"
    DEVICES = ("cpu", "cuda")
    PRECISIONS = PRECISIONS

    def __init__(self, request: EngineRequest) -> None:
        self._device, self._shape = request.device, request.input_shape
        self._compiled: Module | None = None
        self._replay: Replay | None = None
        try:
            if self._device.type == "cpu":
                self._make_for_cpu(request)
            else:
                self._make_for_gpu(request)
        except EngineError:
            raise
        except Exception as error:
            raise _told(error) from error

    def _make_for_cpu(self, request: EngineRequest) -> None:
        keep_memory()
        # One thread of the compiler: more are processes that stay until this one ends.
        self._compiled = torch.compile(
            _own(folded_form(request.network)),
            fullgraph=True,
            dynamic=False,
            options={"compile_threads": 1},
        )
        self._classes = self._run(np.zeros((1, *self._shape), np.float32)).shape[1]

    def _make_for_gpu(self, request: EngineRequest) -> None:
        with arithmetic(request.precision):
            module = folded_on(self._device, request.network, request.precision)
            compiled = torch.compile(
                _own(module), fullgraph=True, dynamic=False, mode="max-autotune-no-cudagraphs"
            )
            self._replay = Replay(compiled, self._shape, self._device)

    @property
    def version(self) -> str:
        """Of torch."""
        return f"torch {torch.__version__}, compiled"

    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """See `Engine.infer`."""
        if self._replay is not None:
            return self._replay.infer(windows)
        if windows.shape[1:] != self._shape:
            raise EngineError(f"windows of {windows.shape[1:]} given, {self._shape} expected")
        answers = np.empty((len(windows), self._classes), np.float32)
        try:
            for window, answer in zip(windows, answers, strict=True):
                answer[:] = self._run(window[None])[0]
        except (RuntimeError, MemoryError) as error:
            raise _told(error) from error
        return answers

    def _run(self, window: np.ndarray) -> np.ndarray:
        assert self._compiled is not None
        with torch.inference_mode():
            logits: np.ndarray = self._compiled(torch.from_numpy(window)).numpy()
        return logits

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """Drop what was compiled."""
        self._compiled = None
        if self._replay is not None:
            self._replay.close()
            self._replay = None


def _own(module: nn.Module) -> Module:
    """The module as a function with code of its own.

    Torch keeps what it compiled with the code of what is called, for a few of the same code only:
    all engines in a process would share one place.
    """

    def run(x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = module(x)
        return logits

    run.__code__ = run.__code__.replace()
    return run


def _told(error: BaseException) -> EngineError:
    """What a library's error means for the engine.

    Torch wraps the errors of its parts, in ways that differ between its versions.
    """
    seen: set[int] = set()
    inner: BaseException | None = error
    while inner is not None and id(inner) not in seen:
        seen.add(id(inner))
        if type(inner).__name__ in _NO_COMPILER:
            return EngineUnavailableError(
                "torch.compile needs a working C++ compiler with the headers of Python "
                f"({first_line(inner)}); install g++ and python3-dev, or name another with CXX"
            )
        inner = getattr(inner, "inner_exception", None) or inner.__cause__ or inner.__context__
    return EngineError(first_line(error))
