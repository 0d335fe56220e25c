"""Labels beside the packets of a bag."""

import math
from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg

from cs3d_ros.recordings import (
    Label,
    RecordingError,
    bag_files,
    open_recording,
    read_labels,
    write_recording,
)
from cs3d_ros.recordings.bag_files import EXPRESSION_TYPE
from cs3d_ros.recordings.labels import label_message
from recording_checks import fields, some_packet
from recordings_data import DRAWN_FACE

MESSAGES = Path(__file__).resolve().parents[2]
LABELS = [
    Label(15, 1_700_000_000_100_000_000, 1_700_000_001_200_000_000, "happy"),
    Label(30, 1_700_000_001_200_000_000, 1_700_000_001_200_000_000, "surprised"),
    Label(99, 1_700_000_002_000_000_000, 1_700_000_003_999_999_999, "Überraschung"),
]


def written(tmp_path, labels=LABELS, times=(10, 20, 30), **options):
    packets = [(t, some_packet(seq)) for seq, t in enumerate(times)]
    write_recording(tmp_path / "bag", iter(packets), labels=labels, **options)
    return tmp_path / "bag"


def messages(path):
    store = bag_files.typestore()
    with Reader(path) as reader:
        return [
            (c.topic, t, store.deserialize_cdr(data, c.msgtype)) for c, t, data in reader.messages()
        ]


class TestRoundTrip:
    def test_what_is_written_is_read_again(self, tmp_path):
        path = written(tmp_path)
        assert read_labels(path) == LABELS
        assert read_labels(path / "bag.mcap") == LABELS
        with open_recording(path) as recording:
            assert recording.topics == ("/event_camera/events",)
            assert [p.seq for _, p in recording] == [0, 1, 2]

    def test_they_are_merged_with_the_packets_by_log_time(self, tmp_path):
        path = written(tmp_path, reversed(LABELS))
        order = [(topic.split("/")[-1], t) for topic, t, _ in messages(path)]
        assert order == [
            ("events", 10), ("label", 15), ("events", 20), ("events", 30), ("label", 30),
            ("label", 99),
        ]  # fmt: skip

    def test_packets_are_not_kept_in_memory(self, tmp_path):
        made = []

        def packets():
            for seq in range(5):
                made.append(seq)
                yield seq, some_packet(seq)

        def taken(entries):
            for t, packet in entries:
                assert made[-1] == packet.seq
                yield t, packet

        write_recording(tmp_path / "bag", taken(packets()), labels=[Label(2, 0, 1, "sad")])
        assert read_labels(tmp_path / "bag") == [Label(2, 0, 1, "sad")]

    def test_without_labels_there_is_no_topic_and_with_none_of_them_an_empty_one(self, tmp_path):
        with Reader(written(tmp_path / "a", None)) as reader:
            assert [c.topic for c in reader.connections] == ["/event_camera/events"]
        assert read_labels(written(tmp_path / "b", [])) == []

    def test_the_packets_are_the_same_with_and_without(self, tmp_path):
        with (
            open_recording(written(tmp_path / "a")) as labelled,
            open_recording(written(tmp_path / "b", None)) as bare,
        ):
            pairs = zip(labelled, bare, strict=True)
            assert all(a[0] == b[0] and fields(a[1]) == fields(b[1]) for a, b in pairs)

    def test_results_of_the_network_are_read_alike(self, tmp_path):
        path = written(tmp_path, label_topic="/fer/expression")
        assert read_labels(path, "/fer/expression") == LABELS


class TestMessage:
    def test_it_says_what_is_known_and_nothing_else(self, tmp_path):
        ((_, _, message), *_) = [m for m in messages(written(tmp_path)) if "label" in m[0]]
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (
            1_700_000_001,
            200_000_000,
        )
        assert message.header.frame_id == "cam"
        assert (message.expression, message.confidence) == ("happy", 1.0)
        assert message.labels == ["happy"]
        assert message.probabilities.tolist() == [1.0]
        assert (message.window_start.sec, message.window_start.nanosec) == (
            1_700_000_000,
            100_000_000,
        )
        assert (message.window_duration.sec, message.window_duration.nanosec) == (1, 100_000_000)
        unknown = (message.valence, message.arousal, message.inference_ms, message.latency_ms)
        assert all(math.isnan(value) for value in unknown)
        assert (message.face_id, message.event_count, message.packets_lost) == ("", 0, 0)
        assert (message.roi.width, message.model) == (0, "label")

    @pytest.mark.parametrize(
        ("folder", "package", "name"),
        [
            ("msg", "cs3d_ros", "ExpressionStamped"),
            ("interfaces/event_camera_msgs/msg", "event_camera_msgs", "EventPacket"),
        ],
    )
    def test_the_types_are_those_of_the_msg_files(self, folder, package, name):
        full_name = f"{package}/msg/{name}"
        text = (MESSAGES / folder / f"{name}.msg").read_text()
        _, expected = get_types_from_msg(text, full_name)[full_name]
        _, found = bag_files.typestore().fielddefs[full_name]
        assert found == expected

    def test_the_bag_is_what_ros_and_the_node_make(self, tmp_path):
        path = written(tmp_path)
        with Reader(path) as reader:
            (connection,) = [c for c in reader.connections if c.topic == "/fer/label"]
        assert connection.msgtype == "cs3d_ros/msg/ExpressionStamped"
        # The hash that rosidl gives the built message.
        assert connection.digest == (
            "RIHS01_b438d5e8d1966b1a7ceecf164023a167b1bd6687924b507b043835c68a256ed0"
        )
        assert "MSG: sensor_msgs/RegionOfInterest" in connection.msgdef.data
        (qos,) = connection.ext.offered_qos_profiles
        assert (qos.depth, qos.reliability.name, qos.durability.name) == (
            10,
            "RELIABLE",
            "VOLATILE",
        )
        metadata = (path / "metadata.yaml").read_text()
        assert metadata.count("serialization_format: cdr") == 2
        assert "type: cs3d_ros/msg/ExpressionStamped" in metadata
        # Schemas, with which tools without ROS read the file.
        content = (path / "bag.mcap").read_bytes()
        assert content.startswith(b"\x89MCAP0\r\n")
        for name in (b"cs3d_ros/msg/ExpressionStamped", b"event_camera_msgs/msg/EventPacket"):
            assert name + b"\x07\x00\x00\x00ros2msg" in content


class TestRefusals:
    def test_a_bag_without_labels_tells_what_it_has(self, tmp_path):
        path = written(tmp_path, label_topic="/other")
        with pytest.raises(RecordingError, match=r"no expressions on '/fer/label'.*: /other$"):
            read_labels(path)
        with pytest.raises(RecordingError, match=r"ExpressionStamped: none$"):
            read_labels(DRAWN_FACE)

    def test_a_topic_of_packets_holds_no_labels(self, tmp_path):
        with pytest.raises(RecordingError, match="no expressions on '/event_camera/events'"):
            read_labels(written(tmp_path), "/event_camera/events")

    def test_a_missing_and_a_damaged_bag_are_refused(self, tmp_path):
        with pytest.raises(RecordingError, match="no such file"):
            read_labels(tmp_path / "nothing")
        path = written(tmp_path) / "bag.mcap"
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(RecordingError, match="damaged"):
            read_labels(path)

    def test_a_label_that_ends_before_it_starts_is_refused(self, tmp_path):
        with pytest.raises(RecordingError, match="'happy' ends at 1 ns, before its start at 2 ns"):
            Label(1, 2, 1, "happy")

    def test_a_time_that_ros_does_not_have_is_refused(self, tmp_path):
        for times in ((1, 0, 1 << 62), (-5, 0, 1), (1 << 70, 0, 1), (1, -1, 1)):
            with pytest.raises(
                RecordingError, match=r"the label 'happy' has \w+ = -?\d+, expected"
            ):
                Label(*times, "happy")

    def test_an_expression_that_is_no_text_is_refused(self):
        with pytest.raises(RecordingError, match="the expression None, expected a text"):
            Label(1, 0, 1, None)

    def test_a_message_that_is_no_label_is_told_with_its_recording(self, tmp_path):
        store = bag_files.typestore()
        message = label_message(LABELS[0], "cam")
        message.header.stamp.sec = -1
        with Writer(tmp_path / "bag", version=8, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection("/fer/label", EXPRESSION_TYPE, typestore=store)
            writer.write(connection, 5, store.serialize_cdr(message, EXPRESSION_TYPE))
        with pytest.raises(RecordingError, match=r"/bag: the label 'happy' has end_ns = -\d+"):
            read_labels(tmp_path / "bag")

    def test_the_home_of_nobody_is_refused(self):
        with pytest.raises(RecordingError, match="~nobody-of-this-name/bag: no home folder"):
            read_labels("~nobody-of-this-name/bag")

    def test_one_topic_for_both_is_refused(self, tmp_path):
        with pytest.raises(RecordingError, match="choose two topics"):
            written(tmp_path, label_topic="/event_camera/events")
