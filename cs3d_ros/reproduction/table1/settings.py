"""What Table I can be measured with: settings from what the user asks for."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import torch

from cs3d_ros.network import MAX_SIZE, MIN_SIZE, default_options
from cs3d_ros.network.checks import is_whole_number
from cs3d_ros.network.device import resolve_device
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.reproduction.table1.results import Settings

NETWORKS = ("c3d", "cs3d")
PRECISIONS = ("float32", "tf32", "bfloat16")
"""float32: in all operations. tf32: as float32, but convolutions and matrix products round their
operands to 10 bits. bfloat16: weights and feature maps."""

REPEATS = 5
SECONDS = 10.0
SECONDS_WITHOUT_POWER = 3.0
LEAD_IN_S = 2.0
"""So that clocks and temperature settle, and a power that is a mean over a second holds nothing of
what was before."""

_MOST_REPEATS, _MOST_SECONDS, _MOST_IN_A_BATCH = 100, 3600.0, 1024
_AMPERE = (8, 0)


def settings(
    *,
    device: str = "auto",
    networks: Sequence[str] = NETWORKS,
    precisions: Sequence[str] = ("float32",),
    batches: Sequence[int] | None = None,
    size: int = 112,
    repeats: int = REPEATS,
    seconds: float = SECONDS,
    lead_in_s: float | None = None,
    threads: int = 0,
) -> Settings:
    """Checked settings.

    Args:
        device: As of `resolve_device`.
        networks: Names, those of the table by default; each is compared with the first.
        precisions: Of `PRECISIONS`; those after the first need a GPU that has them.
        batches: 1 and 32 on a GPU and 1 on a CPU by default.
        size: Rows and columns of an input.
        repeats: How often each network has its turn.
        seconds: How long a turn is.
        lead_in_s: How many seconds of the same come before, and are not measured; `LEAD_IN_S` by
            default, but not longer than a turn.
        threads: CPU threads; 0: all.

    Raises:
        ReproductionError: A value out of its range, twice the same, or a precision that the device
            does not have.
        DeviceError: There is no such device.
        NetworkError: There is no such network.
    """
    found = resolve_device(device)
    for name in networks:
        default_options(name)
    if batches is None:
        batches = (1,) if found.type == "cpu" else (1, 32)
    _check_different("network", networks)
    _check_different("precision", precisions)
    _check_different("batch", batches)
    for precision in precisions:
        _check_precision(precision, found)
    for batch in batches:
        _check_whole("batch", batch, 1, _MOST_IN_A_BATCH)
    _check_whole("size", size, MIN_SIZE, MAX_SIZE)
    _check_whole("number of repeats", repeats, 1, _MOST_REPEATS)
    if not (math.isfinite(seconds) and 0 < seconds <= _MOST_SECONDS):
        raise ReproductionError(
            f"{seconds:g} seconds for a turn; give more than 0 and at most {_MOST_SECONDS:g}"
        )
    return Settings(
        tuple(networks), str(found), tuple(precisions), tuple(batches), size, repeats,
        float(seconds), min(LEAD_IN_S, seconds) if lead_in_s is None else lead_in_s, threads,
    )  # fmt: skip


def _check_different(what: str, values: Sequence[Hashable]) -> None:
    if not values or len(set(values)) < len(values):
        given = ", ".join(map(str, values)) or "none"
        raise ReproductionError(f"each {what} is to be given once, and one at least: {given}")


def _check_whole(what: str, value: int, low: int, high: int) -> None:
    if not is_whole_number(value, low, high):
        raise ReproductionError(f"the {what} is {value}; give a whole number from {low} to {high}")


def _check_precision(precision: str, device: torch.device) -> None:
    if precision not in PRECISIONS:
        raise ReproductionError(
            f"unknown precision {precision!r}; choose of {', '.join(PRECISIONS)}"
        )
    if precision == "float32":
        return
    if device.type != "cuda":
        raise ReproductionError(
            f"{precision} needs an NVIDIA GPU, and the networks run on {device}; give --precision "
            "float32"
        )
    capability = torch.cuda.get_device_capability(device)
    if capability < _AMPERE:
        raise ReproductionError(
            f"{precision} needs an NVIDIA GPU of compute capability 8.0 or later, and "
            f"{torch.cuda.get_device_name(device)} has {capability[0]}.{capability[1]}; give "
            "--precision float32"
        )
