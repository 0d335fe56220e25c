"""What the demonstration says at its end: true expressions beside reported ones. Needs no ROS."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from cs3d_ros.expressions import NEUTRAL
from cs3d_ros.recordings import Label

ENOUGH = 5 / 7
"""At least this share of the rows has to be right: five of the seven expressions."""

_TOO_FEW = 3.0
"""With steps of so many hops and more between messages, an expression may pass between two."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the demonstration keeps of an `ExpressionStamped`.

    Attributes:
        start_ns: Beginning of the window, ROS time in ns.
        end_ns: End of the window.
        expression: What is reported.
        confidence: Its probability.
        labels: What the network knows, in its order.
        probabilities: One for each label.
        latency_ms: From the arrival of the window's last packet to the message, in ms.
    """

    start_ns: int
    end_ns: int
    expression: str
    confidence: float
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    latency_ms: float

    def truth(self, labels: Iterable[Label]) -> str:
        """What is shown in the middle of the window's last half; empty where no label says."""
        moment_ns = self.end_ns - (self.end_ns - self.start_ns) // 4
        for label in labels:
            if label.start_ns <= moment_ns < label.end_ns:
                return label.expression
        return ""


@dataclass(frozen=True, slots=True)
class Row:
    """One expression that was shown, or all neutral stretches together.

    Attributes:
        expression: The true one.
        start_ns: Its onset, ROS time in ns; None for the neutral stretches.
        end_ns: Its offset; likewise.
        messages: Messages that belong to it, by `Message.truth`.
        agreeing: How many of these report it.
        reported: What counts as the answer, see `sum_up`; empty without messages.
        delay_ms: From the onset to the first message that reports it, its latency included; None
            where there is none, and for the neutral stretches.
    """

    expression: str
    start_ns: int | None
    end_ns: int | None
    messages: int
    agreeing: int
    reported: str
    delay_ms: float | None

    @property
    def right(self) -> bool:
        """Whether the answer is the true expression."""
        return self.reported == self.expression


def sum_up(messages: Sequence[Message], labels: Sequence[Label]) -> list[Row]:
    """Compare messages with the truth: a row for each expression shown, then one for neutral.

    A message belongs to the stretch in which the middle of its window's last half lies. The answer
    to an expression is what the messages that belong to it report most often. "neutral" is the
    answer only if they report nothing else: nothing moves in a face that holds an expression, so
    that there is nothing to see. The answer to the neutral stretches is what all messages that
    belong to them report most often. Of equals the more confident wins.
    """
    rows = []
    shown = sorted((label for label in labels if label.expression), key=lambda x: x.start_ns)
    for label in shown:
        if label.expression == NEUTRAL:
            continue
        own = [message for message in messages if message.truth([label])]
        right = [message for message in own if message.expression == label.expression]
        first = min(right, key=lambda message: message.end_ns, default=None)
        delay_ms = None
        if first is not None:
            delay_ms = (first.end_ns - label.start_ns) * 1e-6 + first.latency_ms
        said = [message for message in own if message.expression != NEUTRAL] or own
        rows.append(
            Row(
                label.expression,
                label.start_ns,
                label.end_ns,
                len(own),
                len(right),
                _most_often(said),
                delay_ms,
            )
        )
    if len(rows) < len(shown):
        own = [message for message in messages if message.truth(shown) == NEUTRAL]
        right = [message for message in own if message.expression == NEUTRAL]
        rows.append(Row(NEUTRAL, None, None, len(own), len(right), _most_often(own), None))
    return rows


def _most_often(messages: Iterable[Message]) -> str:
    votes: dict[str, tuple[int, float]] = {}
    for message in messages:
        count, confidence = votes.get(message.expression, (0, 0.0))
        votes[message.expression] = count + 1, confidence + message.confidence
    return max(votes, key=votes.__getitem__, default="")


def as_text(rows: Sequence[Row], begin_ns: int) -> str:
    """The rows as a table.

    Args:
        rows: From `sum_up`.
        begin_ns: ROS time that is 0 s in the table.
    """
    lines = [f"{'true':<12}{'shown':<19}{'reported':<14}{'':<8}{'delay':>7}   agreeing messages"]
    for row in rows:
        shown = "in between"
        if row.start_ns is not None and row.end_ns is not None:
            start_s, end_s = ((t - begin_ns) * 1e-9 for t in (row.start_ns, row.end_ns))
            shown = f"{start_s:6.2f} - {end_s:6.2f} s"
        delay = "" if row.delay_ms is None else f"{row.delay_ms * 1e-3:.2f} s"
        lines.append(
            f"{row.expression:<12}{shown:<19}{row.reported or '(no message)':<14}"
            f"{'right' if row.right else 'WRONG':<8}{delay:>7}   {row.agreeing} of {row.messages}"
        )
    lines.append(f"{sum(row.right for row in rows)} of {len(rows)} right")
    return "\n".join(lines)


def shortfall(rows: Sequence[Row]) -> str:
    """How the demonstration has failed; empty if enough rows are right."""
    right, enough = sum(row.right for row in rows), math.ceil(ENOUGH * len(rows))
    if right >= enough:
        return ""
    return f"{right} of {len(rows)} expressions were recognised, expected at least {enough}"


def slowness(messages: Sequence[Message], hop_ms: float) -> str:
    """What to do where this machine is too slow to see every expression; empty where it is not.

    Args:
        messages: All that came, in order.
        hop_ms: Time from one window to the next in ms.
    """
    steps_ms = [(b.end_ns - a.end_ns) * 1e-6 for a, b in pairwise(messages)]
    usual_ms = statistics.median(steps_ms) if steps_ms else 0.0
    if usual_ms < _TOO_FEW * hop_ms:
        return ""
    rate = max(0.01, math.floor(100 * hop_ms / usual_ms) / 100)
    return (
        f"a message came only every {usual_ms:.0f} ms of the recording, as the network is slow on "
        f"this machine; play slower: --rate {rate:g} (with make: ARGS='--rate {rate:g}')"
    )
