import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest

from cs3d_ros.decision import Decision
from cs3d_ros.events.activity import ActivitySettings
from cs3d_ros.events.evt3_encoder import encode
from cs3d_ros.events.noise import NoiseSettings
from cs3d_ros.events.packets import EventPacket, Events, PacketError
from cs3d_ros.events.roi import Roi, RoiError
from cs3d_ros.events.tensors import TensorError, bin_window, channels, representations
from cs3d_ros.events.windows import WindowError
from cs3d_ros.network.checkpoint import untrained as untrained_network
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.recognizer import Recognizer
from recognizer_helpers import CARD, WHOLE_BINS, Witness, packets, recognize
from recordings_data import recording_path


def test_recognises_a_real_recording(untrained):
    stream = packets(recording_path("evt3"))
    recognizer = Recognizer(untrained)
    recognizer.warm_up()
    recognitions = recognize(recognizer, stream)
    # 1.2513 s of sensor time hold 8 windows of 500 ms at every 100 ms.
    assert len(recognitions) == 8
    for recognition in recognitions:
        assert recognition.expression in untrained.labels
        assert recognition.confidence == max(recognition.probabilities)
        assert math.isclose(sum(recognition.probabilities), 1.0, abs_tol=1e-5)
        assert "untrained" in recognition.model
        assert recognition.frame_id == "0109"
        assert recognition.roi == Roi(280, 0, 720, 720)
        assert recognition.inference_ms > 0.0
    stamps = np.array([r.stamp_ns for r in recognitions])
    # Regular, but where the estimate of the clock's offset became better.
    assert np.all(np.abs(np.diff(stamps) - 100_000_000) < 20_000_000)
    first, last = stream[0].stamp_ns, stream[-1].stamp_ns
    assert first < stamps[0] < stamps[-1] <= last + 20_000_000


def test_counts_the_events_of_each_window():
    stream = packets(recording_path("evt3"))
    recognitions = recognize(Recognizer(Witness(), window_ms=100.0, hop_ms=100.0), stream)
    assert 0 < sum(r.event_count for r in recognitions) <= 82_469
    # All but those after the last whole window: 12 of them in 1251.3 ms.
    assert len(recognitions) == 12
    assert sum(r.event_count for r in recognitions) > 82_469 * 0.9


def test_shows_the_network_the_tensor_of_the_window(drawn_face):
    witness = Witness()
    recognizer = Recognizer(witness, window_ms=320.0, hop_ms=160.0, roi=Roi(100, 50, 120, 130))
    ready = [r for packet in packets(drawn_face)[:300] for r in recognizer.push(packet)]
    recognition = recognizer.classify(ready[2])
    expected = bin_window(ready[2].window, Roi(100, 50, 120, 130))
    np.testing.assert_array_equal(witness.tensors[0], expected)
    assert witness.tensors[0].any()
    assert recognition.expression == "happy"
    assert recognition.window_duration_ns == 320_000_000


def test_what_is_reported_follows_the_rule_and_the_probabilities_do_not(drawn_face):
    recognizer = Recognizer(Witness(), decision=Decision(min_messages=3))
    first = recognize(recognizer, packets(drawn_face)[:600])[:4]
    assert [r.expression for r in first] == ["neutral", "neutral", "happy", "happy"]
    np.testing.assert_allclose([r.confidence for r in first], [0.1, 0.1, 0.4, 0.4], rtol=1e-6)
    assert len({r.probabilities for r in first}) == 1


def test_the_rule_begins_anew_when_the_stream_does(drawn_face):
    recognizer = Recognizer(Witness(), decision=Decision(min_messages=2))
    ready = [r for packet in packets(drawn_face)[:600] for r in recognizer.push(packet)]
    restarted = [*ready[:2], *(dataclasses.replace(r, epoch=1) for r in ready[2:4])]
    said = [recognizer.classify(r).expression for r in restarted]
    assert said == ["neutral", "happy", "neutral", "happy"]


def test_neutral_has_no_confidence_where_the_network_does_not_know_it(drawn_face):
    witness = Witness()
    witness.labels = ("calm", *CARD.labels[1:])
    recognizer = Recognizer(witness, decision=Decision(min_confidence=0.9))
    recognition = recognize(recognizer, packets(drawn_face)[:300])[0]
    assert recognition.expression == "neutral"
    assert math.isnan(recognition.confidence)


def test_the_window_is_the_networks_own_unless_told(drawn_face):
    recognizer = Recognizer(Witness())
    recognition = recognize(recognizer, packets(drawn_face)[:200])[0]
    assert recognition.window_duration_ns == round(CARD.window_ms * 1e6)


def test_a_bad_packet_is_an_error_and_no_harm(drawn_face):
    stream = packets(drawn_face)[:400]
    undisturbed = recognize(Recognizer(Witness()), stream)
    recognizer = Recognizer(Witness())
    recognitions = []
    for index, packet in enumerate(stream):
        if index % 50 == 10:
            with pytest.raises(PacketError, match="evt99"):
                list(recognizer.feed(dataclasses.replace(packet, encoding="evt99")))
        recognitions += recognizer.feed(packet)
    assert len(undisturbed) > 3
    assert [r.event_count for r in recognitions] == [r.event_count for r in undisturbed]


def test_a_looped_recording_starts_over(drawn_face):
    stream = packets(drawn_face)[:300]
    recognizer = Recognizer(Witness())
    once = recognize(recognizer, stream)
    again = recognize(recognizer, stream)
    assert len(once) > 3
    assert [r.stamp_ns for r in again] == [r.stamp_ns for r in once]
    assert recognizer.stream.counters.resets == 1


def test_lost_packets_show_in_the_results(drawn_face):
    stream = packets(drawn_face)[:300]
    recognitions = recognize(Recognizer(Witness()), stream[:200] + stream[220:])
    assert recognitions[0].packets_lost == 0
    assert recognitions[-1].packets_lost == 20


def test_a_region_off_the_sensor_is_refused(drawn_face):
    recognizer = Recognizer(Witness(), roi=Roi(300, 0, 100, 100))
    with pytest.raises(RoiError, match="320x240"):
        recognize(recognizer, packets(drawn_face)[:200])


@pytest.mark.parametrize(
    "options",
    [
        {"window_ms": -1.0},
        {"hop_ms": 0.0},
        {"max_events": 0},
        {"window_ms": math.nan},
        {"hop_ms": math.inf},
    ],
)
def test_impossible_windows_are_refused(options):
    with pytest.raises(WindowError):
        Recognizer(Witness(), **options)


@pytest.mark.parametrize(
    ("representation", "reason"),
    [
        ("holograms", "'holograms'.*on_off_recency"),
        ("voxel_grid", r"takes windows of 3 channel\(s\), but .* 'voxel_grid', has 1"),
    ],
)
def test_a_representation_that_the_network_does_not_take_is_refused(representation, reason):
    stranger = SimpleNamespace(card=dataclasses.replace(CARD, representation=representation))
    with pytest.raises(TensorError, match=reason):
        Recognizer(stranger)


def test_a_network_for_other_channels_refuses_the_default_representation():
    stranger = SimpleNamespace(card=untrained_network("rnn", in_channels=2)[1])
    with pytest.raises(TensorError, match=r"takes windows of 2 .* 'on_off_recency', has 3"):
        Recognizer(stranger)


@pytest.mark.parametrize("representation", representations())
def test_a_network_recognises_with_any_representation_and_size(drawn_face, representation):
    network, card = untrained_network(
        "rnn", representation=representation, size=40, in_channels=channels(representation)
    )
    with Classifier(network, card) as classifier:
        recognitions = recognize(Recognizer(classifier), packets(drawn_face)[:200])
    assert recognitions[0].model == "rnn-untrained"
    assert math.isclose(sum(recognitions[0].probabilities), 1.0, abs_tol=1e-5)


def test_looks_where_it_is_asked_to(drawn_face):
    stream = packets(drawn_face)[:700]
    recognizer = Recognizer(Witness(), window_ms=100.0, hop_ms=100.0)
    recognizer.look_at(Roi(3_000, 0, 100, 100))
    first = recognize(recognizer, stream[:100])
    # Off the sensor, as turns out with the first packet.
    assert {r.roi for r in first} == {Roi(40, 0, 240, 240)}
    assert recognizer.regions_missed == len(first)
    recognizer.look_at(Roi(300 - 40, 100, 100, 100))
    assert {r.roi for r in recognize(recognizer, stream[100:200])} == {Roi(260, 100, 60, 100)}
    with pytest.raises(RoiError, match="320x240"):
        recognizer.look_at(Roi(315, 100, 100, 100))
    assert {r.roi for r in recognize(recognizer, stream[200:300])} == {Roi(260, 100, 60, 100)}
    recognizer.look_at(None)
    assert {r.roi for r in recognize(recognizer, stream[300:400])} == {Roi(40, 0, 240, 240)}


def test_follows_the_activity_and_starts_over_with_the_stream(drawn_face):
    stream = packets(drawn_face)[:300]
    recognizer = Recognizer(Witness(), window_ms=100.0, hop_ms=100.0, roi=ActivitySettings())
    followed = recognize(recognizer, stream)
    assert followed[-1].roi != Roi(40, 0, 240, 240)
    assert not recognizer.tracker.lost
    recognizer.push(stream[0])  # the recording loops
    assert recognizer.tracker.lost
    assert [r.roi for r in recognize(recognizer, stream[1:])] == [r.roi for r in followed]


def test_noise_is_removed_before_anything_else_sees_it(drawn_face):
    stream = packets(drawn_face)[:300]
    plain = recognize(Recognizer(Witness(), window_ms=100.0, hop_ms=100.0), stream)
    recognizer = Recognizer(
        Witness(),
        window_ms=100.0,
        hop_ms=100.0,
        noise=NoiseSettings(background_activity_us=5_000),
    )
    filtered = recognize(recognizer, stream)
    removed = recognizer.noise_filter.removed["background_activity"]
    counts = [sum(r.event_count for r in each) for each in (plain, filtered)]
    assert 0 < counts[1] < counts[0]
    assert abs(counts[0] - counts[1] - removed) < 0.1 * removed


def test_the_network_brings_its_filter_along_unless_told(drawn_face):
    class Filtering(Witness):
        card = dataclasses.replace(CARD, background_activity_us=20_000)

    def counts(classifier, **options):
        recognizer = Recognizer(classifier, window_ms=100.0, hop_ms=100.0, **options)
        return [r.event_count for r in recognize(recognizer, stream)]

    stream = packets(drawn_face)[:300]
    plain = counts(Witness())
    filtered = counts(Witness(), noise=NoiseSettings(background_activity_us=20_000))
    assert 0 < sum(filtered) < sum(plain)
    assert counts(Filtering()) == filtered
    assert counts(Filtering(), noise=NoiseSettings()) == plain
    rested = NoiseSettings(refractory_us=1_000)
    assert counts(Filtering(), noise=rested) == counts(Witness(), noise=rested) != filtered


def test_a_new_sensor_gets_its_own_filter_and_tracker(drawn_face):
    stream = packets(drawn_face)[:300]
    recognizer = Recognizer(
        Witness(),
        window_ms=100.0,
        hop_ms=100.0,
        roi=ActivitySettings(),
        noise=NoiseSettings(refractory_us=1_000),
    )
    recognize(recognizer, stream)
    wide = [dataclasses.replace(p, width=640, height=480) for p in stream]
    assert {(r.roi.width, r.roi.height) for r in recognize(recognizer, wide)} >= {(480, 480)}


def test_a_packet_of_a_sensor_too_small_to_look_at_spoils_nothing_after_it(drawn_face):
    stream = packets(drawn_face)[:200]
    recognizer = Recognizer(
        Witness(),
        window_ms=100.0,
        hop_ms=100.0,
        roi=ActivitySettings(),
        noise=NoiseSettings(0.0, 1),
    )
    expected = [r.event_count for r in recognize(recognizer, stream)]
    with pytest.raises(RoiError):
        recognizer.push(
            dataclasses.replace(stream[199], width=4, height=4, seq=stream[199].seq + 1)
        )
    assert [r.event_count for r in recognize(recognizer, stream)] == expected


def test_every_event_of_a_flood_is_used_or_counted():
    """In = used + dropped, with windows that do not overlap and far more events than fit."""
    side, per_packet = 100, 4_000
    recognizer = Recognizer(Witness(), window_ms=10.0, hop_ms=10.0, max_events=20_000)
    rng = np.random.default_rng(0)
    used = 0
    for i in range(1_000):
        t_ns = np.sort(rng.integers(i * 1_000_000, (i + 1) * 1_000_000, per_packet)) // 1000 * 1000
        x, y = rng.integers(0, side, (2, per_packet), np.uint16)
        chunk = Events(t_ns, x, y, rng.integers(0, 2, per_packet, np.uint8))
        packet = EventPacket(
            1_700_000_000_000_000_000 + i * 1_000_000,
            *("", side, side, i, 0, "evt3", False, encode(chunk)),
        )
        ready = recognizer.push(packet)
        used += sum(r.window.event_count for r in ready)
        assert recognizer.windows.buffered_events <= 20_000
        for each in ready:
            # The newest events are those that are kept.
            newest = max(int(chunk.t_ns.max()) for chunk in each.window.chunks)
            assert newest >= each.window.end_ns - 1_000_000
    windows = recognizer.windows
    used += sum(
        w.event_count for w in windows.push(Events.empty(), recognizer.stream.now_ns + 50_000_000)
    )
    assert windows.events_dropped > 1_500_000
    assert used + windows.events_dropped + windows.events_late == 1_000 * per_packet


def shifts(recognizer: Recognizer, stream: list[EventPacket]) -> list[int | None]:
    recognize(recognizer, stream)
    return list(recognizer.classifier.shifts)


def test_the_classifier_is_told_how_far_the_window_has_moved(drawn_face):
    stream = packets(drawn_face)[:800]
    witness = Witness()
    recognizer = Recognizer(witness, hop_ms=WHOLE_BINS, roi=Roi(40, 0, 240, 240))
    ready = [r for packet in stream for r in recognizer.push(packet)]
    for each in ready:
        recognizer.classify(each)
    assert witness.shifts == [None] + [4] * (len(ready) - 1)
    for each, tensor in zip(ready, witness.tensors, strict=True):
        np.testing.assert_array_equal(tensor, bin_window(each.window, each.roi))
    # A slow network leaves windows out.
    recognizer.classify(ready[0])
    for i in (2, 5, 9):
        recognizer.classify(ready[i])
    assert witness.shifts[len(ready) :] == [None, 8, 12, None]


@pytest.mark.parametrize(
    "options", [{"hop_ms": 100.0}, {"hop_ms": 500.0}, {"window_ms": 400.0, "hop_ms": 130.0}]
)
def test_windows_that_do_not_move_by_whole_bins_share_nothing(drawn_face, options):
    found = shifts(Recognizer(Witness(), **options), packets(drawn_face)[:400])
    assert len(found) > 1
    assert set(found) == {None}


@pytest.mark.parametrize("representation", ["voxel_grid", "time_surface"])
def test_bins_that_depend_on_the_window_share_nothing(drawn_face, representation):
    class Other(Witness):
        card = untrained_network(
            "rnn",
            representation=representation,
            size=32,
            in_channels=channels(representation),
        )[1]

    assert set(shifts(Recognizer(Other(), hop_ms=WHOLE_BINS), packets(drawn_face)[:300])) == {None}


def test_the_first_window_of_another_region_or_epoch_shares_nothing(drawn_face):
    stream = packets(drawn_face)[:400]
    recognizer = Recognizer(Witness(), hop_ms=WHOLE_BINS)
    half = len(shifts(recognizer, stream[:200]))
    recognizer.look_at(Roi(50, 50, 100, 100))
    found = shifts(recognizer, stream[200:])
    assert found == [None] + [4] * (half - 1) + [None] + [4] * (len(found) - half - 1)
    again = shifts(recognizer, stream[:200])[len(found) :]
    assert again == [None] + [4] * (half - 1)


def test_after_dropped_or_late_events_windows_share_nothing(drawn_face):
    stream = packets(drawn_face)[:400]
    recognizer = Recognizer(Witness(), hop_ms=WHOLE_BINS, max_events=3_000)
    found = shifts(recognizer, stream)
    assert recognizer.windows.events_dropped > 0
    assert set(found[1:]) == {None}
    recognizer = Recognizer(Witness(), hop_ms=WHOLE_BINS)
    ready = [r for packet in stream for r in recognizer.push(packet)]
    for each in (ready[0], dataclasses.replace(ready[1], changes=1), ready[2]):
        recognizer.classify(each)
    assert recognizer.classifier.shifts == [None] * 3


def test_where_somebody_else_has_asked_the_classifier_nothing_is_shared(drawn_face):
    witness = Witness()
    one, other = (Recognizer(witness, hop_ms=WHOLE_BINS) for _ in range(2))
    stream = packets(drawn_face)[:400]
    ready = [[r for packet in stream for r in each.push(packet)] for each in (one, other)]
    one.classify(ready[0][0])
    one.classify(ready[0][1])
    other.classify(ready[1][0])
    one.classify(ready[0][2])
    one.classify(ready[0][3])
    assert witness.shifts == [None, 4, None, None, 4]


def test_after_a_failure_nothing_is_shared(drawn_face):
    class Moody(Witness):
        def predict(self, tensor, shift=None):
            answer = super().predict(tensor, shift)
            if len(self.shifts) == 2:
                raise NetworkError("not today")
            return answer

    recognizer = Recognizer(Moody(), hop_ms=WHOLE_BINS)
    ready = [r for packet in packets(drawn_face)[:400] for r in recognizer.push(packet)]
    recognizer.classify(ready[0])
    with pytest.raises(NetworkError):
        recognizer.classify(ready[1])
    recognizer.classify(ready[2])
    recognizer.classify(ready[3])
    assert recognizer.classifier.shifts == [None, 4, None, 4]
