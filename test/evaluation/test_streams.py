from dataclasses import replace

import numpy as np
import pytest

from cs3d_ros.decision import Decision
from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.intervals import Interval
from cs3d_ros.evaluation.messages import Messages
from cs3d_ros.evaluation.stream_scores import pool
from cs3d_ros.evaluation.streams import judge

LABELS = ("neutral", "happy", "sad")
S = 1_000_000_000
T0 = 1_700_000_000 * S


def messages(letters, hop_s=0.25, first_s=0.5):
    """One message every hop, of windows of 0.5 s; . is neutral, h happy, s sad."""
    rows = {".": (0.8, 0.1, 0.1), "h": (0.1, 0.8, 0.1), "s": (0.1, 0.1, 0.8)}
    stamps = T0 + np.round((first_s + np.arange(len(letters)) * hop_s) * 1e9).astype(np.int64)
    return Messages(LABELS, stamps, np.array([rows[c] for c in letters], np.float32), S // 2)


def shown(*spans, intensity=""):
    return [Interval(T0 + round(a * 1e9), T0 + round(b * 1e9), e, intensity) for a, b, e in spans]


# Stamps: 0.5 0.75 1 1.25 1.5 1.75 2 2.25 2.5 2.75 3 3.25 3.5 3.75 4 4.25 4.5
HAPPY = shown((0, 1, "neutral"), (1, 2, "happy"), (2, 4.5, "neutral"))


class TestOneExpression:
    def test_found_late_in_it(self):
        scores = judge(messages("....hh..........."), HAPPY)
        (one,) = scores.findings.shown
        assert one.found
        assert not one.early
        assert one.delay_s == pytest.approx(0.5)
        assert (one.onset_s, one.offset_s) == (1.0, 2.0)
        assert scores.findings.alarms == ()
        assert scores.totals.share_found == 1.0

    @pytest.mark.parametrize(
        ("letters", "delay"),
        [
            ("..h..............", 0.0),  # at the onset itself
            ("......h..........", 1.0),  # at the offset
            ("........h........", 1.5),  # at the end of the grace
        ],
    )
    def test_both_ends_count(self, letters, delay):
        scores = judge(messages(letters), HAPPY)
        assert scores.findings.shown[0].delay_s == pytest.approx(delay)
        assert scores.totals.false_alarms == 0

    @pytest.mark.parametrize("letters", [".h...............", ".........h......."])
    def test_just_outside_is_a_false_alarm(self, letters):
        scores = judge(messages(letters), HAPPY)
        assert not scores.findings.shown[0].found
        assert scores.totals.false_alarms == scores.totals.false_alarms_in_neutral == 1
        assert scores.totals.delay_median_s is None

    def test_the_first_message_counts(self):
        scores = judge(messages("...h.h.h........."), HAPPY)
        assert scores.findings.shown[0].delay_s == pytest.approx(0.25)
        assert scores.totals.false_alarms == 0

    def test_said_already_is_found_early_and_no_false_alarm(self):
        scores = judge(messages("hhhh............."), HAPPY)
        (one,) = scores.findings.shown
        assert one.early
        assert one.delay_s == 0.0
        assert scores.totals.early == 1
        assert scores.totals.false_alarms == 0

    def test_said_before_and_again_is_not_early(self):
        scores = judge(messages("hh..h............"), HAPPY)
        (one,) = scores.findings.shown
        assert not one.early
        assert one.delay_s == pytest.approx(0.5)
        assert scores.totals.false_alarms == 1


class TestWrong:
    def test_another_expression_confuses_and_is_a_false_alarm(self):
        scores = judge(messages("...ss.hh........."), HAPPY)
        (one,) = scores.findings.shown
        assert one.found
        assert one.confused_with == ("sad",)
        (alarm,) = scores.findings.alarms
        assert (alarm.expression, alarm.during) == ("sad", "happy")
        assert (alarm.start_s, alarm.end_s) == (1.25, 1.5)
        assert scores.totals.confused == 1
        assert (scores.totals.false_alarms, scores.totals.false_alarms_in_neutral) == (1, 0)

    def test_in_the_grace_it_confuses_nothing(self):
        scores = judge(messages("...hhhhs........."), HAPPY)
        assert scores.totals.confused == 0
        (alarm,) = scores.findings.alarms
        assert alarm.during == "happy"

    def test_a_run_counts_once_and_a_gap_makes_two(self):
        scores = judge(messages("..........ssss.s."), HAPPY)
        assert [(a.start_s, a.end_s) for a in scores.findings.alarms] == [(3.0, 3.75), (4.25, 4.25)]

    def test_one_run_after_the_other_of_another_expression(self):
        scores = judge(messages("..........sshh..."), HAPPY)
        assert [a.expression for a in scores.findings.alarms] == ["sad", "happy"]

    def test_per_minute_is_of_the_time_from_the_first_window_to_the_last(self):
        scores = judge(messages("..........s.s...."), HAPPY)
        assert scores.totals.duration_s == pytest.approx(4.5)
        assert scores.totals.false_alarms_per_min == pytest.approx(2 / 4.5 * 60)

    def test_saying_one_thing_all_the_time_shows(self):
        scores = judge(messages("h" * 17), HAPPY)
        assert scores.totals.share_found == 1.0
        assert scores.totals.false_alarms == 0
        assert scores.totals.said_in_neutral == 1.0
        assert scores.totals.early == 1

    def test_said_in_neutral_is_of_messages_in_neutral(self):
        # 7 of the 17 messages are within 1…2.5 s.
        scores = judge(messages("..hhhhhhhs......h"), HAPPY)
        assert scores.totals.said_in_neutral == pytest.approx(2 / 10)
        assert scores.by_expression["sad"].said_in_neutral == pytest.approx(1 / 10)


class TestWhole:
    TWO = shown((1, 2, "happy"), (3, 4, "sad"))

    def test_by_expression(self):
        scores = judge(messages("...h......h.sss.."), self.TWO)
        happy, sad = scores.by_expression["happy"], scores.by_expression["sad"]
        assert list(scores.by_expression) == ["happy", "sad"]
        assert (happy.shown, happy.found, happy.false_alarms) == (1, 1, 1)
        assert (sad.shown, sad.found, sad.confused, sad.false_alarms) == (1, 1, 1, 0)

    def test_by_intensity_only_where_it_is_known(self):
        letters = "...h............."
        assert judge(messages(letters), self.TWO).by_intensity == {}
        mixed = [replace(self.TWO[0], intensity="full"), replace(self.TWO[1], intensity="micro")]
        by_intensity = judge(messages(letters), mixed).by_intensity
        assert by_intensity["full"].share_found == 1.0
        assert by_intensity["micro"].share_found == 0.0
        assert by_intensity["full"].false_alarms is None

    def test_percentiles_of_the_delays(self):
        spans = shown(*((3 * i + 1, 3 * i + 2, "happy") for i in range(11)))
        letters = ["."] * 140
        for i in range(11):
            # The ith is found i·50 ms late, as the messages are 50 ms apart… in quarters.
            letters[(3 * i + 1) * 4 - 2 + i % 5] = "h"
        scores = judge(messages("".join(letters)), spans)
        delays = sorted(0.25 * (i % 5) for i in range(11))
        assert [s.delay_s for s in scores.findings.shown] == pytest.approx(
            [0.25 * (i % 5) for i in range(11)]
        )
        assert scores.totals.delay_median_s == pytest.approx(delays[5])
        assert scores.totals.delay_p90_s == pytest.approx(delays[9])

    def test_only_neutral_measures_false_alarms(self):
        scores = judge(messages("....h...."), shown((0, 3, "neutral")))
        assert scores.totals.share_found is None
        assert scores.totals.false_alarms == 1

    def test_the_rule_of_decision_is_used_and_reset(self):
        decision = Decision(min_messages=2)
        first = judge(messages("...hh......s....."), HAPPY, decision)
        assert first.findings.shown[0].delay_s == pytest.approx(0.5)
        assert first.totals.false_alarms == 0
        again = judge(messages("...hh......s....."), HAPPY, decision)
        assert again.decided == first.decided

    def test_expressions_beyond_the_recording_are_not_judged(self):
        spans = shown((-9, -8, "sad"), (1, 2, "happy"), (60, 61, "sad"))
        scores = judge(messages("...h............."), spans)
        assert (scores.totals.shown, scores.totals.outside) == (1, 2)

    def test_labels_of_another_clock_are_refused(self):
        with pytest.raises(EvaluationError, match=r"lie outside of it. It has 1.0 s.*from 900.0 s"):
            judge(messages("..."), shown((900, 901, "sad")), name="bag")


class TestPool:
    def test_every_expression_and_every_minute_weighs_the_same(self):
        one = judge(messages("...h............."), HAPPY, light="sufficient")
        other = judge(
            messages("s...............s" + "." * 17),
            shown((1, 2, "happy"), (3, 3.2, "sad")),
            light="insufficient",
        )
        pooled = pool([one, other])
        assert pooled.totals.shown == 3
        assert pooled.totals.found == 1
        assert pooled.totals.share_found == pytest.approx(1 / 3)
        assert pooled.totals.duration_s == pytest.approx(4.5 + 8.75)
        assert pooled.totals.false_alarms_per_min == pytest.approx(2 / 13.25 * 60)
        assert list(pooled.by_light) == ["insufficient", "sufficient"]
        assert pooled.by_light["sufficient"].share_found == 1.0
        assert pooled.by_expression["sad"].shown == 1
        neutral = [s.findings.in_neutral.total() for s in (one, other)]
        said = sum(s.findings.in_neutral["sad"] for s in (one, other))
        assert pooled.totals.said_in_neutral == pytest.approx(said / sum(neutral))

    def test_of_nothing_is_refused(self):
        with pytest.raises(EvaluationError):
            pool([])


def test_messages_that_do_not_fit_together_are_refused():
    good = messages("..h")
    with pytest.raises(EvaluationError):
        replace(good, stamps_ns=good.stamps_ns[:2])
    with pytest.raises(EvaluationError):
        replace(good, stamps_ns=good.stamps_ns[::-1])
    with pytest.raises(EvaluationError):
        Messages(LABELS, np.empty(0, np.int64), np.empty((0, 3), np.float32), S)
