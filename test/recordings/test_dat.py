"""Prophesee's .dat files, made by hand."""

import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.events.packets import MAX_SENSOR_SIDE
from cs3d_ros.recordings import RecordingError, dat, open_recording
from recording_checks import read_all, rows

# As OpenEB's C++ writes it, and as its Python does, without an end line.
HEADER = b"% Date 2021-2-3 4:5:6\n% Height 480\n% Version 2\n% Width 640\n% end\n\x0c\x08"
PYTHON_HEADER = (
    b"% Data file containing Event2D events.\n% Version 2\n% Date 2021-02-03 04:05:06\n"
    b"% Height 480\n% Width 640\n\x00\x08"
)
DATE_NS = int(
    datetime.datetime(2021, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc).timestamp() * 1e9
)


def words(events):
    """(t_us, x, y, p) as the two words of each event."""
    pairs = [(t, x | y << 14 | p << 28) for t, x, y, p in events]
    return np.array(pairs, "<u4").tobytes()


def dat_file(tmp_path, body, header=HEADER):
    path = tmp_path / "events.dat"
    path.write_bytes(header + body)
    return path


@pytest.mark.parametrize("header", [HEADER, PYTHON_HEADER], ids=["C++", "Python"])
def test_both_kinds_of_headers_are_understood(tmp_path, header):
    body = words([(3788, 283, 116, 0), (3791, 271, 158, 1)])
    path = dat_file(tmp_path, body, header)
    assert rows(path) == [(3_788_000, 283, 116, 0), (3_791_000, 271, 158, 1)]
    with open_recording(path) as recording:
        assert (recording.topic, recording.topics) == ("", ())
        ((log_time_ns, packet),) = recording
    assert (packet.width, packet.height, packet.encoding) == (640, 480, "mono")
    assert packet.stamp_ns == log_time_ns == DATE_NS + 4_096_000


def test_the_bytes_are_where_the_format_has_them(tmp_path):
    body = bytes.fromhex("01000000 ff3f0100 02000000 00c0ff1f".replace(" ", ""))
    side = str(MAX_SENSOR_SIDE).encode()
    header = HEADER.replace(b"640", side).replace(b"480", side)
    # x = 16383 is off every sensor; the other event has y = 0x7fff & 0x3fff, also off.
    assert rows(dat_file(tmp_path, body, header)) == []
    body = bytes.fromhex("01000000 05400100 02000000 06800010".replace(" ", ""))
    assert rows(dat_file(tmp_path, body)) == [(1000, 5, 5, 0), (2000, 6, 2, 1)]


def test_times_go_on_over_rollovers(tmp_path, monkeypatch):
    times = [2**32 - 5000, 2**32 - 1, 3, 2, 2**31, 2**32 - 1, 7000]
    path = dat_file(tmp_path, words([(t, 1, 1, 1) for t in times]))
    turn = 2**32
    expected = [
        turn - 5000,
        turn - 1,
        turn + 2,
        turn + 3,
        turn + 2**31,
        2 * turn - 1,
        2 * turn + 7000,
    ]
    assert [t // 1000 for t, *_ in rows(path)] == expected
    monkeypatch.setattr(dat, "_BLOCK_BYTES", 8)
    assert [t // 1000 for t, *_ in rows(path)] == expected


def test_a_size_that_the_header_lacks_is_found_by_the_events(tmp_path, caplog):
    body = words([(1, 5, 7, 1), (2, 303, 0, 0), (3, 0, 239, 0)])
    path = dat_file(tmp_path, body, b"% Version 2\n% Width x\n\x0c\x08")
    with open_recording(path) as recording:
        ((_, packet),) = recording
    assert (packet.width, packet.height) == (304, 240)
    assert (
        "without header lines such as `% Width 640` and `% Height 480`, the sensor's size is taken"
        in caplog.text
    )
    assert len(rows(path)) == 3


def test_without_size_and_events_it_is_refused(tmp_path):
    error = read_all(dat_file(tmp_path, b"", b"% Version 2\n\x0c\x08"))
    assert "neither events nor the sensor's size" in str(error)


def test_a_size_and_no_events_are_no_packets(tmp_path):
    assert rows(dat_file(tmp_path, b"")) == []


def test_a_file_that_ends_within_an_event_is_read_up_to_there(tmp_path, caplog):
    path = dat_file(tmp_path, words([(1, 5, 7, 1), (2, 6, 8, 0)])[:-3])
    assert rows(path) == [(1000, 5, 7, 1)]
    assert "its 5 bytes are left" in caplog.text


def test_events_off_the_declared_sensor_are_dropped_by_the_decoder(tmp_path):
    path = dat_file(tmp_path, words([(1, 640, 0, 1), (2, 5, 480, 1), (3, 639, 479, 1)]))
    assert rows(path) == [(3000, 639, 479, 1)]


def test_unsorted_events_are_one_clear_error(tmp_path):
    error = read_all(dat_file(tmp_path, words([(9000, 1, 1, 1), (1000, 1, 1, 1)])))
    assert "event 2" in str(error)
    assert "sort the events by time" in str(error)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"", "not a .dat file"),
        (b"\x0c\x08", "not a .dat file"),
        (b"% Version 1\n% Width 304\n% Height 240\n\x00\x08", "of version '1', expected 2"),
        (b"% Version 2\n", "ends after its header"),
        (b"% Version 2\n\x0c", "ends after its header"),
        (b"% Version 2\n\x0e\x08", "external triggers.*_cd.dat"),
        (b"% Version 2\n\x28\x28", "events of kind 40 with 40 bytes"),
        (b"% Version 2\n\x0c\x10", "events of kind 12 with 16 bytes"),
        (b"% Width 0\n% Height 9\n\x0c\x08", "a sensor of 0x9 pixels"),
        (b"% Width 99999999999\n% Height 9\n\x0c\x08", "a sensor of 999999999x9 pixels"),
        (b"% key value\n" * 100_000, "a header of more than"),
    ],
)
def test_unusable_headers_are_refused(tmp_path, header, message):
    with pytest.raises(RecordingError, match=message):
        open_recording(dat_file(tmp_path, b"", header))


def test_a_derived_size_beyond_every_sensor_is_refused(tmp_path):
    body = words([(1, 16_000, 7, 1)])
    with pytest.raises(RecordingError, match="a sensor of 16001x8 pixels"):
        open_recording(dat_file(tmp_path, body, b"% Version 2\n\x0c\x08"))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([HEADER, b"% Version 2\n\x0c\x08", b"% Version 2\n"]), st.binary(max_size=300)
)
def test_arbitrary_bytes_raise_nothing_else(tmp_path_factory, header, body):
    read_all(dat_file(tmp_path_factory.mktemp("dat"), body, header))
