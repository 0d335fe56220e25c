"""AEDAT4 files, real ones where dv-processing is installed, and what a bad library may do."""

import importlib.util
import os
import random

import numpy as np
import pytest

from cs3d_ros.recordings import RecordingError, aedat4, open_recording
from recording_checks import read_all, rows

T0_US = 1_700_000_000_000_000

# A library that reads nothing and does what its test wants.
FAKE = """
import os, time
import numpy as np

class Batch:
    def numpy(self):
        dtype = np.dtype([("t", "<i8"), ("x", "<i2"), ("y", "<i2"), ("p", "i1"), ("_", "V3")])
        events = np.zeros(2, dtype)
        events["t"] = 1_700_000_000_000_000
        events["x"] = [3, -4]
        return events

class MonoCameraRecording:
    def __init__(self, path):
        self.left = 2
    def isEventStreamAvailable(self):
        return {available}
    def getStreamNames(self):
        return ["frames"]
    def getEventResolution(self):
        return {resolution}
    def getCameraName(self):
        return "DAVIS 346"
    def isTriggerStreamAvailable(self):
        return True
    def getNextTriggerBatch(self):
        return None
    def getNextEventBatch(self):
        self.left -= 1
        if self.left == 0:
            {then}
        return Batch() if self.left >= 0 else None

class io:
    MonoCameraRecording = MonoCameraRecording
"""


def magic_file(tmp_path, content=b"#!AER-DAT4.0\r\n"):
    path = tmp_path / "events.aedat4"
    path.write_bytes(content)
    return path


@pytest.fixture
def fake_library(tmp_path, monkeypatch):
    def install(then="pass", available=True, resolution=(346, 260)):
        text = FAKE.format(then=then, available=available, resolution=resolution)
        (tmp_path / "dv_processing.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(p for p in paths if p))
        return magic_file(tmp_path)

    return install


class TestLibrary:
    def test_without_it_the_error_says_how_to_install_it(self, tmp_path, monkeypatch):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(RecordingError, match="python3 -m pip install dv-processing"):
            open_recording(magic_file(tmp_path))

    @pytest.mark.parametrize("content", [b"", b"#!AER-DAT2.0\r\n", bytes(1000)])
    def test_other_files_are_refused_without_it(self, tmp_path, monkeypatch, content):
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        with pytest.raises(RecordingError, match="not an AEDAT4 file"):
            open_recording(magic_file(tmp_path, content))

    def test_its_batches_become_packets(self, fake_library):
        path = fake_library()
        with open_recording(path) as recording:
            ((log_time_ns, packet),) = recording
            assert len(list(recording)) == 1, "each iteration starts at the beginning"
        assert (packet.frame_id, packet.width, packet.height) == ("DAVIS 346", 346, 260)
        assert 0 < log_time_ns - T0_US * 1000 <= 4_096_000
        assert rows(path) == [(T0_US * 1000, 3, 0, 0)] * 2

    @pytest.mark.parametrize(
        ("behaviour", "message"),
        [
            ({"then": "raise RuntimeError('boom')"}, "RuntimeError: boom"),
            ({"then": "os._exit(3)"}, "dv-processing has crashed"),
            ({"then": "os.kill(os.getpid(), 11)"}, "dv-processing has crashed"),
            ({"then": "bytearray(16 << 30)"}, "MemoryError"),
            ({"then": "time.sleep(100)"}, "dv-processing has been at it for 1 s"),
            ({"available": False}, r"ValueError: no stream of events, only \['frames'\]"),
            ({"resolution": None}, "the size of the sensor is not in it"),
            ({"resolution": (0, 260)}, "a sensor of 0x260 pixels"),
        ],
    )
    def test_whatever_it_does_is_one_clear_error(
        self, fake_library, monkeypatch, behaviour, message
    ):
        path = fake_library(**behaviour)
        monkeypatch.setattr(aedat4, "PATIENCE_S", 1.0 if "sleep" in str(behaviour) else 20.0)
        received = []
        with pytest.raises(RecordingError, match=message):
            received.extend(packet for _, packet in open_recording(path))
        events_before = [16] if "then" in behaviour else []
        assert [len(packet.payload) for packet in received] == events_before

    def test_no_process_outlives_a_reader_that_stops(self, fake_library, monkeypatch):
        path = fake_library(then="time.sleep(100)")
        processes = []
        popen = aedat4.subprocess.Popen

        def start(*arguments, **options):
            processes.append(popen(*arguments, **options))
            return processes[-1]

        monkeypatch.setattr(aedat4.subprocess, "Popen", start)
        with open_recording(path) as recording:
            chunks = recording._chunks()
            next(chunks)
            chunks.close()
        assert [p.returncode for p in processes] == [-9, -9]


def write_aedat4(path, events, size=(640, 480)):
    """A real file of (t_us, x, y, p)."""
    dv = pytest.importorskip("dv_processing")
    config = dv.io.MonoCameraWriter.EventOnlyConfig("DVXplorer_1", size)
    writer = dv.io.MonoCameraWriter(str(path), config)
    store = dv.EventStore()
    for t_us, x, y, p in events:
        store.push_back(t_us, x, y, bool(p))
    writer.writeEvents(store)
    return path


def some_rows(n):
    rng = np.random.default_rng(4)
    times = np.sort(rng.integers(0, 50_000, n)) + T0_US
    columns = times, rng.integers(0, 640, n), rng.integers(0, 480, n), rng.integers(0, 2, n)
    return list(zip(*(c.tolist() for c in columns), strict=True))


class TestRealFiles:
    def test_all_events_come_back(self, tmp_path):
        written = some_rows(30_000)
        path = write_aedat4(tmp_path / "a.aedat4", written)
        assert rows(path) == [(t * 1000, x, y, p) for t, x, y, p in written]
        with open_recording(path) as recording:
            entries = list(recording)
        assert len(entries) in (13, 14)
        packet = entries[0][1]
        assert (packet.width, packet.height, packet.encoding) == (640, 480, "mono")
        assert packet.frame_id == "DVXplorer_1"
        assert packet.time_base == written[0][0] * 1000
        assert all(0 < t - p.time_base <= 4_096_000 for t, p in entries)

    def test_external_triggers_are_counted_in_a_warning(self, tmp_path, caplog):
        dv = pytest.importorskip("dv_processing")
        config = dv.io.MonoCameraWriter.Config("DVXplorer_1")
        config.addEventStream((640, 480))
        config.addTriggerStream()
        path = tmp_path / "a.aedat4"
        writer = dv.io.MonoCameraWriter(str(path), config)
        store = dv.EventStore()
        store.push_back(T0_US, 5, 3, True)
        writer.writeEvents(store)
        for i, kind in enumerate(
            ("EXTERNAL_SIGNAL_RISING_EDGE", "APS_FRAME_START", "EXTERNAL_SIGNAL_FALLING_EDGE")
        ):
            writer.writeTrigger(dv.Trigger(T0_US + i, getattr(dv.TriggerType, kind)))
        del writer
        assert len(rows(path)) == 1
        assert "its 2 external triggers are not read" in caplog.text

    def test_damaged_files_are_one_clear_error_and_end(self, tmp_path, monkeypatch):
        content = write_aedat4(tmp_path / "a.aedat4", some_rows(3000)).read_bytes()
        monkeypatch.setattr(aedat4, "PATIENCE_S", 1.0)
        chance = random.Random(1)
        damaged = [content[:100], content[:-200], content[: len(content) // 2]]
        # A byte in the compressed events makes the library loop, one in a length ask for 4 GB.
        damaged += [content[:8000] + bytes([content[8000] ^ 0x55]) + content[8001:]]
        damaged += [content[:17] + b"\xe7" + content[18:]]
        for _ in range(3):
            at = chance.randrange(len(content))
            damaged.append(content[:at] + bytes([chance.randrange(256)]) + content[at + 1 :])
        results = [read_all(magic_file(tmp_path, change)) for change in damaged]
        assert all(results[:3])
        assert results[4] is not None
