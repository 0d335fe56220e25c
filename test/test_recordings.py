"""Real recordings, damaged ones, and .raw files made by hand."""

import datetime
import shutil
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from cs3d_ros.events.evt3 import Evt3Decoder, encode
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import RecordingError, open_recording, raw, rosbag, write_recording
from recordings_data import recording_path


def fields(packet):
    return (
        packet.stamp_ns, packet.frame_id, packet.width, packet.height, packet.seq,
        packet.time_base, packet.encoding, packet.is_bigendian, bytes(packet.payload),
    )  # fmt: skip


def some_packet(seq=0, payload=b"\x00\x80", **changes):
    values = {
        "stamp_ns": 1_700_000_000_123_456_789, "frame_id": "cam", "width": 640, "height": 480,
        "seq": seq, "time_base": 7, "encoding": "evt3", "is_bigendian": False, "payload": payload,
    }  # fmt: skip
    return EventPacket(**{**values, **changes})


def some_events(times_us):
    n = len(times_us)
    t_ns = np.array(times_us, np.int64) * 1000
    return Events(
        t_ns, np.arange(n, dtype=np.uint16), np.full(n, 3, np.uint16), np.ones(n, np.uint8)
    )


class TestRealBags:
    @pytest.mark.parametrize(
        ("name", "count", "payload_bytes", "duration_ns", "first"),
        [
            ("evt3", 105, 758_296, 840_424_716, ("0109", 1280, 720, 59068, "evt3")),
            ("mono", 2, 800, 50_000, ("event_cam", 640, 480, 0, "mono")),
            ("libcaer_cmp", 100, None, 990_468_399, ("camera", 346, 260, 101, "libcaer_cmp")),
        ],
    )
    def test_a_folder_is_read_whole(self, name, count, payload_bytes, duration_ns, first):
        with open_recording(recording_path(name)) as recording:
            assert recording.topic == "/event_camera/events"
            assert recording.topics == ("/event_camera/events",)
            assert recording.message_count == count
            assert recording.duration_ns == duration_ns
            messages = list(recording)
            assert len(list(recording)) == count, "each iteration starts at the beginning"
        assert len(messages) == count
        assert [t for t, _ in messages] == sorted(t for t, _ in messages)
        packet = messages[0][1]
        assert (packet.frame_id, packet.width, packet.height, packet.seq, packet.encoding) == first
        assert packet.is_bigendian is False
        if payload_bytes is not None:
            assert sum(len(p.payload) for _, p in messages) == payload_bytes

    @pytest.mark.parametrize(
        "name", ["evt3/test_data_evt3_trigger_0.db3", "libcaer_cmp/test_events_2_0.mcap"]
    )
    def test_a_single_file_gives_what_its_folder_gives(self, name):
        path = recording_path(name)
        with open_recording(path) as file, open_recording(path.parent) as folder:
            assert (file.message_count, file.duration_ns) == (
                folder.message_count,
                folder.duration_ns,
            )
            pairs = zip(file, folder, strict=True)
            assert all(a[0] == b[0] and fields(a[1]) == fields(b[1]) for a, b in pairs)

    def test_stamps_are_ros_time(self):
        with open_recording(recording_path("evt3")) as recording:
            _, packet = next(iter(recording))
        assert packet.stamp_ns == 1_665_782_665_852_541_635

    def test_an_unusable_metadata_file_is_reported_and_passed_over(self, caplog):
        with open_recording(recording_path("libcaer_cmp")) as recording:
            assert recording.message_count == 100
        assert "metadata.yaml is missing or unusable" in caplog.text
        assert "Storage plugin ''" in caplog.text

    @pytest.mark.parametrize("metadata", [None, "", "{", "a: 1", "rosbag2_bagfile_information: 3"])
    def test_a_folder_without_good_metadata_is_read(self, tmp_path, metadata):
        shutil.copy(recording_path("evt3/test_data_evt3_trigger_0.db3"), tmp_path)
        if metadata is not None:
            (tmp_path / "metadata.yaml").write_text(metadata)
        with open_recording(tmp_path) as recording:
            assert len(list(recording)) == recording.message_count == 105


class TestWriting:
    def test_what_is_written_is_read_again(self, tmp_path):
        packets = [
            (10, some_packet(0)),
            (20, some_packet(1, b"", width=1, height=2, frame_id="", is_bigendian=True)),
            (30, some_packet(2**64 - 1, np.arange(256, dtype=np.uint8), encoding="mono")),
            (30, some_packet(4, bytearray(b"\x01"), stamp_ns=0, time_base=2**64 - 1)),
        ]
        write_recording(tmp_path / "bag", packets)
        with open_recording(tmp_path / "bag") as recording:
            assert recording.topic == "/event_camera/events"
            assert (recording.message_count, recording.duration_ns) == (4, 20)
            found = list(recording)
        assert [t for t, _ in found] == [10, 20, 30, 30]
        assert [fields(p) for _, p in found] == [fields(p) for _, p in packets]

    def test_the_bag_is_what_ros_and_the_drivers_make(self, tmp_path):
        write_recording(tmp_path / "bag", [(0, some_packet())], topic="/cam/events")
        with Reader(tmp_path / "bag") as reader:
            (connection,) = reader.connections
        assert connection.topic == "/cam/events"
        assert connection.msgtype == "event_camera_msgs/msg/EventPacket"
        # The hash that real recordings carry: the definition is the right one.
        assert connection.digest == (
            "RIHS01_d6fa176260b1f37e5a40845305315e150a0f18191241eb64f407442aa29844aa"
        )
        (qos,) = connection.ext.offered_qos_profiles
        assert (qos.depth, qos.reliability.name, qos.durability.name) == (
            1000,
            "BEST_EFFORT",
            "VOLATILE",
        )
        metadata = (tmp_path / "bag" / "metadata.yaml").read_text()
        assert "storage_identifier: mcap" in metadata
        # From version 9 on, profiles are no text any more, which Humble cannot read.
        assert "version: 8" in metadata

    def test_a_recording_can_be_copied(self, tmp_path):
        with open_recording(recording_path("evt3")) as original:
            write_recording(tmp_path / "copy", original)
            expected = [(t, fields(p)) for t, p in original]
        with open_recording(tmp_path / "copy") as copy:
            assert [(t, fields(p)) for t, p in copy] == expected

    def test_an_existing_folder_is_kept(self, tmp_path):
        with pytest.raises(RecordingError, match="exists already"):
            write_recording(tmp_path, [(0, some_packet())])

    def test_no_packets_make_an_empty_recording(self, tmp_path):
        write_recording(tmp_path / "bag", [])
        with open_recording(tmp_path / "bag") as recording:
            assert list(recording) == []
            assert (recording.message_count, recording.duration_ns) == (0, 0)


def write_bag(path, topics):
    """A bag with one message on each topic: an event packet, or a string for other types."""
    store = rosbag._typestore()
    strings = get_typestore(Stores.ROS2_HUMBLE)
    with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        for topic, is_event in topics.items():
            if is_event:
                connection = writer.add_connection(topic, rosbag.EVENT_TYPE, typestore=store)
                header = store.types["std_msgs/msg/Header"]
                time = store.types["builtin_interfaces/msg/Time"]
                message = store.types[rosbag.EVENT_TYPE](
                    header(time(0, 0), topic), 1, 1, 0, 0, "evt3", False, np.zeros(0, np.uint8)
                )
                data = store.serialize_cdr(message, rosbag.EVENT_TYPE)
            else:
                name = "std_msgs/msg/String"
                connection = writer.add_connection(topic, name, typestore=strings)
                data = strings.serialize_cdr(strings.types[name]("hello"), name)
            writer.write(connection, 5, data)


class TestTopics:
    def test_the_only_event_topic_is_taken(self, tmp_path):
        write_bag(tmp_path / "bag", {"/chatter": False, "/cam/events": True})
        with open_recording(tmp_path / "bag") as recording:
            assert recording.topic == "/cam/events"
            assert recording.message_count == 1
            assert [p.frame_id for _, p in recording] == ["/cam/events"]

    def test_of_several_one_must_be_chosen(self, tmp_path):
        write_bag(tmp_path / "bag", {"/b/events": True, "/a/events": True, "/chatter": False})
        with pytest.raises(RecordingError, match=r"choose one of: /a/events, /b/events$"):
            open_recording(tmp_path / "bag")
        with open_recording(tmp_path / "bag", "/b/events") as recording:
            assert recording.topics == ("/a/events", "/b/events")
            assert [p.frame_id for _, p in recording] == ["/b/events"]

    def test_a_bag_without_events_tells_what_it_has(self, tmp_path):
        write_bag(tmp_path / "bag", {"/chatter": False})
        with pytest.raises(RecordingError, match=r"it has: /chatter \(std_msgs/msg/String\)$"):
            open_recording(tmp_path / "bag")

    @pytest.mark.parametrize("topic", ["/chatter", "/nothing"])
    def test_a_topic_without_events_is_refused(self, tmp_path, topic):
        write_bag(tmp_path / "bag", {"/chatter": False, "/cam/events": True})
        with pytest.raises(RecordingError, match=r"expected one of: /cam/events"):
            open_recording(tmp_path / "bag", topic)

    def test_split_recordings_without_metadata_are_read_in_order(self, tmp_path):
        folder = tmp_path / "split"
        folder.mkdir()
        for i in (2, 10, 1):
            write_recording(tmp_path / f"part{i}", [(i * 100, some_packet(i))])
            shutil.copy(tmp_path / f"part{i}" / f"part{i}.mcap", folder / f"split_{i}.mcap")
        with open_recording(folder) as recording:
            assert [p.seq for _, p in recording] == [1, 2, 10]
            assert (recording.message_count, recording.duration_ns) == (3, 900)


def read_all(path):
    """Read a recording to its end or to the error; only RecordingError is allowed."""
    error = None
    try:
        with open_recording(path) as recording:
            for _, packet in recording:
                packet.payload_bytes()
    except RecordingError as caught:
        error = caught
    assert error is None or str(path) in str(error)
    return error


class TestDamage:
    @pytest.mark.parametrize("suffix", [".mcap", ".db3"])
    @pytest.mark.parametrize("content", [b"", b"garbage" * 1000, bytes(5000)], ids=len)
    def test_garbage_is_refused(self, tmp_path, suffix, content):
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(content)
        assert "not a rosbag2 recording, or a damaged one" in str(read_all(path))

    @pytest.mark.parametrize(
        "name", ["evt3/test_data_evt3_trigger_0.db3", "libcaer_cmp/test_events_2_0.mcap"]
    )
    @pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.9999])
    def test_a_truncated_file_is_one_clear_error(self, tmp_path, name, part):
        whole = recording_path(name).read_bytes()
        path = tmp_path / f"cut{name[name.rindex('.') :]}"
        path.write_bytes(whole[: int(len(whole) * part)])
        assert read_all(path) is not None

    @settings(deadline=None, max_examples=40)
    @given(st.data())
    def test_flipped_bytes_raise_nothing_else(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("flip")
        write_recording(folder / "bag", [(i, some_packet(i, bytes(50))) for i in range(3)])
        path = folder / "bag" / "bag.mcap"
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        read_all(path)

    def test_a_message_of_garbage_comes_after_the_good_ones(self, tmp_path):
        write_bag(tmp_path / "bag", {"/cam/events": True})
        path = tmp_path / "bag" / "bag.db3"
        with sqlite3.connect(path) as database:
            database.execute("INSERT INTO messages VALUES (NULL, 1, 99, x'00010000ff')")
        database.close()
        with open_recording(path) as recording:
            messages = iter(recording)
            next(messages)
            with pytest.raises(RecordingError, match="damaged"):
                next(messages)

    def test_a_missing_path_and_other_files_are_refused(self, tmp_path):
        assert "no such file or folder" in str(read_all(tmp_path / "nothing"))
        (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
        assert "unknown kind of recording" in str(read_all(tmp_path / "old.bag"))

    def test_an_empty_folder_is_refused(self, tmp_path):
        assert "no .mcap or .db3 file" in str(read_all(tmp_path))

    def test_closing_twice_does_no_harm(self):
        recording = open_recording(recording_path("mono"))
        recording.close()
        recording.close()

    def test_a_closed_recording_does_not_look_empty(self):
        with open_recording(recording_path("mono")) as recording:
            pass
        with pytest.raises(RecordingError, match="is closed"):
            list(recording)


OLD_HEADER = b"% date 2021-02-03 04:05:06\n% evt 3.0\n% geometry 640x480\n% serial_number 00012\n"
NEW_HEADER = (
    b"% camera_integrator_name Prophesee\n% date 2021-02-03 04:05:06\n% evt 3.0\n"
    b"% format EVT3;height=480;width=640\n% end\n"
)
DATE_NS = int(
    datetime.datetime(2021, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc).timestamp() * 1e9
)
SLICE_NS = 4_096_000


def raw_file(tmp_path, body, header=NEW_HEADER):
    path = tmp_path / "events.raw"
    path.write_bytes(header + body)
    return path


class TestRaw:
    @pytest.mark.parametrize("header", [OLD_HEADER, NEW_HEADER], ids=["old", "new"])
    def test_both_kinds_of_headers_are_understood(self, tmp_path, header):
        with open_recording(raw_file(tmp_path, encode(some_events([5])), header)) as recording:
            ((log_time_ns, packet),) = recording
            assert (recording.topic, recording.topics) == ("", ())
            assert recording.message_count is None
            assert recording.duration_ns is None
        assert (packet.width, packet.height, packet.encoding) == (640, 480, "evt3")
        assert packet.stamp_ns == log_time_ns == DATE_NS + SLICE_NS

    def test_a_body_may_begin_like_a_header_line(self, tmp_path):
        """0x2025 is ADDR_X; only `% ` at the beginning of the body is ambiguous without an end."""
        body = b"% not a header\n" + encode(some_events([5]))
        with open_recording(raw_file(tmp_path, body)) as recording:
            assert b"".join(p.payload for _, p in recording) == body

    def test_packets_are_slices_of_4096_us(self, tmp_path):
        times_us = [100, 4000, 4096, 9000, 12_287, 20_000]
        path = raw_file(tmp_path, encode(some_events(times_us)))
        decoder = Evt3Decoder(640, 480)
        with open_recording(path) as recording:
            packets = [p for _, p in recording]
        assert [p.seq for p in packets] == [0, 1, 2, 3]
        slices = [(p.stamp_ns - DATE_NS) // SLICE_NS - 1 for p in packets]
        assert slices == [0, 1, 2, 4]
        found = [(decoder.decode(p).t_ns // 1000).tolist() for p in packets]
        assert found == [[100, 4000], [4096], [9000, 12_287], [20_000]]

    def test_stamps_go_on_over_rollovers(self, tmp_path):
        times_us = [16_777_000, 16_777_300, 40_000_000]
        with open_recording(raw_file(tmp_path, encode(some_events(times_us)))) as recording:
            stream = EventStream()
            stamps = []
            for _, packet in recording:
                stream.feed(packet)
                stamps.append((packet.stamp_ns - DATE_NS) // SLICE_NS - 1)
        assert stamps == sorted(stamps)
        assert stamps[-1] == (40_000_000 >> 12) - (16_777_000 >> 12)
        assert (stream.epoch, stream.counters.packets_lost) == (0, 0)

    @pytest.mark.parametrize("block", [2, 6, 14, 4096])
    def test_the_size_of_the_blocks_does_not_matter(self, tmp_path, monkeypatch, block):
        rng = np.random.default_rng(1)
        body = encode(some_events(np.sort(rng.integers(0, 40_000_000, 300)).tolist())) + b"\x25"
        path = raw_file(tmp_path, body)

        def read():
            with open_recording(path) as recording:
                return [(p.stamp_ns, bytes(p.payload)) for _, p in recording]

        expected = read()
        assert b"".join(payload for _, payload in expected) == body
        assert len(expected) > 290
        monkeypatch.setattr(raw, "_BLOCK_BYTES", block)
        assert read() == expected

    def test_a_body_without_time_is_cut_by_size(self, tmp_path, monkeypatch):
        monkeypatch.setattr(raw, "_MAX_PACKET_BYTES", 100)
        with open_recording(raw_file(tmp_path, bytes(1050))) as recording:
            assert [len(p.payload) for _, p in recording] == [100] * 10 + [50]

    def test_an_empty_body_is_no_packets(self, tmp_path):
        with open_recording(raw_file(tmp_path, b"")) as recording:
            assert list(recording) == []

    def test_without_a_date_stamps_begin_at_the_epoch(self, tmp_path):
        header = b"% evt 3.0\n% geometry 640x480\n% end\n"
        with open_recording(raw_file(tmp_path, encode(some_events([9])), header)) as recording:
            assert [t for t, _ in recording] == [SLICE_NS]

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (b"% format EVT2;height=720;width=1280\n% end\n", "with EVT2, expected EVT3"),
            (b"% evt 2.1\n% geometry 640x480\n% end\n", "with EVT2.1, expected EVT3"),
            (b"\x00\x01garbage", "with no format line, expected EVT3"),
            (b"", "with no format line, expected EVT3"),
            (b"% evt 3.0\n% end\n", "does not tell the sensor's size"),
            (b"% format EVT3;height=x;width=9\n% end\n", "does not tell the sensor's size"),
        ],
    )
    def test_unusable_headers_are_refused(self, tmp_path, header, message):
        with pytest.raises(RecordingError, match=message):
            open_recording(raw_file(tmp_path, b"", header))

    def test_a_real_stream_survives_the_way_through_a_raw_file(self, tmp_path):
        with open_recording(recording_path("evt3")) as recording:
            body = b"".join(bytes(p.payload) for _, p in recording)
        header = b"% format EVT3;height=720;width=1280\n% end\n"
        decoder = Evt3Decoder(1280, 720)
        with open_recording(raw_file(tmp_path, body, header)) as recording:
            for _, packet in recording:
                events = decoder.decode(packet)
                assert len(events) == 0 or np.ptp(events.t_ns) < SLICE_NS
        assert decoder.counters.events == 82_469
