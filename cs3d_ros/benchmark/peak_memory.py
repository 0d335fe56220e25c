"""Memory that a network takes while an engine executes it, measured in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
from multiprocessing.connection import Connection
from pathlib import Path

from cs3d_ros.benchmark.subject import Subject, opened

_TIMEOUT_S = 120.0
_INFERENCES = 3
_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
# Resets the highest resident size; proc(5).
_RESET_PEAK = "5"


def peak_memory_bytes(subject: Subject) -> int | None:
    """Return the highest memory during inference, less that before the network was made.

    It holds the weights, the maps in between and the engine's library. On a CPU it is resident
    memory, on a GPU memory of the device without that of the CUDA context.

    Returns:
        Bytes; None where it cannot be measured.
    """
    # A server that has torch loaded makes each process within milliseconds, and none inherits
    # threads or memory of this one.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "torch"])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(subject, sender), daemon=True)
    process.start()
    sender.close()
    try:
        if not receiver.poll(_TIMEOUT_S):
            return None
        answer: int | None = receiver.recv()
    except EOFError:
        return None
    finally:
        if process.is_alive():
            process.kill()
        process.join()
        receiver.close()
    return answer


def _measure(subject: Subject, sender: Connection) -> None:
    measured = None
    try:
        measured = _measured(subject)
    finally:
        sender.send(measured)
        sender.close()


def _measured(subject: Subject) -> int | None:
    if subject.device.startswith("cuda"):
        return _measured_on_gpu(subject)
    before = _resident_bytes("VmRSS")
    engine, window = opened(subject)
    _CLEAR.write_text(_RESET_PEAK)
    for _ in range(_INFERENCES):
        engine.infer(window)
    return _resident_bytes("VmHWM") - before


def _measured_on_gpu(subject: Subject) -> int:
    import torch

    torch.cuda.synchronize(subject.device)
    before, _ = torch.cuda.mem_get_info(subject.device)
    engine, window = opened(subject)
    for _ in range(_INFERENCES):
        engine.infer(window)
    engine.synchronize()
    # Torch, CUDA graphs and TensorRT keep what they have taken.
    after, _ = torch.cuda.mem_get_info(subject.device)
    return before - after


def _resident_bytes(key: str) -> int:
    found = re.search(rf"^{key}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{_STATUS} has no {key}")
    return int(found[1]) * 1024
