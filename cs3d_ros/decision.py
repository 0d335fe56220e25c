"""From probabilities to the expression that is reported: the rule for continuous streams."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType

from cs3d_ros.errors import Cs3dError
from cs3d_ros.expressions import NEUTRAL

LIVE_RULE = MappingProxyType({"min_confidence": 0.5, "smoothing_ms": 200.0, "keep_confidence": 0.3})
"""The rule where expressions are shown as they come, unless another is asked for: the node and
`cs3d recognize`. docs/evaluation.md tells how it was chosen."""


class DecisionError(Cs3dError):
    """A rule, or probabilities, that nothing can be decided by."""


class Decision:
    """Decides, window by window, which expression is reported.

    1. The probabilities p are smoothed over time: s ← s + (1 − exp(−Δt/τ))·(p − s), where Δt is the
       time since the window before and τ is `smoothing_ms`. The first window, and one that is
       earlier than the one before, begins anew with s = p. With τ = 0, s = p.
    2. The label of the largest s is the candidate, the first of equal ones; if its s is below
       `min_confidence`, "neutral" is.
    3. An expression that was reported by the window before stays the candidate for as long as its s
       is at least `keep_confidence`, whatever is more probable now, so that nothing flickers around
       a threshold (hysteresis).
    4. The candidate is reported if it is "neutral", or the candidate of the last `min_messages`
       windows, this one included. Otherwise "neutral" is reported.

    With the defaults, every window reports its most probable label.

    Args:
        min_confidence: From 0 to 1.
        min_messages: At least 1.
        smoothing_ms: Time constant τ in ms, 0 or more.
        keep_confidence: From 0, which keeps the first expression for ever, to 1, which keeps none.

    Attributes:
        min_confidence, min_messages, smoothing_ms, keep_confidence: As given.

    Raises:
        DecisionError: A number out of its range.
    """

    def __init__(
        self,
        min_confidence: float = 0.0,
        min_messages: int = 1,
        smoothing_ms: float = 0.0,
        keep_confidence: float = 1.0,
    ) -> None:
        for confidence in (min_confidence, keep_confidence):
            if not 0 <= confidence <= 1:
                raise DecisionError(f"a confidence of {confidence}, expected a number from 0 to 1")
        if isinstance(min_messages, bool) or min_messages != int(min_messages) or min_messages < 1:
            raise DecisionError(f"{min_messages} messages, expected a whole number from 1 on")
        if not (math.isfinite(smoothing_ms) and smoothing_ms >= 0):
            raise DecisionError(f"smoothing over {smoothing_ms} ms, expected 0 or more")
        self.min_confidence = min_confidence
        self.min_messages = int(min_messages)
        self.smoothing_ms = smoothing_ms
        self.keep_confidence = keep_confidence
        self.reset()

    def settings(self) -> dict[str, float]:
        """The arguments that make such a rule."""
        return {
            "min_confidence": self.min_confidence,
            "min_messages": self.min_messages,
            "smoothing_ms": self.smoothing_ms,
            "keep_confidence": self.keep_confidence,
        }

    def reset(self) -> None:
        """Forget all windows, as at the beginning of another stream."""
        self._labels: tuple[str, ...] = ()
        self._smooth: list[float] = []
        self._stamp_ns = 0
        self._candidate = self._reported = NEUTRAL
        self._in_a_row = 0

    def update(self, stamp_ns: int, labels: Sequence[str], probabilities: Sequence[float]) -> str:
        """Take in the next window's probabilities.

        Args:
            stamp_ns: End of the window in ns, in any clock that goes on steadily.
            labels: Of the probabilities; other labels than before are another stream.
            probabilities: One for each label.

        Returns:
            The label that is reported now, or "neutral".

        Raises:
            DecisionError: Not one finite probability for each label.
        """
        if not labels or len(labels) != len(probabilities):
            raise DecisionError(f"{len(probabilities)} probabilities for {len(labels)} labels")
        if not all(math.isfinite(p) for p in probabilities):
            raise DecisionError(f"the probabilities {list(probabilities)}, expected finite numbers")
        if tuple(labels) != self._labels or stamp_ns < self._stamp_ns:
            self.reset()
            self._labels = tuple(labels)
        self._smooth = self._smoothed(stamp_ns, [float(p) for p in probabilities])
        self._stamp_ns = stamp_ns
        best = max(range(len(labels)), key=self._smooth.__getitem__)
        is_sure = self._smooth[best] >= self.min_confidence
        candidate = labels[best] if is_sure else NEUTRAL
        kept = self._reported
        if kept != NEUTRAL and self._smooth[labels.index(kept)] >= self.keep_confidence:
            candidate = kept
        self._in_a_row = self._in_a_row + 1 if candidate == self._candidate else 1
        self._candidate = candidate
        self._reported = candidate if self._in_a_row >= self.min_messages else NEUTRAL
        return self._reported

    def _smoothed(self, stamp_ns: int, probabilities: list[float]) -> list[float]:
        if not self._smooth or self.smoothing_ms == 0:
            return probabilities
        share = -math.expm1(-(stamp_ns - self._stamp_ns) * 1e-6 / self.smoothing_ms)
        return [s + share * (p - s) for s, p in zip(self._smooth, probabilities, strict=True)]
