"""Real bags, damaged ones, compressed ones, and those that are written here."""

import shutil
import sqlite3

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import RecordingError, bag_files, open_recording, write_recording
from recording_checks import fields, read_all, some_packet
from recordings_data import recording_path


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
            messages = list(recording)
            assert len(list(recording)) == count, "each iteration starts at the beginning"
        assert len(messages) == count
        assert [t for t, _ in messages] == sorted(t for t, _ in messages)
        assert messages[-1][0] - messages[0][0] == duration_ns
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
            pairs = zip(file, folder, strict=True)
            assert all(a[0] == b[0] and fields(a[1]) == fields(b[1]) for a, b in pairs)

    def test_stamps_are_ros_time(self):
        with open_recording(recording_path("evt3")) as recording:
            _, packet = next(iter(recording))
        assert packet.stamp_ns == 1_665_782_665_852_541_635

    def test_an_unusable_metadata_file_is_reported_and_passed_over(self, caplog):
        with open_recording(recording_path("libcaer_cmp")) as recording:
            assert len(list(recording)) == 100
        assert "metadata.yaml is missing or unusable" in caplog.text
        assert "Storage plugin ''" in caplog.text

    @pytest.mark.parametrize("metadata", [None, "", "{", "a: 1", "rosbag2_bagfile_information: 3"])
    def test_a_folder_without_good_metadata_is_read(self, tmp_path, metadata):
        shutil.copy(recording_path("evt3/test_data_evt3_trigger_0.db3"), tmp_path)
        if metadata is not None:
            (tmp_path / "metadata.yaml").write_text(metadata)
        with open_recording(tmp_path) as recording:
            assert len(list(recording)) == 105

    def test_the_libcaer_cmp_recording_has_all_its_events(self):
        stream = EventStream()
        polarities = np.zeros(2, np.int64)
        sum_us = 0
        with open_recording(recording_path("libcaer_cmp")) as recording:
            for _, packet in recording:
                events = stream.feed(packet)
                polarities += np.bincount(events.p, minlength=2)
                sum_us += int((events.t_ns // 1000 - 1_744_227_144_732_712).sum())
        assert polarities.tolist() == [360_223, 211_043]
        assert sum_us == 335_555_680_277


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
        assert tmp_path.is_dir()

    def test_no_packets_make_an_empty_recording(self, tmp_path):
        write_recording(tmp_path / "bag", [])
        with open_recording(tmp_path / "bag") as recording:
            assert list(recording) == []

    @pytest.mark.parametrize(
        ("log_time_ns", "stamp_ns"), [(0, 1 << 62), (-5, 0), (1 << 70, 0), (0, -1 << 62)]
    )
    def test_a_time_that_ros_does_not_have_leaves_no_folder(self, tmp_path, log_time_ns, stamp_ns):
        packets = [(0, some_packet()), (log_time_ns, some_packet(stamp_ns=stamp_ns))]
        with pytest.raises(RecordingError, match=r"/bag: cannot be written"):
            write_recording(tmp_path / "bag", packets)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("error", [KeyboardInterrupt, RecordingError("damaged"), ValueError])
    def test_what_the_packets_raise_leaves_no_folder(self, tmp_path, error):
        def packets():
            yield 0, some_packet()
            raise error

        with pytest.raises(error if isinstance(error, type) else RecordingError):
            write_recording(tmp_path / "bag", packets())
        assert list(tmp_path.iterdir()) == []

    def test_the_home_folder_may_be_written_as_a_tilde(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        write_recording("~/bag", [(0, some_packet())])
        with open_recording("~/bag") as recording:
            assert len(list(recording)) == 1
        assert [p.name for p in tmp_path.iterdir()] == ["bag"]

    def test_the_home_of_nobody_is_refused(self):
        with pytest.raises(RecordingError, match="~nobody-of-this-name/bag: no home folder"):
            write_recording("~nobody-of-this-name/bag", [])
        with pytest.raises(RecordingError, match="~nobody-of-this-name/bag: no home folder"):
            open_recording("~nobody-of-this-name/bag")


def write_bag(path, topics, storage=StoragePlugin.SQLITE3, compression=None):
    """A bag with one message on each topic: an event packet, or a string for other types."""
    store = bag_files.typestore()
    strings = get_typestore(Stores.ROS2_HUMBLE)
    bag = Writer(path, version=9, storage_plugin=storage)
    if compression is not None:
        bag.set_compression(compression, CompressionFormat.ZSTD)
    with bag as writer:
        for topic, is_event in topics.items():
            if is_event:
                connection = writer.add_connection(topic, bag_files.EVENT_TYPE, typestore=store)
                header = store.types["std_msgs/msg/Header"]
                time = store.types["builtin_interfaces/msg/Time"]
                message = store.types[bag_files.EVENT_TYPE](
                    header(time(0, 0), topic), 1, 1, 0, 0, "evt3", False, np.zeros(0, np.uint8)
                )
                data = store.serialize_cdr(message, bag_files.EVENT_TYPE)
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
            assert [p.frame_id for _, p in recording] == ["/cam/events"]

    def test_of_several_one_must_be_chosen(self, tmp_path):
        write_bag(tmp_path / "bag", {"/b/events": True, "/a/events": True, "/chatter": False})
        with pytest.raises(
            RecordingError, match=r"choose one \(--topic, or topic=\) of: /a/events, /b/events$"
        ):
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


class TestCompression:
    @pytest.mark.parametrize(
        ("storage", "compression", "file"),
        [
            (StoragePlugin.SQLITE3, CompressionMode.FILE, "bag.db3.zstd"),
            (StoragePlugin.SQLITE3, CompressionMode.MESSAGE, "bag.db3"),
            (StoragePlugin.MCAP, CompressionMode.FILE, "bag.mcap.zstd"),
            (StoragePlugin.MCAP, CompressionMode.MESSAGE, "bag.mcap"),
            (StoragePlugin.MCAP, CompressionMode.STORAGE, "bag.mcap"),
        ],
    )
    def test_compressed_bags_are_read(self, tmp_path, storage, compression, file):
        write_bag(tmp_path / "bag", {"/cam/events": True, "/chatter": False}, storage, compression)
        assert (tmp_path / "bag" / file).is_file()
        with open_recording(tmp_path / "bag") as recording:
            for _ in range(2):
                assert [p.frame_id for _, p in recording] == ["/cam/events"]

    def test_chunks_are_decompressed_without_metadata(self, tmp_path):
        write_bag(
            tmp_path / "bag", {"/cam/events": True}, StoragePlugin.MCAP, CompressionMode.STORAGE
        )
        with open_recording(tmp_path / "bag" / "bag.mcap") as recording:
            assert [p.frame_id for _, p in recording] == ["/cam/events"]

    def test_a_compressed_file_alone_says_how_to_decompress_it(self, tmp_path):
        write_bag(tmp_path / "bag", {"/cam/events": True}, compression=CompressionMode.FILE)
        error = read_all(tmp_path / "bag" / "bag.db3.zstd")
        assert "decompress it with `zstd -d bag.db3.zstd`" in str(error)
        (tmp_path / "bag" / "metadata.yaml").unlink()
        assert "compressed ones need their metadata.yaml" in str(read_all(tmp_path / "bag"))

    @pytest.mark.parametrize("compression", [CompressionMode.FILE, CompressionMode.MESSAGE])
    def test_damaged_compression_is_one_clear_error(self, tmp_path, compression):
        write_bag(tmp_path / "bag", {"/cam/events": True}, compression=compression)
        metadata = tmp_path / "bag" / "metadata.yaml"
        if compression is CompressionMode.FILE:
            path = tmp_path / "bag" / "bag.db3.zstd"
            path.write_bytes(path.read_bytes()[:-20])
        else:
            # A message that is compressed as it says, and one that is not.
            with sqlite3.connect(tmp_path / "bag" / "bag.db3") as database:
                database.execute("INSERT INTO messages VALUES (NULL, 1, 99, x'00010000ff')")
            database.close()
        assert metadata.is_file()
        assert read_all(tmp_path / "bag") is not None


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
