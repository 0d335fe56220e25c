"""Time a step of training on the CPU: the form that trains, by precision, beside the modules.

    python3 bench/training.py [--network N] [--size S] [--micro-batch N] [--threads N]
                              [--seconds S] [--json]

A step is forward and backward through a micro batch of random windows; reading windows and the
optimizer are left out. All take turns, so that a busy machine slows them alike; compare the ratios.
Medians.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform

import torch
from torch import nn
from torch.nn import functional

from cs3d_ros.network import INPUT_SHAPE, build, names
from cs3d_ros.network.frames import frame_form
from cs3d_ros.network.memory import keep_memory
from cs3d_ros.training.processes import products
from cs3d_ros.training.settings import BFLOAT16_PRODUCTS
from timing import interleaved

CLASSES = 7
FILLED = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", choices=names(), default="cs3d")
    parser.add_argument("--size", type=int, default=56)
    parser.add_argument("--micro-batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to measure")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    keep_memory()
    torch.manual_seed(0)
    network = build(arguments.network, CLASSES)
    modules, form = copy.deepcopy(network), frame_form(network)
    shape = (arguments.micro_batch, *INPUT_SHAPE[:2], arguments.size, arguments.size)
    windows = torch.rand(shape) * (torch.rand(shape) < FILLED)
    classes = torch.arange(len(windows)) % CLASSES
    runs = {
        "modules": _step(modules, windows, classes, "32-true"),
        "frame form": _step(form, windows, classes, "32-true"),
        "frame form, bf16-matmul": _step(form, windows, classes, BFLOAT16_PRODUCTS),
    }
    for run in runs.values():
        # Memory is taken, and kernels are compiled.
        for _ in range(3):
            run()
    medians = interleaved(runs, arguments.seconds)
    rows = [
        {
            "form": name,
            "ms_per_window": 1e3 * seconds / len(windows),
            "ratio": seconds / medians["modules"],
        }
        for name, seconds in medians.items()
    ]
    machine = f"{platform.machine()}, {arguments.threads} threads, torch {torch.__version__}"
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": rows}, indent=2))
        return
    print(f"{arguments.network}, {arguments.size} px, {len(windows)} windows a step, {machine}")
    print("| form | ms a window | of the modules |\n|---|---|---|")
    for row in rows:
        print(f"| {row['form']} | {row['ms_per_window']:.1f} | {row['ratio']:.2f} |")


def _step(form: nn.Module, windows: torch.Tensor, classes: torch.Tensor, precision: str):
    form.train()

    def step() -> None:
        form.zero_grad(set_to_none=True)
        with products(precision):
            functional.cross_entropy(form(windows), classes).backward()

    return step


if __name__ == "__main__":
    main()
