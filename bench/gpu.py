"""Time the factorized blocks and the networks on a GPU, each by every way of executing it.

    python3 bench/gpu.py [--seconds S] [--batches 1 32] [--json]

Blocks: cuDNN (`Conv3d`, channels last), the folded form by torch's operations, and Triton's
kernels, one or two for a block; all are recorded as CUDA graphs, so that launching counts in none.
Networks: eager, folded, and recorded with and without Triton's kernels. All ways of one thing take
turns; medians by the GPU's own clock. `off` is the largest error as a share of the largest value,
against `Conv3d` on the CPU in float32.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from cs3d_ros.benchmark.subject import lively
from cs3d_ros.network.blocks import FactorizedConv3d
from cs3d_ros.network.engines.self_check import sample_window
from cs3d_ros.network.gpu_forms import folded_block, folded_on, fused_on, has_factorized_blocks
from cs3d_ros.network.precision import DTYPES, arithmetic
from cs3d_ros.network.specification import INPUT_SHAPE
from cs3d_ros.network.triton_block import FUSED_CHANNELS, TritonBlock

# Channels in and out, bins, rows and columns of CS3D's five blocks.
BLOCKS = (
    (3, 64, 16, 112),
    (64, 128, 16, 56),
    (128, 256, 8, 28),
    (256, 512, 4, 14),
    (512, 512, 2, 7),
)
PRECISIONS = ("float32", "tf32", "bfloat16")
MIN_TURNS = 20
DEVICE = torch.device("cuda:0")

Way = Callable[[], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=1.0, help="how long to measure each thing")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 32])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("torch finds no CUDA device here; this needs one")
    rows = []
    with torch.inference_mode():
        for precision in PRECISIONS:
            with arithmetic(precision):
                for batch in arguments.batches:
                    for stage in range(len(BLOCKS)):
                        rows += block_rows(stage, precision, batch, arguments.seconds)
                    for name in ("c3d", "cs3d"):
                        rows += network_rows(name, precision, batch, arguments.seconds)
    machine = f"{torch.cuda.get_device_name(DEVICE)}, torch {torch.__version__}"
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": rows}, indent=2))
    else:
        print(f"{machine}\n\n{as_table(rows)}")


def block_rows(stage: int, precision: str, batch: int, seconds: float) -> list[dict]:
    channels_in, channels_out, bins, size = BLOCKS[stage]
    dtype = DTYPES[precision]
    torch.manual_seed(stage)
    block = FactorizedConv3d(channels_in, channels_out).eval().requires_grad_(False)
    nn.init.normal_(block.temporal_norm.bias, std=0.3)
    given = torch.randn(batch, channels_in, bins, size, size)
    # The CPU is asked for one only.
    expected = block(given[:1])
    block.to(DEVICE)
    strided = given.to(DEVICE, dtype, memory_format=torch.channels_last_3d)
    last = strided.permute(0, 2, 3, 4, 1).contiguous()
    cudnn = copy.deepcopy(block).to(dtype).to(memory_format=torch.channels_last_3d)
    folded = folded_block(block, dtype)
    product = "tf32" if precision == "tf32" else "ieee"
    ways: dict[str, Way] = {
        "cuDNN": lambda: cudnn(strided),
        "folded": lambda: folded(last).permute(0, 4, 1, 2, 3),
    }
    for name, is_fused in (("one kernel", True), ("two kernels", False)):
        if is_fused and channels_out > FUSED_CHANNELS:
            continue
        form = TritonBlock(block, dtype, product, is_fused)
        ways[name] = lambda form=form: form(last).permute(0, 4, 1, 2, 3)
    played = {name: recorded(way) for name, way in ways.items()}
    what = f"block {stage + 1}"
    return rows_of(what, precision, batch, played, expected, seconds)


def network_rows(name: str, precision: str, batch: int, seconds: float) -> list[dict]:
    network = lively(name, INPUT_SHAPE[-1])[0].requires_grad_(False)
    given = torch.from_numpy(sample_window((batch, *INPUT_SHAPE)))
    expected = network(given[:1])
    x = given.to(DEVICE)
    dtype = DTYPES[precision]
    eager = copy.deepcopy(network).to(DEVICE, dtype).to(memory_format=torch.channels_last_3d)
    folded = folded_on(DEVICE, network, precision)
    ways: dict[str, Way] = {
        "eager": lambda: eager(x.to(dtype)),
        "folded": lambda: folded(x),
        "folded, graph": recorded(lambda: folded(x)),
    }
    if has_factorized_blocks(network):
        fused = fused_on(DEVICE, network, precision)
        ways["Triton, graph"] = recorded(lambda: fused(x))
    return rows_of(name, precision, batch, ways, expected, seconds)


def recorded(way: Way) -> Way:
    """The same as a CUDA graph."""
    stream = torch.cuda.Stream(DEVICE)
    stream.wait_stream(torch.cuda.current_stream(DEVICE))
    with torch.cuda.stream(stream):
        for _ in range(3):
            way()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answer = way()

    def replay() -> torch.Tensor:
        graph.replay()
        return answer

    return replay


def rows_of(
    what: str,
    precision: str,
    batch: int,
    ways: dict[str, Way],
    expected: torch.Tensor,
    seconds: float,
) -> list[dict]:
    off = {}
    for name, way in ways.items():
        found = way()[:1].float().cpu()
        off[name] = float((found - expected).abs().max() / expected.abs().max())
    times_ms: dict[str, list[float]] = {name: [] for name in ways}
    began = time.perf_counter()
    turns = 0
    while turns < MIN_TURNS or time.perf_counter() - began < seconds:
        for name, way in ways.items():
            before = torch.cuda.Event(enable_timing=True)
            after = torch.cuda.Event(enable_timing=True)
            before.record()
            way()
            after.record()
            after.synchronize()
            times_ms[name].append(before.elapsed_time(after))
        turns += 1
    return [
        {
            "what": what,
            "precision": precision,
            "batch": batch,
            "way": name,
            "median_ms": statistics.median(values),
            "off": off[name],
        }
        for name, values in times_ms.items()
    ]


def as_table(rows: list[dict]) -> str:
    lines = [f"{'':<10}{'precision':<10}{'batch':>6}  {'way':<15}{'median':>12}{'off':>10}"]
    for row in rows:
        lines.append(
            f"{row['what']:<10}{row['precision']:<10}{row['batch']:>6}  {row['way']:<15}"
            f"{row['median_ms']:>9.4f} ms{row['off']:>10.1e}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
