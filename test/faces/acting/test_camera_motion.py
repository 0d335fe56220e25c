import numpy as np
import pytest

from cs3d_ros.faces.acting.camera_motion import MAX_PAN_RAD, draw_camera
from cs3d_ros.faces.acting.moods import MOODS, Stretch
from cs3d_ros.faces.acting.venues import VENUES

MOUNTS = VENUES["robot"].mounts

TIME = np.arange(0, 20, 0.005)


def cameras(mood, count=40, time=TIME):
    stretches = [Stretch(0.0, 20.0, mood, talks=False)]
    return [
        draw_camera(time, np.random.default_rng(i), stretches, 20.0, MOUNTS) for i in range(count)
    ]


def test_every_mount_is_drawn_in_its_share():
    mounts = [mount for *_, mount in cameras(MOODS[0], 400, TIME[:9])]
    for mount, share in MOUNTS.items():
        assert mounts.count(mount) / 400 == pytest.approx(share, abs=0.07)


def test_a_fixed_camera_in_a_still_mood_does_not_move():
    fixed = [camera for camera in cameras(MOODS[0]) if camera[3] == "fixed"]
    assert fixed
    for turn, zoom, behind, _ in fixed:
        assert not turn.any()
        assert (zoom == 1).all()
        assert not behind.any()


@pytest.mark.parametrize(
    ("mount", "low_hz", "high_hz"),
    [("held", 0.0, 12.5), ("walking", 0.0, 9.0), ("vibrating", 11.5, 46.0)],
)
def test_mounts_move_the_camera_in_their_band(mount, low_hz, high_hz):
    shaken = [camera for camera in cameras(MOODS[0]) if camera[3] == mount]
    assert shaken
    frequency = np.fft.rfftfreq(len(TIME), 0.005)
    for turn, *_ in shaken:
        power = np.abs(np.fft.rfft(turn * np.hanning(len(TIME))[:, None], axis=0)) ** 2
        inside = power[(frequency >= low_hz) & (frequency <= high_hz)].sum()
        assert inside > 0.99 * power.sum() > 0


def test_lively_cameras_pan_tilt_and_zoom_within_limits():
    lively = cameras(MOODS[-1])
    assert max(np.abs(turn).max() for turn, *_ in lively) <= MAX_PAN_RAD
    assert max(np.abs(turn).max() for turn, *_ in lively) > np.radians(1.5)
    zooms = np.concatenate([zoom for _, zoom, *_ in lively])
    assert 0.77 < zooms.min() < 0.92
    assert 1.08 < zooms.max() < 1.29
