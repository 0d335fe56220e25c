"""Prophesee's .raw files, made by hand and from real words, read and written."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.events.encoding import encode_events
from cs3d_ros.events.packets import decoder_for
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import RecordingError, open_recording, raw, write_raw
from cs3d_ros.recordings.raw_header import interpret
from recording_checks import fields, read_all, rows, some_packet
from recording_helpers import some_events
from recordings_data import recording_path

OLD_HEADER = b"% date 2021-02-03 04:05:06\n% evt 3.0\n% geometry 640x480\n% serial_number 00012\n"
NEW_HEADER = (
    b"% camera_integrator_name Prophesee\n% date 2021-02-03 04:05:06\n% evt 3.0\n"
    b"% format EVT3;height=480;width=640\n% end\n"
)
DATE_NS = int(
    datetime.datetime(2021, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc).timestamp() * 1e9
)
SLICE_NS = 4_096_000
ENCODINGS = ("evt3", "evt2", "evt21", "evt21_legacy")


def header_of(encoding, date=b"% date 2021-02-03 04:05:06\n"):
    name = {"evt21": "EVT21;endianness=little", "evt21_legacy": "EVT21;endianness=legacy"}.get(
        encoding, encoding.upper()
    )
    return date + f"% format {name};height=480;width=640\n% end\n".encode()


def encode(encoding, events):
    """The words of some events with p = 1; EVT2.1 has one event in each word here."""
    if encoding in ("evt3", "evt2"):
        return encode_events(encoding, events)[1]
    words = []
    for t_us, x, y in zip(events.t_ns // 1000, events.x, events.y, strict=True):
        words.append(0x8 << 60 | (int(t_us) >> 6 & 0xFFFFFFF) << 32)
        words.append(0x1 << 60 | (int(t_us) & 0x3F) << 54 | int(x) << 43 | int(y) << 32 | 1)
    array = np.array(words, "<u8")
    if encoding == "evt21_legacy":
        array = array << 32 | array >> 32
    return array.tobytes()


def raw_file(tmp_path, body, header=NEW_HEADER):
    path = tmp_path / "events.raw"
    path.write_bytes(header + body)
    return path


class TestPackets:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_they_are_slices_of_4096_us(self, tmp_path, encoding):
        times_us = [100, 4000, 4096, 9000, 12_287, 20_000]
        path = raw_file(tmp_path, encode(encoding, some_events(times_us)), header_of(encoding))
        decoder = decoder_for(encoding, 640, 480)
        with open_recording(path) as recording:
            packets = [p for _, p in recording]
        assert {p.encoding for p in packets} == {encoding}
        assert [p.seq for p in packets] == [0, 1, 2, 3]
        slices = [(p.stamp_ns - DATE_NS) // SLICE_NS - 1 for p in packets]
        assert slices == [0, 1, 2, 4]
        found = [(decoder.decode(p).t_ns // 1000).tolist() for p in packets]
        assert found == [[100, 4000], [4096], [9000, 12_287], [20_000]]

    @pytest.mark.parametrize("header", [OLD_HEADER, NEW_HEADER], ids=["old", "new"])
    def test_both_kinds_of_headers_are_understood(self, tmp_path, header):
        with open_recording(
            raw_file(tmp_path, encode_events("evt3", some_events([5]))[1], header)
        ) as recording:
            ((log_time_ns, packet),) = recording
            assert (recording.topic, recording.topics) == ("", ())
        assert (packet.width, packet.height, packet.encoding) == (640, 480, "evt3")
        assert packet.frame_id == ("00012" if header is OLD_HEADER else "event_camera")
        assert packet.stamp_ns == log_time_ns == DATE_NS + SLICE_NS

    def test_a_body_may_begin_like_a_header_line(self, tmp_path):
        """0x2025 is ADDR_X; only `% ` at the beginning of the body is ambiguous without an end."""
        body = b"% not a header\n" + encode_events("evt3", some_events([5]))[1]
        with open_recording(raw_file(tmp_path, body)) as recording:
            assert b"".join(p.payload for _, p in recording) == body

    @pytest.mark.parametrize(
        ("encoding", "times_us"),
        [
            ("evt3", [16_777_000, 16_777_300, 40_000_000]),
            ("evt2", [(1 << 34) - 200, (1 << 34) + 200, (1 << 34) + 3_000_000]),
            ("evt21", [(1 << 34) - 200, (1 << 34) + 200, (1 << 34) + 3_000_000]),
        ],
    )
    def test_stamps_go_on_over_rollovers(self, tmp_path, encoding, times_us):
        path = raw_file(tmp_path, encode(encoding, some_events(times_us)), header_of(encoding))
        with open_recording(path) as recording:
            stream = EventStream()
            stamps = []
            for _, packet in recording:
                stream.feed(packet)
                stamps.append((packet.stamp_ns - DATE_NS) // SLICE_NS - 1)
        assert stamps == sorted(stamps)
        assert stamps[-1] == (times_us[-1] >> 12) - (times_us[0] >> 12)
        assert (stream.epoch, stream.counters.packets_lost) == (0, 0)

    def test_a_step_back_over_a_rollover_is_jitter(self, tmp_path):
        times_us = [(1 << 34) - 100, (1 << 34) + 100, (1 << 34) - 50, (1 << 34) + 200]
        body = b"".join(encode("evt21", some_events([t])) for t in times_us)
        with open_recording(raw_file(tmp_path, body, header_of("evt21"))) as recording:
            stamps = [(p.stamp_ns - DATE_NS) // SLICE_NS for _, p in recording]
        assert stamps == [1, 2, 1, 2]

    def test_a_sensor_that_starts_again_starts_the_stream_over(self, tmp_path):
        body = b"".join(encode("evt2", some_events([t, t + 10])) for t in (9_000_000, 1_000))
        stream = EventStream()
        with open_recording(raw_file(tmp_path, body, header_of("evt2"))) as recording:
            entries = list(recording)
        events = [stream.feed(packet) for _, packet in entries]
        assert [t for t, _ in entries] == sorted(t for t, _ in entries)
        # The stamps cannot go back before the first packet's, so that only the events tell.
        assert stream.epoch == 1
        assert [len(e) for e in events] == [2, 0]

        body = encode("evt2", some_events([1_000])) + body
        path = raw_file(tmp_path, body, header_of("evt2"))
        stream = EventStream()
        with open_recording(path) as recording:
            entries = list(recording)
        events = [stream.feed(packet) for _, packet in entries]
        assert [t for t, _ in entries] == sorted(t for t, _ in entries)
        assert stream.epoch == 1
        assert [len(e) for e in events] == [1, 2, 2]

    @pytest.mark.parametrize("encoding", ENCODINGS)
    @pytest.mark.parametrize("block", [2, 6, 14, 4096])
    def test_the_size_of_the_blocks_does_not_matter(self, tmp_path, monkeypatch, block, encoding):
        rng = np.random.default_rng(1)
        events = some_events(np.sort(rng.integers(0, 40_000_000, 300)).tolist())
        body = encode(encoding, events) + b"\x25"
        path = raw_file(tmp_path, body, header_of(encoding))

        def read():
            with open_recording(path) as recording:
                return [(p.stamp_ns, bytes(p.payload)) for _, p in recording]

        expected = read()
        assert b"".join(payload for _, payload in expected) == body
        assert len(expected) > 290
        size = {"evt3": 2, "evt2": 4}.get(encoding, 8)
        assert all(len(payload) % size == 0 for _, payload in expected[:-1])
        monkeypatch.setattr(raw, "_BLOCK_BYTES", block)
        assert read() == expected

    def test_a_body_without_time_is_cut_by_size(self, tmp_path, monkeypatch):
        monkeypatch.setattr(raw, "_MAX_PACKET_BYTES", 104)
        with open_recording(raw_file(tmp_path, bytes(1050))) as recording:
            assert [len(p.payload) for _, p in recording] == [104] * 10 + [10]

    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_an_empty_body_is_no_packets(self, tmp_path, encoding):
        assert rows(raw_file(tmp_path, b"", header_of(encoding))) == []

    @pytest.mark.parametrize("date", [b"", b"% date never\n", b"% date 9999-01-01 00:00:00\n"])
    def test_without_a_date_that_ros_has_stamps_begin_at_the_epoch(self, tmp_path, date):
        path = raw_file(
            tmp_path, encode_events("evt3", some_events([9]))[1], header_of("evt3", date)
        )
        with open_recording(path) as recording:
            assert [t for t, _ in recording] == [SLICE_NS]

    def test_times_beyond_ros_are_an_error_after_the_packets_before(self, tmp_path):
        header = header_of("evt2", b"% date 2038-01-19 03:14:00\n")
        path = raw_file(tmp_path, encode("evt2", some_events([0, 5_000_000, 9_000_000])), header)
        error = read_all(path)
        assert "ns since the epoch" in str(error)

    def test_a_real_stream_survives_the_way_through_a_raw_file(self, tmp_path):
        with open_recording(recording_path("evt3")) as recording:
            body = b"".join(bytes(p.payload) for _, p in recording)
        header = b"% format EVT3;height=720;width=1280\n% end\n"
        decoder = decoder_for("evt3", 1280, 720)
        with open_recording(raw_file(tmp_path, body, header)) as recording:
            for _, packet in recording:
                events = decoder.decode(packet)
                assert len(events) == 0 or np.ptp(events.t_ns) < SLICE_NS
        assert decoder.counters.events == 82_469


class TestHeader:
    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            ({"format": "EVT2;height=480;width=640"}, ("evt2", 640, 480)),
            ({"format": "EVT21;endianness=legacy;height=9;width=8"}, ("evt21_legacy", 8, 9)),
            ({"format": "EVT21;endianness=little;height=320;width=320"}, ("evt21", 320, 320)),
            ({"format": "EVT21;height=9;width=8", "endianness": "little"}, ("evt21", 8, 9)),
            ({"format": "EVT21;height=9;width=8", "endianness": "legacy"}, ("evt21_legacy", 8, 9)),
            # Without a word about it, Prophesee's old systems have the halves swapped.
            ({"format": "EVT21;height=9;width=8"}, ("evt21_legacy", 8, 9)),
            ({"format": "EVT21;height=9;width=8", "system_id": "50"}, ("evt21_legacy", 8, 9)),
            ({"format": "EVT21;height=9;width=8", "system_id": "55"}, ("evt21", 8, 9)),
            (
                {"format": "EVT21;height=9;width=8", "plugin_integrator_name": "Somebody"},
                ("evt21", 8, 9),
            ),
            ({"evt": "2.1", "geometry": "8x9"}, ("evt21_legacy", 8, 9)),
            ({"evt": "2.0", "geometry": "304x240"}, ("evt2", 304, 240)),
            # Old files tell by the camera alone.
            ({"evt": "2.0", "system_id": "21", "integrator_name": "Prophesee"}, ("evt2", 640, 480)),
            ({"evt": "3.0", "system_id": "39"}, ("evt3", 1280, 720)),
            ({"system_id": "48"}, ("evt3", 1280, 720)),
            ({"system_id": "40", "geometry": "8x9"}, ("evt3", 8, 9)),
        ],
    )  # fmt: skip
    def test_it_tells_format_and_size(self, tmp_path, lines, expected):
        header = interpret(tmp_path, lines)
        assert (header.encoding, header.width, header.height) == expected

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            (b"% format EVT4;height=720;width=1280\n% end\n", "with EVT4, expected EVT3, EVT2 or"),
            (b"% evt 4.0\n% geometry 640x480\n% end\n", "with EVT4.0, expected EVT3"),
            (b"% format HISTO3D;height=720;width=1280\n% end\n", "with HISTO3D, expected EVT3"),
            (b"\x00\x01garbage", "with no format line, expected EVT3"),
            (b"", "with no format line, expected EVT3"),
            (b"% evt 3.0\n% end\n", "does not tell the sensor's size"),
            (b"% evt 2.0\n% system_ID 999\n% end\n", "does not tell the sensor's size"),
            (
                b"% evt 2.0\n% system_ID 21\n% integrator_name Somebody\n% end\n",
                "does not tell the sensor's size",
            ),
            (b"% format EVT3;height=x;width=9\n% end\n", "does not tell the sensor's size"),
            (b"% evt 3.0\n% geometry 1280x-720\n% end\n", "does not tell the sensor's size"),
            (b"% evt 3.0\n% geometry 0x720\n% end\n", "a sensor of 0x720 pixels"),
            (b"% evt 3.0\n% geometry 999999999x9\n% end\n", "a sensor of 999999999x9 pixels"),
            (b"% key value\n" * 100_000, "a header of more than 1048576 bytes"),
        ],
    )
    def test_an_unusable_one_is_refused(self, tmp_path, header, message):
        with pytest.raises(RecordingError, match=message):
            open_recording(raw_file(tmp_path, b"", header))

    def test_a_number_of_a_thousand_digits_is_no_size(self, tmp_path):
        header = b"% evt 3.0\n% geometry " + b"9" * 5000 + b"x9\n% end\n"
        with pytest.raises(RecordingError, match="does not tell"):
            open_recording(raw_file(tmp_path, b"", header))

    def test_a_folder_is_no_raw_file(self, tmp_path):
        (tmp_path / "folder.raw").mkdir()
        assert "not a rosbag2 recording" in str(read_all(tmp_path / "folder.raw"))


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(ENCODINGS), st.binary(max_size=400))
def test_arbitrary_bytes_after_a_header_are_packets(tmp_path_factory, encoding, body):
    path = raw_file(tmp_path_factory.mktemp("raw"), body, header_of(encoding))
    read_all(path)
    with open_recording(path) as recording:
        assert b"".join(bytes(p.payload) for _, p in recording) == body


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_refused_or_read(tmp_path_factory, content):
    read_all(raw_file(tmp_path_factory.mktemp("raw"), content, b"% format EVT2;height"))


class TestWriting:
    @pytest.mark.parametrize("encoding", ENCODINGS)
    def test_what_is_written_is_read_again(self, tmp_path, encoding):
        events = some_events(list(range(0, 50_000, 100)))
        source = raw_file(tmp_path, encode(encoding, events), header_of(encoding))
        with open_recording(source) as recording:
            write_raw(tmp_path / "copy.raw", recording)
            expected = [fields(p) for _, p in recording]
        with open_recording(tmp_path / "copy.raw") as copy:
            assert [fields(p) for _, p in copy] == expected

    def test_the_header_is_as_openeb_writes_it(self, tmp_path):
        write_raw(tmp_path / "a.raw", [(0, some_packet(encoding="evt21_legacy", payload=bytes(8)))])
        assert (tmp_path / "a.raw").read_bytes() == (
            b"% camera_integrator_name Prophesee\n% date 2023-11-14 22:13:20\n"
            b"% endianness legacy\n% format EVT21;endianness=legacy;height=480;width=640\n"
            b"% geometry 640x480\n% plugin_integrator_name Prophesee\n% serial_number cam\n% end\n"
        ) + bytes(8)

    def test_a_real_stream_keeps_its_words(self, tmp_path):
        with open_recording(recording_path("evt3")) as recording:
            write_raw(tmp_path / "real.raw", recording)
            words = b"".join(bytes(p.payload) for _, p in recording)
        assert (tmp_path / "real.raw").read_bytes().endswith(b"% end\n" + words)
        events = np.array(rows(tmp_path / "real.raw"))
        assert len(events) == 82_469
        assert events.sum(axis=0).tolist() == [
            1_222_326_831_810_000,
            42_078_718,
            31_656_267,
            41_439,
        ]

    def test_words_become_little_endian_and_whole(self, tmp_path):
        packets = [
            some_packet(0, b"\x01\x02\x03\x04\x05", is_bigendian=True),
            some_packet(1, b"\x01\x02\x03", stamp_ns=0, frame_id="other"),
        ]
        write_raw(tmp_path / "a.raw", enumerate(packets))
        body = (tmp_path / "a.raw").read_bytes().split(b"% end\n")[1]
        assert body == b"\x02\x01\x04\x03\x01\x02"

    @pytest.mark.parametrize(
        ("packets", "message"),
        [
            ([], "no packets to write"),
            ([some_packet(encoding="mono")], "cannot hold 'mono', expected one of: evt2, evt21"),
            ([some_packet(), some_packet(1, width=9)], "evt3 of 9x480 pixels, the ones before are"),
            ([some_packet(), some_packet(1, encoding="evt2")], "evt2 of 640x480 pixels"),
            ([some_packet(stamp_ns=-1)], "ns since the epoch"),
        ],
    )
    def test_what_it_cannot_say_is_refused_and_leaves_no_file(self, tmp_path, packets, message):
        with pytest.raises(RecordingError, match=message):
            write_raw(tmp_path / "a.raw", enumerate(packets))
        assert list(tmp_path.iterdir()) == []

    def test_an_existing_file_is_kept(self, tmp_path):
        (tmp_path / "a.raw").write_bytes(b"mine")
        with pytest.raises(RecordingError, match="exists already"):
            write_raw(tmp_path / "a.raw", [(0, some_packet())])
        assert (tmp_path / "a.raw").read_bytes() == b"mine"
        with pytest.raises(RecordingError, match="cannot be written"):
            write_raw(tmp_path / "nowhere" / "a.raw", [(0, some_packet())])
