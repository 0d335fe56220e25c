import errno
import filecmp
from pathlib import Path

import cv2
import numpy as np
import pytest

from cs3d_ros.events.packets import PacketError
from cs3d_ros.recordings import RecordingError, open_recording
from cs3d_ros.recordings.exact_events import exact_events
from cs3d_ros.simulation import event_writer
from cs3d_ros.simulation import simulate as simulate_module
from cs3d_ros.simulation.emulator import simulate_frames
from cs3d_ros.simulation.errors import SimulationError, VideoError
from cs3d_ros.simulation.settings import PRESETS
from cs3d_ros.simulation.simulate import fitted, simulate
from cs3d_ros.simulation.upsampling import upsampled
from cs3d_ros.simulation.video import open_video
from scenes import SIDE, frames, mouth
from video_files import write_video

CLEAN = PRESETS["clean"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    """A mouth that opens, 0.24 s at 25 frames per second, without loss."""
    path = tmp_path_factory.mktemp("video") / "mouth.mkv"
    return write_video(path, [f for _, f in frames(mouth, 25.0, 0.24)], 25.0, "FFV1")


def read(path):
    """(width, height) and the columns of all events of a recording."""
    with open_recording(path) as recording:
        parts = list(exact_events(Path(path), recording))
    size = parts[0][0]
    return size, [
        np.concatenate([getattr(e, c) for _, e in parts]) for c in ("t_ns", "x", "y", "p")
    ]


def test_all_outputs_hold_the_events_of_the_emulator(video, tmp_path):
    with open_video(video) as opened:
        expected = simulate_frames(upsampled(opened), CLEAN, seed=5)
    assert len(expected) > 500
    for name in ("bag", "a.raw", "a.csv", "a.npz"):
        done = simulate(video, tmp_path / name, settings=CLEAN, seed=5)
        size, (t, x, y, p) = read(tmp_path / name)
        assert size == (SIDE, SIDE)
        assert (done.events, done.on) == (len(expected), np.count_nonzero(expected.p))
        # EVT3 says whole µs and may begin with another turn of its clock.
        unit = 1 if name in ("a.csv", "a.npz") else 1000
        np.testing.assert_array_equal(t // unit, expected.t_ns // unit)
        for found, given in ((x, expected.x), (y, expected.y), (p, expected.p)):
            np.testing.assert_array_equal(found, given)


def test_packets_are_of_4_ms_and_evt3(video, tmp_path):
    simulate(video, tmp_path / "bag", settings=CLEAN)
    with open_recording(tmp_path / "bag") as recording:
        rows = list(recording)
    assert {packet.encoding for _, packet in rows} == {"evt3"}
    # 59 slices; those without events have no packet.
    assert 45 <= len(rows) <= 59
    stamps = [packet.stamp_ns for _, packet in rows]
    assert stamps == [log_time_ns for log_time_ns, _ in rows]
    assert 0 < stamps[0] <= 8_192_000
    assert [packet.seq for _, packet in rows] == list(range(len(rows)))


@pytest.mark.parametrize("name", ["bag", "a.raw", "a.csv", "a.npz"])
@pytest.mark.parametrize("light", PRESETS)
def test_the_same_seed_makes_the_same_bytes(video, tmp_path, name, light):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        simulate(video, folder / name, settings=PRESETS[light], seed=9)
    one, two = (folder / name for folder in folders)
    names = [p.name for p in one.iterdir()] if one.is_dir() else []
    if names:
        assert filecmp.cmpfiles(one, two, names, shallow=False) == (names, [], [])
    else:
        assert one.read_bytes() == two.read_bytes()


def test_what_was_done_is_told(video, tmp_path):
    done = simulate(video, tmp_path / "a.npz", settings=CLEAN, size=(64, 48), frame_rate=100.0)
    assert (done.width, done.height, done.frames) == (64, 48, 7)
    assert done.frames_between == pytest.approx(18, abs=3)
    assert done.duration_s == pytest.approx(0.24)
    assert (done.damage, done.remarks()) == (None, [])
    assert read(tmp_path / "a.npz")[0] == (64, 48)


def test_slow_motion_is_shown_at_its_true_speed(video, tmp_path):
    done = simulate(video, tmp_path / "a.npz", settings=CLEAN, slow_motion=20.0)
    assert done.duration_s == pytest.approx(0.012)
    assert done.frames_between == 0
    assert read(tmp_path / "a.npz")[1][0][-1] <= 12_000_000


def test_a_folder_of_pictures(video, tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, (_, picture) in enumerate(frames(mouth, 25.0, 0.24)):
        cv2.imwrite(str(folder / f"img{i}.png"), picture)
    simulate(folder, tmp_path / "a.npz", settings=CLEAN, video_rate=25.0)
    simulate(video, tmp_path / "b.npz", settings=CLEAN)
    (size, found), (_, expected) = read(tmp_path / "a.npz"), read(tmp_path / "b.npz")
    assert size == (SIDE, SIDE)
    assert len(found[0]) == pytest.approx(len(expected[0]), rel=0.02)


def test_a_silence_of_minutes_is_kept(tmp_path):
    """Longer than a turn of EVT3's clock: an object appears, and again after a minute."""
    dark, light = np.full((8, 8), 50, np.uint8), np.full((8, 8), 100, np.uint8)
    path = write_video(tmp_path / "a.avi", [dark, light, *[light] * 118, dark], 2.0)
    simulate(path, tmp_path / "bag", settings=CLEAN, frame_rate=2.0)
    _, (t, _, _, p) = read(tmp_path / "bag")
    assert t[p == 1].max() <= 500_000_000
    assert t[p == 0].min() > 59_000_000_000


class TestFitted:
    @pytest.mark.parametrize("size", [(112, 112), (346, 260), (1, 1), (640, 10), (10, 640)])
    @pytest.mark.parametrize("shape", [(480, 640), (100, 20), (1, 1), (7, 300)])
    def test_any_shape_becomes_any_size(self, shape, size):
        assert fitted(np.zeros(shape, np.uint8), *size).shape == (size[1], size[0])

    def test_the_middle_is_kept_in_its_proportions(self):
        wide = np.zeros((100, 300), np.uint8)
        cv2.circle(wide, (150, 50), 40, 255, -1)
        found = fitted(wide, 50, 50)
        columns, rows = (found > 127).any(axis=0), (found > 127).any(axis=1)
        assert columns.sum() == rows.sum() == pytest.approx(40, abs=1)
        assert np.flatnonzero(columns).mean() == pytest.approx(24.5, abs=1)


class TestBadInput:
    def refused(self, error, reason, tmp_path, source, target="a.npz", **choices):
        before = sorted(p.name for p in tmp_path.iterdir())
        with pytest.raises(error, match=reason):
            simulate(source, tmp_path / target, **choices)
        assert sorted(p.name for p in tmp_path.iterdir()) == before

    def test_one_frame_only(self, tmp_path):
        path = write_video(tmp_path / "a.avi", [mouth(0.0)])
        self.refused(SimulationError, "has one frame only", tmp_path, path)

    @pytest.mark.parametrize("target", ["a.npz", "a.raw", "a.csv", "bag"])
    def test_a_picture_at_rest_without_noise(self, tmp_path, target):
        path = write_video(tmp_path / "a.avi", [mouth(0.0)] * 5)
        reason = "nothing in the video changes enough"
        self.refused(SimulationError, reason, tmp_path, path, target, settings=CLEAN)

    def test_no_video(self, tmp_path):
        self.refused(VideoError, "no such file", tmp_path, tmp_path / "none.mp4")

    def test_an_output_that_is_there(self, video, tmp_path):
        (tmp_path / "a.npz").write_text("mine")
        self.refused(RecordingError, "exists already", tmp_path, video)
        assert (tmp_path / "a.npz").read_text() == "mine"
        simulate(video, tmp_path / "a.npz", settings=CLEAN, overwrite=True)
        assert len(read(tmp_path / "a.npz")[1][0])

    def test_an_output_of_an_unknown_kind(self, video, tmp_path):
        self.refused(RecordingError, "cannot write '.mp4'", tmp_path, video, "out.mp4")

    @pytest.mark.parametrize(
        ("choices", "reason"),
        [
            ({"frame_rate": 0.0}, "frames per second"),
            ({"slow_motion": 0.0}, "slow motion of 0.0"),
            ({"slow_motion": float("nan")}, "slow motion of nan"),
            ({"size": (0, 112)}, "0x112"),
            ({"size": (5000, 112)}, "5000x112"),
            ({"seed": -1}, "seed of -1"),
        ],
    )
    def test_impossible_choices(self, video, tmp_path, choices, reason):
        self.refused(SimulationError, reason, tmp_path, video, **choices)

    def test_a_sensor_too_large_for_raw(self, video, tmp_path):
        reason = r"^a sensor of 2049x9 pixels"
        self.refused(PacketError, reason, tmp_path, video, "a.raw", size=(2049, 9))

    def test_an_output_within_the_folder_of_pictures(self, tmp_path):
        for i in range(2):
            cv2.imwrite(str(tmp_path / f"{i}.png"), mouth(i * 0.1))
        self.refused(RecordingError, "lies within", tmp_path, tmp_path, "bag", video_rate=25.0)

    @pytest.mark.parametrize("target", ["a.npz", "a.raw", "a.csv", "bag"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
    def test_nothing_is_left_of_what_is_interrupted(
        self, video, tmp_path, monkeypatch, target, error
    ):
        def interrupted(frames, rate):
            for i, row in enumerate(upsampled(frames, rate)):
                if i == 40:
                    raise error
                yield row

        monkeypatch.setattr(simulate_module, "upsampled", interrupted)
        with pytest.raises(error):
            simulate(video, tmp_path / target, settings=CLEAN)
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_left_on_a_full_disk(self, video, tmp_path, monkeypatch):
        def full(path, packets):
            with path.open("wb") as file:
                file.write(b"half")
            raise RecordingError(f"{path}: {OSError(errno.ENOSPC, 'No space left on device')}")

        monkeypatch.setitem(event_writer._WRITERS, ".raw", full)
        self.refused(RecordingError, r"a\.raw.*No space left", tmp_path, video, "a.raw")


def test_damage_is_told_and_what_could_be_decoded_is_there(tmp_path):
    path = write_video(tmp_path / "a.avi", [f for _, f in frames(mouth, 25.0, 0.8)])
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    done = simulate(path, tmp_path / "a.npz", settings=CLEAN)
    assert "frames that the file lists are there" in done.damage
    assert len(read(tmp_path / "a.npz")[1][0]) == done.events > 0
