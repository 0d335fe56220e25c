import pytest

from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.nodes.demo_report import Message, as_text, shortfall, slowness, sum_up
from cs3d_ros.recordings import Label

SHOWN = EXPRESSIONS[1:]
MS = 1_000_000
BEGIN = 1_000_000_000_000


def message(end_ms, expression, confidence=0.9, latency_ms=0.0):
    rest = (1.0 - confidence) / (len(EXPRESSIONS) - 1)
    return Message(
        start_ns=BEGIN + (end_ms - 400) * MS,
        end_ns=BEGIN + end_ms * MS,
        expression=expression,
        confidence=confidence,
        labels=EXPRESSIONS,
        probabilities=tuple(confidence if e == expression else rest for e in EXPRESSIONS),
        latency_ms=latency_ms,
    )


def label(expression, start_ms, end_ms):
    return Label(BEGIN, BEGIN + start_ms * MS, BEGIN + end_ms * MS, expression)


def truth():
    """Each of the six from second 2n + 1 to 2n + 2, n = 0 ... 5, and neutral in between."""
    labels = [label("neutral", 0, 1000)]
    for n, expression in enumerate(SHOWN):
        start = 2000 * n + 1000
        labels.append(label(expression, start, start + 1000))
        labels.append(label("neutral", start + 1000, start + 2000))
    return labels


def reported(wrong=0, calm="neutral"):
    """A message every 250 ms that is true, but for the first expressions, which are neutral."""
    missed = SHOWN[:wrong]
    messages = []
    for end_ms in range(500, 13_000, 250):
        true = message(end_ms, "neutral").truth(truth())
        said = calm if true == "neutral" else "neutral" if true in missed else true
        messages.append(message(end_ms, said))
    return messages


class TestTruth:
    @pytest.mark.parametrize(
        ("end_ms", "expected"),
        [(1099, "neutral"), (1100, "happy"), (2099, "happy"), (2100, "neutral"), (99, "")],
    )
    def test_the_middle_of_the_windows_last_half_decides(self, end_ms, expected):
        assert message(end_ms, "sad").truth(truth()) == expected

    def test_without_labels_nothing_is_true(self):
        assert message(500, "sad").truth([]) == ""


class TestRows:
    def test_all_right(self):
        rows = sum_up(reported(), truth())
        assert [row.expression for row in rows] == [*SHOWN, "neutral"]
        assert all(row.right for row in rows)
        assert [row.agreeing for row in rows] == [row.messages for row in rows]
        assert shortfall(rows) == ""

    @pytest.mark.parametrize("wrong", [0, 1, 2])
    def test_five_right_are_enough(self, wrong):
        rows = sum_up(reported(wrong), truth())
        assert sum(row.right for row in rows) == 7 - wrong
        assert shortfall(rows) == ""

    def test_four_right_are_too_few(self):
        rows = sum_up(reported(wrong=3), truth())
        reason = "4 of 7 expressions were recognised, expected at least 5"
        assert shortfall(rows) == reason

    @pytest.mark.parametrize("expression", EXPRESSIONS)
    def test_who_always_says_the_same_has_one_right(self, expression):
        messages = [message(end_ms, expression) for end_ms in range(500, 13_000, 250)]
        rows = sum_up(messages, truth())
        assert [row.expression for row in rows if row.right] == [expression]

    def test_false_alarms_in_the_neutral_stretches_make_neutral_wrong(self):
        neutral = sum_up(reported(calm="angry"), truth())[-1]
        assert (neutral.expression, neutral.reported, neutral.right) == ("neutral", "angry", False)
        assert neutral.agreeing == 0 < neutral.messages

    def test_an_expression_that_stands_still_may_be_neutral_meanwhile(self):
        said = ["happy", "neutral", "neutral", "neutral"]
        messages = [message(1150 + 250 * i, name) for i, name in enumerate(said)]
        row = sum_up(messages, truth())[0]
        assert (row.reported, row.agreeing, row.messages) == ("happy", 1, 4)

    def test_what_is_reported_most_often_counts_not_what_comes_first(self):
        said = ["sad", "happy", "happy", "neutral"]
        messages = [message(1150 + 250 * i, name) for i, name in enumerate(said)]
        assert sum_up(messages, truth())[0].right

    def test_one_right_message_among_more_wrong_ones_is_not_enough(self):
        said = ["happy", "sad", "sad", "neutral"]
        messages = [message(1150 + 250 * i, name) for i, name in enumerate(said)]
        row = sum_up(messages, truth())[0]
        assert (row.reported, row.right) == ("sad", False)

    def test_of_equals_the_more_confident_wins(self):
        messages = [message(1200, "sad", 0.5), message(1450, "happy", 0.6)]
        assert sum_up(messages, truth())[0].reported == "happy"

    def test_the_delay_is_from_the_onset_to_the_first_right_message(self):
        messages = [
            message(1150, "sad", latency_ms=10.0),
            message(1400, "happy", latency_ms=30.0),
            message(1650, "happy", latency_ms=30.0),
        ]
        rows = sum_up(messages, truth())
        assert rows[0].delay_ms == pytest.approx(430.0)
        assert rows[1].delay_ms is None

    def test_an_expression_without_messages_is_not_recognised(self):
        rows = sum_up([message(500, "neutral")], truth())
        assert (rows[0].messages, rows[0].reported, rows[0].right) == (0, "", False)
        assert "happy         1.00 -   2.00 s  (no message)  WRONG" in as_text(rows, BEGIN)

    def test_no_messages_at_all(self):
        rows = sum_up([], truth())
        assert shortfall(rows).startswith("0 of 7 expressions")

    def test_no_labels_make_no_rows_and_no_failure(self):
        assert sum_up(reported(), []) == []
        assert shortfall([]) == ""

    def test_the_same_expression_twice_makes_two_rows(self):
        labels = [label("happy", 0, 1000), label("happy", 2000, 3000)]
        rows = sum_up([message(2500, "happy")], labels)
        assert [row.right for row in rows] == [False, True]

    def test_a_label_that_no_network_knows_is_wrong_and_harmless(self):
        rows = sum_up(reported(), [label("contempt", 0, 2000), label("", 2000, 4000)])
        assert [row.right for row in rows] == [False]


def test_the_table_says_when_and_what():
    lines = as_text(sum_up(reported(wrong=1), truth()), BEGIN).splitlines()
    assert len(lines) == 1 + 7 + 1
    assert " ".join(lines[1].split()) == "happy 1.00 - 2.00 s neutral WRONG 0 of 4"
    assert " ".join(lines[2].split()) == "sad 3.00 - 4.00 s sad right 0.25 s 4 of 4"
    assert lines[7].split()[:4] == ["neutral", "in", "between", "neutral"]
    assert lines[8] == "6 of 7 right"


class TestSlowness:
    def test_a_machine_that_keeps_up_needs_no_advice(self):
        assert slowness(reported(), hop_ms=125.0) == ""

    def test_few_messages_bring_the_advice_to_play_slower(self):
        messages = [message(1000 * n, "neutral") for n in range(1, 6)]
        assert "every 1000 ms" in slowness(messages, hop_ms=125.0)
        assert "--rate 0.12" in slowness(messages, hop_ms=125.0)

    @pytest.mark.parametrize("count", [0, 1])
    def test_too_few_messages_to_say(self, count):
        assert slowness(reported()[:count], hop_ms=125.0) == ""
