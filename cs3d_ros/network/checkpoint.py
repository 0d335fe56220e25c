"""Networks in files: safetensors with a model card in the header.

Reading such a file runs no code and unpickles nothing. Nothing is allocated for a network before
its tensors are known to be in the file.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from cs3d_ros.network import build, rebuild
from cs3d_ros.network.card import DEFAULT_LABELS, FORMAT_VERSION, ModelCard
from cs3d_ros.network.device import move, resolve_device
from cs3d_ros.network.errors import CheckpointError, NetworkError
from cs3d_ros.network.specification import INPUT_SHAPE, Network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["DEFAULT_LABELS", "FORMAT_VERSION", "ModelCard", "load", "save", "untrained"]

_CARD_KEY = "cs3d_ros"
_MAX_HEADER_BYTES = 1 << 20
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_DTYPES = {"F32": torch.float32, "I64": torch.int64}

_Layout = dict[str, tuple[tuple[int, ...], torch.dtype | str]]


def save(path: str | os.PathLike[str], network: Network, card: ModelCard) -> None:
    """Write a network and its card; the file is replaced as a whole or not at all.

    Raises:
        CheckpointError: If the card is not this network's, a weight is not finite, the card is
            too large or not JSON, or the file cannot be written.
    """
    path = Path(path)
    if network.specification != card.network:
        raise CheckpointError(
            f"the card describes {card.network}, the network is {network.specification}; make "
            "the card from the network's specification"
        )
    tensors = {key: t.detach().cpu().contiguous() for key, t in network.state_dict().items()}
    _check_layout(_meta_network(card), {key: _shape_and_dtype(t) for key, t in tensors.items()})
    _check_values(tensors)
    content = serialize(tensors, {_CARD_KEY: card.to_json()})
    header_bytes = int.from_bytes(content[:8], "little")
    if header_bytes > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"the header takes {header_bytes} bytes, more than {_MAX_HEADER_BYTES}; shorten the "
            "provenance"
        )
    _write_atomically(path, content)


def load(
    path: str | os.PathLike[str], device: str | torch.device = "cpu"
) -> tuple[Network, ModelCard]:
    """Return the network of a file, in evaluation mode on the device, and its card.

    Raises:
        CheckpointError: If there is no such file or it is not a usable checkpoint.
        DeviceError: If there is no such device or it does not take the network.
    """
    target = resolve_device(device)
    # A launch argument such as model:=~/cs3d.safetensors reaches us as it is written.
    path = Path(path).expanduser()
    with _errors_named(path):
        _check_container(path)
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_CARD_KEY)
            if text is None:
                raise CheckpointError(
                    "it is a safetensors file without a model card; expected one written by "
                    "cs3d_ros"
                )
            card = ModelCard.from_json(text)
            network = _meta_network(card)
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
            layout: _Layout = {
                key: (tuple(s.get_shape()), _DTYPES.get(s.get_dtype(), s.get_dtype()))
                for key, s in slices.items()
            }
            _check_layout(network, layout)
            # The file is mapped into memory; a clone outlives its replacement.
            tensors = {key: file.get_tensor(key).clone() for key in layout}
        _check_values(tensors)
    network.load_state_dict(tensors, assign=True)
    move(network.eval(), target)
    return network, replace(card, network=network.specification)


def untrained(
    name: str = "cs3d",
    labels: Sequence[str] = DEFAULT_LABELS,
    seed: int = 0,
    *,
    representation: str = "on_off_recency",
    window_ms: float = 500.0,
    size: int = INPUT_SHAPE[2],
    **options: object,
) -> tuple[Network, ModelCard]:
    """Return a network with random weights, in evaluation mode, and its card.

    The same seed gives the same weights; torch's global generator is left as it was.

    Args:
        name: One of `cs3d_ros.network.names()`.
        labels: One per class.
        seed: Seed of the weights.
        representation: Name of the tensor representation to feed it with.
        window_ms: Duration of a window in milliseconds.
        size: Rows and columns of a window.
        **options: Any option of that network.

    Raises:
        NetworkError: If there is no such network or option.
        CheckpointError: If a value does not make a model card.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        torch.default_generator.manual_seed(seed)
        network = build(name, len(labels), **options)
    card = ModelCard(
        name=f"{name}-untrained",
        network=network.specification,
        labels=tuple(labels),
        representation=representation,
        window_ms=window_ms,
        size=size,
        provenance={"weights": "random", "seed": seed},
    )
    return network.eval(), card


@contextmanager
def _errors_named(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a file into one `CheckpointError` that names it."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {_shortened(error)}") from error
    except SafetensorError as error:
        raise CheckpointError(
            f"{path}: damaged, or not a safetensors file ({_shortened(error)}); copy or download "
            "it again"
        ) from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read: {error}") from error


def _shortened(error: Exception) -> str:
    """Return a message that a hostile header cannot make long or unprintable."""
    text = str(error).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 400 else f"{text[:397]}..."


def _check_container(path: Path) -> None:
    """Refuse what is not a file with a plausible safetensors header."""
    if not path.exists():
        raise CheckpointError("no such file; give the path of a checkpoint (.safetensors)")
    if not path.is_file():
        raise CheckpointError("not a file; give the path of a checkpoint (.safetensors)")
    with path.open("rb") as file:
        start = file.read(8)
    size = path.stat().st_size
    header_bytes = int.from_bytes(start, "little")
    if header_bytes > size - 8 and start.startswith(_PICKLE_STARTS):
        raise CheckpointError(
            "a PyTorch pickle (.pt), which can run code when loaded and is never read; save the "
            "network with cs3d_ros.network.checkpoint.save"
        )
    if len(start) < 8 or header_bytes > size - 8:
        raise CheckpointError(
            f"damaged, or not a safetensors file ({size} bytes are too few for its header); copy "
            "or download it again"
        )
    if header_bytes > _MAX_HEADER_BYTES:
        raise CheckpointError(
            f"a header of {header_bytes} bytes is not a checkpoint's; at most "
            f"{_MAX_HEADER_BYTES} are read"
        )


def _meta_network(card: ModelCard) -> Network:
    """Return the card's network without memory for its weights."""
    try:
        with torch.device("meta"):
            return rebuild(card.network)
    except NetworkError as error:
        raise CheckpointError(f"its network cannot be built: {error}") from error


def _shape_and_dtype(tensor: torch.Tensor) -> tuple[tuple[int, ...], torch.dtype | str]:
    return tuple(tensor.shape), tensor.dtype


def _check_layout(network: Network, found: _Layout) -> None:
    name = network.specification.name
    expected = {key: _shape_and_dtype(t) for key, t in network.state_dict().items()}
    for problem, keys in (
        ("missing", expected.keys() - found.keys()),
        ("unexpected", found.keys() - expected.keys()),
    ):
        if keys:
            raise CheckpointError(
                f"its tensors do not fit {name}: {len(keys)} {problem}, first {min(keys)[:80]!r}; "
                "save it again from a network of that name and options"
            )
    for key, (shape, dtype) in expected.items():
        if found[key] != (shape, dtype):
            raise CheckpointError(
                f"its tensors do not fit {name}: {key} is {found[key][1]} {found[key][0]}, "
                f"expected {dtype} {shape}; save it again from a network of that name and options"
            )


def _check_values(tensors: Mapping[str, torch.Tensor]) -> None:
    for key, tensor in tensors.items():
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{key} holds NaN or infinity; train again or copy it again")
        if key.endswith("running_var") and bool((tensor < 0).any()):
            raise CheckpointError(f"{key} holds a negative variance; copy it again")


def _write_atomically(path: Path, content: bytes) -> None:
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise CheckpointError(
            f"{path}: cannot be written: {error}; choose a folder that exists and can be written"
        ) from error
