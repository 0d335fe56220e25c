"""Operations and parameters of the networks, counted by THOP as in the paper (Tables I and IV)."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass

import torch
from torch import nn

from cs3d_ros.network import build, names
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.specification import INPUT_SHAPE

PAPER_GMACS = {"c3d": 21.29, "c3d+factorized": 4.26, "cs3d": 4.68}
"""What the paper states, in 10⁹ operations; it states nothing for the other networks."""

NOTES = {"transformer": "THOP does not count attention: neither its projections nor its products"}
"""What is to be known beside a network's figure."""


@dataclass(frozen=True)
class Complexity:
    """What one window costs.

    Attributes:
        network: Name of the network.
        macs: Multiply-accumulates as THOP counts them, for one window of 16×112×112 in the
            network's channels; 3 unless told otherwise.
        parameters: Trainable parameters.
    """

    network: str
    macs: int
    parameters: int


def complexity(network: str | nn.Module) -> Complexity:
    """Count the operations and parameters of a network; one given as a module stays as it is.

    THOP counts convolutions, linear and recurrent layers, average pools and normalization;
    activations, maximum pools and functional operations count as nothing. So does
    `nn.MultiheadAttention`, which is functional inside: the transformer's figure is too small by
    its projections and products (see `NOTES`).

    Args:
        network: A name, built for seven classes with default options; or a network; or another
            module that takes float32 `(1, 3, 16, 112, 112)`.

    Raises:
        NetworkError: If the name is unknown or THOP cannot be imported.
    """
    profile = _thop().profile
    if isinstance(network, str):
        with torch.device("meta"):
            network = build(network)
    specification = getattr(network, "specification", None)
    name = specification.name if specification else type(network).__name__
    channels = specification.options["in_channels"] if specification else INPUT_SHAPE[0]
    shadow = copy.deepcopy(network).to("meta")
    window = torch.zeros(1, channels, *INPUT_SHAPE[1:], device="meta")
    # On this device torch takes no shortcut past the modules of a transformer's layer in
    # evaluation; those past which it went would not be counted.
    macs, _ = profile(shadow, inputs=(window,), verbose=False)
    # THOP leaves out the parameters of the modules that it does not count.
    parameters = sum(p.numel() for p in network.parameters() if p.requires_grad)
    return Complexity(name, int(macs), parameters)


def table() -> list[Complexity]:
    """Return a row for each network that `build` knows, in that order."""
    return [complexity(name) for name in names()]


def as_dicts(rows: list[Complexity]) -> list[dict[str, str | int | float | None]]:
    """Return rows with the keys `network`, `macs`, `parameters`, `paper_gmacs` and `note`.

    `paper_gmacs` is in 10⁹ and None where the paper states nothing; `note` is None where there is
    nothing to add.
    """
    return [
        {
            "network": row.network,
            "macs": row.macs,
            "parameters": row.parameters,
            "paper_gmacs": PAPER_GMACS.get(row.network),
            "note": NOTES.get(row.network),
        }
        for row in rows
    ]


def as_text(rows: list[Complexity]) -> str:
    """Return the rows as a table for people with its notes below, without a final newline."""
    lines = [f"{'network':<16}{'MACs':>16}{'GMACs':>8}{'paper':>8}{'parameters':>14}"]
    for row in rows:
        paper = PAPER_GMACS.get(row.network)
        stated = "-" if paper is None else f"{paper:.2f}"
        lines.append(
            f"{row.network:<16}{row.macs:>16,}{row.macs / 1e9:>8.2f}{stated:>8}"
            f"{row.parameters:>14,}"
        )
    lines += [f"{row.network}: {NOTES[row.network]}" for row in rows if row.network in NOTES]
    return "\n".join(lines)


def _thop():  # type: ignore[no-untyped-def]  # THOP has no types
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import thop
    except ImportError as error:
        raise NetworkError(
            f"THOP cannot be imported ({error}); install thop 0.1.1.post2209072238, and "
            "setuptools where Python has no distutils"
        ) from error
    return thop
