"""One process or many: Fabric as a run needs it."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.parallel import DistributedDataParallel

from cs3d_ros.extras import load_extra
from cs3d_ros.network.device import resolve_device
from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.settings import BFLOAT16_PRODUCTS, TrainingSettings

# Later versions of torch have another name for it.
_BUFFERS = (
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
    else "broadcast_buffers"
)


def start_fabric(settings: TrainingSettings) -> Any:
    """Lightning Fabric for the settings; under torchrun it joins the other processes.

    Without torchrun there is one process and no port is opened.

    Raises:
        Cs3dError: Fabric is not installed, there is no such device, or the batch cannot be shared
            among the processes.
    """
    lightning = load_extra("lightning_fabric", "train")
    environments = load_extra("lightning_fabric.plugins.environments", "train")
    device = resolve_device(settings.device)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    precision = "32-true" if settings.precision == BFLOAT16_PRODUCTS else settings.precision
    if not torch.distributed.is_torchelastic_launched():
        return lightning.Fabric(
            accelerator=device.type,
            devices=1 if device.type == "cpu" else [device.index],
            precision=precision,
            plugins=[environments.LightningEnvironment()],
        )
    ranks, here = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if settings.batch % ranks:
        raise TrainingError(
            f"a batch of {settings.batch} windows cannot be shared by {ranks} processes; give a "
            f"multiple of {ranks}"
        )
    if device.type == "cuda" and here > torch.cuda.device_count():
        raise TrainingError(
            f"{here} processes on this machine, which has {torch.cuda.device_count()} GPUs; start "
            "one process a GPU at most (torchrun --nproc-per-node)"
        )
    strategies = load_extra("lightning_fabric.strategies", "train")
    fabric = lightning.Fabric(
        accelerator=device.type,
        devices=here,
        num_nodes=ranks // here,
        # The statistics of batch norm are brought together at the end of each epoch.
        strategy=strategies.DDPStrategy(**{_BUFFERS: False}),
        precision=precision,
        plugins=[environments.TorchElasticEnvironment()],
    )
    fabric.launch()
    return fabric


@contextmanager
def products(precision: str) -> Iterator[None]:
    """Multiply matrices as a training precision wants it, and afterwards as before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if precision == BFLOAT16_PRODUCTS else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def shared(content: dict[str, Any], fabric: Any) -> dict[str, Any]:
    """What the first rank gives, on all ranks; anything that JSON holds."""
    if fabric.world_size == 1:
        return content
    text = torch.frombuffer(bytearray(json.dumps(content).encode()), dtype=torch.uint8)
    length = torch.tensor([len(text)], device=fabric.device)
    torch.distributed.broadcast(length, 0)
    if fabric.global_rank:
        text = text.new_empty(int(length))
    text = text.to(fabric.device)
    torch.distributed.broadcast(text, 0)
    received: dict[str, Any] = json.loads(bytes(text.cpu().tolist()))
    return received
