"""The libraries of the extra `deploy`, loaded so that they report to nobody."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cs3d_ros.errors import Cs3dError
from cs3d_ros.extras import load_extra
from cs3d_ros.network.engines.engine import EngineUnavailableError

_EXTRA = "deploy"
# The first with Core at the top, every setting that we make, and wheels for Python 3.12.
_OPENVINO = (2024, 0)
# The first that can stop its threads from spinning after each run, and reads opset 17.
_ONNXRUNTIME = (1, 13)
# The first that is asked by the names of tensors.
_TENSORRT = (8, 5)


def load_onnx() -> Any:
    """The module onnx.

    Raises:
        EngineUnavailableError: It is not installed.
    """
    return _extra("onnx")


def load_openvino() -> Any:
    """The module openvino.

    Importing it sends an event to a service for statistics, by openvino-telemetry. Where that is
    not installed it does not, so that is how it looks to it.

    Raises:
        EngineUnavailableError: It is not installed, or too old.
    """
    with _hidden("openvino_telemetry"):
        library = _extra("openvino")
    _check_version("OpenVINO", library.__version__, _OPENVINO)
    return library


def load_onnxruntime() -> Any:
    """The module onnxruntime.

    From 1.29 on it reports processes, models and run times, unless this variable is set before it
    is loaded.

    Raises:
        EngineUnavailableError: It is not installed, or too old.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    library = _extra("onnxruntime")
    _check_version("ONNX Runtime", library.__version__, _ONNXRUNTIME)
    # Where somebody else has loaded it before.
    library.disable_telemetry_events()
    return library


def load_tensorrt() -> Any:
    """The module tensorrt.

    Raises:
        EngineUnavailableError: It is not installed, or too old.
    """
    try:
        library = importlib.import_module("tensorrt")
    except ImportError as error:
        raise EngineUnavailableError(
            f"this needs tensorrt ({error}); it comes with JetPack (make it visible: "
            "docs/deployment.md), elsewhere install it with: pip install 'tensorrt>=10,<11'"
        ) from None
    _check_version("TensorRT", library.__version__, _TENSORRT)
    return library


def version_of(text: str) -> tuple[int, int]:
    """Major and minor number of a version; zeros for what is no number."""
    numbers = [int(part) if part.isdecimal() else 0 for part in text.split("-")[0].split(".")]
    return numbers[0], numbers[1] if len(numbers) > 1 else 0


def _extra(module: str) -> Any:
    try:
        return load_extra(module, _EXTRA)
    except Cs3dError as error:
        raise EngineUnavailableError(str(error)) from None


def _check_version(name: str, found: str, oldest: tuple[int, int]) -> None:
    if version_of(found) < oldest:
        raise EngineUnavailableError(
            f"{name} {found} is too old; install {oldest[0]}.{oldest[1]} or newer"
        )


@contextmanager
def _hidden(module: str) -> Iterator[None]:
    """Let a module that is not loaded yet look as if it were not installed."""
    if module in sys.modules:
        yield
        return
    # What `import` takes for a module that cannot be found.
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]
