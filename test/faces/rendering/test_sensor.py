"""From light to gray levels."""

import numpy as np
import pytest

from cs3d_ros.faces.rendering.sensor import KNEE, blur, expose, exposure_of, lens_blur


def exposed(light, gamma=2.2, black=0.0, factor=1.0):
    picture = np.array(light, np.float32).reshape(1, -1)
    expose(picture, np.ones_like(picture), factor, gamma, black)
    return picture[0]


def test_gray_levels_are_encoded_by_the_power_of_one_over_gamma():
    np.testing.assert_allclose(exposed([0, 0.25, 0.5], gamma=2.0), [0, 127.5, 180.3122], rtol=1e-5)
    np.testing.assert_allclose(exposed([0.5], gamma=1.0), [127.5], rtol=1e-5)


def test_bright_light_bends_towards_white_without_reaching_beyond_it():
    light = np.linspace(0, 50, 2000)
    gray = exposed(light)
    assert (np.diff(gray) >= 0).all()
    assert gray.max() <= 255
    slopes = np.diff(exposed([KNEE - 1e-3, KNEE, KNEE + 1e-3], gamma=1.0))
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=0.02)
    np.testing.assert_allclose(exposed([3e38], factor=3e38), 255)


def test_stray_light_lifts_black_and_leaves_white():
    np.testing.assert_allclose(exposed([0.0, 1e9], black=0.1), [25.5, 255], rtol=1e-5)


@pytest.mark.parametrize("gray", [18, 90, 175, 240])
@pytest.mark.parametrize(("gamma", "black"), [(1.0, 0.0), (2.2, 0.03)])
def test_the_exposure_of_a_gray_level_gives_that_gray_level(gray, gamma, black):
    light = [exposure_of(gray, gamma, black)]
    np.testing.assert_allclose(exposed(light, gamma, black), gray, rtol=1e-3)


def test_a_factor_to_the_light_is_one_to_the_exposure():
    np.testing.assert_allclose(exposed([0.1], factor=3.0), exposed([0.3]), rtol=1e-5)


def test_the_lens_spreads_light_and_loses_none():
    picture = np.zeros((21, 21), np.float32)
    picture[10, 10] = 1
    blur(picture, lens_blur(0.8))
    np.testing.assert_allclose(picture.sum(), 1, rtol=1e-5)
    across = picture.sum(axis=0)
    places = np.arange(21) - 10
    # A pixel adds 1/12 to the variance of the Gaussian, which is cut off at 2.5 of its spreads.
    assert (across * places**2).sum() == pytest.approx(0.64 + 1 / 12, rel=0.1)
    np.testing.assert_allclose(across, across[::-1], rtol=1e-5)


def test_no_blur_changes_nothing_and_a_border_is_repeated():
    picture = np.random.default_rng(0).uniform(0, 1, (9, 9)).astype(np.float32)
    same = picture.copy()
    blur(same, lens_blur(0.0))
    np.testing.assert_array_equal(same, picture)
    flat = np.full((9, 9), 0.5, np.float32)
    blur(flat, lens_blur(2.0))
    np.testing.assert_allclose(flat, 0.5, rtol=1e-5)
