import itertools

import numpy as np
import pytest

from cs3d_ros.faces.acting.moods import MOODS, Mood, Stretch, course_of, draw_stretches, draw_times
from cs3d_ros.faces.acting.venues import VENUES

ROBOTS = VENUES["robot"].moods


def test_stretches_fill_the_clip_without_gaps():
    stretches = draw_stretches(np.random.default_rng(1), 120.0, 0.5, ROBOTS)
    assert stretches[0].start_s == 0
    assert stretches[-1].end_s >= 120
    for before, after in itertools.pairwise(stretches):
        assert before.end_s == after.start_s
        assert 6 <= before.end_s - before.start_s <= 15


def test_a_short_clip_is_of_one_mood():
    assert all(
        len(draw_stretches(np.random.default_rng(i), 3.0, 0.5, ROBOTS)) == 1 for i in range(50)
    )


def test_moods_and_talk_have_their_shares():
    assert sum(ROBOTS.values()) == pytest.approx(1)
    stretches = draw_stretches(np.random.default_rng(2), 50_000.0, 0.3, ROBOTS)
    for mood in MOODS:
        share = np.mean([stretch.mood is mood for stretch in stretches])
        assert share == pytest.approx(ROBOTS[mood.name], abs=0.03)
    assert np.mean([stretch.talks for stretch in stretches]) == pytest.approx(0.3, abs=0.03)


def test_the_first_mood_is_nearly_still_and_the_last_the_wildest():
    assert MOODS[0].sway < 0.2
    assert MOODS[0].head_per_min == MOODS[0].camera_per_min == MOODS[0].light_per_min == 0
    for calmer, wilder in itertools.pairwise(MOODS):
        assert calmer.sway < wilder.sway
        assert calmer.head_per_min < wilder.head_per_min


def some_stretches():
    slow = Mood("slow", 1.0, 1.0, 6.0, 0, 0, 0, 0)
    quick = Mood("quick", 3.0, 1.0, 60.0, 0, 0, 0, 0)
    return [Stretch(0.0, 600.0, slow, True), Stretch(600.0, 1200.0, quick, False)]


def test_values_change_smoothly_from_stretch_to_stretch():
    time = np.arange(590.0, 610.0, 0.01)
    values = course_of(time, some_stretches(), lambda stretch: stretch.mood.sway)
    assert (values[time < 600.0] == 1).all()
    assert (values[time > 601.01] == 3).all()
    assert np.abs(np.diff(values)).max() < 0.04


def test_times_come_at_the_rate_of_each_stretch():
    times = draw_times(
        np.random.default_rng(3), some_stretches(), 1100.0, lambda mood: mood.head_per_min
    )
    assert (np.diff(times) >= 0).all()
    assert times[0] >= -0.5
    assert times[-1] <= 1100
    assert np.count_nonzero(times < 600) == pytest.approx(60, abs=20)
    assert np.count_nonzero(times > 600) == pytest.approx(500, abs=60)
