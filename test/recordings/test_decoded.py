import numpy as np
import pytest

from cs3d_ros.recordings import RecordingError
from cs3d_ros.recordings.decoded import DecodedPackets, Timeline
from recording_helpers import evt3_packet, some_events


def placed(timeline, epoch, *t_ns):
    return timeline.place(epoch, np.array(t_ns, np.int64)).tolist()


class TestTimeline:
    def test_times_count_from_the_first_event(self):
        timeline = Timeline()
        assert timeline.duration_ns == 0
        assert placed(timeline, 0, 1000, 1005) == [0, 5]
        assert placed(timeline, 0, 1003, 1010) == [3, 10]
        assert timeline.duration_ns == 10

    def test_an_earlier_event_moves_the_beginning(self):
        timeline = Timeline()
        assert placed(timeline, 0, 1000) == [0]
        assert placed(timeline, 0, 990, 1020) == [0, 30]
        assert timeline.duration_ns == 30

    def test_epochs_are_joined_end_to_end(self):
        timeline = Timeline()
        placed(timeline, 0, 1000, 1100)
        assert placed(timeline, 1, 7, 9) == [100, 102]
        assert placed(timeline, 3, 10**18, 10**18 + 1) == [102, 103]
        assert timeline.duration_ns == 103

    def test_no_events_change_nothing(self):
        timeline = Timeline()
        assert placed(timeline, 5) == []
        assert timeline.duration_ns == 0


class TestDecodedPackets:
    def test_each_packet_comes_with_its_events(self):
        packets = [(i, evt3_packet(some_events([10 * i] * (i + 1)), i)) for i in range(3)]
        decoded = DecodedPackets(packets)
        found = list(decoded)
        assert [log_time_ns for log_time_ns, _, _ in found] == [0, 1, 2]
        assert [packet.seq for _, packet, _ in found] == [0, 1, 2]
        assert [len(events) for _, _, events in found] == [1, 2, 3]
        assert decoded.packets == 3
        assert decoded.payload_bytes == sum(len(packet.payload) for _, packet in packets)

    def test_late_and_bad_packets_have_no_events(self):
        good = some_events([1])
        packets = [
            (0, evt3_packet(good, 4)),
            (1, evt3_packet(good, 3)),
            (2, evt3_packet(good, 5, encoding="evt99")),
            (3, evt3_packet(b"", 6)),
        ]
        decoded = DecodedPackets(packets)
        events = [events for _, _, events in decoded]
        assert [e if e is None else len(e) for e in events] == [1, None, None, 0]
        assert (decoded.packets, decoded.bad_packets) == (4, 1)
        assert "evt99" in decoded.last_error
        decoded.raise_if_all_are_bad()

    def test_only_bad_packets_are_an_error(self):
        decoded = DecodedPackets([(0, evt3_packet(b"", width=0))])
        list(decoded)
        with pytest.raises(RecordingError, match=r"none of the 1 packets.*0x48 pixels"):
            decoded.raise_if_all_are_bad()

    def test_no_packets_are_no_error(self):
        decoded = DecodedPackets([])
        assert list(decoded) == []
        decoded.raise_if_all_are_bad()
