import numpy as np
import pytest

from cs3d_ros.faces.rendering.style import STYLES, draw_cartoon


def slope(side=112, darkest=0.3, brightest=3.0):
    """Light that rises evenly in its logarithm from left to right."""
    row = np.geomspace(darkest, brightest, side, dtype=np.float32)
    return np.ascontiguousarray(np.broadcast_to(row, (side, side)))


def test_a_smooth_slope_becomes_a_few_flat_tones():
    picture = slope()
    before = np.diff(np.log2(picture[50])).mean()
    draw_cartoon(picture, 1.0)
    steps = np.diff(np.log2(picture[50]))
    # Most columns hardly change, a few go over to the next tone.
    assert np.mean(steps < 0.5 * before) > 0.5
    assert np.mean(steps < 0.1 * before) > 0.25
    assert steps.max() > 3 * before
    assert picture[50, 56] == pytest.approx(1.0, rel=0.02)


def test_tones_go_over_without_a_jump():
    """Or they would flicker where the light changes by next to nothing."""
    pictures = [np.full((8, 8), light, np.float32) for light in np.geomspace(0.2, 5, 2000)]
    for picture in pictures:
        draw_cartoon(picture, 1.0)
    drawn = np.log2([picture[4, 4] for picture in pictures])
    assert (np.diff(drawn) >= -1e-6).all()
    # One step of the light is 0.0023 stops.
    assert np.diff(drawn).max() < 0.03


def test_a_thin_dark_line_becomes_ink_and_its_surroundings_stay():
    picture = np.full((112, 112), 1.0, np.float32)
    picture[50:52, 20:90] = 0.6
    draw_cartoon(picture, 1.0)
    assert picture[50:52, 25:85].max() < 0.25
    np.testing.assert_allclose(picture[:40], 1.0, rtol=1e-3)


def test_the_drawing_does_not_depend_on_the_exposure():
    bright, dark = slope(), slope() * np.float32(0.01)
    draw_cartoon(bright, 1.0)
    draw_cartoon(dark, 0.01)
    np.testing.assert_allclose(dark, 0.01 * bright, rtol=1e-3)


@pytest.mark.parametrize("side", [8, 112, 300])
def test_darkness_and_glare_stay_finite(side):
    picture = np.zeros((side, side), np.float32)
    picture[:, side // 2 :] = 1e6
    draw_cartoon(picture, 0.5)
    assert np.isfinite(picture).all()
    assert picture.min() >= 0


def test_there_is_a_cartoon():
    assert STYLES["cartoon"] is draw_cartoon
