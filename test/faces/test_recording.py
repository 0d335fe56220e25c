import itertools

import numpy as np
import pytest

from cs3d_ros.faces.cast import Cast
from cs3d_ros.faces.recording import BEGIN_NS, record_take
from cs3d_ros.faces.take import draw_stream_take, draw_take
from cs3d_ros.recordings import open_recording, read_labels
from cs3d_ros.recordings.decoded import DecodedPackets
from cs3d_ros.simulation.emulator import simulate_frames
from cs3d_ros.simulation.settings import PRESETS
from faces_data import facekit_path


@pytest.fixture(scope="module")
def cast():
    return Cast(facekit_path(), None, seed=0)


def stream(cast, duration_s=12.0):
    rng = np.random.default_rng(2)
    return draw_stream_take(
        cast, "random-2", "sufficient", rng, duration_s=duration_s, frames_per_s=25.0, size=48
    )


def contents(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def test_a_bag_holds_exactly_the_events_that_the_camera_sends(cast, tmp_path):
    take = stream(cast)
    count = record_take(take, tmp_path / "bag", "", "sufficient", 4)
    expected = simulate_frames(take.frames(), PRESETS["sufficient"], 4)
    with open_recording(tmp_path / "bag") as recording:
        decoded = [events for _, _, events in DecodedPackets(recording) if events is not None]
    assert count == len(expected) > 1000
    for name in ("x", "y", "p"):
        found = np.concatenate([getattr(events, name) for events in decoded])
        np.testing.assert_array_equal(found, getattr(expected, name))
    # EVT3 says whole µs.
    t_ns = np.concatenate([events.t_ns for events in decoded])
    np.testing.assert_array_equal(np.diff(t_ns), np.diff(expected.t_ns // 1000 * 1000))


def test_stamps_and_labels_are_of_one_clock(cast, tmp_path):
    take = stream(cast)
    record_take(take, tmp_path / "bag", "", "sufficient", 4)
    with open_recording(tmp_path / "bag") as recording:
        stamps = [packet.stamp_ns for _, packet in recording]
    labels = read_labels(tmp_path / "bag")
    assert BEGIN_NS < stamps[0] < BEGIN_NS + 1_000_000_000
    assert stamps[-1] <= BEGIN_NS + 12_010_000_000
    shown = [label for label in labels if label.expression != "neutral"]
    assert [label.expression for label in shown] == [name for name, _ in take.expressions]
    for label, (_, course) in zip(shown, take.expressions, strict=True):
        assert label.start_ns - BEGIN_NS == course.onset_ns
        assert label.end_ns - BEGIN_NS == course.offset_ns


def test_labels_cover_the_take_without_gaps(cast, tmp_path):
    take = stream(cast)
    record_take(take, tmp_path / "bag", "", "sufficient", 4)
    labels = read_labels(tmp_path / "bag")
    assert labels[0].start_ns == BEGIN_NS
    assert labels[-1].end_ns == BEGIN_NS + 12_000_000_000
    assert all(a.end_ns == b.start_ns for a, b in itertools.pairwise(labels))


def test_a_neutral_take_is_labelled_neutral_throughout(cast, tmp_path):
    take = draw_take(
        cast,
        "random-1",
        "neutral",
        "insufficient",
        np.random.default_rng(0),
        duration_s=0.5,
        frames_per_s=20.0,
        size=32,
    )
    record_take(take, tmp_path / "bag", "", "insufficient", 0)
    [label] = read_labels(tmp_path / "bag")
    assert label.expression == "neutral"


def test_the_same_seed_gives_the_same_bytes(cast, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        record_take(stream(cast, 3.0), tmp_path / name / "bag", "", "insufficient", 1)
    assert contents(tmp_path / "one" / "bag") == contents(tmp_path / "two" / "bag")
