"""The demonstration: real nodes as processes, a recording played into them over DDS.

python3 -m cs3d_ros.nodes.demo [--bag PATH] [--model CHECKPOINT] [--rate R] [--picture PNG]
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cs3d_ros.argument_types import path, positive
from cs3d_ros.errors import Cs3dError
from cs3d_ros.msg import EnergyStamped, ExpressionStamped
from cs3d_ros.nodes.conversions import time_to_ns
from cs3d_ros.nodes.demo_picture import draw_timeline, refusal
from cs3d_ros.nodes.demo_report import Message, as_text, shortfall, slowness, sum_up
from cs3d_ros.nodes.local_graph import LocalGraph
from cs3d_ros.recognizer import DEFAULT_HOP_MS
from cs3d_ros.recordings import EMBEDDED, Label, open_recording, read_labels
from cs3d_ros.recordings.labels import has_labels

if TYPE_CHECKING:
    from collections.abc import Sequence

_QUIET = ("--log-level", "warn", "-r", "events:=/event_camera/events")
# After the last packet the worker may still hold one window, or even the first.
_GRACE_S = 3.0
_FIRST_S = 15.0


class DemoError(Cs3dError):
    """The demonstration cannot go on, or has shown that recognition does not work."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demonstration; 0 if expressions were recognised."""
    parser = argparse.ArgumentParser(
        prog="make demo",
        description="Play a recording into the real nodes. Where it has labels, compare what is "
        "reported with them: a trained network has to have five of seven expressions right.",
    )
    parser.add_argument(
        "--bag", type=path, default=EMBEDDED, help="any recording (default: the embedded one)"
    )
    parser.add_argument(
        "--model",
        default="shipped",
        help="checkpoint, or 'untrained' for random weights (default: those of this package)",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--rate", type=positive, default=1.0, help="speed of the recording (default: 1)"
    )
    parser.add_argument(
        "--picture",
        type=path,
        default=Path("demo_timeline.png"),
        metavar="PNG",
        help="where to draw events, probabilities and truth over time (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)
    if arguments.model == "untrained":
        print("UNTRAINED network: random weights. The plumbing is real, the expressions are not.")
    embedded = arguments.bag == EMBEDDED
    print(f"recording: {'a rendered face, embedded' if embedded else arguments.bag}", flush=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        without = refusal(arguments.picture)
        labels = _labels(arguments.bag)
        with LocalGraph() as graph:
            demo = _Demo(graph, labels)
            demo.run(arguments)
        demo.sum_up()
        if without:
            print(f"no picture: {without}")
        else:
            draw_timeline(arguments.bag, demo.messages, labels, arguments.picture)
            print(f"picture: {arguments.picture}")
        demo.judge()
    except Cs3dError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _labels(bag: Path) -> list[Label]:
    """What a recording shows; nothing where it does not say.

    Raises:
        RecordingError: It cannot be read.
    """
    with open_recording(bag) as recording:
        is_bag = bool(recording.topic)
    return read_labels(bag) if is_bag and has_labels(bag) else []


class _Demo:
    """Plays, listens and prints.

    Attributes:
        messages: What came on /fer/expression.
    """

    def __init__(self, graph: LocalGraph, labels: list[Label]) -> None:
        self.messages: list[Message] = []
        self._graph = graph
        self._labels = labels
        self._received: list[ExpressionStamped] = []
        self._energy: EnergyStamped | None = None
        graph.node.create_subscription(
            ExpressionStamped, "/fer/expression", self._on_expression, 100
        )
        graph.node.create_subscription(EnergyStamped, "/fer/energy", self._on_energy, 10)

    @property
    def _begin_ns(self) -> int:
        """What is printed as 0 s."""
        starts = [label.start_ns for label in self._labels]
        return min(starts) if starts else self.messages[0].start_ns

    def run(self, arguments: argparse.Namespace) -> None:
        """Play the recording into the nodes and print what they say.

        Raises:
            Cs3dError: A node does not come up, the recording does not play, or no expression
                arrives.
        """
        graph = self._graph
        fer = graph.start("fer_node", *_QUIET, device=arguments.device, model=arguments.model)
        energy = graph.start("energy_node", *_QUIET, rate_hz=2.0)
        graph.bring_up("fer", fer)
        graph.bring_up("fer_energy", energy)
        print("fer and fer_energy are active\n")
        true = f"{'true':<12}" if self._labels else ""
        print(f"window end   {true}expression   conf.    events   inference   latency", flush=True)
        player = graph.start("player_node", *_QUIET, path=arguments.bag, rate=arguments.rate)
        ends = (player, fer)
        graph.spin_until(lambda: any(p.poll() is not None for p in ends), timeout_s=float("inf"))
        if fer.poll() is not None:
            raise DemoError(f"fer has ended, status {fer.returncode}; the reason is above")
        if player.returncode != 0:
            raise DemoError("the recording could not be played; the reason is above")
        graph.spin_until(lambda: bool(self.messages), _FIRST_S)
        longest_ms = max((m.latency_ms for m in self.messages), default=0.0)
        graph.spin(max(_GRACE_S, 2e-3 * longest_ms))
        if not self.messages:
            raise DemoError(
                "no expression arrived. Is the recording longer than a window, and are its "
                "packets in an encoding that this package decodes?"
            )

    def sum_up(self) -> None:
        """Print what came of it."""
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
        if self._labels:
            print(f"\n{as_text(sum_up(self.messages, self._labels), self._begin_ns)}\n")

    def judge(self) -> None:
        """Refuse to call it a success where too little was recognised.

        Raises:
            DemoError: That is so.
        """
        reason = shortfall(sum_up(self.messages, self._labels))
        if not reason:
            return
        if "untrained" in self._received[-1].model:
            print(f"{reason}; the network is untrained: its weights are random")
            return
        slow = slowness(self.messages, DEFAULT_HOP_MS)
        raise DemoError(f"{reason}; {slow}" if slow else reason)

    def _on_energy(self, msg: EnergyStamped) -> None:
        self._energy = msg

    def _on_expression(self, msg: ExpressionStamped) -> None:
        message = Message(
            start_ns=time_to_ns(msg.window_start),
            end_ns=time_to_ns(msg.header.stamp),
            expression=msg.expression,
            confidence=msg.confidence,
            labels=tuple(msg.labels),
            probabilities=tuple(msg.probabilities),
            latency_ms=msg.latency_ms,
        )
        self._received.append(msg)
        self.messages.append(message)
        seconds = (message.end_ns - self._begin_ns) * 1e-9
        true = f"{message.truth(self._labels):<12}" if self._labels else ""
        print(
            f"{seconds:8.3f} s   {true}{msg.expression:<10}  {msg.confidence:5.2f}"
            f"  {msg.event_count:>8}  {msg.inference_ms:7.1f} ms  {msg.latency_ms:6.1f} ms",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
