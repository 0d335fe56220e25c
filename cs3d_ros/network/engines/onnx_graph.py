"""Networks as ONNX graphs, which other libraries than torch execute."""

from __future__ import annotations

import copy
import inspect
import io
import itertools
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cs3d_ros.network.bin_features import GRID, BinFeatures
from cs3d_ros.network.engines import cache
from cs3d_ros.network.engines.engine import EngineError, EngineRequest, EngineUnavailableError
from cs3d_ros.network.engines.libraries import load_onnx
from cs3d_ros.network.engines.self_check import first_line
from cs3d_ros.network.specification import Network
from cs3d_ros.network.stages import FiveStageNetwork, FlattenLastMap

OPSET = 17
"""The version of ONNX's operators: what torch 2.1 and TensorRT 8.6 know, and all later ones."""

INPUT, OUTPUT = "windows", "logits"
"""What the graph's input and output are called."""

FORM_VERSION = 1
"""To be raised with every change of what this module makes of a network."""

_LAST_GRID = 4


def onnx_graph(network: Network, input_shape: tuple[int, ...]) -> bytes:
    """Return the content of an ONNX file: windows `(1, C, T, S, S)` to logits `(1, classes)`.

    The graph is that of the network as it is. Engines fold normalization and threshold into the
    convolutions by themselves: graphs of forms that were folded before run no faster.

    torch's older exporter writes it: it is in every version from 2.1 on, and needs only onnx.

    Args:
        network: On the CPU, in evaluation mode; it is left as it is.
        input_shape: Of one window.

    Raises:
        EngineUnavailableError: onnx is not installed.
        EngineError: The exporter fails. (`EngineUnavailableError` for a network that is not made of
            five stages.)
    """
    load_onnx()
    content = io.BytesIO()
    # Before torch 2.5 there was but one.
    export: Any = torch.onnx.export
    which = {"dynamo": False} if "dynamo" in inspect.signature(export).parameters else {}
    try:
        with warnings.catch_warnings(), torch.no_grad(), _plain_attention():
            # That there is a newer one, and that shapes become constants: so they shall.
            warnings.simplefilter("ignore")
            export(
                _exportable(network),
                (torch.zeros(1, *input_shape),),
                content,
                input_names=[INPUT],
                output_names=[OUTPUT],
                opset_version=OPSET,
                **which,
            )
    except Exception as error:
        # It raises whatever it meets. What is not made of stages is not promised.
        kind = EngineError if isinstance(network, FiveStageNetwork) else EngineUnavailableError
        raise kind(f"the network cannot be written as ONNX: {first_line(error)}") from error
    return content.getvalue()


def converted(request: EngineRequest) -> bytes:
    """Return `onnx_graph` of a request, from the cache where it is there.

    Raises:
        EngineUnavailableError, EngineError: As `onnx_graph`.
    """
    return cache.opened(
        cache.entry_name("onnx", request, *graph_version()),
        lambda: onnx_graph(request.network, request.input_shape),
        lambda content: content,
    )


def graph_version() -> tuple[str, ...]:
    """Return all that decides, beside the network and its input, what the graph looks like."""
    return f"torch {torch.__version__}", f"form {FORM_VERSION}", f"opset {OPSET}"


@contextmanager
def _plain_attention() -> Iterator[None]:
    """Keep torch from executing the transformer as one operator, which ONNX does not have."""
    mha = getattr(torch.backends, "mha", None)
    if mha is None:
        yield
        return
    before = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(before)


def _exportable(network: Network) -> nn.Module:
    """A copy that shares the weights, without what the exporter does not know."""
    tensors = itertools.chain(network.parameters(), network.buffers())
    shared: nn.Module = copy.deepcopy(network, {id(tensor): tensor for tensor in tensors})
    for module in list(shared.modules()):
        for name, child in module.named_children():
            if isinstance(child, FlattenLastMap):
                setattr(module, name, _FlattenLastMap())
            elif isinstance(child, BinFeatures):
                setattr(module, name, _BinFeatures())
    return shared.eval()


class _FlattenLastMap(nn.Module):
    """A `FlattenLastMap`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _averaged(x, _LAST_GRID).flatten(1)


class _BinFeatures(nn.Module):
    """A `BinFeatures`."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return _averaged(x, GRID).transpose(1, 2).flatten(2)


def _averaged(x: torch.Tensor, size: int) -> torch.Tensor:
    """Average the last two dimensions adaptively: a product of matrices for each."""
    rows, columns = (int(length) for length in x.shape[-2:])
    if rows != size:
        x = _shares(rows, size) @ x
    if columns != size:
        x = x @ _shares(columns, size).t()
    return x


def _shares(length: int, size: int) -> torch.Tensor:
    """Weights `(size, length)` by which cells become the averages of `adaptive_avg_pool`."""
    weights = [[0.0] * length for _ in range(size)]
    for i, row in enumerate(weights):
        begin, end = i * length // size, -(-(i + 1) * length // size)
        row[begin:end] = [1 / (end - begin)] * (end - begin)
    # Made at once, so that the exporter sees one constant.
    return torch.tensor(weights)
