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
    "cpu": ("openvino", "torch", "onnxruntime"),
    "cuda": ("tensorrt", "cuda-graph", "torch"),
}
"""What `auto` tries, by type of device. `torch-compile` is left out: it compiles for minutes."""

_PROBES = 8
# A node infers once in a hop. Between, others use the processor, its caches are emptied and the
# threads of a library go to sleep: that costs one engine much more than another.
_PAUSE_S = 0.05


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
    best: Engine | None = None
    best_ms = np.inf
    others: dict[str, str] = {}
    failures: list[str] = []
    for name in CANDIDATES[request.device.type]:
        if name in without:
            continue
        try:
            engine = _made(name, request, probe)
        except EngineUnavailableError as error:
            others[name] = str(error)
            continue
        except EngineError as error:
            others[name] = str(error)
            failures.append(f"engine {name}: {error}")
            continue
        took_ms = _median_ms(engine, probe.window, request.shift)
        loser: Engine | None = engine
        loser_ms = took_ms
        if took_ms < best_ms:
            loser, loser_ms = best, best_ms
            best, best_ms = engine, took_ms
        if loser is not None:
            others[loser.name] = f"{loser_ms:.1f} ms"
            loser.close()
    if best is None:
        raise EngineError(
            "no engine can run the network: "
            + "; ".join(f"{name}: {why}" for name, why in others.items())
        )
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


def _median_ms(engine: Engine, window: np.ndarray, shift: int | None) -> float:
    # What is in the window does not matter for the time, so that it may be the same again.
    times: list[float] = []
    for _ in range(_PROBES):
        time.sleep(_PAUSE_S)
        began = time.perf_counter()
        engine.infer(window, shift)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3
