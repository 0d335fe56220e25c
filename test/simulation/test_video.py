import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import video_files
from cs3d_ros.simulation.errors import VideoError
from cs3d_ros.simulation.video import open_video
from video_files import HEIGHT, WIDTH, frames, write_mp4, write_video


def read(path, frame_rate=None):
    """All of a video: times, frames, and the video itself."""
    with open_video(path, frame_rate) as video:
        times, pictures = zip(*video, strict=True)
    return np.array(times), pictures, video


def difference(picture, expected):
    return np.abs(picture.astype(int) - expected.astype(int)).mean()


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mp4v"), ("a.avi", "MJPG"), ("a.mkv", "FFV1"), ("a.mov", "MJPG")]
)
def test_frames_and_times_of_the_common_containers(tmp_path, name, codec):
    path = write_video(tmp_path / name, frames(10), 25.0, codec)
    times, pictures, video = read(path)
    np.testing.assert_allclose(times, np.arange(10) / 25.0, atol=1e-6)
    assert (video.width, video.height, video.frames_per_s) == (WIDTH, HEIGHT, 25.0)
    assert (video.damage, video.remarks) == (None, [])
    assert all(p.shape == (HEIGHT, WIDTH) and p.dtype == np.uint8 for p in pictures)
    assert all(difference(p, e) < 4 for p, e in zip(pictures, frames(10), strict=True))


def test_colour_becomes_gray_as_for_television(tmp_path):
    colour = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colour[:, :32] = 0, 0, 255
    colour[:, 32:] = 0, 255, 0
    _, pictures, _ = read(write_video(tmp_path / "a.mkv", [colour] * 2, 25.0, "FFV1"))
    assert pictures[0][20, 10] == pytest.approx(0.299 * 255, abs=3)
    assert pictures[0][20, 50] == pytest.approx(0.587 * 255, abs=3)


def test_a_second_iteration_begins_anew(tmp_path):
    with open_video(write_mp4(tmp_path / "a.mp4", frames(5))) as video:
        first = list(video)
        begun = iter(video)
        next(begun)
        second = list(video)
    assert len(first) == len(second) == 5
    assert [t for t, _ in first] == [t for t, _ in second]
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, second, strict=True))


def test_frames_are_not_overwritten_by_the_next(tmp_path):
    with open_video(write_mp4(tmp_path / "a.mp4", frames(3))) as video:
        kept = [picture for _, picture in video]
    assert not np.array_equal(kept[0], kept[1])


@pytest.mark.parametrize(("degrees", "turns"), [(90, -1), (180, 2), (270, 1)])
def test_a_rotated_video_comes_upright(tmp_path, degrees, turns):
    path = write_mp4(tmp_path / "a.mp4", frames(3))
    video_files.rotate(path, degrees)
    _, pictures, video = read(path)
    expected = np.rot90(frames(3)[0], turns)
    assert (video.height, video.width) == expected.shape
    assert pictures[0].shape == expected.shape
    assert difference(pictures[0], expected) < 4


def test_a_variable_frame_rate_keeps_its_times(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", frames(6))
    unit = video_files.time_scale(path)
    durations = [0.04, 0.12, 0.04, 0.2, 0.08, 0.04]
    video_files.set_durations(path, [round(d * unit) for d in durations])
    times, _, video = read(path)
    np.testing.assert_allclose(times, np.cumsum([0.0, *durations[:-1]]), atol=1e-4)
    assert video.damage is None
    assert video.remarks == ["the frame rate varies: the frames' time stamps are used"]


def test_time_stamps_that_stand_still_give_way_to_the_nominal_rate(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", frames(6))
    unit = video_files.time_scale(path)
    video_files.set_durations(path, [round(0.04 * unit), 0, 0, 0, 0, round(0.04 * unit)])
    times, _, video = read(path)
    assert np.all(np.diff(times) > 0)
    assert times[-1] < 1.0
    assert any("time stamps" in remark for remark in video.remarks)


def test_a_given_rate_replaces_the_time_stamps(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", frames(6))
    times, _, video = read(path, frame_rate=200.0)
    np.testing.assert_allclose(times, np.arange(6) / 200.0)
    assert video.frames_per_s == 200.0


@pytest.mark.parametrize("rate", [0.0, -25.0, float("nan"), float("inf"), 1e9])
def test_impossible_rates_are_refused(tmp_path, rate):
    with pytest.raises(VideoError, match="frames per second"):
        open_video(write_mp4(tmp_path / "a.mp4", frames(2)), rate)


def test_a_truncated_video_is_decoded_as_far_as_it_goes(tmp_path):
    path = write_video(tmp_path / "a.avi", frames(20))
    size = path.stat().st_size
    os.truncate(path, size * 2 // 3)
    times, pictures, video = read(path)
    assert 3 <= len(times) < 20
    assert difference(pictures[2], frames(20)[2]) < 4
    assert f"{len(times)} of the 20 frames that the file lists are there" in video.damage


def test_a_truncated_mp4_is_decoded_as_far_as_it_goes(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", frames(20))
    video_files.put_header_first(path)
    times, _, video = read(path)
    assert (len(times), video.damage) == (20, None)
    os.truncate(path, path.stat().st_size - 600)
    times, _, video = read(path)
    assert 3 <= len(times) < 20
    assert "it is truncated or damaged" in video.damage


def test_a_trimmed_video_is_not_damaged(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", frames(20))
    video_files.trim(path, 0.4)
    times, _, video = read(path)
    assert len(times) == pytest.approx(10, abs=1)
    assert video.damage is None
    assert any("it was trimmed" in remark for remark in video.remarks)


def test_no_such_file():
    with pytest.raises(VideoError, match="no such file"):
        open_video("/no/such/video.mp4")


@pytest.mark.parametrize(
    "content",
    [b"", b"no video at all\n", b"\0" * 5000, b"\x89PNG\r\n\x1a\n", b"RIFF\xff\xff\xff\xff"],
)
def test_what_is_no_video_is_refused_in_silence(tmp_path, capfd, content):
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=r"a\.mp4"):
        open_video(path)
    assert capfd.readouterr().err == ""


def test_a_video_cut_within_its_header_is_refused(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", frames(5))
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(VideoError, match="is not a video"):
        open_video(path)


def test_a_video_whose_frames_are_garbage_is_refused(tmp_path):
    path = write_mp4(tmp_path / "a.mp4", frames(5))
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    end = data.index(b"moov") - 4
    data[begin:end] = b"\xff" * (end - begin)
    path.write_bytes(data)
    with pytest.raises(VideoError, match="no frame of it can be decoded"):
        open_video(path)


def test_a_playlist_cannot_reach_out(tmp_path):
    """A file of addresses in the clothes of a video opens nothing but itself."""
    write_video(tmp_path / "other.avi", frames(3))
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXTINF:10,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(VideoError):
        open_video(path)


def test_too_large_a_picture_is_refused(tmp_path):
    wide = np.zeros((16, 5000), np.uint8)
    path = write_video(tmp_path / "a.avi", [wide] * 2)
    with pytest.raises(VideoError, match="5000x16 pixels, expected 1 to 4096"):
        open_video(path)


def test_a_size_that_changes_midway_does_no_harm(tmp_path):
    """Two streams of one codec behind each other: OpenCV scales the second to the first's size."""
    path = tmp_path / "a.mjpeg"
    pictures = frames(4) + frames(4, 96, 80)
    path.write_bytes(b"".join(cv2.imencode(".jpg", p)[1].tobytes() for p in pictures))
    _, found, _ = read(path, 25.0)
    assert len(found) == 8
    assert {p.shape for p in found} == {(HEIGHT, WIDTH)}


def test_names_that_look_like_patterns_are_just_names(tmp_path):
    path = tmp_path / "a%03d.avi"
    shutil.copy(write_video(tmp_path / "b.avi", frames(3)), path)
    assert len(read(path)[0]) == 3


def test_a_path_that_the_system_refuses_is_an_error(tmp_path, monkeypatch):
    # Some releases of Python take what they are refused for absent.
    with pytest.raises(VideoError, match=r"^a{300}: "):
        open_video("a" * 300)

    def refused(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(VideoError, match=r"a\.mp4: "):
        open_video(tmp_path / "a.mp4")


def test_one_frame_can_be_read(tmp_path):
    times, pictures, _ = read(write_video(tmp_path / "a.avi", frames(1)))
    assert times.tolist() == [0.0]
    assert len(pictures) == 1
