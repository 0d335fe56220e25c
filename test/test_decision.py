import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cs3d_ros.decision import Decision, DecisionError

LABELS = ("neutral", "happy", "sad")
HOP_NS = 125_000_000


def said(decision, rows, hop_ns=HOP_NS):
    return [decision.update(i * hop_ns, LABELS, row) for i, row in enumerate(rows)]


def test_by_default_every_window_says_its_most_probable_label():
    rows = [(0.5, 0.3, 0.2), (0.1, 0.2, 0.7), (0.34, 0.33, 0.33), (0.2, 0.6, 0.2)]
    assert said(Decision(), rows) == ["neutral", "sad", "neutral", "happy"]


def test_of_equal_probabilities_the_first_label_counts():
    assert said(Decision(), [(0.2, 0.4, 0.4)]) == ["happy"]


def test_below_the_confidence_it_is_neutral_and_at_it_it_is_said():
    rows = [(0.2, 0.7, 0.1), (0.15, 0.75, 0.1), (0.1, 0.8, 0.1)]
    assert said(Decision(min_confidence=0.75), rows) == ["neutral", "happy", "happy"]


def test_an_expression_is_said_from_its_nth_window_in_a_row_on():
    happy, sad, none = (0.1, 0.8, 0.1), (0.1, 0.1, 0.8), (0.8, 0.1, 0.1)
    rows = [happy, happy, sad, happy, happy, happy, none, happy]
    assert said(Decision(min_messages=3), rows) == [*["neutral"] * 5, "happy", "neutral", "neutral"]


def test_neutral_needs_no_repetition():
    rows = [(0.1, 0.8, 0.1)] * 2 + [(0.8, 0.1, 0.1)]
    assert said(Decision(min_messages=2), rows) == ["neutral", "happy", "neutral"]


def test_unsure_windows_interrupt_a_row():
    rows = [(0.1, 0.8, 0.1), (0.3, 0.4, 0.3), (0.1, 0.8, 0.1), (0.1, 0.8, 0.1)]
    decision = Decision(min_confidence=0.5, min_messages=2)
    assert said(decision, rows) == ["neutral", "neutral", "neutral", "happy"]


def test_smoothing_is_exponential_over_time_and_not_over_windows():
    """After ln 2 of the time constant, half of the way is gone, in one step or in two."""
    tau_ms = 125 / math.log(2)
    for steps in (1, 2, 5):
        decision = Decision(smoothing_ms=tau_ms)
        decision.update(0, LABELS, (1.0, 0.0, 0.0))
        for i in range(steps):
            decision.update(HOP_NS * (i + 1) // steps, LABELS, (0.0, 1.0, 0.0))
        assert decision._smooth == pytest.approx([0.5, 0.5, 0.0], abs=1e-9)


def test_smoothing_keeps_a_flicker_out():
    rows = [(0.9, 0.1, 0.0)] * 4 + [(0.0, 1.0, 0.0)] + [(0.9, 0.1, 0.0)] * 2
    assert "happy" in said(Decision(), rows)
    assert said(Decision(smoothing_ms=500), rows) == ["neutral"] * 7


def test_what_is_reported_is_kept_until_it_is_nearly_sure_to_be_over():
    rows = [(0.2, 0.8, 0.0), (0.1, 0.2, 0.7), (0.79, 0.21, 0.0), (0.81, 0.19, 0.0), (0.0, 0.2, 0.8)]
    assert said(Decision(), rows) == ["happy", "sad", "neutral", "neutral", "sad"]
    assert said(Decision(keep_confidence=0.2), rows) == [*["happy"] * 3, "neutral", "sad"]
    assert said(Decision(keep_confidence=0.0), rows) == ["happy"] * 5


def test_neutral_is_not_kept():
    rows = [(0.9, 0.1, 0.0), (0.4, 0.6, 0.0)]
    assert said(Decision(keep_confidence=0.1), rows) == ["neutral", "happy"]


def test_only_what_was_reported_is_kept():
    happy, sad = (0.1, 0.6, 0.3), (0.1, 0.3, 0.6)
    decision = Decision(min_messages=2, keep_confidence=0.2)
    assert said(decision, [happy, sad, sad, happy, happy]) == [
        "neutral", "neutral", "sad", "sad", "sad",
    ]  # fmt: skip


@given(st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 3), min_size=1, max_size=20))
def test_a_keeping_confidence_of_1_keeps_nothing(rows):
    rows = [tuple(p / (sum(row) or 1) for p in row) for row in rows]
    most = [LABELS[max(range(3), key=row.__getitem__)] for row in rows]
    assert said(Decision(keep_confidence=1.0), rows) == most


def test_a_rule_tells_its_settings():
    settings = {
        "min_confidence": 0.5,
        "min_messages": 2,
        "smoothing_ms": 9.0,
        "keep_confidence": 0.1,
    }
    assert Decision(**settings).settings() == settings


def test_a_time_that_goes_back_and_other_labels_begin_anew():
    decision = Decision(min_messages=2, smoothing_ms=1e6)
    assert said(decision, [(0.0, 1.0, 0.0)] * 2) == ["neutral", "happy"]
    assert decision.update(0, LABELS, (0.0, 0.0, 1.0)) == "neutral"
    assert decision.update(HOP_NS, LABELS, (0.0, 0.0, 1.0)) == "sad"
    assert decision.update(2 * HOP_NS, ("calm", "wild"), (0.1, 0.9)) == "neutral"
    assert decision.update(3 * HOP_NS, ("calm", "wild"), (0.1, 0.9)) == "wild"


def test_reset_forgets_all():
    decision = Decision(min_messages=2)
    assert said(decision, [(0.0, 1.0, 0.0)] * 2)[-1] == "happy"
    decision.reset()
    assert decision.update(9 * HOP_NS, LABELS, (0.0, 1.0, 0.0)) == "neutral"


@pytest.mark.parametrize(
    "values",
    [
        (0, 1, 0, -0.1),
        (0, 1, 0, math.nan),
        (-0.1,),
        (1.1,),
        (math.nan,),
        (0, 0),
        (0, 1.5),
        (0, True),
        (0, 1, -1),
        (0, 1, math.inf),
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(DecisionError, match="expected"):
        Decision(*values)


@pytest.mark.parametrize("row", [(), (0.5, 0.5), (math.nan, 0.5, 0.5), (math.inf, 0.0, 0.0)])
def test_probabilities_that_are_none_are_refused(row):
    with pytest.raises(DecisionError):
        Decision().update(0, LABELS, row)


@given(
    st.lists(st.tuples(*[st.floats(0, 1, width=32)] * 3), min_size=1, max_size=20),
    st.floats(0, 1),
    st.integers(1, 4),
    st.sampled_from([0.0, 10.0, 1000.0]),
)
def test_what_is_said_has_been_said_long_enough(rows, confidence, messages, smoothing):
    answers = said(Decision(confidence, messages, smoothing), rows)
    assert set(answers) <= {*LABELS}
    assert all(answer == "neutral" for answer in answers[: messages - 1])
