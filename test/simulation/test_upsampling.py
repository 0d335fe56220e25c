import cv2
import numpy as np
import pytest

from cs3d_ros.simulation.emulator import simulate_frames
from cs3d_ros.simulation.errors import SimulationError
from cs3d_ros.simulation.settings import PRESETS
from cs3d_ros.simulation.upsampling import MAX_FACTOR, FramePair, upsampled
from scenes import SCENES, event_map, frames, mouth, moving


def still(n, rate, shape=(20, 30)):
    return [(i / rate, np.full(shape, 90, np.uint8)) for i in range(n)]


def test_a_fast_video_stays_as_it_is():
    given = frames(moving, 300.0, 0.05)
    found = list(upsampled(given, 300.0))
    assert len(found) == len(given)
    assert all(a is b for (_, a), (_, b) in zip(found, given, strict=True))


@pytest.mark.parametrize(("video_rate", "steps"), [(25.0, 12), (29.97, 11), (100.0, 3), (290.0, 2)])
def test_there_are_frames_enough_for_the_rate(video_rate, steps):
    found = list(upsampled(still(4, video_rate), 300.0))
    times = np.array([t for t, _ in found])
    np.testing.assert_allclose(times, np.arange(3 * steps + 1) / steps / video_rate, atol=1e-12)


def test_a_variable_rate_gets_as_many_frames_as_each_time_needs():
    given = [(t, np.zeros((20, 20), np.uint8)) for t in (0.0, 0.01, 0.05, 0.051)]
    found = [t for t, _ in upsampled(given, 100.0)]
    np.testing.assert_allclose(found, [0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.051])


def test_fast_motion_gets_more_frames():
    slow = [(0.0, moving(0.0)), (0.04, moving(0.04))]
    fast = [(0.0, moving(0.0)), (0.04, moving(0.2))]
    assert len(list(upsampled(slow, 100.0))) == 5
    # 12 pixels to the right and 3.6 down: 12.5 in all.
    assert len(list(upsampled(fast, 100.0))) == pytest.approx(14, abs=1)


def test_however_fast_there_is_an_end():
    rng = np.random.default_rng(0)
    noise = [(i * 0.04, rng.integers(0, 256, (60, 80), np.uint8)) for i in range(3)]
    assert len(list(upsampled(noise, 50.0))) <= 2 * 2 * MAX_FACTOR + 1


def test_the_frames_of_the_video_are_among_the_others():
    given = frames(mouth, 25.0, 0.12)
    found = list(upsampled(given, 100.0))
    assert all(a is b for (_, a), (_, b) in zip(found[::4], given, strict=True))
    assert {f.dtype for _, f in found} == {np.dtype(np.uint8), np.dtype(np.float32)}


def test_frames_in_between_are_near_those_that_were_left_out():
    first, second = moving(0.0), moving(0.12)
    pair = FramePair(first, second)
    for part in (0.25, 0.5, 0.75):
        true = moving(0.12 * part).astype(float)
        error = np.abs(pair.between(part) - true).mean()
        faded = np.abs((1 - part) * first + part * second - true).mean()
        assert error < 0.2 * faded


def test_nothing_moves_where_nothing_moves():
    picture = moving(0.0)
    pair = FramePair(picture, picture.copy())
    assert pair.motion_px == 0.0
    np.testing.assert_array_equal(pair.between(0.3), picture)


def test_light_that_changes_goes_over_evenly():
    pair = FramePair(np.full((40, 40), 50, np.uint8), np.full((40, 40), 90, np.uint8))
    for part in (0.25, 0.5, 0.75):
        np.testing.assert_allclose(pair.between(part), 50 + 40 * part, atol=0.01)


def test_nothing_overshoots():
    """Sharp interpolation has no values beyond those of both frames."""
    rng = np.random.default_rng(0)
    first, second = (
        cv2.resize(rng.integers(40, 200, (20, 20), np.uint8), (80, 80), interpolation=0)
        for _ in range(2)
    )
    between = FramePair(first, second).between(0.5)
    assert min(first.min(), second.min()) <= between.min()
    assert between.max() <= max(first.max(), second.max()) + 1e-3


@pytest.mark.parametrize("shape", [(1, 1), (5, 200), (11, 11), (12, 12), (13, 300)])
def test_small_pictures_are_no_problem(shape):
    rng = np.random.default_rng(0)
    given = [(i * 0.04, rng.integers(0, 256, shape, np.uint8)) for i in range(3)]
    found = list(upsampled(given, 100.0))
    assert all(f.shape == shape and np.isfinite(f).all() for _, f in found)


def test_the_number_of_threads_does_not_matter():
    given = frames(mouth, 25.0, 0.08)
    before = cv2.getNumThreads()
    runs = []
    try:
        for threads in (1, 2, 3):
            cv2.setNumThreads(threads)
            runs.append(np.stack([f.astype(np.float32) for _, f in upsampled(given)]).tobytes())
    finally:
        cv2.setNumThreads(before)
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 1e9])
def test_impossible_rates_are_refused(rate):
    with pytest.raises(SimulationError, match="frames per second"):
        list(upsampled(still(2, 25.0), rate))


@pytest.mark.parametrize(("name", "most"), [("moving", 0.2), ("passing", 0.3), ("mouth", 0.25)])
def test_events_are_near_those_of_the_true_frames(name, most):
    """One frame of twelve has to do; see docs/simulation.md for the numbers."""
    true = frames(SCENES[name], 300.0, 0.6)
    events, found, without = (
        simulate_frames(f, PRESETS["clean"], seed=3)
        for f in (true, upsampled(true[::12]), true[::12])
    )
    expected = event_map(events)
    error, error_without = (
        np.abs(event_map(e) - expected).sum() / expected.sum() for e in (found, without)
    )
    assert error < most
    assert error < 0.4 * error_without
    assert len(found) / len(events) == pytest.approx(1.0, abs=0.03)
