import json
from dataclasses import replace

import numpy as np
import pytest

from cs3d_ros.datasets.dataset import open_dataset
from cs3d_ros.datasets.plan import RecordingPlan
from cs3d_ros.decision import Decision
from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.evaluate import evaluate_dataset, evaluate_recording, is_dataset
from cs3d_ros.evaluation.messages import recognize
from cs3d_ros.evaluation.predictions import predict_clips, predict_windows
from cs3d_ros.evaluation.saved import Saved, SavedStream, load, save
from cs3d_ros.evaluation.summary import as_json, as_text
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.recordings import RecordingError, write_recording
from evaluation_helpers import (
    BEGIN_NS,
    Reader,
    built,
    stream_packets,
    write_stream,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return built(tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="module")
def evaluation(folder):
    reader = Reader(mistakes={"sad": "angry"})
    return evaluate_dataset(reader, folder, window_hop_ms=250, date="2026-01-31")


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp("bags") / "bag"
    write_stream(path)
    return path


class TestClips:
    def test_one_answer_a_clip_in_the_order_of_the_part(self, folder):
        part = open_dataset(folder).part("test")
        reader = Reader()
        predictions = predict_clips(reader, part, batch=4)
        assert reader.windows == len(predictions) == 14
        assert predictions.truth.tolist() == [i % 7 for i in range(14)]
        assert predictions.probabilities.argmax(axis=1).tolist() == [i % 7 for i in range(14)]
        assert predictions.names == [f"test-{i}" for i in range(14)]
        assert predictions.subjects == [f"photo-test-{i % 3}" for i in range(14)]
        assert predictions.lights == ["sufficient", "insufficient"] * 7
        assert predictions.groups["intensity"][:8] == ["neutral", *["full"] * 6, "neutral"]
        assert predictions.groups["people"] == ["photographed"] * 14

    def test_the_size_of_batches_changes_nothing(self, folder):
        part = open_dataset(folder).part("test")
        one, many = (predict_clips(Reader(), part, batch=n) for n in (1, 64))
        np.testing.assert_array_equal(one.probabilities, many.probabilities)

    def test_a_real_network_answers(self, folder, untrained):
        part = open_dataset(folder).part("train")
        predictions = predict_clips(untrained, part, batch=2)
        assert predictions.probabilities.shape == (2, 7)
        np.testing.assert_allclose(predictions.probabilities.sum(axis=1), 1, atol=1e-5)

    def test_labels_in_another_order_are_mapped(self, folder):
        part = open_dataset(folder).part("test")
        order = EXPRESSIONS[::-1]
        predictions = predict_clips(Reader(order), part)
        assert predictions.labels == EXPRESSIONS
        assert predictions.probabilities.argmax(axis=1).tolist() == [i % 7 for i in range(14)]

    def test_the_network_sees_events_through_the_filter_that_it_was_trained_with(self, folder, bag):
        """After a filter of 1 µs nothing is left, and the reader says its first class."""
        part = open_dataset(folder).part("test")
        plain, filtering = Reader(), Reader()
        filtering.card = replace(filtering.card, background_activity_us=1)
        for ask in (predict_clips, predict_windows, lambda reader, _: recognize(reader, bag)):
            assert ask(plain, part).probabilities.argmax(axis=1).any()
            assert not ask(filtering, part).probabilities.argmax(axis=1).any()

    def test_other_labels_are_refused_with_both_named(self, folder):
        labels = (*EXPRESSIONS[:6], "proud")
        with pytest.raises(EvaluationError, match=r"knows neutral.*proud; the data have.*angry: "):
            evaluate_dataset(Reader(labels), folder)

    def test_batches_of_none_are_refused(self, folder):
        with pytest.raises(EvaluationError, match="batches of 0"):
            predict_clips(Reader(), open_dataset(folder).part("test"), batch=0)


class TestWindows:
    def test_windows_in_the_still_apex_are_told_apart(self, folder):
        """Windows of 250 ms every 50 ms; the apex lasts from 400 to 700 ms."""
        part = open_dataset(folder).part("test")
        predictions = predict_windows(Reader(window_ms=250.0), part, hop_ms=50)
        of_one = [i for i, name in enumerate(predictions.names) if name == "test-1"]
        places = [predictions.groups["place"][i] for i in of_one]
        # Of windows that begin at 400 and 450 ms.
        assert places.count("still apex") == 2
        of_neutral = [i for i, name in enumerate(predictions.names) if name == "test-0"]
        assert {predictions.groups["place"][i] for i in of_neutral} == {"elsewhere"}
        assert {int(predictions.truth[i]) for i in of_one} == {1}

    def test_they_have_scores_of_their_own(self, evaluation):
        assert evaluation.windows.count > evaluation.clips.count
        assert "place" not in evaluation.clips.groups


class TestDataset:
    def test_mistakes_are_where_they_were_made(self, evaluation):
        scores = evaluation.clips
        sad, angry = EXPRESSIONS.index("sad"), EXPRESSIONS.index("angry")
        assert scores.accuracy == pytest.approx(12 / 14)
        assert scores.confusion[sad, angry] == 2
        assert scores.per_class[sad].recall == 0.0
        assert scores.per_class[angry].precision == pytest.approx(2 / 4)

    def test_the_streams_of_the_part_are_evaluated(self, evaluation):
        (stream,) = evaluation.streams
        assert (stream.name, stream.light) == ("test-sufficient-0", "sufficient")
        assert stream.subject == "photo-test-0"
        assert evaluation.pooled.totals.share_found == 1.0
        assert evaluation.pooled.totals.false_alarms == 0

    def test_what_is_left_out_is_not_computed(self, folder):
        reader = Reader()
        only = evaluate_dataset(reader, folder, windows=False, streams=False)
        assert reader.windows == 14
        assert (only.windows, only.streams, only.pooled) == (None, (), None)

    def test_streams_alone_by_the_labels_of_a_file(self, folder, tmp_path):
        (tmp_path / "test-sufficient-0.csv").write_text(
            "start_s,end_s,expression,intensity\n2,3.5,happy,full\n5,6.5,scared,micro\n"
        )
        only = evaluate_dataset(Reader(), folder, clips=False, windows=False, labels=tmp_path)
        by_intensity = only.pooled.by_intensity
        assert by_intensity["full"].share_found == 1.0
        assert by_intensity["micro"].share_found == 0.0
        assert only.clips is None

    def test_the_manifest_tells_full_from_micro_expressions(self, tmp_path):
        stream = {"light": "sufficient", "subject": "x", "intensities": ["full", "micro"]}
        folder = built(tmp_path, recordings=[RecordingPlan("test-sufficient-0", stream)])
        only = evaluate_dataset(
            Reader(mistakes={"angry": "sad"}), folder, clips=False, windows=False
        )
        assert [s.intensity for s in only.streams[0].findings.shown] == ["full", "micro"]
        assert only.pooled.by_intensity["full"].share_found == 1.0
        assert only.pooled.by_intensity["micro"].share_found == 0.0

    @pytest.mark.parametrize(
        "given", [["full"], ["full", "weak"], ["full", ["micro"]], "full", None]
    )
    def test_intensities_that_do_not_fit_are_told_before_the_network_runs(self, tmp_path, given):
        stream = {"light": "sufficient", "subject": "x", "intensities": given}
        folder = built(tmp_path, recordings=[RecordingPlan("test-sufficient-0", stream)])
        reader = Reader()
        with pytest.raises(EvaluationError, match="full or micro for each of its 2 expressions"):
            evaluate_dataset(reader, folder)
        assert reader.windows == 0

    def test_a_file_of_labels_that_lacks_is_told_before_the_network_runs(self, folder, tmp_path):
        reader = Reader()
        with pytest.raises(EvaluationError, match=r"test-sufficient-0\.csv: cannot be read"):
            evaluate_dataset(reader, folder, labels=tmp_path)
        assert reader.windows == 0

    def test_one_class_is_refused_before_the_network_runs(self, tmp_path):
        reader = Reader()
        with pytest.raises(EvaluationError, match="shows sad: accuracy needs clips of two"):
            evaluate_dataset(reader, built(tmp_path, expressions=("sad",), recordings=[]))
        assert reader.windows == 0

    def test_nothing_to_evaluate_is_refused(self, folder):
        with pytest.raises(EvaluationError, match="nothing to evaluate in the part 'test'"):
            evaluate_dataset(Reader(), folder, clips=False, windows=False, streams=False)

    def test_a_folder_is_told_from_a_recording(self, folder, bag, tmp_path):
        assert is_dataset(folder)
        assert not is_dataset(bag)
        assert not is_dataset(tmp_path / "nothing")

    def test_json_holds_all_and_only_what_json_can(self, evaluation):
        text = json.dumps(as_json(evaluation), allow_nan=False)
        content = json.loads(text)
        assert content["date"] == "2026-01-31"
        assert content["clips"]["accuracy"] == pytest.approx(12 / 14)
        assert content["clips"]["groups"]["light"]["sufficient"]["confusion"][0][0] == 1
        assert content["streams"][0]["findings"]["shown"][0]["expression"] == "happy"
        assert content["streams"][0]["by_expression"]["sad"]["share_found"] is None
        assert content["data"]["part"] == "test"
        assert "probabilities" not in text

    def test_the_text_has_the_numbers(self, evaluation):
        text = as_text(evaluation)
        assert "reader on some, part test" in text
        assert "14 clips of 3 people: accuracy 85.7 %" in text
        assert "test-sufficient-0" in text
        assert "100.0 %" in text

    def test_the_same_seed_gives_the_same(self, folder, evaluation):
        again = evaluate_dataset(
            Reader(mistakes={"sad": "angry"}), folder, window_hop_ms=250, date="2026-01-31"
        )
        assert as_json(again) == as_json(evaluation)


class TestRecording:
    def test_what_is_shown_is_found(self, bag):
        scores = evaluate_recording(Reader(), bag)
        assert [s.expression for s in scores.findings.shown] == ["happy", "angry"]
        # Half of a window of 500 ms has to show it, and windows end every 100 ms.
        assert all(0.2 <= s.delay_s <= 0.4 for s in scores.findings.shown)
        assert scores.findings.shown[0].onset_s == pytest.approx(2.0, abs=0.02)
        assert scores.totals.duration_s == pytest.approx(8.0, abs=0.15)
        assert scores.totals.false_alarms == 0

    def test_mistakes_are_false_alarms(self, bag):
        scores = evaluate_recording(Reader(mistakes={"happy": "sad"}), bag)
        assert scores.totals.found == 1
        (alarm,) = scores.findings.alarms
        assert (alarm.expression, alarm.during) == ("sad", "happy")

    def test_a_rule_delays(self, bag):
        plain = evaluate_recording(Reader(), bag)
        late = evaluate_recording(Reader(), bag, decision=Decision(min_messages=3))
        for one, other in zip(plain.findings.shown, late.findings.shown, strict=True):
            assert other.delay_s == pytest.approx(one.delay_s + 0.2, abs=0.01)

    def test_a_hop_of_other_length(self, bag):
        messages = recognize(Reader(), bag, hop_ms=500)
        assert len(messages.stamps_ns) == 15
        # But for the estimate of the sensor's clock, which becomes better.
        np.testing.assert_allclose(np.diff(messages.stamps_ns), 500_000_000, atol=5_000_000)

    def test_seconds_of_a_file_count_from_the_first_event_in_any_format(self, bag, tmp_path):
        labels = tmp_path / "labels.csv"
        labels.write_text("start_s,end_s,expression\n2,3.5,happy\n5,6.5,angry\n")
        # The same packets half a year earlier, so that the clocks have nothing in common.
        write_recording(tmp_path / "other", stream_packets(begin_ns=BEGIN_NS // 2))
        by_topic = evaluate_recording(Reader(), bag)
        for path in (bag, tmp_path / "other"):
            by_file = evaluate_recording(Reader(), path, labels)
            for one, other in zip(by_topic.findings.shown, by_file.findings.shown, strict=True):
                assert other.delay_s == pytest.approx(one.delay_s, abs=0.02)

    def test_raw_needs_a_file_of_labels(self, tmp_path):
        from cs3d_ros.recordings.convert import convert

        write_recording(tmp_path / "bag", stream_packets())
        convert(tmp_path / "bag", tmp_path / "one.raw", encoding="evt3")
        with pytest.raises(EvaluationError, match="no labels with it; give them as a CSV"):
            evaluate_recording(Reader(), tmp_path / "one.raw")
        labels = tmp_path / "labels.csv"
        labels.write_text("start_s,end_s,expression\n2,3.5,happy\n5,6.5,angry\n")
        scores = evaluate_recording(Reader(), tmp_path / "one.raw", labels)
        assert scores.totals.share_found == 1.0

    def test_too_short(self, tmp_path):
        write_recording(tmp_path / "bag", stream_packets()[:20], labels=[])
        labels = tmp_path / "labels.csv"
        labels.write_text("start_s,end_s,expression\n0,1,happy\n")
        with pytest.raises(EvaluationError, match="too short, it holds no whole window of 500 ms"):
            evaluate_recording(Reader(), tmp_path / "bag", labels)

    def test_unknown_expressions_before_the_network_runs(self, bag, tmp_path):
        labels = tmp_path / "labels.csv"
        labels.write_text("start_s,end_s,expression\n0,1,proud\n")
        reader = Reader()
        with pytest.raises(EvaluationError, match="'proud', which the network does not know"):
            evaluate_recording(reader, bag, labels)
        assert reader.windows == 0

    def test_no_topic_of_labels(self, tmp_path):
        write_stream(tmp_path / "bag", labels=None)
        with pytest.raises(RecordingError, match="no expressions on '/fer/label'"):
            evaluate_recording(Reader(), tmp_path / "bag")

    def test_labels_elsewhere(self, bag, tmp_path):
        labels = tmp_path / "labels.csv"
        labels.write_text("start_s,end_s,expression\n100,101,happy\n")
        with pytest.raises(EvaluationError, match="lie outside of it"):
            evaluate_recording(Reader(), bag, labels)

    def test_a_recording_that_starts_over(self, tmp_path):
        first = stream_packets()[:200]
        # Recorded later, stamped with the same times again.
        again = [(log_time_ns + 10**10, packet) for log_time_ns, packet in first]
        write_recording(tmp_path / "bag", [*first, *again], labels=[])
        labels = tmp_path / "labels.csv"
        labels.write_text("start_s,end_s,expression\n0,1,happy\n")
        with pytest.raises(EvaluationError, match="its time goes back"):
            evaluate_recording(Reader(), tmp_path / "bag", labels)

    def test_damaged_packets_are_counted(self, tmp_path):
        from dataclasses import replace

        packets = stream_packets()
        time_ns, packet = packets[30]
        packets[30] = (time_ns, replace(packet, encoding="odd"))
        write_recording(tmp_path / "bag", packets)
        assert recognize(Reader(), tmp_path / "bag").packets_skipped == 1


class TestSaved:
    def test_what_is_saved_comes_back(self, evaluation, tmp_path):
        (stream,) = evaluation.streams
        streams = {
            stream.name: SavedStream(
                stream.messages, stream.intervals, stream.light, stream.subject
            )
        }
        save(tmp_path / "p.npz", Saved(evaluation.clip_predictions, None, streams))
        back = load(tmp_path / "p.npz")
        assert back.windows is None
        for name in ("truth", "probabilities"):
            before, after = (getattr(p, name) for p in (evaluation.clip_predictions, back.clips))
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
        for name in ("labels", "subjects", "lights", "names", "groups"):
            assert getattr(back.clips, name) == getattr(evaluation.clip_predictions, name)
        one = back.streams["test-sufficient-0"]
        assert one.intervals == stream.intervals
        assert (one.light, one.subject) == ("sufficient", "photo-test-0")
        assert one.messages.labels == stream.messages.labels
        assert one.messages.window_ns == 500_000_000
        np.testing.assert_array_equal(one.messages.stamps_ns, stream.messages.stamps_ns)
        np.testing.assert_array_equal(one.messages.probabilities, stream.messages.probabilities)

    def test_nothing_is_unpickled(self, tmp_path):
        np.savez(tmp_path / "bad.npz", version=1, streams=np.array([{"a": 1}], object))
        with pytest.raises(EvaluationError, match="does not hold predictions"):
            load(tmp_path / "bad.npz")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04rest", b"\x80\x04N.", b"text"])
    def test_other_files_are_refused(self, tmp_path, content):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(EvaluationError):
            load(tmp_path / "bad.npz")

    def test_a_later_version_is_refused(self, tmp_path):
        np.savez(tmp_path / "new.npz", version=2)
        with pytest.raises(EvaluationError, match="version 2, expected 1"):
            load(tmp_path / "new.npz")
        with pytest.raises(EvaluationError, match="cannot be read"):
            load(tmp_path / "none.npz")
