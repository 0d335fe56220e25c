import dataclasses
import functools
import os
import shutil
import sqlite3

import numpy as np
import pytest

from cs3d_ros.events.encoding import encode_events
from cs3d_ros.events.packets import PacketError
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import RecordingError, open_recording, write_recording
from cs3d_ros.recordings import convert as convert_module
from cs3d_ros.recordings.convert import convert
from cs3d_ros.recordings.labels import Label, read_labels
from cs3d_ros.recordings.summary import summarize
from recording_helpers import STAMP_NS, evt3_packet, some_events, write_bag
from recordings_data import DRAWN_FACE, recording_path

TURN_NS = (1 << 24) * 1000


def packets(path):
    with open_recording(path) as recording:
        return list(recording)


def fields(rows):
    return [
        (log_time_ns, *(bytes(v) if k == "payload" else v for k, v in as_dict(packet).items()))
        for log_time_ns, packet in rows
    ]


def as_dict(packet):
    return {f.name: getattr(packet, f.name) for f in dataclasses.fields(packet)}


@functools.cache
def sums(path):
    """What must not change on the way through other formats."""
    summary = summarize(path)
    return {
        name: getattr(summary, name)
        for name in (
            "width", "height", "events", "on", "sum_x", "sum_y", "sum_t_ns", "t_first_ns",
            "t_last_ns", "packets_lost", "resets", "bad_packets",
        )
    }  # fmt: skip


def mono_bag(path, *times_us):
    """A bag with one event a packet."""
    rows = []
    for i, time_us in enumerate(times_us):
        time_base, payload = encode_events("mono", some_events([time_us]))
        stamp_ns = STAMP_NS + 1000 * time_us
        rows.append(
            evt3_packet(payload, i, encoding="mono", time_base=time_base, stamp_ns=stamp_ns)
        )
    return write_bag(path, *rows)


def only(folder):
    return sorted(p.name for p in folder.iterdir())


class TestRoundTrips:
    @pytest.mark.parametrize("suffix", [".csv", ".npz", ".raw", ""])
    def test_all_formats_hold_the_same_events(self, tmp_path, suffix):
        there, back = tmp_path / f"there{suffix}", tmp_path / "back"
        convert(DRAWN_FACE, there)
        assert sums(there) == sums(DRAWN_FACE)
        conversion = convert(there, back)
        assert sums(back) == sums(DRAWN_FACE)
        assert conversion.encodings_out == ["evt3"]
        assert summarize(back).encoding == "evt3"

    def test_bag_to_bag_passes_packets_through(self, tmp_path):
        conversion = convert(recording_path("evt3"), tmp_path / "bag")
        assert fields(packets(tmp_path / "bag")) == fields(packets(recording_path("evt3")))
        assert (conversion.packets, conversion.events) == (105, 82_469)
        assert (conversion.encodings_in, conversion.encodings_out) == (["evt3"], ["evt3"])
        assert (conversion.triggers_lost, conversion.remarks()) == (0, [])
        assert conversion.bytes_in > 758_296
        assert conversion.bytes_out > 758_296

    def test_a_real_recording_goes_through_raw_word_by_word(self, tmp_path):
        convert(recording_path("evt3"), tmp_path / "x.raw")
        convert(tmp_path / "x.raw", tmp_path / "bag")
        payloads = [
            b"".join(bytes(p.payload) for _, p in packets(path))
            for path in (recording_path("evt3"), tmp_path / "x.raw", tmp_path / "bag")
        ]
        assert payloads[0] == payloads[1] == payloads[2]
        assert summarize(tmp_path / "bag").triggers == 2

    def test_times_since_1970_go_through_tables_unharmed(self, tmp_path):
        source = recording_path("libcaer_cmp")
        for suffix in (".csv", ".npz"):
            convert(source, tmp_path / f"x{suffix}")
            assert sums(tmp_path / f"x{suffix}") == sums(source)

    def test_evt3_keeps_times_modulo_its_clock(self, tmp_path):
        source = recording_path("libcaer_cmp")
        convert(source, tmp_path / "bag", encoding="evt3")
        before, after = summarize(source), summarize(tmp_path / "bag")
        assert after.t_first_ns == before.t_first_ns % TURN_NS
        assert before.sum_t_ns - after.sum_t_ns == before.events * (
            before.t_first_ns - after.t_first_ns
        )
        assert (after.events, after.on, after.sum_x, after.sum_y) == (
            before.events, before.on, before.sum_x, before.sum_y,
        )  # fmt: skip
        assert (after.stamp_first_ns, after.stamp_last_ns) == (
            before.stamp_first_ns,
            before.stamp_last_ns,
        )


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["evt2", "libcaer_cmp", "mono"])
    def test_another_encoding_says_the_same(self, tmp_path, encoding):
        conversion = convert(recording_path("evt3"), tmp_path / "bag", encoding=encoding)
        assert sums(tmp_path / "bag") == sums(recording_path("evt3"))
        rows = packets(tmp_path / "bag")
        assert {packet.encoding for _, packet in rows} == {encoding}
        original = packets(recording_path("evt3"))
        assert [(t, p.stamp_ns, p.seq, p.frame_id) for t, p in rows] == [
            (t, p.stamp_ns, p.seq, p.frame_id) for t, p in original
        ]
        assert conversion.encodings_out == [encoding]
        assert conversion.triggers_lost == 2
        assert "2 external triggers are lost" in conversion.remarks()[0]

    def test_packets_that_have_the_encoding_stay_as_they_are(self, tmp_path):
        conversion = convert(recording_path("evt3"), tmp_path / "bag", encoding="evt3")
        assert fields(packets(tmp_path / "bag")) == fields(packets(recording_path("evt3")))
        assert conversion.triggers_lost == 0

    def test_raw_takes_other_encodings_as_evt3(self, tmp_path):
        conversion = convert(recording_path("libcaer_cmp"), tmp_path / "x.raw")
        assert conversion.encodings_out == ["evt3"]
        assert summarize(tmp_path / "x.raw").events == 571_266

    def test_raw_keeps_its_encoding_where_it_is_asked_for(self, tmp_path):
        word = np.array([0x8 << 60, 5 << 43 | 3 << 32 | 1], "<u8").tobytes()
        bag = write_bag(tmp_path / "bag", evt3_packet(word, encoding="evt21"))
        for choice in (None, "evt21"):
            conversion = convert(bag, tmp_path / "x.raw", encoding=choice, overwrite=True)
            assert conversion.encodings_out == ["evt21"]
            assert summarize(tmp_path / "x.raw").encoding == "evt21"

    @pytest.mark.parametrize("target", ["x.raw", "back"])
    def test_a_silence_of_hours_keeps_its_length_in_evt2(self, tmp_path, target):
        """4 h 46 min is a turn of the clock."""
        bag = mono_bag(tmp_path / "bag", 1000, 19_000_000_000, 60_000_000_000)
        convert(bag, tmp_path / "x.npz")
        for source in (bag, tmp_path / "x.npz"):
            convert(source, tmp_path / target, encoding="evt2", overwrite=True)
            assert sums(tmp_path / target) == sums(bag)
            sums.cache_clear()

    def test_raw_can_be_evt2(self, tmp_path):
        convert(recording_path("evt3"), tmp_path / "x.raw", encoding="evt2")
        assert summarize(tmp_path / "x.raw").encoding == "evt2"
        assert sums(tmp_path / "x.raw") == sums(recording_path("evt3"))

    def test_mono_in_a_bag_stays_mono(self, tmp_path):
        convert(recording_path("mono"), tmp_path / "bag")
        assert fields(packets(tmp_path / "bag")) == fields(packets(recording_path("mono")))

    @pytest.mark.parametrize(("width", "encoding"), [(2048, "evt3"), (2049, "mono")])
    def test_tables_become_evt3_where_coordinates_fit(self, tmp_path, width, encoding):
        bag = write_bag(tmp_path / "bag", evt3_packet(some_events([5]), width=width))
        convert(bag, tmp_path / "x.npz")
        convert(tmp_path / "x.npz", tmp_path / "back")
        assert summarize(tmp_path / "back").encoding == encoding
        assert sums(tmp_path / "back") == sums(bag)

    def test_a_long_silence_keeps_its_length_in_evt3(self, tmp_path):
        """16.8 s is a turn of the clock."""
        bag = mono_bag(tmp_path / "bag", 1000, 60_000_000, 60_001_000)
        convert(bag, tmp_path / "x.csv")
        convert(tmp_path / "x.csv", tmp_path / "back")
        assert sums(tmp_path / "back") == sums(bag)


class TestContent:
    def test_late_and_bad_packets_pass_through_a_bag(self, tmp_path):
        rows = [
            evt3_packet(some_events([5]), 4),
            evt3_packet(some_events([1]), 3),
            evt3_packet(b"abc", 5, encoding="evt99"),
        ]
        bag = write_bag(tmp_path / "bag", *rows)
        conversion = convert(bag, tmp_path / "copy")
        assert fields(packets(tmp_path / "copy")) == fields(packets(bag))
        assert (conversion.packets, conversion.events, conversion.packets_left_out) == (3, 1, 0)
        (remark,) = conversion.remarks()
        assert "1 packets could not be decoded" in remark
        assert "evt99" in remark

    @pytest.mark.parametrize("target", ["x.raw", "x.csv", "x.npz", "bag2"])
    def test_late_and_bad_packets_are_left_out_elsewhere(self, tmp_path, target):
        rows = [
            evt3_packet(some_events([5000]), 4),
            evt3_packet(some_events([1]), 3),
            evt3_packet(b"abc", 5, encoding="evt99"),
            evt3_packet(some_events([6000]), 6),
        ]
        bag = write_bag(tmp_path / "bag", *rows)
        encoding = "mono" if target == "bag2" else None
        conversion = convert(bag, tmp_path / target, encoding=encoding)
        summary = summarize(tmp_path / target)
        assert (summary.events, summary.sum_t_ns) == (2, 11_000_000)
        assert (conversion.packets, conversion.packets_left_out) == (2, 2)
        assert any("2 late or undecodable packets" in r for r in conversion.remarks())
        assert any("1 packets are missing" in r for r in conversion.remarks()) == (
            target == "x.raw"
        )

    @pytest.mark.parametrize("target", ["x.raw", "x.csv", "bag2"])
    def test_nothing_decodable_is_an_error(self, tmp_path, target):
        bag = write_bag(tmp_path / "bag", evt3_packet(b"", encoding="evt99"))
        with pytest.raises(RecordingError, match="evt99"):
            convert(bag, tmp_path / target, encoding="mono" if target == "bag2" else None)
        assert only(tmp_path) == ["bag"]

    def test_labels_go_from_bag_to_bag(self, tmp_path):
        labels = [Label(STAMP_NS + i, STAMP_NS, STAMP_NS + i, "happy") for i in range(3)]
        rows = [(STAMP_NS + i, evt3_packet(some_events([5 + i]), i)) for i in range(3)]
        write_recording(tmp_path / "bag", rows, labels=labels)
        convert(tmp_path / "bag", tmp_path / "copy", encoding="mono")
        assert read_labels(tmp_path / "copy") == labels

    @pytest.mark.parametrize("name", ["x.raw", "x.csv", "x.npz"])
    def test_labels_are_lost_elsewhere(self, tmp_path, name):
        labels = [Label(STAMP_NS + i, STAMP_NS, STAMP_NS + i, "happy") for i in range(3)]
        rows = [(STAMP_NS, evt3_packet(some_events([5])))]
        write_recording(tmp_path / "bag", rows, labels=labels)
        conversion = convert(tmp_path / "bag", tmp_path / name)
        assert conversion.labels_lost == 3
        assert conversion.remarks() == ["3 labels are lost: only a bag can hold them"]

    @pytest.mark.parametrize(
        ("name", "encoding"), [("x.csv", None), ("x.npz", None), ("b", "mono")]
    )
    def test_what_the_decoder_drops_is_told(self, tmp_path, name, encoding):
        words = np.array([0x2001, 0x8000, 0x6001, 0x0003, 0x2005, 0x27FF, 0x27FE, 0x9999], "<u2")
        bag = write_bag(tmp_path / "bag", evt3_packet(words.tobytes() + b"\x00"))
        conversion = convert(bag, tmp_path / name, encoding=encoding)
        assert conversion.events == 1
        assert conversion.remarks() == [
            "2 events off the sensor are left out",
            "1 events before time and place were known are left out",
            "1 reserved words are left out",
            "1 stray bytes are left out",
        ]

    def test_events_at_jumps_of_the_clock_are_told(self, tmp_path):
        rows = [
            evt3_packet(some_events([5])),
            evt3_packet(some_events([6, 12_000_000]), 1),
            evt3_packet(some_events([7]), 2),
        ]
        bag = write_bag(tmp_path / "bag", *rows)
        conversion = convert(bag, tmp_path / "x.csv")
        assert (conversion.events, conversion.events_at_jumps) == (2, 2)
        assert "2 events at jumps of the clock are left out" in conversion.remarks()

    def test_what_stays_as_it_is_loses_nothing(self, tmp_path):
        words = np.array([0x2001, 0x8000, 0x6001, 0x0003, 0x27FF, 0x9999], "<u2")
        bag = write_bag(tmp_path / "bag", evt3_packet(words.tobytes()))
        for name in ("copy", "x.raw"):
            assert convert(bag, tmp_path / name).remarks() == []

    def test_losses_count_only_in_packets_that_are_encoded_anew(self, tmp_path):
        words = np.array([0x8000, 0x6001, 0x0003, 0x27FF], "<u2").tobytes()
        wide = np.uint64(1000 << 32 | 3 << 48 | 5000).tobytes()
        rows = [evt3_packet(words), evt3_packet(wide, 1, encoding="mono"), evt3_packet(words, 2)]
        bag = write_bag(tmp_path / "bag", *rows)
        assert convert(bag, tmp_path / "evt3", encoding="evt3").events_out_of_bounds == 1
        assert convert(bag, tmp_path / "mono", encoding="mono").events_out_of_bounds == 2

    @pytest.mark.parametrize(("encoding", "cut"), [("evt2", 2), ("libcaer_cmp", 2), ("mono", 0)])
    def test_times_cut_to_microseconds_are_told(self, tmp_path, encoding, cut):
        times_ns = np.array([1000, 2001, 3000, 4999], np.int64)
        events = dataclasses.replace(some_events([0] * 4), t_ns=times_ns)
        time_base, payload = encode_events("mono", events)
        bag = write_bag(
            tmp_path / "bag", evt3_packet(payload, encoding="mono", time_base=time_base)
        )
        conversion = convert(bag, tmp_path / "copy", encoding=encoding)
        assert conversion.times_cut == cut
        assert [("2 events are cut to µs" in r) for r in conversion.remarks()] == [True] * (
            cut // 2
        )

    def test_triggers_are_lost_in_tables(self, tmp_path):
        conversion = convert(recording_path("evt3"), tmp_path / "x.npz")
        assert conversion.triggers_lost == 2
        assert conversion.encodings_out == []

    def test_stretches_are_told_where_there_is_one_clock(self, tmp_path):
        stretch = [some_events([5000, 6000]), some_events([7000, 9000])]
        rows = [evt3_packet(stretch[i % 2], i % 2, stamp_ns=STAMP_NS + i) for i in range(4)]
        bag = write_bag(tmp_path / "bag", *rows)
        assert convert(bag, tmp_path / "copy").remarks() == []
        (remark,) = convert(bag, tmp_path / "x.raw").remarks()
        assert "starts over 1 times; in the output times of different stretches cannot" in remark
        (remark,) = convert(bag, tmp_path / "x.csv").remarks()
        assert "starts over 1 times; in the output times go on from the last" in remark

    def test_memory_does_not_grow_with_the_recording(self, tmp_path, monkeypatch):
        """Each packet is written before the next one is read."""
        alive = []

        def spy(path, rows, **_):
            for row in rows:
                alive.append(row)
                assert len(alive) == len(read)
            path.mkdir()

        read = []

        class Source:
            topic = "/x"

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def __iter__(self):
                for i in range(5):
                    read.append(i)
                    yield i, evt3_packet(some_events([i]), i)

        monkeypatch.setattr(convert_module, "write_recording", spy)
        monkeypatch.setattr(convert_module, "open_recording", lambda *_: Source())
        monkeypatch.setattr(convert_module, "has_labels", lambda _: False)
        (tmp_path / "in").touch()
        convert(tmp_path / "in", tmp_path / "out")
        assert len(alive) == 5


class TestOutput:
    @pytest.fixture
    def small(self, tmp_path_factory):
        """A bag with one packet of two events."""
        return write_bag(
            tmp_path_factory.mktemp("source") / "bag", evt3_packet(some_events([5, 6]))
        )

    def test_an_existing_output_is_refused_before_reading(self, tmp_path, small):
        for name in ("x.csv", "bag"):
            path = tmp_path / name
            path.touch()
            with pytest.raises(RecordingError, match=r"exists already.*--overwrite"):
                convert(small, path)
            assert path.read_bytes() == b""

    def test_a_dangling_link_exists_too(self, tmp_path, small):
        (tmp_path / "x.csv").symlink_to(tmp_path / "nowhere")
        with pytest.raises(RecordingError, match="exists already"):
            convert(small, tmp_path / "x.csv")

    @pytest.mark.parametrize("name", ["x.csv", "x.raw", "x.npz", "bag"])
    def test_overwriting_replaces(self, tmp_path, small, name):
        path = tmp_path / name
        source = write_bag(tmp_path / "source", evt3_packet(some_events([5])))
        convert(small, path)
        assert summarize(path).events == 2
        convert(source, path, overwrite=True)
        assert summarize(path).events == 1
        assert only(tmp_path) == sorted(["source", name])

    def test_the_source_is_not_replaced(self, tmp_path):
        bag = write_bag(tmp_path / "bag", evt3_packet(some_events([5])))
        for source in (bag, bag / "bag.mcap"):
            with pytest.raises(RecordingError, match="what is to be read"):
                convert(source, bag, overwrite=True)
        assert summarize(bag).events == 1

    @pytest.mark.parametrize("name", ["bag/x.csv", "bag/sub"])
    def test_nothing_is_written_into_the_source(self, tmp_path, name):
        bag = write_bag(tmp_path / "bag", evt3_packet(some_events([5])))
        with pytest.raises(RecordingError, match="lies within what is to be read"):
            convert(bag, tmp_path / name, overwrite=True)
        assert only(bag) == ["bag.mcap", "metadata.yaml"]

    def test_errors_name_what_the_user_gave(self, tmp_path, small):
        rows = [evt3_packet(some_events([5]), 0), evt3_packet(some_events([6]), 1, width=32)]
        bag = write_bag(tmp_path / "bag", *rows)
        for name in ("x.raw", "x.csv", "x.npz"):
            with pytest.raises(RecordingError) as error:
                convert(bag, tmp_path / name)
            assert str(error.value).startswith(f"{tmp_path / name}: ")
            assert "/new/" not in str(error.value)

    @pytest.mark.parametrize("name", ["x.csv", "x.npz", "x.raw", "bag"])
    def test_a_source_without_packets_is_refused(self, tmp_path, name):
        path = tmp_path / "empty.raw"
        path.write_bytes(b"% format EVT3;height=48;width=64\n% end\n")
        with pytest.raises(RecordingError, match="no packets to"):
            convert(path, tmp_path / name)
        assert only(tmp_path) == ["empty.raw"]

    def test_home_folders_are_known(self, tmp_path, small, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        convert(small, "~/x.raw")
        convert("~/x.raw", "~/bag")
        assert only(tmp_path) == ["bag", "x.raw"]
        for paths in (("~nobody_here/x.raw", "x.csv"), ("~/x.raw", "~nobody_here/x.csv")):
            with pytest.raises(RecordingError, match="no home folder"):
                convert(*paths)

    def test_a_failure_leaves_nothing_behind(self, tmp_path):
        path = tmp_path / "damaged.db3"
        shutil.copyfile(recording_path("evt3/test_data_evt3_trigger_0.db3"), path)
        with sqlite3.connect(path) as database:
            database.execute("UPDATE messages SET data = x'00010000ff' WHERE id = 51")
        database.close()
        for name in ("x.csv", "x.raw", "x.npz", "bag"):
            with pytest.raises(RecordingError, match="damaged"):
                convert(path, tmp_path / name)
            (tmp_path / "old.csv").write_text("old")
            with pytest.raises(RecordingError, match="damaged"):
                convert(path, tmp_path / "old.csv", overwrite=True)
            assert (tmp_path / "old.csv").read_text() == "old"
            assert only(tmp_path) == ["damaged.db3", "old.csv"]

    def test_a_slash_at_the_end_makes_a_bag(self, tmp_path, small):
        convert(small, f"{tmp_path}/run.2024/")
        assert only(tmp_path / "run.2024") == ["metadata.yaml", "run.2024.mcap"]

    def test_the_bag_names_its_own_file(self, tmp_path, small):
        convert(small, tmp_path / "bag", out_topic="/cam_2/events")
        assert only(tmp_path / "bag") == ["bag.mcap", "metadata.yaml"]
        assert "bag.mcap" in (tmp_path / "bag" / "metadata.yaml").read_text()
        with open_recording(tmp_path / "bag") as recording:
            assert recording.topics == ("/cam_2/events",)

    def test_others_may_read_the_output(self, tmp_path, small):
        before = os.umask(0o022)
        try:
            convert(small, tmp_path / "bag")
            convert(small, tmp_path / "x.raw")
        finally:
            os.umask(before)
        assert (tmp_path / "bag").stat().st_mode & 0o777 == 0o755
        assert (tmp_path / "x.raw").stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize(
        ("target", "choices", "message"),
        [
            ("x.mcap", {}, "leave the suffix '.mcap' out"),
            ("x.jpg", {}, r"cannot write '.jpg', expected .raw, .csv or .npz"),
            ("nowhere/x.csv", {}, "the folder .*nowhere does not exist"),
            ("bag", {"out_topic": "events"}, "'events' is not the name of a topic"),
            ("bag", {"out_topic": "/a b"}, "'/a b' is not the name of a topic"),
            ("bag", {"topic": "/nope"}, "'/nope'"),
            ("bag", {"encoding": "evt99"}, "as 'evt99' for a bag, expected one of: evt2, .*mono$"),
            ("x.raw", {"encoding": "mono"}, "as 'mono' for .raw, expected one of: evt2, evt3$"),
            ("x.raw", {"encoding": "evt21"}, "as 'evt21' for .raw, expected one of: evt2, evt3$"),
            ("x.csv", {"encoding": "evt3"}, "leave the encoding 'evt3' out"),
        ],
    )
    def test_impossible_choices_are_refused(self, tmp_path, small, target, choices, message):
        with pytest.raises((RecordingError, PacketError), match=message):
            convert(small, tmp_path / target, **choices)
        assert only(tmp_path) == []

    def test_events_that_do_not_fit_are_refused(self, tmp_path):
        (tmp_path / "x").mkdir()
        events = some_events([5], x=3000)
        time_base = 0
        payload = np.uint64(3000 << 32 | 3 << 48 | 5000).tobytes()
        assert len(EventStream().feed(_mono(payload, time_base))) == len(events)
        bag = write_bag(tmp_path / "bag", _mono(payload, time_base))
        for target in ("copy", "x.raw"):
            with pytest.raises(PacketError, match="coordinates up to 2047"):
                convert(bag, tmp_path / target, encoding="evt3")
        assert only(tmp_path) == ["bag", "x"]


def _mono(payload, time_base):
    return evt3_packet(payload, width=4000, encoding="mono", time_base=time_base)
