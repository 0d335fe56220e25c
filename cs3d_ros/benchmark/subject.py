"""What is measured: one network in one engine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from cs3d_ros.network.card import ModelCard
from cs3d_ros.network.checkpoint import untrained
from cs3d_ros.network.device import resolve_device, set_threads
from cs3d_ros.network.engines.engine import Engine, EngineRequest
from cs3d_ros.network.engines.selection import open_engine
from cs3d_ros.network.engines.self_check import sample_window
from cs3d_ros.network.specification import Network

# Three times the threshold of the neurons.
_BIAS = 0.3


@dataclass(frozen=True)
class Subject:
    """One network in one engine.

    Attributes:
        network: One of `cs3d_ros.network.names()`; its weights are random.
        engine: Name of the engine.
        device: As for `resolve_device`.
        threads: CPU threads; 0: all.
        precision: One of `engines.engine.PRECISIONS`.
        size: Rows and columns of the window.
    """

    network: str
    engine: str
    device: str
    threads: int
    precision: str
    size: int


def lively(name: str, size: int, seed: int = 0) -> tuple[Network, ModelCard]:
    """Return an untrained network in which activity reaches the last stage, and its card.

    With the weights that networks begin with, hardly anything passes the neurons' thresholds of
    five stages; a processor draws less power for zeros, and a wrong engine would not be noticed.

    Args:
        name: One of `cs3d_ros.network.names()`.
        size: Rows and columns of a window.
        seed: Of the weights.

    Raises:
        NetworkError: There is no such network.
    """
    network, card = untrained(name, seed=seed, size=size)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.normal_(module.bias, std=_BIAS, generator=generator)
    return network, card


def opened(subject: Subject) -> tuple[Engine, np.ndarray]:
    """Return the engine, seen to be right, and a batch of one window for it.

    Raises:
        EngineUnavailableError: It is not for this machine, device or precision, or not installed.
        EngineError: It should work and does not.
        DeviceError, NetworkError: There is no such device or network.
    """
    set_threads(subject.threads)
    network, card = lively(subject.network, subject.size)
    request = EngineRequest(
        network,
        card.input_shape,
        resolve_device(subject.device),
        subject.threads,
        subject.precision,
    )
    return open_engine(subject.engine, request).engine, sample_window((1, *card.input_shape))
