"""Which engine runs a network: the one that is asked for, or the fastest that is right."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cs3d_ros.errors import Cs3dError
from cs3d_ros.network.engines import ENGINES
from cs3d_ros.network.engines.engine import (
    PRECISIONS,
    Engine,
    EngineError,
    EngineRequest,
    EngineUnavailableError,
)
from cs3d_ros.network.engines.self_check import Probe, first_line

AUTO = "auto"
"""The word that asks for the fastest engine."""

CANDIDATES = {
    "cpu": ("numba", "openvino", "torch", "onnxruntime"),
    "cuda": ("tensorrt", "cuda-graph", "torch"),
}
"""What `auto` tries, by type of device, the preferred one first.

`torch-compile` is left out: it compiles for minutes.
"""

_PROBES = 8
# A node infers once in a hop. Between, others use the processor, its caches are emptied and the
# threads of a library go to sleep: that costs one engine much more than another.
_PAUSE_S = 0.05
# As good as the fastest, and the preferred one serves: beside other processes, which no probe sees,
# OpenVINO keeps its pace where torch does not (docs/speed.md).
_TIE = 1.15


@dataclass(frozen=True)
class Choice:
    """An engine that was checked, and why it is this one.

    Attributes:
        engine: Ready to serve.
        reason: One line for people: what was chosen, and what became of the others.
        failures: One line for each engine that should have worked here and did not.
    """

    engine: Engine
    reason: str
    failures: tuple[str, ...] = ()


def engine_names() -> tuple[str, ...]:
    """Return the names that can be asked for; `auto` is the last."""
    return (*ENGINES, AUTO)


def open_engine(name: str, request: EngineRequest, without: Sequence[str] = ()) -> Choice:
    """Return an engine whose answer to one window is the reference's.

    The reference is the network of `Conv3d` modules on the CPU, in float32.

    Args:
        name: One of `engine_names()`.
        request: What it is to run.
        without: Names that `auto` leaves out.

    Raises:
        EngineError: The name is unknown; the engine that was asked for is not available, fails or
            answers wrongly; or all that `auto` tried do.
    """
    if name not in engine_names():
        raise EngineError(f"unknown engine {name!r}; choose one of {', '.join(engine_names())}")
    if request.precision not in PRECISIONS:
        raise EngineError(
            f"unknown precision {request.precision!r}; choose one of {', '.join(PRECISIONS)}"
        )
    probe = Probe.of(request.network, request.input_shape)
    if name != AUTO:
        try:
            engine = _made(name, request, probe)
        except EngineError as error:
            raise type(error)(
                f"engine {name}: {error}; choose another one, or {AUTO} for the fastest that works"
            ) from error
        return Choice(engine, f"{engine.version}, as asked for")
    return _fastest(request, probe, without)


def _fastest(request: EngineRequest, probe: Probe, without: Sequence[str]) -> Choice:
    engines: list[Engine] = []
    others: dict[str, str] = {}
    failures: list[str] = []
    for name in CANDIDATES[request.device.type]:
        if name in without:
            continue
        try:
            engines.append(_made(name, request, probe))
        except EngineUnavailableError as error:
            others[name] = str(error)
        except EngineError as error:
            others[name] = str(error)
            failures.append(f"engine {name}: {error}")
    if not engines:
        raise EngineError(
            "no engine can run the network: "
            + "; ".join(f"{name}: {why}" for name, why in others.items())
        )
    took_ms = _medians_ms(engines, probe.window, request.shift)
    best, best_ms = next(
        (engine, engine_ms)
        for engine, engine_ms in zip(engines, took_ms, strict=True)
        if engine_ms <= _TIE * min(took_ms)
    )
    for engine, engine_ms in zip(engines, took_ms, strict=True):
        if engine is not best:
            others[engine.name] = f"{engine_ms:.1f} ms"
            engine.close()
    losers = "; ".join(f"{name}: {why}" for name, why in others.items())
    reason = f"{best.version}, {best_ms:.1f} ms a window" + (f" ({losers})" if losers else "")
    return Choice(best, reason, tuple(failures))


def _made(name: str, request: EngineRequest, probe: Probe) -> Engine:
    """Make an engine and check what it says.

    Raises:
        EngineError: It is not available, fails, or answers wrongly.
    """
    kind = ENGINES[name]
    if request.device.type not in kind.DEVICES:
        raise EngineUnavailableError(f"runs on {' and '.join(kind.DEVICES)} only")
    precisions = kind.PRECISIONS if request.device.type == "cuda" else ("float32",)
    if request.precision not in precisions:
        raise EngineUnavailableError(
            f"computes in {' or '.join(precisions)} on a {request.device.type.upper()} device, not "
            f"in {request.precision}"
        )
    try:
        engine = kind(request)
    except EngineError:
        raise
    except Cs3dError as error:
        raise EngineError(str(error)) from error
    except Exception as error:
        # Libraries raise what they like.
        raise EngineError(f"cannot be made: {first_line(error)}") from error
    try:
        probe.check(engine.infer, request.precision)
    except BaseException:
        engine.close()
        raise
    return engine


def _medians_ms(engines: Sequence[Engine], window: np.ndarray, shift: int | None) -> list[float]:
    # In turns, so that whatever else the machine does meanwhile is met by all. What is in the
    # window does not matter for the time, so that it may be the same again.
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(_PROBES):
        for engine, of_engine in zip(engines, times, strict=True):
            time.sleep(_PAUSE_S)
            began = time.perf_counter()
            engine.infer(window, shift)
            of_engine.append(time.perf_counter() - began)
    return [statistics.median(of_engine) * 1e3 for of_engine in times]
