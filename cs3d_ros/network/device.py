"""Where a network runs: devices by name."""

from __future__ import annotations

import re

import torch
from torch import nn

from cs3d_ros.network.errors import DeviceError, NetworkError

# Before anything sets it.
_ALL_THREADS = torch.get_num_threads()


def available_devices() -> tuple[str, ...]:
    """Return the devices of this machine: `cpu`, then `cuda:0` and so on."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    return ("cpu", *(f"cuda:{index}" for index in range(count)))


def resolve_device(text: str | torch.device) -> torch.device:
    """Return the device that a setting names.

    Args:
        text: `auto` (the first CUDA device, or the CPU without one), `cpu`, `cuda` (the first
            CUDA device) or `cuda:N`.

    Raises:
        DeviceError: If the text is none of these or this machine has no such device.
    """
    name = str(text)
    available = available_devices()
    if name == "auto":
        return torch.device(available[1] if len(available) > 1 else "cpu")
    if not re.fullmatch(r"cpu|cuda(:[0-9]{1,3})?", name):
        raise DeviceError(f"unknown device {name!r}; give auto, cpu, cuda or cuda:N")
    found = "cuda:0" if name == "cuda" else name
    if found not in available:
        raise DeviceError(f"device {name!r} does not exist here; available: {', '.join(available)}")
    return torch.device(found)


def move(network: nn.Module, device: torch.device) -> None:
    """Move a network to a device, in place.

    Raises:
        DeviceError: If the device does not take it, for instance for lack of memory.
    """
    try:
        network.to(device)
    except RuntimeError as error:
        raise DeviceError(
            f"the network could not be moved to {device}: {error}; free memory on it or choose "
            f"another of {', '.join(available_devices())}"
        ) from error


def set_threads(threads: int) -> None:
    """Set torch's threads on the CPU, for the whole process.

    Args:
        threads: How many; 0 for what torch began with.

    Raises:
        NetworkError: If the number is negative.
    """
    if threads < 0:
        raise NetworkError(f"{threads} threads asked for; give 1 or more, or 0 for torch's own")
    torch.set_num_threads(threads or _ALL_THREADS)
