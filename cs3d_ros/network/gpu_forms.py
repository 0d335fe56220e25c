"""Networks as a GPU executes them in evaluation, with weights and maps of one precision."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import nn

from cs3d_ros.network.blocks import FactorizedConv3d, JointAttention
from cs3d_ros.network.device import move
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.folded import folded
from cs3d_ros.network.precision import DTYPES
from cs3d_ros.network.specification import Network
from cs3d_ros.network.stages import FiveStageNetwork
from cs3d_ros.network.triton_block import TritonBlock


def folded_on(device: torch.device, network: Network, precision: str = "float32") -> nn.Module:
    """Return the folded form (see `folded`) of a copy of the network, by torch's own operations.

    Normalization and θ are folded in float32, then the weights are rounded. A network that is not
    made of five stages is not folded.

    Args:
        device: Where it will run.
        network: In evaluation mode, float32; it stays as it is.
        precision: A key of `precision.DTYPES`.

    Returns:
        Takes float32 windows `(N, C, T, S, S)` on the device to float32 logits `(N, classes)`.

    Raises:
        NetworkError: The network is in training mode, or the device does not take it.
    """
    dtype = DTYPES[precision]
    copied = _copied(network, device)
    if not isinstance(copied, FiveStageNetwork):
        return _Plain(copied.to(dtype), dtype)
    return _Stages(copied, dtype, lambda block: folded_block(block, dtype))


def fused_on(device: torch.device, network: Network, precision: str = "float32") -> nn.Module:
    """Return the folded form with each factorized block as a kernel of its own (`TritonBlock`).

    Args:
        device: As for `folded_on`; a CPU for Triton's interpreter only.
        network: As for `folded_on`.
        precision: As for `folded_on`.

    Returns:
        As `folded_on`.

    Raises:
        NetworkError: As `folded_on`; or the network has no factorized block, or the kernels are
            not available.
    """
    if not has_factorized_blocks(network):
        raise NetworkError("the network has no factorized block for the fused kernel")
    dtype = DTYPES[precision]
    product = "tf32" if precision == "tf32" else "ieee"
    copied = _copied(network, device)
    assert isinstance(copied, FiveStageNetwork)
    return _Stages(copied, dtype, lambda block: TritonBlock(block, dtype, product))


def folded_block(block: FactorizedConv3d, dtype: torch.dtype) -> nn.Module:
    """Return a block as it is in `folded_on`: maps `(N, T, H, W, C)` to `(N, T, H, W, D)`."""
    with torch.no_grad():
        return _rounded(folded(block), dtype)


def has_factorized_blocks(network: Network) -> bool:
    """Whether there is something that `fused_on` can fuse."""
    return any(isinstance(module, FactorizedConv3d) for module in network.modules())


def _copied(network: Network, device: torch.device) -> Network:
    if network.training:
        raise NetworkError("a network in training mode cannot be folded; call eval() on it first")
    copied = copy.deepcopy(network).requires_grad_(False)
    move(copied, device)
    return copied


class _Plain(nn.Module):
    """A network of another dtype than its windows and logits."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network
        self._dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(x.to(self._dtype))
        return logits.float()


class _Stages(nn.Module):
    """Five stages, folded, and their classifier.

    Args:
        network: What it takes over.
        dtype: Of weights and maps.
        factorized: Makes the form of a factorized block.
    """

    def __init__(
        self,
        network: FiveStageNetwork,
        dtype: torch.dtype,
        factorized: Callable[[FactorizedConv3d], nn.Module],
    ) -> None:
        super().__init__()
        with torch.no_grad():
            self.steps = nn.Sequential(
                *(
                    _step(module, dtype, factorized)
                    for stage in network.stages
                    for module in stage.children()
                )
            )
        self.classifier = network.classifier.to(dtype)
        self._dtype = dtype
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.steps(x.to(self._dtype).permute(0, 2, 3, 4, 1).contiguous())
        logits: torch.Tensor = self.classifier(x.permute(0, 4, 1, 2, 3))
        return logits.float()


def _step(
    module: nn.Module,
    dtype: torch.dtype,
    factorized: Callable[[FactorizedConv3d], nn.Module],
) -> nn.Module:
    if isinstance(module, FactorizedConv3d):
        return factorized(module)
    if isinstance(module, JointAttention):
        # Nothing is folded here, so that it may be rounded before.
        return folded(module.to(dtype))
    return _rounded(folded(module), dtype)


def _rounded(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    # The folded weights are plain attributes, which `to` does not know.
    for name, value in list(vars(module).items()):
        if isinstance(value, torch.Tensor):
            setattr(module, name, value.to(dtype))
    return module.to(dtype)
