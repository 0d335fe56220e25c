"""Time events to tensors on one core beside other packages, in one run.

    python3 bench/binning.py [--seconds S] [--json]

Everybody gets the same events, in the form that he takes: 0.5 s, sorted by time, evenly spread over
a sensor of 112x112 pixels, so that those which cannot scale make frames of the same size. They
take turns, so that a busy machine slows all of them alike; compare the ratios. Medians. A turn
makes ten small windows in a row, or a large one.

tonic and dv-processing are optional: `make bench` installs them.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import platform
from collections import deque
from collections.abc import Callable

import numpy as np
import torch

from cs3d_ros.events import tensors
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.tensors import bin_window
from cs3d_ros.events.windows import Window
from cs3d_ros.torch_tensors import bin_window_torch
from timing import interleaved

BINS, SIZE = 16, 112
DURATION_NS = 500_000_000
# Events of a window, and how many such windows a turn makes.
WINDOWS = ((20_000, 10), (5_000_000, 1))
# As many as a camera sends in half a second.
PACKETS = 125
OURS = "cs3d_ros polarity_counts"

Runs = dict[str, tuple[Callable[[], object] | None, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tensors.warm_up()
    seconds = arguments.seconds / len(WINDOWS)
    rows = [row for n, repeats in WINDOWS for row in measure(n, repeats, seconds)]
    machine = f"{platform.machine()}, one core, numpy {np.__version__}, torch {torch.__version__}"
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": rows}, indent=2))
    else:
        print(f"{BINS} bins of {SIZE}x{SIZE} cells on {machine}")
        print(as_table(rows))


def measure(n: int, repeats: int, seconds: float) -> list[dict]:
    """One row for each way to make a tensor of n events, `repeats` times a turn."""
    chunk = random_events(n)
    runs = ours(chunk) | with_torch(chunk) | with_tonic(chunk) | with_dv(chunk)
    turns = {name: repeated(run, repeats) for name, (run, _) in runs.items() if run}
    times = {name: t / repeats for name, t in interleaved(turns, seconds).items()}
    return [
        {
            "events": n,
            "what": name,
            "median_ms": times[name] * 1e3 if name in times else None,
            "mega_events_per_s": n / times[name] * 1e-6 if name in times else None,
            "times_slower": times[name] / times[OURS] if name in times else None,
            "note": note,
        }
        for name, (_, note) in runs.items()
    ]


def repeated(run: Callable[[], object], times: int) -> Callable[[], None]:
    def runs() -> None:
        for _ in range(times):
            run()

    return runs


def random_events(n: int) -> Events:
    rng = np.random.default_rng(0)
    return Events(
        np.sort(rng.integers(0, DURATION_NS // 1000, n)) * 1000,
        *rng.integers(0, SIZE, (2, n)).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )


def ours(chunk: Events) -> Runs:
    roi = Roi(0, 0, SIZE, SIZE)
    whole = Window(0, DURATION_NS, (chunk,), len(chunk))
    edges = np.linspace(0, len(chunk), PACKETS + 1).astype(int)
    columns = (chunk.t_ns, chunk.x, chunk.y, chunk.p)
    packets = tuple(Events(*(c[a:b] for c in columns)) for a, b in itertools.pairwise(edges))
    cut = Window(0, DURATION_NS, packets, len(chunk))
    runs: Runs = {OURS: (lambda: bin_window(whole, roi, BINS, SIZE, "polarity_counts"), "float32")}
    for name in ("on_off_recency", "voxel_grid", "time_surface", "binary"):
        runs[f"cs3d_ros {name}"] = (
            lambda name=name: bin_window(whole, roi, BINS, SIZE, name),
            "float32",
        )
    for name in ("polarity_counts", "on_off_recency"):
        runs[f"cs3d_ros {name}, packets"] = (
            lambda name=name: bin_window(cut, roi, BINS, SIZE, name),
            f"the same events in {PACKETS} pieces",
        )
    runs["cs3d_ros polarity_counts, torch"] = (
        lambda: bin_window_torch(whole, roi, BINS, SIZE, "polarity_counts"),
        "bin_window_torch on the CPU",
    )
    return runs


def with_torch(chunk: Events) -> Runs:
    """ON and OFF counts; no event is checked to lie inside."""
    t, x, y, p = (
        torch.from_numpy(c.astype(np.int64)) for c in (chunk.t_ns, chunk.x, chunk.y, chunk.p)
    )
    ones = torch.ones(len(chunk))

    def bincount() -> torch.Tensor:
        index = (((1 - p) * BINS + t * BINS // DURATION_NS) * SIZE + y) * SIZE + x
        counts = torch.bincount(index, minlength=2 * BINS * SIZE * SIZE)
        return counts.float().reshape(2, BINS, SIZE, SIZE)

    def index_put() -> torch.Tensor:
        where = (1 - p, t * BINS // DURATION_NS, y, x)
        return torch.zeros(2, BINS, SIZE, SIZE).index_put_(where, ones, accumulate=True)

    note = "ON and OFF counts, float32; the events are tensors of int64 already"
    return {"torch.bincount": (bincount, note), "torch.index_put_": (index_put, note)}


def with_tonic(chunk: Events) -> Runs:
    names = ("tonic ToFrame", "tonic ToVoxelGrid")
    try:
        transforms = importlib.import_module("tonic.transforms")
    except ImportError:
        return dict.fromkeys(names, (None, "not installed"))
    records = np.empty(len(chunk), [("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "<i1")])
    records["x"], records["y"], records["p"] = chunk.x, chunk.y, chunk.p
    records["t"] = chunk.t_ns // 1000
    size = (SIZE, SIZE, 2)
    frame = transforms.ToFrame(sensor_size=size, n_time_bins=BINS)
    voxels = transforms.ToVoxelGrid(sensor_size=size, n_time_bins=BINS)
    return {
        names[0]: (lambda: frame(records), "ON and OFF counts, int16"),
        names[1]: (lambda: voxels(records), "one channel, float64; compare with voxel_grid"),
    }


def with_dv(chunk: Events) -> Runs:
    name = "dv EdgeMapAccumulator"
    try:
        dv = importlib.import_module("dv_processing")
    except ImportError:
        return {name: (None, "not installed")}
    store = dv.EventStore()
    columns = (chunk.t_ns // 1000, chunk.x, chunk.y, chunk.p.astype(bool))
    deque(map(store.push_back, *(column.tolist() for column in columns)), maxlen=0)
    # An event adds 1 of 255, a frame starts from 0.
    accumulator = dv.EdgeMapAccumulator((SIZE, SIZE), 1 / 255, True, 0.0, 1.0)
    edges_us = [b * DURATION_NS // BINS // 1000 for b in range(BINS + 1)]

    def frames() -> list[np.ndarray]:
        made = []
        for begin_us, end_us in itertools.pairwise(edges_us):
            accumulator.accept(store.sliceTime(begin_us, end_us))
            made.append(accumulator.generateFrame().image)
        return made

    return {name: (frames, "counts up to 255 without polarity, 16 frames of uint8")}


def as_table(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        if row["what"] == OURS:
            lines.append(f"\n{row['events']:<33,}{'ms':>10}{'M events/s':>12}{'x':>8}")
        if row["median_ms"] is None:
            lines.append(f"{row['what']:<33}{row['note']:>30}")
            continue
        lines.append(
            f"{row['what']:<33}{row['median_ms']:>10.3f}{row['mega_events_per_s']:>12.1f}"
            f"{row['times_slower']:>8.2f}  {row['note']}"
        )
    return "\n".join(lines) + f"\n\nx: the time, as a multiple of that of {OURS}"


if __name__ == "__main__":
    main()
