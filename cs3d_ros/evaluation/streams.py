"""Continuous recordings: which expressions are found, how soon, and what is found amiss.

A message is what is decided at the end of a window (`Decision`), stamped with that end. A labelled
expression is an interval of the truth, from onset to offset, that is not neutral.

- A labelled expression is *found* if a message says it that is stamped from its onset to `GRACE_NS`
  after its offset: a window that ends then still saw some of it.
- Its *delay* is the stamp of the first such message minus the onset.
- It is found *early* if the message before that one said it as well: the delay is then no reaction
  to the onset, but what had been said before.
- It is *confused* if a message stamped from onset to offset says another expression, not neutral.
- A *run* is a row of consecutive messages that say the same expression, not neutral.
- A run is a *false alarm* if no labelled expression of that name, its `GRACE_NS` included, overlaps
  it (its first to its last stamp). However long it is, it counts once. So what is said in place of
  the right expression is a false alarm too; `Alarm.during` tells which was shown.
- *Said in neutral* is the share of messages that say an expression, of those that are stamped while
  none was shown (graces included). It tells of a network that says one thing all the time, which
  finds it whenever it is shown, in one run that is no false alarm.
- *Per minute* is by the length of the recording from the beginning of the first window to the end
  of the last.
- Labelled expressions that begin after the last message, or whose grace is over before the first,
  are not judged; they are counted as `outside`.
- What no label covers shows no expression.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

import numpy as np

from cs3d_ros.decision import Decision
from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.intervals import Interval
from cs3d_ros.evaluation.messages import Messages
from cs3d_ros.evaluation.stream_scores import Alarm, Findings, Shown, StreamScores
from cs3d_ros.expressions import NEUTRAL

GRACE_NS = 500_000_000
"""How long after its offset an expression may still be said: the same whatever a network's windows,
so that networks compare."""


def judge(
    messages: Messages,
    intervals: Sequence[Interval],
    decision: Decision | None = None,
    *,
    name: str = "",
    light: str = "unknown",
    subject: str = "",
    grace_ns: int = GRACE_NS,
) -> StreamScores:
    """Compare what a network said with what was shown; the module says how.

    Args:
        messages: What it said.
        intervals: What was shown, in the clock of the messages, in order, without overlaps.
        decision: The rule that makes messages of probabilities; None: the most probable label. It
            is reset before and after.
        name: Of the recording.
        light: Its light condition.
        subject: Who it shows.
        grace_ns: How long after its offset an expression may still be said.

    Raises:
        EvaluationError: All labels lie outside of the recording.
    """
    decided = decide(messages, decision or Decision())
    stamps = messages.stamps_ns
    inside = [i for i in intervals if i.start_ns <= stamps[-1] and i.end_ns + grace_ns >= stamps[0]]
    if not inside:
        raise EvaluationError(
            f"{name or 'the recording'}: all {len(intervals)} labels lie outside of it. It has "
            f"{messages.duration_ns * 1e-9:.1f} s, the labels are from "
            f"{_seconds(intervals[0].start_ns, messages):.1f} s to "
            f"{_seconds(intervals[-1].end_ns, messages):.1f} s after its first event; their clocks "
            "are not the same"
        )
    expressions = [i for i in inside if i.expression != NEUTRAL]
    outside = sum(i.expression != NEUTRAL for i in intervals) - len(expressions)
    findings = Findings(
        duration_s=messages.duration_ns / 1e9,
        shown=tuple(_shown(i, messages, decided, grace_ns) for i in expressions),
        alarms=tuple(_alarms(expressions, messages, decided, grace_ns)),
        in_neutral=_in_neutral(expressions, messages, decided, grace_ns),
        outside=outside,
    )
    return StreamScores(
        name=name,
        light=light,
        subject=subject,
        totals=findings.totals(),
        findings=findings,
        by_expression=findings.by_expression(messages.labels),
        by_intensity=findings.by_intensity(),
        decided=decided,
        messages=messages,
        intervals=tuple(intervals),
    )


def decide(messages: Messages, decision: Decision) -> tuple[str, ...]:
    """What each message says by a rule, which is reset before and after."""
    decision.reset()
    decided = tuple(
        decision.update(stamp_ns, messages.labels, probabilities)
        for stamp_ns, probabilities in zip(
            messages.stamps_ns.tolist(), messages.probabilities.tolist(), strict=True
        )
    )
    decision.reset()
    return decided


def _shown(interval: Interval, messages: Messages, decided: Sequence[str], grace_ns: int) -> Shown:
    stamps = messages.stamps_ns
    begin = int(np.searchsorted(stamps, interval.start_ns, side="left"))
    end = int(np.searchsorted(stamps, interval.end_ns, side="right"))
    end_of_grace = int(np.searchsorted(stamps, interval.end_ns + grace_ns, side="right"))
    expression = interval.expression
    first = next((i for i in range(begin, end_of_grace) if decided[i] == expression), None)
    others = dict.fromkeys(decided[begin:end])
    return Shown(
        expression=expression,
        intensity=interval.intensity,
        onset_s=_seconds(interval.start_ns, messages),
        offset_s=_seconds(interval.end_ns, messages),
        delay_s=None if first is None else (int(stamps[first]) - interval.start_ns) / 1e9,
        early=first is not None and 0 < first == begin and decided[first - 1] == expression,
        confused_with=tuple(name for name in others if name not in (NEUTRAL, expression)),
    )


def _alarms(
    expressions: Sequence[Interval], messages: Messages, decided: Sequence[str], grace_ns: int
) -> Iterable[Alarm]:
    end = 0
    for expression, run in groupby(decided):
        begin, end = end, end + sum(1 for _ in run)
        if expression == NEUTRAL:
            continue
        first_ns, last_ns = int(messages.stamps_ns[begin]), int(messages.stamps_ns[end - 1])
        meanwhile = [
            i.expression
            for i in expressions
            if i.start_ns <= last_ns and i.end_ns + grace_ns >= first_ns
        ]
        if expression not in meanwhile:
            yield Alarm(
                expression,
                _seconds(first_ns, messages),
                _seconds(last_ns, messages),
                meanwhile[0] if meanwhile else NEUTRAL,
            )


def _in_neutral(
    expressions: Sequence[Interval], messages: Messages, decided: Sequence[str], grace_ns: int
) -> Counter[str]:
    """What the messages stamped while no expression was shown say, and how often."""
    is_neutral = np.ones(len(decided), bool)
    for interval in expressions:
        begin = np.searchsorted(messages.stamps_ns, interval.start_ns, side="left")
        end = np.searchsorted(messages.stamps_ns, interval.end_ns + grace_ns, side="right")
        is_neutral[begin:end] = False
    return Counter(decided[i] for i in np.flatnonzero(is_neutral))


def _seconds(stamp_ns: int, messages: Messages) -> float:
    return (stamp_ns - messages.begin_ns) / 1e9
