"""Networks as ONNX files, with their model card and checked before they are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from cs3d_ros.network.card import ModelCard
from cs3d_ros.network.engines.engine import EngineError
from cs3d_ros.network.engines.libraries import load_onnx, load_onnxruntime
from cs3d_ros.network.engines.onnx_graph import INPUT, OPSET, onnx_graph
from cs3d_ros.network.engines.onnxruntime_engine import open_session
from cs3d_ros.network.engines.self_check import Probe, first_line
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.specification import Network

CARD_KEY = "cs3d_ros"
"""Under which the file's metadata have the model card, as checkpoints do."""

HASH_KEY = "checkpoint_sha256"
"""Under which they have the SHA-256 of the checkpoint file, in hexadecimal."""

_SUFFIX = ".onnx"


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        bytes: Its size.
        opset: Version of ONNX's operators.
        off: By how much ONNX Runtime's logits of a test window differ from the network's at most,
            as a share of the largest.
        checked_by: ONNX Runtime with its version.
    """

    bytes: int
    opset: int
    off: float
    checked_by: str


def write_onnx(
    path: Path, network: Network, card: ModelCard, checkpoint_sha256: str, overwrite: bool = False
) -> Exported:
    """Write a network as an ONNX file: float32 windows `(1, C, T, S, S)` to logits `(1, classes)`.

    The file is there as a whole or not at all. Before, onnx checks it, and ONNX Runtime has to
    give the network's logits of a test window.

    Args:
        path: Ends in `.onnx`; its folder exists.
        network: On the CPU, in evaluation mode.
        card: Of that network; goes into the metadata, as JSON.
        checkpoint_sha256: Of the file that the network was read from; goes into the metadata.
        overwrite: Replace a file that exists.

    Raises:
        NetworkError: The file cannot be written, or exists.
        EngineUnavailableError: onnx or ONNX Runtime is not installed.
        EngineError: The network cannot be converted, or what comes out is not the network.
    """
    _check_target(path, overwrite)
    onnx, onnxruntime = load_onnx(), load_onnxruntime()
    with _whole_or_not_at_all(path) as file:
        model = onnx.load_from_string(onnx_graph(network, card.input_shape))
        for key, value in ((CARD_KEY, card.to_json()), (HASH_KEY, checkpoint_sha256)):
            model.metadata_props.add(key=key, value=value)
        try:
            onnx.checker.check_model(model, full_check=True)
        except Exception as error:
            raise EngineError(f"onnx refuses what was converted: {first_line(error)}") from error
        content = model.SerializeToString()
        off = _difference(onnxruntime, content, network, card.input_shape)
        file.write(content)
    return Exported(len(content), OPSET, off, f"ONNX Runtime {onnxruntime.__version__}")


def _check_target(path: Path, overwrite: bool) -> None:
    if path.suffix != _SUFFIX:
        raise NetworkError(f"{path}: is not the name of an ONNX file; let it end in {_SUFFIX}")
    if not path.parent.is_dir():
        raise NetworkError(f"{path}: there is no folder {path.parent}; make it first")
    if not os.path.lexists(path):
        return
    if not path.is_file():
        raise NetworkError(f"{path}: is not a file and is not replaced; choose another name")
    if not overwrite:
        raise NetworkError(
            f"{path}: exists already; choose another name, or replace it with --overwrite"
        )


@contextmanager
def _whole_or_not_at_all(path: Path) -> Iterator[IO[bytes]]:
    """Open a file that becomes `path` when the block ends well, and is gone when it does not."""
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise NetworkError(
            f"{path}: cannot be written: {error}; choose a folder that can be written and has room"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _difference(
    onnxruntime: Any, content: bytes, network: Network, input_shape: tuple[int, ...]
) -> float:
    """Return the share of the largest logit by which the file is off, if that may be.

    Raises:
        EngineError: It may not.
    """
    probe = Probe.of(network, input_shape)
    try:
        session = open_session(onnxruntime, content, torch.get_num_threads())
    except Exception as error:
        raise EngineError(
            f"ONNX Runtime refuses what was converted: {first_line(error)}"
        ) from error
    return probe.check(lambda window: session.run(None, {INPUT: window})[0], "float32")
