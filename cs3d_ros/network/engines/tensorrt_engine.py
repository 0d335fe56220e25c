"""The engine `tensorrt`: on NVIDIA GPUs, among them those of Jetsons."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from cs3d_ros.network.engines import cache
from cs3d_ros.network.engines.engine import (
    Engine,
    EngineError,
    EngineRequest,
    EngineUnavailableError,
)
from cs3d_ros.network.engines.libraries import load_tensorrt, version_of
from cs3d_ros.network.engines.onnx_graph import INPUT, OUTPUT, converted, graph_version

# On a Jetson the memory is that of the whole machine.
_WORKSPACE_BYTES = 1 << 30
_FLAGS = {"float16": "FP16", "bfloat16": "BF16"}
# From then on networks are strongly typed, and the builder takes no precision.
_STRONGLY_TYPED = 11


class TensorRtEngine(Engine):
    """The network's ONNX graph, built by TensorRT for this very GPU.

    Building tries out kernels and takes minutes on a small device; the cache keeps the result for
    the next start. Input, output and weights are float32 outside, whatever it computes in.
    """

    name = "tensorrt"
    DEVICES = ("cuda",)
    PRECISIONS = ("float32", "tf32", "bfloat16", "float16")

    def __init__(self, request: EngineRequest) -> None:
        library = load_tensorrt()
        self._version = str(library.__version__)
        self._context: Any = None
        self._plan: Any = None
        _check_precision(library, request.precision)
        self._device = request.device
        # Allocating first makes the CUDA context that TensorRT then works in.
        self._window = torch.empty(1, *request.input_shape, device=self._device)
        classes = request.network.specification.num_classes
        self._logits = torch.empty(1, classes, device=self._device)
        self._log = _log(library)
        gpu = torch.cuda.get_device_properties(self._device)
        name = cache.entry_name(
            "tensorrt",
            request,
            *graph_version(),
            f"TensorRT {self._version}",
            f"{gpu.name} {gpu.major}.{gpu.minor} {gpu.total_memory}",
            request.precision,
        )
        with torch.cuda.device(self._device):
            self._runtime = library.Runtime(self._log)
            self._plan = cache.opened(name, lambda: self._built(library, request), self._loaded)
            self._context = self._plan.create_execution_context()
            if self._context is None:
                raise EngineError(f"TensorRT cannot prepare the network: {self._log.reason()}")
            self._stream = torch.cuda.Stream(self._device)
        for tensor, its_name in ((self._window, INPUT), (self._logits, OUTPUT)):
            if not self._context.set_tensor_address(its_name, tensor.data_ptr()):
                raise EngineError(f"TensorRT refuses its {its_name}: {self._log.reason()}")

    @property
    def version(self) -> str:
        """Of TensorRT."""
        return f"TensorRT {self._version}"

    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """See `Engine.infer`."""
        assert self._context is not None
        answers = np.empty((len(windows), self._logits.shape[1]), np.float32)
        with torch.cuda.device(self._device), torch.cuda.stream(self._stream):
            for i in range(len(windows)):
                self._window.copy_(torch.from_numpy(windows[i : i + 1]))
                if not self._context.execute_async_v3(self._stream.cuda_stream):
                    raise EngineError(f"TensorRT could not answer: {self._log.reason()}")
                # Waits for it.
                answers[i] = self._logits.cpu().numpy()[0]
        return answers

    def synchronize(self) -> None:
        """Wait until the device has finished."""
        torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """Give the GPU's memory back."""
        # In this order: a context needs its plan.
        self._context = None
        self._plan = None
        self._runtime = None
        torch.cuda.empty_cache()

    def _loaded(self, content: bytes) -> Any:
        plan = self._runtime.deserialize_cuda_engine(content)
        if plan is None:
            raise EngineError(f"TensorRT cannot load what it built: {self._log.reason()}")
        return plan

    def _built(self, library: Any, request: EngineRequest) -> bytes:
        content = converted(request)
        builder = library.Builder(self._log)
        network = builder.create_network(_creation_flags(library))
        parser = library.OnnxParser(network, self._log)
        if not parser.parse(content):
            reason = parser.get_error(0).desc() if parser.num_errors else self._log.reason()
            raise EngineError(f"TensorRT cannot read the network: {reason}")
        config = builder.create_builder_config()
        config.set_memory_pool_limit(library.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
        # It is on by default.
        if request.precision == "float32":
            config.clear_flag(library.BuilderFlag.TF32)
        if request.precision in _FLAGS:
            config.set_flag(getattr(library.BuilderFlag, _FLAGS[request.precision]))
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise EngineError(f"TensorRT cannot build the network: {self._log.reason()}")
        return bytes(plan)


def _check_precision(library: Any, precision: str) -> None:
    """Make sure that this version can be asked for a precision.

    Raises:
        EngineUnavailableError: It cannot.
    """
    flag = _FLAGS.get(precision)
    if flag is None or hasattr(library.BuilderFlag, flag):
        return
    if version_of(library.__version__)[0] >= _STRONGLY_TYPED:
        advice = "install TensorRT 10, or compute in float32 or tf32"
    else:
        advice = "install a newer one, or compute in float16"
    raise EngineUnavailableError(
        f"TensorRT {library.__version__} cannot be asked to compute in {precision}; {advice}"
    )


def _creation_flags(library: Any) -> int:
    """Before TensorRT 10, a network of fixed shapes had to be asked for."""
    explicit = getattr(library.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
    if explicit is None or version_of(library.__version__)[0] >= 10:
        return 0
    return 1 << int(explicit)


def _log(library: Any) -> Any:
    """Return a log that prints nothing and keeps the first error since it was last asked."""

    class Log(library.ILogger):
        def __init__(self) -> None:
            library.ILogger.__init__(self)
            self._first = ""

        def log(self, severity: Any, message: str) -> None:
            errors = (library.ILogger.INTERNAL_ERROR, library.ILogger.ERROR)
            if severity in errors and not self._first:
                self._first = message.strip().splitlines()[0][:300] if message.strip() else ""

        def reason(self) -> str:
            first, self._first = self._first, ""
            return first or "it does not say why"

    return Log()
