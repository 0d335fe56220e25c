import numpy as np
import pytest

from cs3d_ros.faces.acting.moods import MOODS, Stretch
from cs3d_ros.faces.acting.surroundings import draw_background, draw_light

TIME = np.arange(0, 30, 0.002)


def lights(mood, frames_per_s=500.0, count=40):
    stretches = [Stretch(0.0, 30.0, mood, talks=False)]
    return [
        draw_light(TIME, np.random.default_rng(i), stretches, 30.0, frames_per_s)
        for i in range(count)
    ]


def backgrounds(mood, duration_s=30.0, count=40):
    stretches = [Stretch(0.0, duration_s, mood, talks=False)]
    time = np.arange(0, duration_s, 0.02)
    return [
        draw_background(time, np.random.default_rng(i), stretches, duration_s) for i in range(count)
    ]


class TestLight:
    def test_it_is_nearly_steady_in_a_still_mood(self):
        for light in lights(MOODS[0], frames_per_s=100.0):
            assert np.abs(light - 1).max() < 0.02

    def test_it_changes_both_ways_in_a_wild_one_and_stays_within_limits(self):
        wild = np.concatenate(lights(MOODS[-1]))
        assert 0.25 <= wild.min() < 0.6
        assert 1.5 < wild.max() <= 4

    def test_lamps_flicker_where_frames_can_show_it(self):
        frequency = np.fft.rfftfreq(len(TIME), 0.002)
        found = set()
        for light in lights(MOODS[0]):
            power = np.abs(np.fft.rfft((light - light.mean()) * np.hanning(len(TIME))))
            at = round(float(frequency[np.argmax(power * (frequency > 50))]))
            if power[frequency > 50].max() > 1:
                found.add(at)
        assert found == {100, 120}

    def test_too_few_frames_show_no_flicker(self):
        assert max(np.abs(np.diff(light)).max() for light in lights(MOODS[0], 249.0)) < 1e-3


class TestBackground:
    def test_it_hardly_moves_in_a_still_mood(self):
        assert max(np.abs(shift).max() for shift in backgrounds(MOODS[0])) < 0.01

    def test_it_moves_both_ways_in_a_wild_one(self):
        ends = [shift[-1, 0] for shift in backgrounds(MOODS[-1])]
        assert min(ends) < -0.2
        assert max(ends) > 0.2

    def test_it_stays_within_a_few_pictures_for_minutes(self):
        for shift in backgrounds(MOODS[-1], 300.0, 5):
            assert np.abs(shift[:, 0]).max() < 2.5
            assert np.abs(shift[:, 1]).max() < 4

    def test_it_does_not_jump(self):
        for shift in backgrounds(MOODS[-1]):
            # 1.2 widths within 0.4 s is the fastest single move; several may fall together.
            assert np.abs(np.diff(shift, axis=0)).max() < 2 * 1.9 * 1.2 / 0.4 * 0.02


def test_the_same_seed_gives_the_same():
    np.testing.assert_array_equal(lights(MOODS[2], count=1)[0], lights(MOODS[2], count=1)[0])
    assert backgrounds(MOODS[2], count=1)[0] == pytest.approx(backgrounds(MOODS[2], count=1)[0])
