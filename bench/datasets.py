"""Time and size of a data set's files, of loading from them, and of the augmentations.

    python3 bench/datasets.py [--seconds S] [--json]

One core, 24 clips of 2 s on 112x112 pixels: a texture that moves behind a camera, simulated in
sufficient and insufficient light. All files are in the page cache, so that what is measured is
decoding and not the disk. They take turns, so that a busy machine slows all of them alike; compare
the ratios. Medians. Writing includes packing the columns, but for the Arrow files of other codecs.
h5py is optional.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch

from cs3d_ros.datasets.augmentation import PRESETS as AUGMENTATIONS
from cs3d_ros.datasets.build import Plan, build, shards_of
from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.clip_windows import cut_window
from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.loading import WindowDataset
from cs3d_ros.datasets.shards import ShardReader, ShardWriter
from cs3d_ros.events import tensors
from cs3d_ros.simulation.emulator import simulate_frames
from cs3d_ros.simulation.settings import PRESETS
from timing import interleaved

CLIPS = 24
SIZE = 112
FRAMES_PER_S = 100
CLIP_S = 2.0
WINDOW_NS = 500_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to measure")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pa.set_cpu_count(1)
    cv2.setNumThreads(1)
    tensors.warm_up()
    clips = [some_clip(seed) for seed in range(CLIPS)]
    with tempfile.TemporaryDirectory() as folder:
        report = {
            "machine": f"{platform.machine()}, one core, pyarrow {pa.__version__}",
            "events": sum(len(clip.events) for clip in clips),
            "files": files(clips, Path(folder), arguments.seconds / 3),
            "loading": loading(Path(folder), arguments.seconds / 3),
            "augmentations": augmentations(clips, arguments.seconds / 3),
        }
    print(json.dumps(report, indent=2) if arguments.json else as_text(report))


def some_clip(seed: int) -> Clip:
    light = ("sufficient", "insufficient")[seed % 2]
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (300, 300)).astype(np.float32), (0, 0), 3)
    texture = 20 + 220 * (noise - noise.min()) / np.ptp(noise)

    def frames() -> Iterable[tuple[float, np.ndarray]]:
        for i in range(round(CLIP_S * FRAMES_PER_S)):
            t = i / FRAMES_PER_S
            dx, dy = 20 * np.sin(4.4 * t + seed), 12 * np.sin(2.5 * t)
            shift = np.array([[1, 0, dx - 90], [0, 1, dy - 90]], np.float32)
            yield t, cv2.warpAffine(texture, shift, (SIZE, SIZE))

    events = simulate_frames(frames(), PRESETS[light], seed)
    name, duration_ns = f"clip-{seed}", round(CLIP_S * 1e9)
    return Clip(name, events, SIZE, SIZE, duration_ns, "happy", f"subject-{seed}", light)


def make_clip(context: object, spec: int) -> Clip:
    return some_clip(spec)


def files(clips: list[Clip], folder: Path, seconds: float) -> list[dict]:
    """One row for each kind of file: size, time to write and to read all clips."""
    shard = folder / "ours.arrow"
    writers: dict[str, Callable[[], object]] = {"ours": lambda: write_ours(clips, shard)}
    readers: dict[str, Callable[[], object]] = {"ours": lambda: read_ours(shard)}
    written = {"ours": [shard]}
    write_ours(clips, shard)
    for codec, level in ((None, None), ("lz4", None), ("zstd", 1), ("zstd", 9)):
        name = f"Arrow, {codec or 'not compressed'}{f' {level}' if level else ''}"
        path = folder / f"{name}.arrow"
        writers[name] = lambda path=path, c=codec, v=level: write_arrow(shard, path, c, v)
        readers[name] = lambda path=path: read_ours(path)
        written[name] = [path]
    paths = [folder / f"{clip.name}.npz" for clip in clips]
    writers["one .npz a clip"] = lambda: [
        np.savez_compressed(p, **columns(c)) for p, c in zip(paths, clips, strict=True)
    ]
    readers["one .npz a clip"] = lambda: [
        {k: np.load(p)[k] for k in ("t", "x", "y", "p")} for p in paths
    ]
    written["one .npz a clip"] = paths
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        pass
    else:
        for codec in ("lzf", "gzip"):
            path = folder / f"{codec}.h5"
            name = f"HDF5, {codec}, shuffle"
            writers[name] = lambda path=path, c=codec: write_hdf5(h5py, clips, path, c)
            readers[name] = lambda path=path: read_hdf5(h5py, path)
            written[name] = [path]
    for write in writers.values():
        write()
    write_s = interleaved(writers, seconds / 2)
    read_s = interleaved(readers, seconds / 2)
    n = sum(len(clip.events) for clip in clips)
    return [
        {
            "what": "ours: Arrow, zstd 3" if name == "ours" else name,
            "bytes_per_event": sum(p.stat().st_size for p in written[name]) / n,
            "write_mega_events_per_s": n / write_s[name] * 1e-6,
            "read_mega_events_per_s": n / read_s[name] * 1e-6,
            "read_clips_per_s": len(clips) / read_s[name],
        }
        for name in writers
    ]


def write_ours(clips: list[Clip], path: Path) -> None:
    writer = ShardWriter()
    for clip in clips:
        writer.add(clip)
    path.write_bytes(writer.finish())


def read_ours(path: Path) -> list[Clip]:
    reader = ShardReader(path)
    return [reader.clip(index) for index in range(len(reader))]


def write_arrow(shard: Path, path: Path, codec: str | None, level: int | None) -> None:
    """The batches of a shard, compressed otherwise; without packing the clips."""
    source = pa.ipc.open_file(pa.memory_map(str(shard)))
    compression = None if codec is None else pa.Codec(codec, compression_level=level)
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with pa.ipc.new_file(path, source.schema, options=options) as writer:
        for index in range(source.num_record_batches):
            writer.write_batch(source.get_batch(index))


def columns(clip: Clip) -> dict[str, np.ndarray]:
    events = clip.events
    steps_us = np.diff(events.t_ns // 1000, prepend=0).astype(np.uint32)
    return {
        "t": steps_us, "x": events.x.astype(np.uint8), "y": events.y.astype(np.uint8),
        "p": events.p,
    }  # fmt: skip


def write_hdf5(h5py, clips: list[Clip], path: Path, codec: str) -> None:
    with h5py.File(path, "w") as file:
        for clip in clips:
            group = file.create_group(clip.name)
            for name, values in columns(clip).items():
                group.create_dataset(name, data=values, compression=codec, shuffle=True)


def read_hdf5(h5py, path: Path) -> list[dict]:
    with h5py.File(path) as file:
        return [{name: data[:] for name, data in group.items()} for group in file.values()]


def loading(folder: Path, seconds: float) -> list[dict]:
    """Windows of 0.5 s as tensors, in the order of a training run."""
    plan = Plan("bench", 0, shards_of("train", list(range(CLIPS))), make_clip)
    build(plan, folder / "set", progress=False)
    part = open_dataset(folder / "set").part("train")
    runs = {
        f"WindowDataset, {name}": items(WindowDataset(part, WINDOW_NS, augmentation=name))
        for name in AUGMENTATIONS
    }
    runs["Part[i], the clip alone"] = lambda: [part[i] for i in range(CLIPS)]
    return [
        {"what": name, "items_per_s": CLIPS / t} for name, t in interleaved(runs, seconds).items()
    ]


def items(dataset: WindowDataset) -> Callable[[], object]:
    return lambda: [dataset[i] for i in range(len(dataset))]


def augmentations(clips: list[Clip], seconds: float) -> list[dict]:
    """Milliseconds for a window of 0.5 s, the mean over what is drawn."""
    windows = [cut_window(clip, 0, WINDOW_NS).chunks[0] for clip in clips]

    def run(name: str) -> Callable[[], object]:
        rng = np.random.default_rng(0)
        return lambda: [AUGMENTATIONS[name](w, SIZE, SIZE, WINDOW_NS, rng) for w in windows]

    times = interleaved({name: run(name) for name in AUGMENTATIONS}, seconds)
    n = sum(map(len, windows)) / len(windows)
    return [{"what": name, "events": n, "ms": t / len(windows) * 1e3} for name, t in times.items()]


def as_text(report: dict) -> str:
    lines = [
        f"{CLIPS} clips, {report['events']:,} events, on {report['machine']}",
        "",
        f"{'files':<28}{'bytes/event':>12}{'write M/s':>11}{'read M/s':>10}{'clips/s':>9}",
    ]
    lines += [
        f"{r['what']:<28}{r['bytes_per_event']:>12.2f}{r['write_mega_events_per_s']:>11.1f}"
        f"{r['read_mega_events_per_s']:>10.1f}{r['read_clips_per_s']:>9.0f}"
        for r in report["files"]
    ]
    lines += ["", f"{'loading':<40}{'items/s':>10}"]
    lines += [f"{r['what']:<40}{r['items_per_s']:>10.0f}" for r in report["loading"]]
    lines += ["", f"{'augmentations':<28}{'events':>10}{'ms':>8}"]
    lines += [
        f"{r['what']:<28}{r['events']:>10.0f}{r['ms']:>8.2f}" for r in report["augmentations"]
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
