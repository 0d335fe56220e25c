"""Text tables of events, read and written."""

import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.recordings import RecordingError, open_recording, tables, write_csv, write_recording
from recording_checks import read_all, rows, some_packet
from recording_helpers import evt3_packet, some_events
from recordings_data import recording_path


def table(tmp_path, text, name="events.csv"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


EXPECTED = [(1_000_000, 5, 7, 1), (2_000_000, 6, 8, 0), (3_000_000, 639, 0, 1)]


class TestLayouts:
    @pytest.mark.parametrize(
        "text",
        [
            "5,7,1000,1\n6,8,2000,0\n639,0,3000,1\n",
            "x,y,t,p\n5,7,1000,1\n6,8,2000,0\n639,0,3000,1",
            "t,p,y,x\r\n1000,1,7,5\r\n2000,0,8,6\r\n3000,1,0,639\r\n",
            "polarity timestamp x y\n1 1000 5 7\n-1 2000 6 8\n1 3000 639 0\n",
            "# made by hand\n\n5\t7\t1000\t1\n  # between\n6, 8, 2000, -1\n\n 639 ,0 ,3000 , +1 \n",
            '"X","Y","Time","P"\n5,7,1000,1\n6,8,2000,0\n639,0,3000,1\n',
            "\ufeffx,y,t,p\n5,7,1000,1\n6,8,2000,0\n639,0,3000,1\n",
            "\ufeff5,7,1000,1\n6,8,2000,0\n639,0,3000,1\n",
            "# t x y p\n1000 5 7 1\n2000 6 8 0\n3000 639 0 1\n",
            "id,x,y,t,p,note\n1,5,7,1000,1,a\n2,6,8,2000,0,\n3,639,0,3000,1,c.d\n",
            "x,y,t,p\n5,7,0.001,1\n6,8,0.002,0\n639,0,3e-3,1\n",
            "x,y,t_s,p\n5,7,.001,1\n6,8,2.0e-03,0\n639,0,0.003,1\n",
            "x,y,t_ms,p\n5,7,1,1\n6,8,2,0\n639,0,3,1\n",
            "x,y,t_us,p\n5,7,1000.0,1\n6,8,2e3,0\n639,0,3000,1\n",
            "x,y,timestamp_ns,p\n5,7,1000000,1\n6,8,2000000,0\n639,0,3000000,1\n",
            "t;x;y;p\n1000;5;7;1\n2000;6;8;0\n3000;639;0;1\n",
            "5;7;1000;1\n6;8;2000;0\n639 ; 0 ; 3000 ; 1\n",
            ",x,y,t,p\n0,5,7,1000,1\n1,6,8,2000,0\n2,639,0,3000,1\n",
            "Unnamed: 0,x,y,t,p\n0,5,7,1000,1\n1,6,8,2000,0\n2,639,0,3000,1\n",
            "x,y,t,p,\n5,7,1000,1,\n6,8,2000,0,\n639,0,3000,1,\n",
            "time (us), x, y, polarity\n1000, 5, 7, 1\n2000, 6, 8, 0\n3000, 639, 0, 1\n",
            "t[µs],x,y,pol\n1000.0,5,7,1\n2000.0,6,8,0\n3000.0,639,0,1\n",
            "Timestamp [ms];x;y;p\n1;5;7;1\n2;6;8;0\n3;639;0;1\n",
            "ts,xs,ys,ps\n1000,5,7,1\n2000,6,8,0\n3000,639,0,1\n",
            "5,7,1,1000\n6,8,0,2000\n639,0,1,3000\n",
            "% x,y,p,t\n5,7,1,1000\n% between\n6,8,0,2000\n639,0,1,3000\n",
            "5.000000000000000000e+00,7.0,1.000000000000000000e-03,1.0e0\n"
            "6.000000000000000000e+00,8.0,2.000000000000000000e-03,0.0e0\n"
            "6.390000000000000000e+02,0.0,3.000000000000000000e-03,1.0e0\n",
        ],
    )  # fmt: skip
    def test_one_event_a_line(self, tmp_path, text):
        assert rows(table(tmp_path, text)) == EXPECTED

    def test_a_txt_file_without_names_is_that_of_the_datasets(self, tmp_path):
        text = "0.001000000 5 7 1\n0.002000000 6 8 0\n0.003000000 639 0 1\n"
        assert rows(table(tmp_path, text, "events.txt")) == EXPECTED

    def test_the_order_without_names_is_told_by_polarities_in_the_first_lines(self, tmp_path):
        polarities = "1,2,0,1\n3,4,1,0\n"
        assert rows(table(tmp_path, polarities)) == [(0, 1, 2, 1), (1000, 3, 4, 0)]
        assert rows(table(tmp_path, polarities + "5,6,1,7\n")) == [
            (0, 3, 4, 1), (1000, 1, 2, 0), (7000, 5, 6, 1),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "order"),
        [
            ("1,2,5,1\n1,2,5,7\n", "x, y, t, p"),
            ("0,639,479,45,0\n1,20,224,96,1\n", "x, y, t, p"),
            ("1,2,1,5\n1,2,7,5\n", "x, y, t, p"),
            ("1,2,1,5\n1,2,nan,5\n", "x, y, t, p"),
            ("639,479,0,45\n20,224,1,-1\n", "x, y, p, t"),
        ],
    )
    def test_errors_without_names_tell_the_order_that_was_taken(self, tmp_path, text, order):
        error = read_all(table(tmp_path, text))
        assert str(error).endswith(f"(no line names the columns; taken as {order})")
        assert "no line names" not in str(read_all(table(tmp_path, f"x,y,t,p\n{text},")))

    def test_a_txt_file_with_names_goes_by_them(self, tmp_path):
        text = "x y t_us p\n5 7 1000 1\n6 8 2000 0\n639 0 3000 1\n"
        assert rows(table(tmp_path, text, "events.txt")) == EXPECTED

    def test_a_txt_file_of_whole_numbers_without_names_is_refused(self, tmp_path):
        error = read_all(table(tmp_path, "# hm\n1000 5 7 1\n", "events.txt"))
        assert "line 2: t = '1000', expected t x y p with t in seconds" in str(error)

    @pytest.mark.parametrize(
        ("cell", "t_ns"),
        [
            ("1700000000.123456789", 1_700_000_000_123_456_789),
            ("0.1234567894", 123_456_789),
            ("0.1234567895", 123_456_790),
            ("1.5e-9", 2),
            ("00000000000000000000000000012.5", 12_500_000_000),
            ("0.00000000000000000000000000001", 0),
            ("2147483640.999999999", 2_147_483_640_999_999_999),
            ("0e99999999999999999999", 0),
        ],
    )
    def test_times_are_exact_to_the_ns(self, tmp_path, cell, t_ns):
        assert rows(table(tmp_path, f"x,y,t_s,p\n1,2,{cell},1\n")) == [(t_ns, 1, 2, 1)]

    def test_the_unit_is_seconds_if_the_first_time_has_a_fraction(self, tmp_path):
        found = rows(table(tmp_path, "1,2,0.0,1\n1,2,0.5,1\n1,2,3,1\n"))
        assert [t for t, *_ in found] == [0, 500_000_000, 3_000_000_000]
        assert [t for t, *_ in rows(table(tmp_path, "1,2,0.0,1\n1,2,0.0,1\n"))] == [0, 0]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.csv", "t,x,y,p\n45.0,639,479,0\n96.0,20,224,1\n"),
            ("a.csv", "t,x,y,p\n0.0,639,479,0\n96.0,20,224,1\n"),
            ("a.csv", "x,y,t,p\n1,2,1.700000000000045000e+15,1\n1,2,1.700000000000096000e+15,1\n"),
            ("a.csv", "6.39e+02 4.79e+02 4.5e+01 0.0e+00\n2.0e+01 2.24e+02 9.6e+01 1.0e+00\n"),
            ("a.txt", "4.5e+01 639 479 0\n9.6e+01 20 224 1\n"),
        ],
    )
    def test_whole_times_with_a_decimal_point_may_be_seconds_or_us(self, tmp_path, name, text):
        error = read_all(table(tmp_path, text, name))
        assert "seconds or µs? Say it by a first line that names the column t_s or t_us" in str(
            error
        )

    def test_a_time_out_of_range_tells_the_unit(self, tmp_path):
        error = read_all(table(tmp_path, "x,y,t,p\n1,2,0.5,1\n1,2,1.7e15,1\n"))
        assert (
            "line 3: '1.7e15', expected a time from 0 to 2147483647999999999 ns, with t in s"
            in (str(error))
        )

    def test_a_fraction_after_a_whole_time_is_refused(self, tmp_path):
        error = read_all(table(tmp_path, "x,y,t,p\n1,2,0,1\n1,2,0.5,1\n"))
        assert "line 3: '0.5', expected whole µs, as in the first line" in str(error)
        assert len(rows(table(tmp_path, "1,2,0,1\n1,2,5.0,1\n"))) == 2


class TestSize:
    @pytest.mark.parametrize(
        "text",
        ["# width=640 height=480\n1,2,3,1\n", "# height: 480, Width = 640\nx,y,t,p\n1,2,3,1\n",
         "# width=640\n# height=480\n1,2,3,1\n", "%geometry:640,480\n1,2,1,3\n"],
    )  # fmt: skip
    def test_a_comment_tells_it(self, tmp_path, caplog, text):
        with open_recording(table(tmp_path, text)) as recording:
            ((log_time_ns, packet),) = recording
        assert (packet.width, packet.height, packet.encoding) == (640, 480, "mono")
        assert log_time_ns == packet.stamp_ns == 4_096_000
        assert caplog.text == ""

    def test_a_txt_file_may_begin_with_it(self, tmp_path, caplog):
        path = table(tmp_path, "640 480\n0.001000000 5 7 1\n0.002000000 6 8 0\n", "events.txt")
        with open_recording(path) as recording:
            ((_, packet),) = recording
        assert (packet.width, packet.height) == (640, 480)
        assert rows(path) == [(1_000_000, 5, 7, 1), (2_000_000, 6, 8, 0)]
        assert caplog.text == ""

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("a.csv", "640,480\n1,2,3,1\n"),
            ("a.txt", "0.5 480\n0.1 2 3 1\n"),
            ("a.txt", "640 480\n640 480\n0.1 2 3 1\n"),
        ],
    )
    def test_other_lines_of_two_numbers_are_no_size(self, tmp_path, name, text):
        assert read_all(table(tmp_path, text, name)) is not None

    def test_otherwise_the_events_do(self, tmp_path, caplog):
        path = table(tmp_path, "303,0,1,1\n0,239,2,1\n")
        with open_recording(path) as recording:
            ((_, packet),) = recording
        assert (packet.width, packet.height) == (304, 240)
        assert "the sensor's size is taken as 304x240, by the events" in caplog.text

    @pytest.mark.parametrize("text", ["", "\n\n", "# only this\n", "x,y,t,p\n", "# width=640\n"])
    def test_without_size_and_events_it_is_refused(self, tmp_path, text):
        for name in ("events.csv", "events.txt"):
            error = read_all(table(tmp_path, text, name))
            assert "neither events nor the sensor's size" in str(error)

    def test_a_size_and_no_events_are_no_packets(self, tmp_path):
        assert rows(table(tmp_path, "# width=640 height=480\nx,y,t,p\n")) == []

    def test_one_that_no_sensor_has_is_refused(self, tmp_path):
        error = read_all(table(tmp_path, "# width=99999 height=480\n1,2,3,1\n"))
        assert "a sensor of 99999x480 pixels" in str(error)


class TestRefusals:
    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("1,2,x,1", "line 2: 'x', expected a number"),
            ("1,2,,1", "line 2: '', expected a number"),
            ("1,2,nan,1", "line 2: 'nan', expected a number"),
            ("1,2,inf,1", "line 2: 'inf', expected a number"),
            ("1,2,5e,1", "line 2: '5e', expected a number"),
            ("1,2,-,1", "line 2: '-', expected a number"),
            ("1,2,5s,1", "line 2: '5s', expected a number"),
            ("1,2,0x5,1", "line 2: '0x5', expected a number"),
            ("1:2:5:1", "line 2: '1:2:5:1', expected a number"),
            ("1;2;0,1;1", "line 2: '1;2;0,1;1', expected 4 columns"),
            ("1,2,5", "line 2: '1,2,5', expected 4 columns"),
            ("1,2,5,1,9", "line 2: '1,2,5,1,9', expected 4 columns"),
            ("1,2,5,1,", "line 2: '1,2,5,1,', expected 4 columns"),
            ("-1,2,5,1", "line 2: '-1', expected a whole coordinate"),
            ("1,2.5,5,1", "line 2: '2.5', expected a whole coordinate"),
            ("65536,2,5,1", "line 2: '65536', expected a whole coordinate"),
            ("1,8192,5,1", "line 2: '8192', expected a whole coordinate"),
            ("1,1e99,5,1", "line 2: '1e99', expected a whole coordinate"),
            ("1,2,5,2", "line 2: '2', expected a polarity"),
            ("1,2,5,0.5", "line 2: '0.5', expected a polarity"),
            ("1,2,-5,1", "line 2: '-5', expected a time from 0"),
            ("1,2,1e30,1", "line 2: '1e30', expected a time from 0"),
            ("1,2,99999999999999999999999,1", "expected a time from 0"),
            ("1,2,2147483648000000,1", "expected a time from 0"),
        ],
    )
    def test_a_bad_line_is_told_after_the_events_before(self, tmp_path, line, message):
        assert message in str(read_all(table(tmp_path, f"x,y,t_us,p\n{line}\n1,2,9,1\n")))
        path = table(tmp_path, f"x,y,t_us,p\n# width=640 height=480\n1,2,3,1\n{line}\n")
        with open_recording(path) as recording:
            entries = iter(recording)
            assert len(next(entries)[1].payload) == 8
            with pytest.raises(RecordingError, match="line 4"):
                next(entries)

    @pytest.mark.parametrize(
        "names",
        ["x,y,t", "a,b,c,d", "x,y,t,timestamp,p", "x,x,y,t,p", "x y t r q"],
    )
    def test_missing_or_doubled_columns_are_told(self, tmp_path, names):
        error = read_all(table(tmp_path, f"{names}\n1,2,3,4\n"))
        assert "expected one each of x, y, t" in str(error)

    def test_small_disorder_is_put_in_order(self, tmp_path):
        found = rows(table(tmp_path, "1,1,5000,1\n2,1,4000,1\n3,1,4500,1\n"))
        assert [x for _, x, _, _ in found] == [2, 3, 1]

    def test_gross_disorder_is_refused_with_its_line(self, tmp_path):
        error = read_all(table(tmp_path, "# c\n1,1,5000,1\n\n1,1,3999,1\n"))
        assert "line 4: '3999'" in str(error)
        assert "sort the events by time" in str(error)

    def test_an_endless_line_does_not_fill_the_memory(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tables, "_BLOCK_BYTES", 1 << 10)
        path = table(tmp_path, "# width=6 height=4\n1,2,3,1" + " " * 100_000)
        assert "a line of more than 65536 bytes" in str(read_all(path))

    def test_a_folder_is_no_table(self, tmp_path):
        (tmp_path / "folder.csv").mkdir()
        assert "not a rosbag2 recording" in str(read_all(tmp_path / "folder.csv"))

    @settings(deadline=None, max_examples=150)
    @given(
        st.sampled_from(["", "x,y,t,p\n", "# width=9 height=9\nx,y,t_s,p\n", "1,2,3,1\n"]),
        st.one_of(st.text(alphabet="0123456789.,-+eE# \n\tx", max_size=200), st.text(max_size=100)),
        st.sampled_from(["events.csv", "events.txt"]),
    )
    def test_arbitrary_text_raises_nothing_else(self, tmp_path_factory, begin, text, name):
        folder = tmp_path_factory.mktemp("table")
        read_all(table(folder, begin.encode() + text.encode("utf-8", "surrogatepass"), name))
        shutil.rmtree(folder)

    @settings(deadline=None, max_examples=60)
    @given(st.binary(max_size=200))
    def test_arbitrary_bytes_raise_nothing_else(self, tmp_path_factory, content):
        folder = tmp_path_factory.mktemp("table")
        read_all(table(folder, b"x,y,t,p\n" + content))
        shutil.rmtree(folder)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
def test_the_size_of_the_blocks_does_not_matter(tmp_path, monkeypatch, block):
    rng = np.random.default_rng(2)
    times = np.sort(rng.integers(0, 100_000, 500))
    lines = [f"{i % 640},{i % 480},{t},{i % 2}" for i, t in enumerate(times)]
    lines.insert(100, "# a comment")
    lines.insert(200, "")
    path = table(tmp_path, "\n".join(lines))
    expected = rows(path)
    assert len(expected) == 500
    assert [t // 1000 for t, *_ in expected] == times.tolist()
    monkeypatch.setattr(tables, "_BLOCK_BYTES", block)
    assert rows(path) == expected


class TestWriting:
    def test_it_is_a_table_with_size_and_names(self, tmp_path):
        events = some_events([1000, 1007], x=[5, 6], y=[7, 8], p=[1, 0])
        write_csv(tmp_path / "a.csv", [(0, evt3_packet(events))])
        assert (tmp_path / "a.csv").read_text() == (
            "# width=64 height=48\nx,y,t_ns,p\n5,7,1000000,1\n6,8,1007000,0\n"
        )

    def test_a_real_recording_comes_back_event_by_event(self, tmp_path, monkeypatch):
        monkeypatch.setattr(tables, "_WRITTEN_ROWS", 1000)
        with open_recording(recording_path("evt3")) as recording:
            write_csv(tmp_path / "real.csv", recording)
        found = np.array(rows(tmp_path / "real.csv"))
        assert len(found) == 82_469
        assert found.sum(axis=0).tolist() == [
            1_222_326_831_810_000, 42_078_718, 31_656_267, 41_439,
        ]  # fmt: skip
        original = np.array(rows(recording_path("evt3")))
        assert np.array_equal(found, original[np.argsort(original[:, 0], kind="stable")])

    def test_a_table_can_be_copied_to_a_bag_and_back(self, tmp_path):
        path = table(tmp_path, "# width=9 height=9\n5,7,1000,1\n6,8,9000,0\n")
        with open_recording(path) as recording:
            write_recording(tmp_path / "bag", recording)
        with open_recording(tmp_path / "bag") as recording:
            write_csv(tmp_path / "b.csv", recording)
        assert (
            rows(tmp_path / "b.csv") == rows(path) == [(1_000_000, 5, 7, 1), (9_000_000, 6, 8, 0)]
        )

    def test_a_stream_that_starts_over_goes_on_in_time(self, tmp_path):
        packets = [
            evt3_packet(some_events([9000, 9500]), 0),
            evt3_packet(some_events([100, 300]), 1, stamp_ns=1),
        ]
        write_csv(tmp_path / "a.csv", enumerate(packets))
        assert [t // 1000 for t, *_ in rows(tmp_path / "a.csv")] == [9000, 9500, 9500, 9700]

    def test_undecodable_packets_are_left_out_with_a_warning(self, tmp_path, caplog):
        packets = [evt3_packet(some_events([5])), some_packet(1, encoding="unheard of")]
        write_csv(tmp_path / "a.csv", enumerate(packets))
        assert len(rows(tmp_path / "a.csv")) == 1
        assert "without 1 packets that could not be decoded" in caplog.text

    @pytest.mark.parametrize(
        ("packets", "message"),
        [
            ([some_packet(encoding="unheard of")], "none of the 1 packets could be decoded"),
            ([some_packet(), some_packet(1, width=9)], "packet 1 is of a sensor with 9x480 pixels"),
        ],
    )
    def test_what_cannot_be_written_leaves_no_file(self, tmp_path, packets, message):
        with pytest.raises(RecordingError, match=message):
            write_csv(tmp_path / "a.csv", enumerate(packets))
        assert list(tmp_path.iterdir()) == []

    def test_no_packets_make_a_table_without_lines(self, tmp_path):
        write_csv(tmp_path / "a.csv", [])
        assert (tmp_path / "a.csv").read_text() == "x,y,t_ns,p\n"

    def test_an_existing_file_is_kept(self, tmp_path):
        path = table(tmp_path, "mine")
        with pytest.raises(RecordingError, match="exists already"):
            write_csv(path, [])
        assert path.read_text() == "mine"
