"""Where weights come from: what a checkpoint says about its training."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

import cs3d_ros
from cs3d_ros.events.tensors import DEFAULT_BINS
from cs3d_ros.network import NetworkSpec
from cs3d_ros.network.card import ModelCard
from cs3d_ros.training.data import TrainingData
from cs3d_ros.training.progress import Row
from cs3d_ros.training.settings import TrainingSettings


def card_of(
    network: NetworkSpec,
    data: TrainingData,
    settings: TrainingSettings,
    rows: Sequence[Row],
    best: Row,
    *,
    machines: Sequence[str],
    command: str,
    finished: bool,
) -> ModelCard:
    """The card of the network that was best so far.

    Args:
        network: How it was built.
        data: What it was trained on.
        settings: How.
        rows: All epochs so far.
        best: The epoch that the weights are of.
        machines: What the run ran on.
        command: What the user typed; empty where it was no command.
        finished: Whether the run is over.
    """
    provenance = {
        "data": {"name": data.name, "manifest_sha256": data.checksum, "clips": data.clips},
        "command": command,
        "package": cs3d_ros.__version__,
        "commit": _commit(),
        "settings": settings.to_dict(),
        "metrics": asdict(best),
        "epochs": len(rows),
        "seconds": round(sum(row.seconds for row in rows), 1),
        "machine": "; ".join(machines),
        "finished": finished,
    }
    return ModelCard(
        name=f"{settings.network}-{data.name}",
        network=network,
        labels=data.labels,
        representation=settings.representation,
        window_ms=settings.window_ms,
        bins=DEFAULT_BINS,
        size=best.size,
        background_activity_us=settings.background_activity_us,
        provenance=provenance,
    )


def machine(device: torch.device, processes: int) -> str:
    """What the run runs on, for people: processor or GPU, versions."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        n = torch.get_num_threads()
        name = f"{_processor()}, {n} {'thread' if n == 1 else 'threads'}"
    several = f"{processes} processes, " if processes > 1 else ""
    return f"{several}{name}, torch {torch.__version__}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the package's source tree, with -dirty where it was changed; None elsewhere."""
    root = Path(cs3d_ros.__file__).parents[1]
    if not (root / ".git").exists():
        return None
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    command += ["--exclude", "*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
