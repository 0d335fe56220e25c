"""The demonstration: real nodes as processes, a recording played into them over DDS.

python3 -m cs3d_ros.nodes.demo [--bag PATH] [--model CHECKPOINT]
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cs3d_ros.errors import Cs3dError
from cs3d_ros.msg import EnergyStamped, ExpressionStamped
from cs3d_ros.nodes.conversions import time_to_ns
from cs3d_ros.nodes.local_graph import LocalGraph
from cs3d_ros.recordings import EMBEDDED, open_recording

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUIET = ("--log-level", "warn", "-r", "events:=/event_camera/events")
# After the last packet the worker may still hold one window.
_GRACE_S = 3.0


class DemoError(Cs3dError):
    """The demonstration cannot go on."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; 0 if expressions were recognised."""
    parser = argparse.ArgumentParser(
        prog="make demo", description="Play a recording into the real nodes."
    )
    parser.add_argument(
        "--bag", type=Path, default=EMBEDDED, help="any recording (default: the embedded one)"
    )
    parser.add_argument("--model", default="untrained", help="checkpoint (default: untrained)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)
    if arguments.model == "untrained":
        print("UNTRAINED network: random weights. The plumbing is real, the expressions are not.")
    drawn = arguments.bag == EMBEDDED
    print(f"recording: {'a drawn face, embedded' if drawn else arguments.bag}", flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        with open_recording(arguments.bag):
            pass
        with LocalGraph() as graph:
            _Demo(graph).run(arguments)
    except Cs3dError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


class _Demo:
    """Plays, listens, prints and sums up."""

    def __init__(self, graph: LocalGraph) -> None:
        self._graph = graph
        self._received: list[ExpressionStamped] = []
        self._energy: EnergyStamped | None = None
        graph.node.create_subscription(
            ExpressionStamped, "/fer/expression", self._on_expression, 100
        )
        graph.node.create_subscription(EnergyStamped, "/fer/energy", self._on_energy, 10)

    def run(self, arguments: argparse.Namespace) -> None:
        """Play the recording into the nodes and print what they say.

        Raises:
            Cs3dError: A node does not come up, the recording does not play, or no expression
                arrives.
        """
        graph = self._graph
        fer = graph.start("fer_node", *_QUIET, model=arguments.model, device=arguments.device)
        energy = graph.start("energy_node", *_QUIET, rate_hz=2.0)
        graph.bring_up("fer", fer)
        graph.bring_up("fer_energy", energy)
        print("fer and fer_energy are active\n")
        print("window end   expression   conf.    events   inference   latency", flush=True)
        player = graph.start("player_node", *_QUIET, path=arguments.bag)
        ends = (player, fer)
        graph.spin_until(lambda: any(p.poll() is not None for p in ends), timeout_s=float("inf"))
        if fer.poll() is not None:
            raise DemoError(f"fer has ended, status {fer.returncode}; the reason is above")
        if player.returncode != 0:
            raise DemoError("the recording could not be played; the reason is above")
        graph.spin(_GRACE_S)
        self._summarise()

    def _on_energy(self, msg: EnergyStamped) -> None:
        self._energy = msg

    def _on_expression(self, msg: ExpressionStamped) -> None:
        self._received.append(msg)
        first_ns = time_to_ns(self._received[0].window_start)
        seconds = (time_to_ns(msg.header.stamp) - first_ns) * 1e-9
        print(
            f"{seconds:8.3f} s   {msg.expression:<10}  {msg.confidence:5.2f}  {msg.event_count:>8}"
            f"  {msg.inference_ms:7.1f} ms  {msg.latency_ms:6.1f} ms",
            flush=True,
        )

    def _summarise(self) -> None:
        if not self._received:
            raise DemoError(
                "no expression arrived. Is the recording longer than a window, and are its "
                "packets in an encoding that this package decodes?"
            )
        inference = statistics.median(m.inference_ms for m in self._received)
        latency = [m.latency_ms for m in self._received]
        last = self._received[-1]
        print(
            f"\n{len(self._received)} expressions by {last.model}; inference median "
            f"{inference:.0f} ms; latency median {statistics.median(latency):.0f} ms, longest "
            f"{max(latency):.0f} ms; {last.packets_lost} packets lost"
        )
        if self._energy is None or not self._energy.source:
            print("energy: not measured, there is no power source on this machine")
        else:
            print(
                f"energy: {self._energy.energy_j:.1f} J by {self._energy.source} "
                f"({self._energy.scope}), {self._energy.power_w:.1f} W now"
            )


if __name__ == "__main__":
    sys.exit(main())
