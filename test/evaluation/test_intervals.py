import pytest

from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.intervals import (
    Interval,
    check_expressions,
    intervals_of_csv,
    intervals_of_topic,
)
from cs3d_ros.recordings import Label, RecordingError, write_recording
from evaluation_helpers import BEGIN_NS, STREAM, stream_packets, write_stream

S = 1_000_000_000
HEADER = "start_s,end_s,expression\n"


def read(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
    return intervals_of_csv(path)


class TestCsv:
    def test_rows_in_any_order_with_spaces_and_empty_lines(self, tmp_path):
        text = HEADER + "3, 4.25 , happy\n\n , ,\n0,3,neutral\n-1.5,-1,sad\n"
        assert read(tmp_path, text) == [
            Interval(-3 * S // 2, -S, "sad"),
            Interval(0, 3 * S, "neutral"),
            Interval(3 * S, 17 * S // 4, "happy"),
        ]

    def test_columns_in_any_order_others_ignored_and_the_intensity_read(self, tmp_path):
        text = "who,Expression,end_s,start_s,intensity\nme,sad,2,1,micro\nme,happy,4,3,\n"
        assert read(tmp_path, text) == [
            Interval(S, 2 * S, "sad", "micro"),
            Interval(3 * S, 4 * S, "happy", ""),
        ]

    def test_a_mark_of_the_byte_order_and_quotes_do_no_harm(self, tmp_path):
        assert read(tmp_path, "\ufeff" + HEADER + '1,2,"sad"\r\n') == [Interval(S, 2 * S, "sad")]

    def test_intervals_that_touch_and_moments_are_fine(self, tmp_path):
        assert len(read(tmp_path, HEADER + "1,2,sad\n2,3,happy\n3,3,angry\n3,4,sad\n")) == 4

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("", "does not name start_s, end_s, expression"),
            ("1,2,sad\n2,3,happy\n", "does not name start_s, end_s, expression"),
            ("start_s,expression\n1,sad\n", "does not name end_s once"),
            ("start_s,start_s,end_s,expression\n1,1,2,sad\n", "does not name start_s once"),
            ("start_s;end_s;expression\n1;2;sad\n", "does not name"),
            (HEADER, "there are no labels"),
            (HEADER + "\n\n", "there are no labels"),
            (HEADER + "2,1,sad\n", "line 2: ends at 1 s, before its beginning at 2 s"),
            (HEADER + "1,3,sad\n2.5,4,happy\n", "'sad' and 'happy' overlap.*begins 0.500 s"),
            (HEADER + "1,3,sad\n1,3,sad\n", "overlap"),
            (HEADER + "0,9,neutral\n1,3,sad\n", "overlap"),
            (HEADER + "1,2\n", "line 2: 2 cells below a header of 3"),
            (HEADER + "1,2,sad,4\n", "line 2: 4 cells below a header of 3"),
            (HEADER + "1,2,\n", "line 2: no expression"),
            (HEADER + "one,2,sad\n", "line 2: start_s is 'one', expected seconds"),
            (HEADER + "1,nan,sad\n", "end_s is 'nan'"),
            (HEADER + "1,inf,sad\n", "end_s is 'inf'"),
            (HEADER + "1,1e300,sad\n", "end_s is '1e300'"),
            ("start_s,end_s,expression,intensity\n1,2,sad,huge\n", "intensity 'huge', expected"),
            (b"\xff\xfe\x00\x01", "not a text in UTF-8"),
            (HEADER + "1,2,s\0ad\n2,1,x\n", "line"),
        ],
    )
    def test_what_is_wrong_is_told(self, tmp_path, text, reason):
        with pytest.raises(EvaluationError, match=reason) as error:
            read(tmp_path, text)
        assert "labels.csv" in str(error.value)

    def test_a_long_line_does_not_make_a_long_message(self, tmp_path):
        with pytest.raises(EvaluationError) as error:
            read(tmp_path, HEADER + "1," + "9" * 100_000 + ",sad\n")
        assert len(str(error.value)) < 500

    def test_no_file_and_a_folder(self, tmp_path):
        for path in (tmp_path / "none.csv", tmp_path):
            with pytest.raises(EvaluationError, match="cannot be read"):
                intervals_of_csv(path)

    def test_a_huge_file_is_not_read(self, tmp_path, monkeypatch):
        monkeypatch.setattr("cs3d_ros.evaluation.intervals._MAX_BYTES", 10)
        with pytest.raises(EvaluationError, match="larger than 10 bytes"):
            read(tmp_path, HEADER + "1,2,sad\n")


class TestTopic:
    def test_times_are_those_of_the_labels(self, tmp_path):
        write_stream(tmp_path / "bag")
        found = intervals_of_topic(tmp_path / "bag")
        assert [i.expression for i in found] == [e for _, _, e in STREAM]
        assert found[1] == Interval(BEGIN_NS + 2 * S, BEGIN_NS + 3 * S + S // 2, "happy")

    def test_no_topic(self, tmp_path):
        write_stream(tmp_path / "bag", labels=None)
        with pytest.raises(RecordingError, match="no expressions on '/fer/label'"):
            intervals_of_topic(tmp_path / "bag")

    def test_a_topic_without_labels(self, tmp_path):
        write_recording(tmp_path / "bag", stream_packets()[:3], labels=[])
        with pytest.raises(EvaluationError, match="/fer/label: there are no labels"):
            intervals_of_topic(tmp_path / "bag")

    def test_results_of_a_network_are_no_labels(self, tmp_path):
        """Their windows overlap."""
        starts = [BEGIN_NS + i * S // 8 for i in range(4)]
        labels = [Label(start + S // 2, start, start + S // 2, "sad") for start in starts]
        write_recording(tmp_path / "bag", stream_packets()[:100], labels=labels)
        with pytest.raises(EvaluationError, match="overlap"):
            intervals_of_topic(tmp_path / "bag")


def test_expressions_that_the_network_does_not_know_are_named():
    known = [Interval(0, 1, "neutral"), Interval(1, 2, "sad")]
    check_expressions(known, ("happy", "sad"), "bag")
    unknown = [*known, Interval(2, 3, "shy"), Interval(3, 4, "proud")]
    with pytest.raises(EvaluationError, match=r"bag: labelled as 'proud', 'shy', .*happy, sad$"):
        check_expressions(unknown, ("happy", "sad"), "bag")
