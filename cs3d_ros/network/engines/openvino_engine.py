"""The engine `openvino`: on CPUs."""

from __future__ import annotations

import functools
from concurrent import futures
from typing import Any

import numpy as np

from cs3d_ros.network.engines.engine import (
    Engine,
    EngineError,
    EngineRequest,
    EngineUnavailableError,
)
from cs3d_ros.network.engines.libraries import load_openvino
from cs3d_ros.network.engines.onnx_graph import converted

_DEVICE = "CPU"


class OpenVinoEngine(Engine):
    """The network's ONNX graph, compiled by OpenVINO for this processor when it is made."""

    name = "openvino"

    def __init__(self, request: EngineRequest) -> None:
        library = load_openvino()
        self._version = str(library.__version__).split("-")[0]
        self._ask: Any = None
        core = _core(library)
        if _DEVICE not in core.available_devices:
            raise EngineUnavailableError(f"OpenVINO {self._version} has no plugin for this CPU")
        content = converted(request)
        try:
            model = core.read_model(content)
            compiled = core.compile_model(
                model,
                _DEVICE,
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": request.cpu_threads,
                    "INFERENCE_PRECISION_HINT": "f32",
                    # Pinned threads of two processes would share cores while others idle.
                    "ENABLE_CPU_PINNING": False,
                },
            )
            self._ask = compiled.create_infer_request()
            self._classes = int(compiled.outputs[0].shape[1])
        except Exception as error:
            raise EngineError(f"cannot be compiled: {_last_line(error)}") from error

    @property
    def version(self) -> str:
        """Of OpenVINO."""
        return f"OpenVINO {self._version}"

    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """See `Engine.infer`."""
        assert self._ask is not None
        answers = np.empty((len(windows), self._classes), np.float32)
        try:
            for i in range(len(windows)):
                # The results are views of the request's memory.
                results = self._ask.infer(
                    [windows[i : i + 1]], share_inputs=True, share_outputs=True
                )
                answers[i] = results[0][0]
        except (RuntimeError, MemoryError) as error:
            raise EngineError(f"OpenVINO could not answer: {_last_line(error)}") from error
        return answers

    def close(self) -> None:
        """Drop the compiled network."""
        self._ask = None


@functools.cache
def _core(library: Any) -> Any:
    """Return the one `openvino.Core` of this process, its plugin for CPUs loaded.

    As it is loaded, the plugin gives the thread at hand a signal stack, and takes that memory back
    when the last of its users goes, in whatever thread: the next signal, such as Ctrl-C, would then
    end the process by a segmentation fault. So it is loaded in a thread that no signal finds, and
    it stays.
    """
    with futures.ThreadPoolExecutor(1) as elsewhere:
        core = elsewhere.submit(library.Core).result()
        elsewhere.submit(lambda: core.available_devices).result()
    return core


def _last_line(error: BaseException) -> str:
    """What went wrong: before it come the places in OpenVINO's sources where it was seen."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1][:300] if lines else type(error).__name__
