"""The node's own overhead, and its memory over time, on a looped replay over DDS.

    python3 bench/node.py [--bag PATH] [--minutes M] [--hop-ms H] [--rate R] [--model F]
                          [--engine E] [--json]

Overhead is the time from the arrival of the packet that completes a window to the publication of
its expression, without the network. It is free of waiting for an earlier window only if the hop is
longer than one inference; a shorter hop keeps the worker busy and is for watching the memory.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray

from cs3d_ros.msg import ExpressionStamped
from cs3d_ros.nodes.local_graph import LocalGraph

sys.path.insert(0, str(Path(__file__).parents[1] / "test"))
from recordings_data import DRAWN_FACE

_QUIET = ("--log-level", "error", "-r", "events:=/event_camera/events")
_ROWS = 20
_DROPPED = ("packets_dropped", "events_dropped", "windows_skipped")
_SAMPLE_PERIOD_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bag", type=Path, default=DRAWN_FACE)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--hop-ms", type=float, default=2000.0)
    parser.add_argument("--rate", type=float, default=1.0, help="speed of the replay")
    parser.add_argument("--model", default="untrained", help="as the node's parameter")
    parser.add_argument("--engine", default="auto", help="as the node's parameter")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    result = measure(arguments)
    print(json.dumps(result, indent=2) if arguments.json else as_text(result))


def measure(arguments: argparse.Namespace) -> dict:
    received: list[ExpressionStamped] = []
    memory: list[dict] = []
    diagnostics: dict[str, str] = {}

    def keep(msg: DiagnosticArray) -> None:
        for status in msg.status:
            if status.name.endswith("fer: recognition"):
                diagnostics.update((pair.key, pair.value) for pair in status.values)

    with LocalGraph() as graph:
        graph.node.create_subscription(ExpressionStamped, "/fer/expression", received.append, 100)
        graph.node.create_subscription(DiagnosticArray, "/diagnostics", keep, 10)
        fer = graph.start(
            "fer_node",
            *_QUIET,
            model=arguments.model,
            engine=arguments.engine,
            device="cpu",
            hop_ms=arguments.hop_ms,
        )
        graph.bring_up("fer", fer)
        graph.start("player_node", *_QUIET, path=arguments.bag, loop=True, rate=arguments.rate)
        started = time.monotonic()
        for row in range(1, _ROWS + 1):
            samples: list[dict] = []
            while time.monotonic() - started < arguments.minutes * 60.0 * row / _ROWS:
                graph.spin(_SAMPLE_PERIOD_S)
                if fer.poll() is not None:
                    raise SystemExit("the node has ended; its last words are above")
                samples.append(usage(fer.pid))
            lowest = {f"{key}_min": min(s[key] for s in samples) for key in samples[0]}
            highest = {f"{key}_max": max(s[key] for s in samples) for key in samples[0]}
            memory.append({"s": time.monotonic() - started, **lowest, **highest})
    if not received:
        raise SystemExit("no expression arrived; is the recording longer than a window?")
    overhead = np.array([m.latency_ms - m.inference_ms for m in received])
    return {
        "bag": str(arguments.bag),
        "hop_ms": arguments.hop_ms,
        "rate": arguments.rate,
        "expressions": len(received),
        "inference_median_ms": float(np.median([m.inference_ms for m in received])),
        "overhead_median_ms": float(np.median(overhead)),
        "overhead_p99_ms": float(np.percentile(overhead, 99)),
        "packets_lost": received[-1].packets_lost,
        "model": diagnostics["model"],
        "engine": diagnostics["engine"],
        **{key: int(diagnostics[key]) for key in _DROPPED},
        "memory": memory,
    }


def usage(pid: int) -> dict:
    """Resident memory in MB, threads and open files of a process (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return {
        "rss_mb": int(fields["VmRSS"].split()[0]) / 1024,
        "threads": int(fields["Threads"]),
        "files": len(list(Path(f"/proc/{pid}/fd").iterdir())),
    }


def as_text(result: dict) -> str:
    lines = [
        f"{result['model']} in {result['engine']}: {result['expressions']} expressions, hop "
        f"{result['hop_ms']:g} ms, rate {result['rate']:g}",
        f"{result['packets_lost']} packets lost, {result['packets_dropped']} dropped, "
        f"{result['events_dropped']} events dropped, {result['windows_skipped']} windows skipped",
        f"inference {result['inference_median_ms']:.1f} ms; overhead median "
        f"{result['overhead_median_ms']:.2f} ms, p99 {result['overhead_p99_ms']:.2f} ms",
        "",
        f"{'time':>8}{'memory, lowest and highest':>28}{'threads':>9}{'files':>7}",
    ]
    for row in result["memory"]:
        lines.append(
            f"{row['s']:>6.0f} s{row['rss_mb_min']:>16.1f}{row['rss_mb_max']:>9.1f} MB"
            f"{row['threads_max']:>9}{row['files_max']:>7}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
