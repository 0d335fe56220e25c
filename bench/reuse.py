"""What frames reused between windows save, and whether answers stay right, on the CPU.

    python3 bench/reuse.py [--network N] [--engine E] [--size S] [--threads N] [--seconds S]
                           [--minutes M] [--seed S] [--json]

The full window and the hops take turns, so that a busy machine slows all of them alike; compare the
ratios. Medians. With --minutes, a stream of random bins of that length goes by at a hop of two
bins, and the largest deviation from the full computation is told, as a share of the largest logit.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable

import numpy as np
import torch

from cs3d_ros.benchmark.engines import PAUSE_S
from cs3d_ros.benchmark.subject import lively
from cs3d_ros.network import checkpoint
from cs3d_ros.network.classifier import SHIPPED_WEIGHTS
from cs3d_ros.network.engines.engine import Engine, EngineRequest
from cs3d_ros.network.engines.selection import open_engine
from cs3d_ros.network.engines.self_check import sample_window
from cs3d_ros.network.folded import folded_form
from cs3d_ros.network.specification import INPUT_SHAPE, Network
from timing import interleaved

SHIFTS = (1, 2, 4, 8)
LONG_SHIFT = 2
WINDOW_MS = 500.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network",
        default="shipped",
        help="`shipped` weights, or the name of a network with random ones",
    )
    parser.add_argument("--engine", default="numba", help="numba (default) or torch")
    parser.add_argument(
        "--size", type=int, help="rows and columns; default: of the weights, or 112"
    )
    parser.add_argument("--threads", type=int, default=0, help="default: torch's own choice")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure")
    parser.add_argument("--minutes", type=float, default=0.0, help="length of the stream")
    parser.add_argument("--seed", type=int, default=0, help="of the stream")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    network, size = opened(arguments.network, arguments.size)
    shape = (3, *INPUT_SHAPE[1:2], size, size)
    request = EngineRequest(network, shape, torch.device("cpu"), arguments.threads)
    engine = open_engine(arguments.engine, request).engine
    report: dict[str, object] = {
        "network": arguments.network,
        "size": size,
        "machine": f"{platform.machine()}, {torch.get_num_threads()} threads, {engine.version}",
    }
    if arguments.seconds > 0:
        report["rows"] = measure(engine, network, shape, arguments.seconds)
    if arguments.minutes > 0:
        report["stream"] = deviation(engine, network, shape, arguments.minutes, arguments.seed)
    print(json.dumps(report, indent=2) if arguments.json else as_text(report))


def opened(name: str, size: int | None) -> tuple[Network, int]:
    """The network and the size of its windows."""
    if name == "shipped":
        network, card = checkpoint.load(SHIPPED_WEIGHTS)
        return network.eval(), size or card.size
    size = size or INPUT_SHAPE[2]
    return lively(name, size)[0], size


def measure(engine: Engine, network: Network, shape: tuple[int, ...], seconds: float) -> list[dict]:
    """One row a way to compute a window."""
    window = sample_window(shape)[None]
    x, form = torch.from_numpy(window), folded_form(network)

    def folded() -> None:
        with torch.inference_mode():
            form(x)

    # What is in the window makes no difference to the time.
    hops = {f"hop of {n}": (lambda n=n: engine.infer(window, n)) for n in SHIFTS}
    runs: dict[str, Callable[[], object]] = {
        "full window": lambda: engine.infer(window),
        **hops,
        "folded form": folded,
    }
    for run in runs.values():
        run()
    times = interleaved(runs, seconds, PAUSE_S)
    return [
        {"what": what, "median_ms": took * 1e3, "ratio": took / times["full window"]}
        for what, took in times.items()
    ]


def deviation(
    engine: Engine, network: Network, shape: tuple[int, ...], minutes: float, seed: int
) -> dict:
    """The largest difference between an answer with reuse and one without, over a stream."""
    hops = round(minutes * 60_000 / (WINDOW_MS / shape[1] * LONG_SHIFT))
    full, random = folded_form(network), np.random.default_rng(seed)
    window = sample_window(shape, seed)[None]
    largest, equal = 0.0, 0
    engine.infer(window)
    for _ in range(hops):
        new = sample_window((shape[0], LONG_SHIFT, *shape[2:]), int(random.integers(1 << 31)))[None]
        window = np.concatenate((window[:, :, LONG_SHIFT:], new), axis=2)
        found = engine.infer(window, LONG_SHIFT)
        with torch.inference_mode():
            expected = full(torch.from_numpy(window)).numpy()
        # Written so that NaN is kept.
        largest = float(
            np.maximum(largest, np.abs(found - expected).max() / np.abs(expected).max())
        )
        equal += bool(np.array_equal(found, expected))
    return {"minutes": minutes, "hops": hops, "largest_deviation": largest, "equal": equal}


def as_text(report: dict) -> str:
    lines = [f"{report['network']}, {report['size']} px, on {report['machine']}", ""]
    for row in report.get("rows", ()):
        lines.append(f"{row['what']:<14}{row['median_ms']:>9.2f} ms{row['ratio']:>8.3f}")
    if "stream" in report:
        stream = report["stream"]
        lines.append(
            f"{stream['hops']} hops of {LONG_SHIFT} bins, {stream['minutes']:g} minutes: off by "
            f"at most {stream['largest_deviation']:.2g} of the largest logit; "
            f"{stream['equal']} the same to the last bit"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
