from pathlib import Path

import numpy as np
import pytest

from cs3d_ros.events.packets import Events, PacketError
from cs3d_ros.recordings import Label, RecordingError, open_recording, read_labels
from cs3d_ros.recordings.exact_events import exact_events
from cs3d_ros.simulation.event_writer import write_events

KINDS = {"bag": "", "a.raw": ".raw", "a.csv": ".csv", "a.npz": ".npz"}
SLICE_NS = 4_096_000


def events(t_ns, width=16, height=12, seed=0):
    rng = np.random.default_rng(seed)
    n = len(t_ns)
    x, y, p = (rng.integers(0, end, n) for end in (width, height, 2))
    return Events(np.array(t_ns, np.int64), x.astype("u2"), y.astype("u2"), p.astype("u1"))


def read(path):
    """(width, height), the columns of all events, and the packets of a recording."""
    with open_recording(path) as recording:
        parts = list(exact_events(Path(path), recording))
    with open_recording(path) as recording:
        packets = list(recording)
    columns = [np.concatenate([getattr(e, c) for _, e in parts]) for c in ("t_ns", "x", "y", "p")]
    return parts[0][0], columns, packets


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_holds_all_events(tmp_path, name):
    given = events(np.arange(1, 3001) * 10_000)
    chunks = [given.take(slice(a, a + 700)) for a in range(0, 3000, 700)]
    chunks.insert(2, Events.empty())
    assert write_events(tmp_path / name, KINDS[name], chunks, (16, 12)) == 8
    size, found, _ = read(tmp_path / name)
    assert size == (16, 12)
    for column, expected in zip(found, (given.t_ns, given.x, given.y, given.p), strict=True):
        np.testing.assert_array_equal(column, expected)


def test_packets_of_a_bag_bear_the_times_of_their_events(tmp_path):
    """Also days after the epoch, where EVT3's clock has turned many times."""
    begin_ns = 1_700_000_000 * 10**9 // SLICE_NS * SLICE_NS
    given = events(begin_ns + np.array([1_000, 5_000_000, 60_000_000_000]))
    assert write_events(tmp_path / "bag", "", [given], (16, 12)) == 3
    _, _, packets = read(tmp_path / "bag")
    assert {packet.encoding for _, packet in packets} == {"evt3"}
    stamps = [packet.stamp_ns for _, packet in packets]
    assert stamps == [log_time_ns for log_time_ns, _ in packets]
    assert stamps == [(t // SLICE_NS + 1) * SLICE_NS for t in given.t_ns.tolist()]
    assert [packet.seq for _, packet in packets] == [0, 1, 2]


def test_labels_lie_beside_the_events_of_a_bag(tmp_path):
    labels = [Label(0, 0, 9_000_000, "neutral"), Label(9_000_000, 9_000_000, 20_000_000, "happy")]
    write_events(tmp_path / "bag", "", [events([1_000, 15_000_000])], (16, 12), labels)
    found = read_labels(tmp_path / "bag")
    assert [(f.start_ns, f.end_ns, f.expression) for f in found] == [
        (0, 9_000_000, "neutral"),
        (9_000_000, 20_000_000, "happy"),
    ]


@pytest.mark.parametrize("name", ["a.raw", "a.csv", "a.npz"])
def test_labels_that_a_file_cannot_hold_are_refused(tmp_path, name):
    labels = [Label(0, 0, 9_000_000, "neutral")]
    with pytest.raises(RecordingError, match="only a bag can hold labels"):
        write_events(tmp_path / name, KINDS[name], [events([1_000])], (16, 12), labels)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("chunks", [[], [Events.empty()] * 3])
def test_without_events_a_bag_has_its_labels_only(tmp_path, chunks):
    labels = [Label(0, 0, 9_000_000, "neutral")]
    assert write_events(tmp_path / "bag", "", chunks, (16, 12), labels) == 0
    assert len(read_labels(tmp_path / "bag")) == 1
    with open_recording(tmp_path / "bag") as recording:
        assert list(recording) == []


@pytest.mark.parametrize("name", ["a.raw", "a.csv", "a.npz"])
def test_a_file_without_events_is_refused(tmp_path, name):
    with pytest.raises(RecordingError, match="no events to write"):
        write_events(tmp_path / name, KINDS[name], [Events.empty()], (16, 12))
    assert list(tmp_path.iterdir()) == []


class TestLargeSensor:
    SIZE = (4096, 10)

    @pytest.mark.parametrize("name", ["bag", "a.csv", "a.npz"])
    def test_it_is_kept_where_the_format_can(self, tmp_path, name):
        given = events(np.arange(1, 1001) * 20_000, *self.SIZE)
        assert given.x.max() > 2048
        write_events(tmp_path / name, KINDS[name], [given], self.SIZE)
        size, found, packets = read(tmp_path / name)
        assert size == self.SIZE
        np.testing.assert_array_equal(found[1], given.x)
        assert {packet.encoding for _, packet in packets} == {"mono"}

    def test_evt3_goes_up_to_2048(self, tmp_path):
        edge = Events(
            *(np.array([v], d) for v, d in ((1000, "i8"), (2047, "u2"), (0, "u2"))),
            np.ones(1, "u1"),
        )
        write_events(tmp_path / "a.raw", ".raw", [edge], (2048, 10))
        assert read(tmp_path / "a.raw")[1][1].tolist() == [2047]

    def test_a_raw_file_refuses_it_before_the_first_event_is_made(self, tmp_path):
        def chunks():
            raise AssertionError("asked for events")
            yield

        with pytest.raises(PacketError, match=r"2049x10 pixels, expected no more than 2048"):
            write_events(tmp_path / "a.raw", ".raw", chunks(), (2049, 10))
        assert list(tmp_path.iterdir()) == []
