"""The soft spiking neuron: a ReLU with a threshold, trained through a surrogate gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from cs3d_ros.network.checks import is_finite_number
from cs3d_ros.network.errors import NetworkError

if TYPE_CHECKING:
    from collections.abc import Callable


def _sigmoid(z: torch.Tensor, steepness: float) -> torch.Tensor:
    return torch.mul(z, steepness).sigmoid_()


def _sigmoid_derivative(z: torch.Tensor, steepness: float) -> torch.Tensor:
    s = torch.mul(z, steepness).sigmoid_()
    return (1 - s).mul_(s).mul_(steepness)


SURROGATES: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {
    "sigmoid": _sigmoid,
    "sigmoid_derivative": _sigmoid_derivative,
}
"""Surrogate gradients by name: functions of `x − θ` and of the steepness."""


THRESHOLD = 0.1
STEEPNESS = 4.0
SURROGATE = "sigmoid"
"""The settings of a neuron where none are given. The paper states none: defaults until measured."""


class _SoftThreshold(torch.autograd.Function):
    """`max(0, x − θ)` whose gradient is the surrogate instead of the step."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, threshold: float, steepness: float, surrogate: str
    ) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.threshold, ctx.steepness, ctx.surrogate = threshold, steepness, surrogate
        return _rectified(x, threshold)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        (x,) = ctx.saved_tensors
        z = x - ctx.threshold if ctx.threshold else x
        slope = SURROGATES[ctx.surrogate](z, ctx.steepness)
        return slope.mul_(grad_outputs[0]), None, None, None


def _rectified(x: torch.Tensor, threshold: float) -> torch.Tensor:
    return (x - threshold).relu_() if threshold else x.relu()


def soft_threshold(
    x: torch.Tensor, threshold: float, steepness: float, surrogate: str
) -> torch.Tensor:
    """Return `max(0, x − θ)`; its gradient, where one is asked for, is the surrogate's."""
    if torch.is_grad_enabled() and x.requires_grad:
        y: torch.Tensor = _SoftThreshold.apply(x, threshold, steepness, surrogate)
        return y
    return _rectified(x, threshold)


class SoftSpikingNeuron(nn.Module):
    """`y = max(0, x − θ)`: silent below the threshold, graded above it (paper, Eq. 1).

    Stateless: a time step knows nothing of the one before. The gradient of the step at θ is
    replaced by a surrogate (paper, Eq. 2), one of

    - `sigmoid`: `σ(k(x − θ))`. Its limit for k → ∞ is the step, the true gradient, and it stays
      near 1 for strong inputs.
    - `sigmoid_derivative`: `k·σ(k(x − θ))·(1 − σ(k(x − θ)))`. A bump of height k/4 around θ that
      vanishes for inputs far from it.

    Shapes: any floating-point tensor to one of the same shape and dtype.

    Args:
        threshold: θ, in the unit of the input; finite and not negative.
        steepness: k, per unit of the input; finite and positive.
        surrogate: Name of the surrogate gradient.

    Raises:
        NetworkError: If a value is out of its range or the surrogate is unknown.
    """

    def __init__(
        self,
        threshold: float = THRESHOLD,
        steepness: float = STEEPNESS,
        surrogate: str = SURROGATE,
    ) -> None:
        super().__init__()
        if not is_finite_number(threshold) or threshold < 0:
            raise NetworkError(
                f"the neuron's threshold is {threshold!r}; give a finite number, 0 or more"
            )
        if not is_finite_number(steepness) or steepness <= 0:
            raise NetworkError(
                f"the neuron's steepness is {steepness!r}; give a finite number above 0"
            )
        if not isinstance(surrogate, str) or surrogate not in SURROGATES:
            raise NetworkError(
                f"unknown surrogate gradient {surrogate!r}; choose one of {', '.join(SURROGATES)}"
            )
        self.threshold = float(threshold)
        self.steepness = float(steepness)
        self.surrogate = surrogate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return `max(0, x − θ)`."""
        return soft_threshold(x, self.threshold, self.steepness, self.surrogate)

    def extra_repr(self) -> str:
        """Show the settings when the network is printed."""
        return (
            f"threshold={self.threshold}, steepness={self.steepness}, surrogate={self.surrogate!r}"
        )
