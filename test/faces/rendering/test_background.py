"""Backgrounds drawn from chance."""

import numpy as np
import pytest

from cs3d_ros.faces.rendering.background import KINDS, LEAST_BLUR, SIDE, draw_background


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_picture_of_mean_1_without_black(kind):
    for seed in range(4):
        picture = draw_background(kind, 1.0, np.random.default_rng(seed))
        assert picture.shape == (SIDE, SIDE)
        assert picture.dtype == np.float32
        assert picture.mean() == pytest.approx(1, rel=1e-3)
        assert picture.min() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_chance_decides_and_the_same_chance_gives_the_same_bytes(kind):
    one, same, other = (
        draw_background(kind, 2.0, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


@pytest.mark.parametrize("kind", ["clouds", "room", "shelf", "spots"])
def test_textures_have_edges_that_make_events_when_they_move(kind):
    steps = [
        np.abs(np.diff(np.log(draw_background(kind, 1.0, np.random.default_rng(seed))), axis=1))
        for seed in range(6)
    ]
    assert np.mean([(step > 0.03).mean() for step in steps]) > 0.02


@pytest.mark.parametrize("kind", KINDS)
def test_no_texture_is_so_sharp_that_it_flickers_when_it_is_shifted(kind):
    picture = draw_background(kind, 0.0, np.random.default_rng(3)).astype(np.float64)
    power = np.abs(np.fft.rfft2(picture - picture.mean())) ** 2
    across = np.fft.rfftfreq(SIDE)
    along = np.abs(np.fft.fftfreq(SIDE))
    # A Gaussian leaves exp(−(2π·f·σ)²) of the power, 0.3 % at 0.43 cycles per texel.
    fast = (across[None, :] > 0.43) | (along[:, None] > 0.43)
    assert power[fast].sum() < 0.01 * power.sum() + 1e-9
    assert LEAST_BLUR == 0.9


def test_defocus_softens():
    sharp, soft = (draw_background("shelf", b, np.random.default_rng(4)) for b in (1.0, 4.0))
    assert np.abs(np.diff(soft)).mean() < 0.5 * np.abs(np.diff(sharp)).mean()
