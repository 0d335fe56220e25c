"""Measures of continuous recordings: each alone, and several together. `streams` defines them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.intervals import Interval
from cs3d_ros.evaluation.messages import Messages
from cs3d_ros.expressions import NEUTRAL


@dataclass(frozen=True, slots=True)
class Shown:
    """A labelled expression, and what became of it. Times in s from the recording's first event.

    Attributes:
        expression: What is shown.
        intensity: "full" or "micro"; empty where it is not known.
        onset_s, offset_s: When.
        delay_s: From the onset to the first message that says it; None where it was not found.
        early: Whether it was said already when it came.
        confused_with: Other expressions said between onset and offset, each once.
    """

    expression: str
    intensity: str
    onset_s: float
    offset_s: float
    delay_s: float | None
    early: bool
    confused_with: tuple[str, ...]

    @property
    def found(self) -> bool:
        """Whether it was found."""
        return self.delay_s is not None


@dataclass(frozen=True, slots=True)
class Alarm:
    """A false alarm. Times in s from the recording's first event.

    Attributes:
        expression: What was said.
        start_s, end_s: Stamps of its first and its last message.
        during: The labelled expression that was shown meanwhile (its grace included), the first of
            several; "neutral" where there was none.
    """

    expression: str
    start_s: float
    end_s: float
    during: str


@dataclass(frozen=True, slots=True)
class StreamTotals:
    """Measures of one or several recordings, or of one expression in them.

    Attributes:
        duration_s: Length of the recordings.
        shown: Number of labelled expressions.
        found: How many of them were found.
        early: How many of those were said already when they came.
        share_found: found / shown; None where none is shown.
        delay_median_s, delay_p90_s: Median and 90th percentile of the delays of those found; None
            where none was found.
        confused: Number of labelled expressions during which another one was said.
        false_alarms: Number of false alarms.
        false_alarms_in_neutral: How many of them came while no expression was shown.
        false_alarms_per_min: False alarms in a minute; None where alarms cannot be told apart by
            what these measures are of.
        said_in_neutral: Of the messages stamped while no expression was shown, the share that says
            one; None where there are none, or where it is not of what these measures are.
        outside: Labelled expressions that lie outside of the recordings; counted for all together
            only.
    """

    duration_s: float
    shown: int
    found: int
    early: int
    share_found: float | None
    delay_median_s: float | None
    delay_p90_s: float | None
    confused: int
    false_alarms: int | None
    false_alarms_in_neutral: int | None
    false_alarms_per_min: float | None
    said_in_neutral: float | None
    outside: int


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in one or several recordings, before it is summed up.

    Attributes:
        duration_s: Length of the recordings.
        shown: The labelled expressions.
        alarms: The false alarms.
        in_neutral: How often the messages stamped while no expression was shown said what.
        outside: Labelled expressions that lie outside of the recordings.
    """

    duration_s: float
    shown: tuple[Shown, ...]
    alarms: tuple[Alarm, ...]
    in_neutral: Counter[str]
    outside: int

    @staticmethod
    def together(findings: Iterable[Findings]) -> Findings:
        """Those of several recordings as if they were one."""
        several = list(findings)
        return Findings(
            sum(one.duration_s for one in several),
            tuple(shown for one in several for shown in one.shown),
            tuple(alarm for one in several for alarm in one.alarms),
            sum((one.in_neutral for one in several), Counter()),
            sum(one.outside for one in several),
        )

    def totals(self) -> StreamTotals:
        """Summed up."""
        said = {*self.in_neutral} - {NEUTRAL}
        return self._totals(self.shown, self.alarms, said, self.outside)

    def by_expression(self, labels: Iterable[str]) -> dict[str, StreamTotals]:
        """Summed up for each of the labels but neutral."""
        return {
            label: self._totals(
                [s for s in self.shown if s.expression == label],
                [a for a in self.alarms if a.expression == label],
                {label},
            )
            for label in labels
            if label != NEUTRAL
        }

    def by_intensity(self) -> dict[str, StreamTotals]:
        """Summed up for each intensity, without alarms; empty where none is known."""
        intensities = sorted({s.intensity for s in self.shown})
        if not any(intensities):
            return {}
        return {
            intensity or "unknown": self._totals(
                [s for s in self.shown if s.intensity == intensity], None, None
            )
            for intensity in intensities
        }

    def _totals(
        self,
        shown: Sequence[Shown],
        alarms: Sequence[Alarm] | None,
        said: set[str] | None,
        outside: int = 0,
    ) -> StreamTotals:
        delays = [s.delay_s for s in shown if s.delay_s is not None]
        median, p90 = np.percentile(delays, (50, 90)).tolist() if delays else (None, None)
        minutes, messages = self.duration_s / 60, sum(self.in_neutral.values())
        in_neutral = None if alarms is None else sum(a.during == NEUTRAL for a in alarms)
        said_in_neutral = None
        if said is not None and messages:
            said_in_neutral = sum(self.in_neutral[label] for label in said) / messages
        return StreamTotals(
            duration_s=self.duration_s,
            shown=len(shown),
            found=len(delays),
            early=sum(s.early for s in shown),
            share_found=len(delays) / len(shown) if shown else None,
            delay_median_s=median,
            delay_p90_s=p90,
            confused=sum(bool(s.confused_with) for s in shown),
            false_alarms=None if alarms is None else len(alarms),
            false_alarms_in_neutral=in_neutral,
            false_alarms_per_min=None if alarms is None else len(alarms) / minutes,
            said_in_neutral=said_in_neutral,
            outside=outside,
        )


@dataclass(frozen=True, slots=True, eq=False)
class StreamScores:
    """What was found in one recording.

    Attributes:
        name: Of the recording.
        light: Its light condition, where it is known; or "unknown".
        subject: Who it shows; empty where it is not known.
        totals: Its measures.
        findings: The labelled expressions and the false alarms, in order of time.
        by_expression: The measures of each expression.
        by_intensity: The measures of each intensity, without alarms; empty where the labels do not
            say it.
        decided: What each message says.
        messages: What the network said.
        intervals: The truth, in the clock of the messages.
    """

    name: str
    light: str
    subject: str
    totals: StreamTotals
    findings: Findings
    by_expression: Mapping[str, StreamTotals]
    by_intensity: Mapping[str, StreamTotals]
    decided: tuple[str, ...]
    messages: Messages
    intervals: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class Pooled:
    """Measures of several recordings together, every expression and every minute weighing the same.

    Attributes:
        totals: Of all recordings.
        by_expression, by_intensity, by_light: Of parts of them.
    """

    totals: StreamTotals
    by_expression: Mapping[str, StreamTotals] = field(default_factory=dict)
    by_intensity: Mapping[str, StreamTotals] = field(default_factory=dict)
    by_light: Mapping[str, StreamTotals] = field(default_factory=dict)


def pool(streams: Sequence[StreamScores]) -> Pooled:
    """The measures of several recordings together.

    Raises:
        EvaluationError: There are none.
    """
    if not streams:
        raise EvaluationError("no recordings to sum up")
    together = Findings.together(stream.findings for stream in streams)
    lights = sorted({stream.light for stream in streams})
    return Pooled(
        totals=together.totals(),
        by_expression=together.by_expression(streams[0].messages.labels),
        by_intensity=together.by_intensity(),
        by_light={
            light: Findings.together(s.findings for s in streams if s.light == light).totals()
            for light in lights
        },
    )
