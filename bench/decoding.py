"""Time EVT3 decoding on one core beside the other decoders that Python has, in one run.

    python3 bench/decoding.py [--bag PATH] [--seconds S] [--json]

Every decoder gets the same words: those of the recording, repeated with a clock that goes on. The
decoders take turns, so that a busy machine slows all of them alike; compare the ratios. Medians.
`faery` reads files only: it gets one in memory (/dev/shm) where there is such a place.
"""

from __future__ import annotations

import argparse
import importlib
import json
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cs3d_ros import events
from cs3d_ros.events.evt3 import TIME_HIGH, Evt3Decoder
from cs3d_ros.events.packets import EventPacket
from cs3d_ros.recordings import open_recording
from timing import interleaved

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))
from recordings_data import DRAWN_FACE

BULK_BYTES = 24 << 20
# What a call decodes in bulk: the chunk that the others read from a file at once.
CHUNK_BYTES = 1 << 20
# A packet of 660 single events in rows of three, and the words of each.
PACKET_BYTES = 2 * 880


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bag", type=Path, default=DRAWN_FACE)
    parser.add_argument("--seconds", type=float, default=20.0, help="how long to measure")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = measure(arguments.bag, arguments.seconds)
    if arguments.json:
        print(json.dumps({"bag": str(arguments.bag), "rows": rows}, indent=2))
        return
    print(f"{arguments.bag.name} on {platform.machine()}, one core\n")
    print(f"{'words':<22}{'decoder':<29}{'events':>10}{'M events/s':>12}{'us a call':>11}{'x':>7}")
    for row in rows:
        print(
            f"{row['words']:<22}{row['decoder']:<29}{row['events']:>10}"
            f"{row['mega_events_per_s']:>12.1f}{row['us_per_call']:>11.1f}{row['ratio']:>7.2f}"
        )
    print("\nx: events per second, as a multiple of this package's")


def measure(bag: Path, seconds: float) -> list[dict]:
    """One row for each kind of words and each decoder."""
    events.warm_up()
    words, width, height = recorded_words(bag)
    streams = {
        f"{bag.name}": extended(words, BULK_BYTES // 2),
        "single events": extended(single_event_words(width, height), BULK_BYTES // 2),
        "vectors": extended(vector_words(width, height), BULK_BYTES // 2),
    }
    rows = []
    with tempfile.TemporaryDirectory(dir=_memory_folder()) as folder:
        for name, stream in streams.items():
            data = stream.tobytes()
            path = Path(folder, "words.raw")
            path.write_bytes(_header(width, height) + data)
            runs = decoders(data, path, width, height)
            counts = {decoder: run() for decoder, (run, _) in runs.items()}
            times = interleaved({d: run for d, (run, _) in runs.items()}, seconds / len(streams))
            ours = times["cs3d_ros"] / counts["cs3d_ros"]
            for decoder, (_, calls) in runs.items():
                rows.append(
                    {
                        "words": name,
                        "decoder": decoder,
                        "events": counts[decoder],
                        "mega_events_per_s": counts[decoder] / times[decoder] * 1e-6,
                        "us_per_call": times[decoder] * 1e6 / calls,
                        "ratio": ours * counts[decoder] / times[decoder],
                    }
                )
    return rows


def decoders(
    data: bytes, path: Path, width: int, height: int
) -> dict[str, tuple[Callable[[], int], int]]:
    """What decodes all the data and returns the number of events, and its number of calls."""
    runs: dict[str, tuple[Callable[[], int], int]] = {}
    for size, suffix in ((CHUNK_BYTES, ""), (PACKET_BYTES, f", packets of {PACKET_BYTES} B")):
        chunks = [data[i : i + size] for i in range(0, len(data), size)]
        packets = [
            EventPacket(0, "", width, height, i, 0, "evt3", False, chunk)
            for i, chunk in enumerate(chunks)
        ]
        runs[f"cs3d_ros{suffix}"] = (lambda p=packets: _ours(p, width, height)), len(chunks)
        if evt3 := _optional("evt3"):
            runs[f"evt3{suffix}"] = (lambda c=chunks: _evt3(evt3, c, width, height)), len(chunks)
    if _optional("faery"):
        runs["faery"] = (lambda: _faery(path)), len(data) // CHUNK_BYTES + 1
    return runs


def _ours(packets: list[EventPacket], width: int, height: int) -> int:
    decoder = Evt3Decoder(width, height)
    return sum(len(decoder.decode(packet)) for packet in packets)


def _evt3(module, chunks: list[bytes], width: int, height: int) -> int:
    decoder = module.Decoder(sensor_width=width, sensor_height=height)
    return sum(len(decoder.feed(chunk)) for chunk in chunks)


def _faery(path: Path) -> int:
    from faery.extension import evt

    with evt.Decoder(path, None, None) as decoder:
        return sum(len(packet.get("events", ())) for packet in decoder)


def _optional(name: str):
    try:
        return importlib.import_module(name)
    except ImportError:
        print(f"{name} is not installed: left out", file=sys.stderr)
        return None


def _memory_folder() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


def _header(width: int, height: int) -> bytes:
    return (
        f"% evt 3.0\n% format EVT3;height={height};width={width}\n"
        f"% geometry {width}x{height}\n% end\n"
    ).encode()


def recorded_words(bag: Path) -> tuple[np.ndarray, int, int]:
    with open_recording(bag) as recording:
        packets = [packet for _, packet in recording]
    words = np.concatenate([packet.payload_bytes().view("<u2") for packet in packets])
    return words, packets[0].width, packets[0].height


def extended(words: np.ndarray, length: int) -> np.ndarray:
    """The words repeated up to a length, each round beginning where the clock of the last ended."""
    highs = np.flatnonzero(words >> 12 == TIME_HIGH)
    words = words[highs[0] :]
    highs = highs - highs[0]
    values = (words[highs] & 0xFFF).astype(np.int64)
    span = int(np.sum(np.diff(values) % 4096)) + 1
    rounds = []
    for i in range(-(-length // len(words))):
        copy = words.copy()
        copy[highs] = (TIME_HIGH << 12) | ((values + i * span) & 0xFFF)
        rounds.append(copy)
    return np.concatenate(rounds)[:length]


def single_event_words(width: int, height: int) -> np.ndarray:
    """Rows of three single events, at one time every eight rows: what a quiet scene sends."""
    rng = np.random.default_rng(0)
    words: list[int] = []
    for time_words in _times():
        words += time_words
        for y in rng.integers(0, height, 8):
            words.append(int(y))
            words += (0x2000 | rng.integers(0, 2, 3) << 11 | rng.integers(0, width, 3)).tolist()
    return np.array(words, "<u2")


def vector_words(width: int, height: int) -> np.ndarray:
    """Rows of 32-pixel vectors with two bits in three set: what a flicker sends."""
    rng = np.random.default_rng(0)
    words: list[int] = []
    for time_words in _times():
        words += [*time_words, int(rng.integers(0, height))]
        for x in range(0, width - 31, 32):
            bits = [int(b) for b in (rng.random(32) < 2 / 3)]
            words.append(0x3000 | int(rng.integers(0, 2)) << 11 | x)
            for kind, first, n in ((4, 0, 12), (4, 12, 12), (5, 24, 8)):
                words.append(kind << 12 | sum(bits[first + i] << i for i in range(n)))
    return np.array(words, "<u2")


def _times() -> Iterator[list[int]]:
    """The words of one time after the other, 8 µs apart."""
    for us in range(0, 1 << 14, 8):
        high = [0x8000 | us >> 12] if us % 4096 == 0 else []
        yield [*high, 0x6000 | us & 0xFFF]


if __name__ == "__main__":
    main()
