"""The power of the device that networks run on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from cs3d_ros.energy import (
    SOURCE_NAMES,
    EnergyMeter,
    PowerSource,
    PowerSourceError,
    open_source,
)

_SCOPES = {"cpu": ("module", "cpu_package"), "cuda": ("module", "gpu")}
_TIMEOUT_S = 20.0


@contextmanager
def device_meter(
    name: str, interval_ms: int, device: torch.device
) -> Iterator[tuple[EnergyMeter | None, str]]:
    """Measure the energy of a device within the block.

    Args:
        name: As for `open_power`.
        interval_ms: As for `open_power`.
        device: As for `open_power`.

    Yields:
        A running meter and an empty text; or, with `auto` and no source, None and one line that
        says why.

    Raises:
        PowerSourceError: The source that was asked for by name cannot be used.
    """
    try:
        source = open_power(name, interval_ms, device)
    except PowerSourceError as error:
        if name != "auto":
            raise
        lines = "; ".join(line.strip() for line in str(error).splitlines())
        yield None, lines.replace(":; ", ": ").rstrip(".")
        return
    try:
        with EnergyMeter(source) as meter:
            yield meter, ""
    finally:
        source.stop()


def open_power(name: str, interval_ms: int, device: torch.device) -> PowerSource:
    """Start a power source that measures the device that the networks run on.

    Args:
        name: One of `SOURCE_NAMES`. `auto` takes the first that gives a reading and covers the
            device: a graphics board's power says nothing of a CPU.
        interval_ms: From one reading to the next, in milliseconds.
        device: Where the networks run.

    Returns:
        The source, started; the caller stops it.

    Raises:
        PowerSourceError: There is none.
    """
    index = _gpu_index(device)
    first = open_source(name, interval_ms, gpu_index=index)
    if first.scope in _SCOPES[device.type]:
        return first
    first.stop()
    unfit = f"{first.name} measures the {first.scope}, and the networks run on {device}"
    if name != "auto":
        raise PowerSourceError(f"{unfit}; choose another source or another device")
    for other in SOURCE_NAMES[SOURCE_NAMES.index(first.name) + 1 :]:
        try:
            source = open_source(other, interval_ms, gpu_index=index)
        except PowerSourceError:
            continue
        if source.scope in _SCOPES[device.type]:
            return source
        source.stop()
    raise PowerSourceError(f"{unfit}; no source that covers it gives a reading")


def _gpu_index(device: torch.device) -> int:
    """The number of a device as `nvidia-smi -L` counts, which torch need not.

    Raises:
        PowerSourceError: There are several, and no telling which it is.
    """
    if device.type != "cuda":
        return 0
    listed = _listed_gpus()
    uuid = getattr(torch.cuda.get_device_properties(device), "uuid", None)
    if uuid is not None and (name := str(uuid).removeprefix("GPU-")) in listed:
        return listed[name]
    if torch.cuda.device_count() == 1 and len(listed) <= 1:
        return 0
    raise PowerSourceError(
        f"which of several GPUs {device} is cannot be told: `nvidia-smi --query-gpu=index,uuid "
        "--format=csv` has to list it"
    )


def _listed_gpus() -> dict[str, int]:
    """Numbers by unique name, as nvidia-smi tells; empty where it does not."""
    command = ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S,
            env={**os.environ, "LC_ALL": "C"}, check=False,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return {}
    found = {}
    for line in done.stdout.splitlines():
        index, _, uuid = (part.strip() for part in line.partition(","))
        if index.isascii() and index.isdigit() and len(index) < 5:
            found[uuid.removeprefix("GPU-")] = int(index)
    return found
