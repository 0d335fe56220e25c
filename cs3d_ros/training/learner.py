"""A network with its optimizer: steps, validation, and all of its state as tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from cs3d_ros.network import Network
from cs3d_ros.network.frames import frame_form
from cs3d_ros.training.settings import TrainingSettings

Micro = tuple[torch.Tensor, torch.Tensor]

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Sums:
    """What windows came to, added up.

    Attributes:
        loss: Sum of the losses.
        right: Number of windows that were recognised.
        windows: Number of windows.
    """

    loss: float = 0.0
    right: float = 0.0
    windows: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.loss + other.loss, self.right + other.right, self.windows + other.windows)

    @property
    def mean_loss(self) -> float:
        """Loss of a window."""
        return self.loss / self.windows

    @property
    def accuracy(self) -> float:
        """Share of the windows that was recognised, 0 to 1."""
        return self.right / self.windows


class Learner:
    """Trains a network in this process together with those of the other ranks.

    Args:
        network: In place; its parameters are trained.
        settings: How.
        fabric: Lightning Fabric, started.
    """

    def __init__(self, network: Network, settings: TrainingSettings, fabric: Any) -> None:
        self.network = network
        self._settings, self._fabric = settings, fabric
        if fabric.device.type == "cpu":
            form = frame_form(network)
        else:
            form = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self._module = fabric.setup_module(form)
        self._parameters = dict(network.named_parameters())
        decayed = [p for p in self._parameters.values() if p.ndim > 1]
        others = [p for p in self._parameters.values() if p.ndim <= 1]
        # Without weight decay AdamW is Adam.
        self._adam = torch.optim.AdamW(
            [
                {"params": decayed, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
        )
        self._optimizer = fabric.setup_optimizers(self._adam)

    def step(self, micros: list[Micro], learning_rate: float, seeds: list[int]) -> Sums:
        """One step of the optimizer, by this rank's share of a batch.

        The gradient is the mean over the batch of all ranks. The weights stay as they are where
        the loss or the gradient is not finite, and so is the loss that comes back.

        Args:
            micros: Micro batches: windows float32 (n, C, T, S, S) and classes int64 (n,).
            learning_rate: Of this step.
            seeds: Of the randomness within the network, one a micro batch.
        """
        fabric, settings = self._fabric, self._settings
        self._module.train()
        for group in self._adam.param_groups:
            group["lr"] = learning_rate
        self._optimizer.zero_grad(set_to_none=True)
        windows = sum(len(classes) for _, classes in micros)
        total = torch.zeros(2, dtype=torch.float64)
        for index, ((x, classes), seed) in enumerate(zip(micros, seeds, strict=True)):
            x, classes = self._moved(x), self._moved(classes)
            torch.manual_seed(seed)
            is_last = index == len(micros) - 1
            with fabric.no_backward_sync(self._module, enabled=not is_last):
                logits = self._module(x)
                loss = functional.cross_entropy(
                    logits, classes, reduction="sum", label_smoothing=settings.label_smoothing
                )
                # The ranks' gradients are averaged, and so are their shares of the batch.
                fabric.backward(loss / windows)
            right = (logits.detach().argmax(1) == classes).sum()
            total += torch.stack([loss.detach().double(), right.double()]).cpu()
        limit = settings.gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), limit)
        loss_sum, right_sum = total.tolist()
        if not math.isfinite(loss_sum) or not bool(torch.isfinite(norm)):
            return Sums(math.nan, right_sum, windows)
        self._optimizer.step()
        return Sums(loss_sum, right_sum, windows)

    def validate(self, micros: Iterator[Micro]) -> Sums:
        """Loss and hits over the windows of all ranks; the weights stay as they are."""
        self._module.eval()
        sums = Sums()
        with torch.inference_mode():
            for x, classes in micros:
                x, classes = self._moved(x), self._moved(classes)
                logits = self._module(x)
                loss = functional.cross_entropy(logits, classes, reduction="sum").item()
                right = (logits.argmax(1) == classes).sum().item()
                sums += Sums(loss, right, len(classes))
        return self.over_ranks(sums)

    def over_ranks(self, sums: Sums) -> Sums:
        """The sums of all ranks together."""
        if self._fabric.world_size == 1:
            return sums
        mine = torch.tensor(
            [sums.loss, sums.right, sums.windows], dtype=torch.float64, device=self._fabric.device
        )
        return Sums(*self._fabric.all_reduce(mine, reduce_op="sum").tolist())

    def agree(self) -> None:
        """Give all ranks the mean of what batch norm has seen on each."""
        if self._fabric.world_size == 1:
            return
        for buffer in self.network.buffers():
            if buffer.is_floating_point():
                buffer.copy_(self._fabric.all_reduce(buffer.clone(), reduce_op="mean"))

    def state(self) -> dict[str, torch.Tensor]:
        """All weights and all that the optimizer knows, on the CPU, new."""
        return {
            key: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
            for key, tensor in self._tensors().items()
        }

    def load(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from a state; see `state`. It has these names, shapes and dtypes."""
        with torch.no_grad():
            for key, tensor in self._tensors().items():
                tensor.copy_(state[key])

    def share(self) -> None:
        """Give all ranks the state of the first."""
        if self._fabric.world_size == 1:
            return
        for tensor in self._tensors().values():
            # Steps are counted on the CPU, which GPUs' communication does not reach.
            there = tensor.detach().to(self._fabric.device).contiguous()
            torch.distributed.broadcast(there, 0)
            with torch.no_grad():
                tensor.copy_(there)

    def _tensors(self) -> dict[str, torch.Tensor]:
        """What the state consists of, by name; not copies."""
        tensors = {f"network.{key}": t for key, t in self.network.state_dict().items()}
        for name, parameter in self._parameters.items():
            moments = self._adam.state[parameter]
            if not moments:
                # As Adam begins.
                moments["step"] = torch.tensor(0.0)
                for moment in _MOMENTS:
                    moments[moment] = torch.zeros_like(
                        parameter, memory_format=torch.preserve_format
                    )
            for moment in ("step", *_MOMENTS):
                tensors[f"adam.{moment}.{name}"] = moments[moment]
        return tensors

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self._fabric.device, non_blocking=True)


def new_seed(*numbers: int) -> int:
    """A seed for torch from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
