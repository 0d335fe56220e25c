"""NumPy archives of events, read and written."""

import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.recordings import RecordingError, npz, open_recording, write_npz
from recording_checks import read_all, rows, some_packet
from recording_helpers import evt3_packet, some_events
from recordings_data import recording_path

EXPECTED = [(1_000_000, 5, 7, 1), (2_000_000, 6, 8, 0), (3_000_000, 639, 0, 1)]
X, Y, P = [5, 6, 639], [7, 8, 0], [1, 0, 1]


def saved(tmp_path, save=np.savez, **arrays):
    path = tmp_path / "events.npz"
    save(path, **arrays)
    return path


def structured(**fields):
    array = np.zeros(3, [(name, np.asarray(values).dtype) for name, values in fields.items()])
    for name, values in fields.items():
        array[name] = values
    return array


class TestLayouts:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    @pytest.mark.parametrize(
        "arrays",
        [
            {"x": X, "y": Y, "t": [1000, 2000, 3000], "p": P},
            {"x": np.float32(X), "y": np.int8([7, 8, 0]), "polarity": np.array(P, bool),
             "timestamp": np.uint64([1000, 2000, 3000])},
            {"x": X, "y": Y, "t": [0.001, 0.002, 0.003], "p": [1, -1, 1]},
            {"x": X, "y": Y, "t_ns": [1_000_000, 2_000_000, 3_000_000], "p": P, "note": ["a"]},
            {"x": np.array(X, ">u2"), "y": Y, "ts_ms": np.array([1.0, 2.0, 3.0], ">f4"), "p": P},
            {"events": structured(t=[1000, 2000, 3000], x=X, y=Y, p=P), "other": np.eye(3)},
            {"arr_0": structured(x=np.int16(X), y=np.int16(Y), p=np.array(P, bool),
                                 t_s=[0.001, 0.002, 0.003])},
            {name: np.array(values)[:, None] for name, values in
             {"x": X, "y": Y, "t": [1000, 2000, 3000], "p": P}.items()},
            {"xs": X, "ys": Y, "ts": [1000, 2000, 3000], "ps": P},
            {"x": X, "y": Y, "t_us": [1000.0, 2000.0, 3000.0], "pol": P},
            {"x": X, "y": Y, "t": [1000, 2000, 3000], "p": P,
             "objects": np.array([{"a": 1}], object)},
        ],
    )  # fmt: skip
    def test_arrays_and_fields_are_found_by_name(self, tmp_path, save, arrays):
        assert rows(saved(tmp_path, save, **arrays)) == EXPECTED

    @pytest.mark.parametrize(
        ("width", "height"), [(1280, np.uint16(720)), (np.array([1280]), np.float32([[720]]))]
    )
    def test_whole_numbers_tell_the_size(self, tmp_path, caplog, width, height):
        path = saved(tmp_path, x=X, y=Y, t=[1, 2, 3], p=P, width=width, height=height)
        with open_recording(path) as recording:
            ((_, packet),) = recording
        assert (packet.width, packet.height, packet.encoding) == (1280, 720, "mono")
        assert caplog.text == ""

    def test_otherwise_the_events_do(self, tmp_path, caplog):
        with open_recording(saved(tmp_path, x=X, y=Y, t=[1, 2, 3], p=P, width=1.5)) as recording:
            ((_, packet),) = recording
        assert (packet.width, packet.height) == (640, 9)
        assert "taken as 640x9, by the events" in caplog.text

    def test_floating_times_that_begin_with_zeros_are_seconds(self, tmp_path):
        path = saved(tmp_path, x=X, y=Y, t=np.zeros(3), p=P)
        assert [t for t, *_ in rows(path)] == [0, 0, 0]

    @pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
    def test_whole_floating_times_of_a_structured_array_are_refused(self, tmp_path, dtype):
        events = structured(t=np.array([45, 96, 112], dtype), x=X, y=Y, p=P)
        path = saved(tmp_path, events=events, width=640, height=480)
        assert "seconds or µs?" in str(read_all(path))

    def test_the_size_of_the_blocks_does_not_matter(self, tmp_path, monkeypatch):
        monkeypatch.setattr(npz, "_BLOCK_EVENTS", 2)
        assert rows(saved(tmp_path, x=X, y=Y, t=[1000, 2000, 3000], p=P)) == EXPECTED

    def test_a_size_and_no_events_are_no_packets(self, tmp_path):
        path = saved(tmp_path, x=[], y=[], t=[], p=[], width=640, height=480)
        assert rows(path) == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"p": None}, "columns 'x', 'y', 't', expected one each of"),
            ({"t_s": [1, 2, 3]}, "expected one each of"),
            ({"t": [1, 2]}, "arrays of different lengths"),
            ({"t": [1, np.nan, 3]}, "event 2 has t = nan"),
            ({"t": [1, 2, np.inf]}, "event 3 has t = inf"),
            (
                {"t": [-1, 2, 3]},
                "event 1 has t = -1, expected a time from 0 to 2147483647999999999 ns, "
                "with t in us",
            ),
            ({"t": [1, 2, 1 << 62]}, "event 3 has t = 4611686018427387904"),
            (
                {"t": [1e300, 2, 0.5]},
                "event 1 has t = 1e+300, expected a time from 0 to 21474836479",
            ),
            ({"t": [9000, 2, 3]}, "event 2 has the time 2000 ns after one of 9000000"),
            ({"t": np.array([1, 2, 3], "m8[ns]")}, "t is of the type timedelta64"),
            ({"t": ["1", "2", "3"]}, "t is of the type"),
            ({"x": [5, 65536, 1]}, "event 2 has x = 65536"),
            ({"x": [5, 8192, 1]}, "event 2 has x = 8192"),
            ({"y": [-1, 0, 1]}, "event 1 has y = -1"),
            ({"y": [0.5, 0, 1]}, "event 1 has y = 0.5"),
            ({"p": [1, 2, 0]}, "event 2 has p = 2"),
            ({"p": np.array([1, None, 0], object)}, "the array 'p' is of object"),
            ({"p": ["x" * 1000] * 3}, "the array 'p' is of <U1000"),
            ({"x": np.zeros((3, 3))}, "columns 'y', 't', 'p', expected one each of"),
            (
                {"x": None, "y": None, "t": None, "p": None, "events": np.zeros((20, 4))},
                "the columns of 'events', an array of shape (20, 4), have no names: save them with",
            ),
            (
                {"t": [45.0, 96.0, 112.0]},
                "t is of float64, and its first 3 times are whole "
                "numbers: seconds or µs? Say it by the name t_s or t_us",
            ),
            ({"width": 0, "height": 5}, "a sensor of 0x5 pixels"),
            ({"width": 99999, "height": 5}, "a sensor of 99999x5 pixels"),
            ({"x": [], "y": [], "t": [], "p": []}, "neither events nor the sensor's size"),
        ],
    )
    def test_what_are_no_events_is_told(self, tmp_path, changes, message):
        arrays = {"x": X, "y": Y, "t": [1, 2, 3], "p": P, **changes}
        path = saved(tmp_path, **{name: a for name, a in arrays.items() if a is not None})
        assert message in str(read_all(path))

    def test_fields_of_arrays_are_no_numbers(self, tmp_path):
        array = np.zeros(3, [("x", "u2", 2), ("y", "u2"), ("t", "u4"), ("p", "u1")])
        assert "expected numbers" in str(read_all(saved(tmp_path, events=array)))

    def test_a_declared_size_costs_no_memory(self, tmp_path):
        path = saved(tmp_path, x=X, y=Y, t=[1, 2, 3], p=P)
        lying = tmp_path / "lying.npz"
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(lying, "w") as other:
            for name in archive.namelist():
                content = archive.read(name).replace(b"(3,), }", b"(3000000000000,), }")
                other.writestr(name, content.replace(b" " * 12 + b"\n", b"\n", 1))
        assert "ends before its declared (3000000000000,)" in str(read_all(lying))

    @pytest.mark.parametrize("content", [b"", b"PK", b"garbage" * 100, b"PK\x05\x06" + bytes(18)])
    def test_other_files_are_refused(self, tmp_path, content):
        path = tmp_path / "events.npz"
        path.write_bytes(content)
        assert read_all(path) is not None

    @settings(deadline=None, max_examples=60)
    @given(st.data())
    def test_damaged_bytes_raise_nothing_else(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("npz")
        save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
        path = saved(folder, save, x=X, y=Y, t=[1, 2, 3], p=P, width=640, height=480)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        read_all(path)


class TestWriting:
    def test_it_holds_exact_events(self, tmp_path):
        with open_recording(recording_path("evt3")) as recording:
            write_npz(tmp_path / "real.npz", recording)
        with np.load(tmp_path / "real.npz", allow_pickle=False) as arrays:
            assert sorted(arrays) == ["height", "p", "t_ns", "width", "x", "y"]
            assert (int(arrays["width"]), int(arrays["height"])) == (1280, 720)
            dtypes = [arrays[name].dtype for name in ("t_ns", "x", "y", "p")]
            assert dtypes == [np.int64, np.uint16, np.uint16, np.uint8]
            sums = [int(arrays[name].sum()) for name in ("t_ns", "x", "y", "p")]
        assert sums == [1_222_326_831_810_000, 42_078_718, 31_656_267, 41_439]
        found = np.array(rows(tmp_path / "real.npz"))
        assert found.sum(axis=0).tolist() == sums

    def test_packets_without_events_make_empty_arrays(self, tmp_path):
        write_npz(tmp_path / "a.npz", [(0, evt3_packet(some_events([])))])
        assert rows(tmp_path / "a.npz") == []

    def test_what_cannot_be_written_leaves_no_file(self, tmp_path):
        with pytest.raises(RecordingError, match="none of the 1 packets"):
            write_npz(tmp_path / "a.npz", [(0, some_packet(encoding="unheard of"))])
        assert list(tmp_path.iterdir()) == []
