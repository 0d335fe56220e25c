import cv2
import numpy as np
import pytest

from cs3d_ros.simulation.errors import VideoError
from cs3d_ros.simulation.video import open_video
from video_files import HEIGHT, WIDTH, frames


def write(folder, names, pictures=None):
    folder.mkdir(exist_ok=True)
    for name, picture in zip(names, pictures or frames(len(names)), strict=True):
        assert cv2.imwrite(str(folder / name), picture)
    return folder


def read(folder, frame_rate=200.0):
    with open_video(folder, frame_rate) as video:
        times, pictures = zip(*video, strict=True)
    return list(times), pictures, video


def test_pictures_come_in_the_order_of_their_numbers(tmp_path):
    names = [f"reg_img{i}.png" for i in range(1, 13)]
    (tmp_path / "notes.txt").write_text("not a picture")
    times, pictures, video = read(write(tmp_path, names))
    np.testing.assert_allclose(times, np.arange(12) / 200.0, atol=1e-12)
    assert all(np.array_equal(p, e) for p, e in zip(pictures, frames(12), strict=True))
    assert (video.width, video.height, video.frames_per_s) == (WIDTH, HEIGHT, 200.0)
    assert (video.damage, video.remarks) == (None, [])


def test_the_last_number_of_a_name_counts(tmp_path):
    _, pictures, _ = read(
        write(tmp_path, ["s01_take2_10.png", "s01_take2_9.png", "s02_take1_11.png"])
    )
    order = [1, 0, 2]
    assert all(np.array_equal(p, frames(3)[i]) for p, i in zip(pictures, order, strict=True))


def test_missing_pictures_leave_their_time(tmp_path):
    times, _, video = read(write(tmp_path, ["0010.png", "0011.png", "0014.png"]), 100.0)
    np.testing.assert_allclose(times, [0.0, 0.01, 0.04])
    assert video.remarks == ["2 pictures are missing between the others"]


def test_numbers_in_larger_steps_are_frames_all_the_same(tmp_path):
    times, _, video = read(write(tmp_path, ["000.png", "005.png", "010.png"]), 100.0)
    np.testing.assert_allclose(times, [0.0, 0.01, 0.02])
    assert video.remarks == []


def test_a_number_far_off_leaves_no_break_of_hours(tmp_path):
    times, _, video = read(write(tmp_path, ["1.png", "2.png", "99999999.png"]), 100.0)
    np.testing.assert_allclose(times, [0.0, 0.01, 0.02])
    assert any("breaks" in remark for remark in video.remarks)


def test_colour_and_16_bits_become_gray_bytes(tmp_path):
    colour = np.dstack([frames(1)[0]] * 3)
    deep = frames(1)[0].astype(np.uint16) * 257
    _, pictures, _ = read(write(tmp_path, ["1.png", "2.png"], [colour, deep]))
    assert all(np.abs(p.astype(int) - frames(1)[0]).max() <= 1 for p in pictures)


def test_pictures_that_do_not_decode_are_left_out_and_told(tmp_path):
    folder = write(tmp_path, [f"{i}.png" for i in range(5)])
    (folder / "0.png").write_bytes(b"")
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:20])
    times, _, video = read(folder, 100.0)
    np.testing.assert_allclose(times, [0.0, 0.01, 0.03])
    assert video.damage == f"{folder}: 2 of 5 pictures cannot be decoded, the first of them 0.png"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        ([], "no pictures"),
        (["face.png"], "has no number"),
        (["1.png", "1.jpg"], "has the same number"),
        (["a1.png", "b01.png"], "has the same number"),
    ],
)
def test_folders_that_are_no_video_are_refused(tmp_path, names, reason):
    with pytest.raises(VideoError, match=reason):
        open_video(write(tmp_path / "folder", names), 25.0)


def test_only_garbage_is_refused(tmp_path):
    (tmp_path / "1.png").write_bytes(b"\x89PNG")
    with pytest.raises(VideoError, match="none of the 1 pictures"):
        open_video(tmp_path, 25.0)


def test_a_folder_needs_a_rate(tmp_path):
    with pytest.raises(VideoError, match=r"give their rate \(--video-rate\)"):
        open_video(write(tmp_path, ["1.png"]))


def test_a_size_that_changes_is_an_error(tmp_path):
    folder = write(tmp_path, ["1.png", "2.png"], [*frames(1), *frames(1, 32, 32)])
    with open_video(folder, 25.0) as video, pytest.raises(VideoError, match=r"32x32.*64x48"):
        list(video)


def test_too_large_a_picture_is_refused(tmp_path):
    with pytest.raises(VideoError, match="expected 1 to 4096"):
        open_video(write(tmp_path, ["1.png"], [np.zeros((4, 5000), np.uint8)]), 25.0)
