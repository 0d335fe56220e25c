"""The activity gate of a recognizer: windows in which nothing moves are not inferred."""

import dataclasses

import numpy as np
import pytest

from cs3d_ros.decision import Decision
from cs3d_ros.events.evt3_encoder import encode
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.recognizer import Recognizer
from recognizer_helpers import WHOLE_BINS, Witness, recognize


def with_pauses(seconds: float, moving: list[tuple[float, float]]) -> list[EventPacket]:
    """Noise of 0.1 Hz a pixel, and at some times a square that flickers, on 64x64 pixels."""
    rng = np.random.default_rng(0)
    stream = []
    for i in range(round(seconds * 100)):
        n = rng.poisson(0.1 * 64 * 64 / 100)
        corner = (0, 64)
        if any(begin <= i / 100 < end for begin, end in moving):
            n, corner = 100, (20, 40)
        t_ns = np.sort(rng.integers(i * 10_000, (i + 1) * 10_000, n)) * 1000
        x, y = rng.integers(*corner, (2, n)).astype(np.uint16)
        chunk = Events(t_ns, x, y, rng.integers(0, 2, n).astype(np.uint8))
        stream.append(
            EventPacket(
                1_700_000_000_000_000_000 + i * 10_000_000,
                *("cam", 64, 64, i, 0, "evt3", False, encode(chunk)),
            )
        )
    return stream


class Spy(Decision):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(min_messages=2)
        self.stamps: list[int] = []

    def update(self, stamp_ns, labels, probabilities):
        self.stamps.append(stamp_ns)
        return super().update(stamp_ns, labels, probabilities)


def test_the_gate_says_the_last_result_again_while_nothing_moves():
    stream = with_pauses(12.0, [(0.0, 1.0), (9.0, 10.0)])
    plain = recognize(Recognizer(Witness(), hop_ms=WHOLE_BINS), stream)
    assert all(r.inferred and r.age_ns == 0 for r in plain)
    spy, witness = Spy(), Witness()
    recognizer = Recognizer(witness, decision=spy, hop_ms=WHOLE_BINS, activity_gate=True)
    gated = recognize(recognizer, stream)
    assert [r.event_count for r in gated] == [r.event_count for r in plain]
    assert [r.stamp_ns for r in gated] == [r.stamp_ns for r in plain]
    seconds = [(r.stamp_ns - stream[0].stamp_ns) * 1e-9 for r in gated]
    closed = [t for t, r in zip(seconds, gated, strict=True) if not r.inferred]
    # Calm from 1.0 s on; learned over four windows of 0.5 s, and closed one later.
    assert 3.0 < closed[0] < 4.5
    assert not [t for t in closed if 9.02 < t < 10.4]
    assert len(closed) > 0.85 * 8 * (9.0 - closed[0])
    assert len(witness.tensors) == len(gated) - len(closed)
    last = None
    for now in gated:
        if now.inferred:
            last = now
            continue
        assert now.inference_ms == 0.0
        assert now.age_ns == pytest.approx(now.stamp_ns - last.stamp_ns, abs=20_000_000)
        assert (now.expression, now.probabilities) == (last.expression, last.probabilities)
    # To the rule of decision the time that was left out does not exist.
    assert set(np.diff(spy.stamps)) == {125_000_000}
    # What is left out between two windows makes the shift larger.
    assert set(witness.shifts) == {4, None}


def test_a_gate_that_closes_for_a_moment_makes_the_shift_larger():
    class Fickle:
        asked = 0

        def admits(self, *_):
            self.asked += 1
            return self.asked not in (2, 4, 5)

    stream = with_pauses(2.0, [])
    recognizer = Recognizer(Witness(), hop_ms=WHOLE_BINS, activity_gate=True)
    ready = [r for packet in stream for r in recognizer.push(packet)]
    recognizer.classify(ready[0])
    recognizer._gate = Fickle()
    found = [recognizer.classify(each) for each in ready[1:8]]
    assert [r.age_ns // 125_000_000 for r in found] == [0, 1, 0, 1, 2, 0, 0]
    assert recognizer.classifier.shifts == [None, 4, 8, 12, 4]


def test_the_gate_learns_each_stream_anew():
    stream = with_pauses(5.0, [])
    recognizer = Recognizer(Witness(), activity_gate=True)
    first = [r.inferred for r in recognize(recognizer, stream)]
    assert first[:16] == [True] * 16
    assert not all(first[16:])
    assert [r.inferred for r in recognize(recognizer, stream)] == first
    assert recognizer.stream.counters.resets == 1


def test_the_gate_says_nothing_again_that_another_stream_has_said():
    class Broken(Witness):
        def predict(self, tensor, shift=None):
            if self.shifts:
                raise NetworkError("no more")
            return super().predict(tensor, shift)

    stream = with_pauses(5.0, [])
    recognizer = Recognizer(Broken(), activity_gate=True)
    ready = [r for packet in stream for r in recognizer.push(packet)]
    recognizer.classify(ready[0])
    for each in ready[1:]:
        with pytest.raises(NetworkError):
            recognizer.classify(dataclasses.replace(each, epoch=1))
