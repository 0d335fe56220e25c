"""The engine `onnxruntime`: on CPUs."""

from __future__ import annotations

from typing import Any

import numpy as np

from cs3d_ros.network.engines.engine import Engine, EngineError, EngineRequest
from cs3d_ros.network.engines.libraries import load_onnxruntime
from cs3d_ros.network.engines.onnx_graph import INPUT, converted
from cs3d_ros.network.engines.self_check import first_line

# Of its log levels.
_FATAL = 4


class OnnxRuntimeEngine(Engine):
    """The network's ONNX graph, executed by ONNX Runtime."""

    name = "onnxruntime"

    def __init__(self, request: EngineRequest) -> None:
        library = load_onnxruntime()
        self._version = str(library.__version__)
        self._session: Any = None
        content = converted(request)
        try:
            self._session = open_session(library, content, request.cpu_threads)
            self._classes = int(self._session.get_outputs()[0].shape[1])
        except Exception as error:
            raise EngineError(f"cannot be loaded: {first_line(error)}") from error

    @property
    def version(self) -> str:
        """Of ONNX Runtime."""
        return f"ONNX Runtime {self._version}"

    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """See `Engine.infer`."""
        assert self._session is not None
        answers = np.empty((len(windows), self._classes), np.float32)
        try:
            for i in range(len(windows)):
                answers[i] = self._session.run(None, {INPUT: windows[i : i + 1]})[0][0]
        except Exception as error:
            # Its errors have no base class of their own.
            raise EngineError(f"ONNX Runtime could not answer: {first_line(error)}") from error
        return answers

    def close(self) -> None:
        """Drop the session."""
        self._session = None


def open_session(library: Any, content: bytes, threads: int) -> Any:
    """Return an `onnxruntime.InferenceSession` on the CPU that says nothing by itself.

    Raises:
        Exception: What ONNX Runtime raises.
    """
    options = library.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL
    # Between windows its threads would go on looking for work for a while.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return library.InferenceSession(content, options, providers=["CPUExecutionProvider"])
