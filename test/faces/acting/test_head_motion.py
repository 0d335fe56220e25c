import numpy as np
import pytest

from cs3d_ros.faces.acting.head_motion import MAX_SHIFT_CM, MAX_TURN_RAD, draw_head
from cs3d_ros.faces.acting.moods import MOODS, Stretch

TIME = np.arange(0, 60, 0.02)


def heads(mood, count=12, stressed=()):
    stretches = [Stretch(0.0, 60.0, mood, talks=False)]
    return [
        draw_head(TIME, np.random.default_rng(i), stretches, 60.0, np.array(stressed))
        for i in range(count)
    ]


def test_wilder_moods_move_more():
    turns = [np.mean([turn.std() for turn, _ in heads(mood)]) for mood in MOODS]
    shifts = [np.mean([shift.std() for _, shift in heads(mood)]) for mood in MOODS]
    assert turns == sorted(turns)
    assert shifts == sorted(shifts)
    assert np.degrees(turns[0]) < 0.5
    assert np.degrees(turns[-1]) > 3


def test_no_head_leaves_its_range_or_jumps():
    for turn, shift in heads(MOODS[-1]):
        assert np.abs(turn).max() <= MAX_TURN_RAD
        assert (np.abs(shift).max(axis=0) <= MAX_SHIFT_CM).all()
        assert np.degrees(np.abs(np.diff(turn, axis=0))).max() < 12
        assert np.abs(np.diff(shift, axis=0)).max() < 2


def test_lively_heads_turn_in_every_direction_and_shift_along_every_axis():
    turns = np.concatenate([turn for turn, _ in heads(MOODS[-1])])
    shifts = np.concatenate([shift for _, shift in heads(MOODS[-1])])
    assert (np.degrees(turns.max(axis=0)) > 5).all()
    assert (np.degrees(turns.min(axis=0)) < -4).all()
    assert (shifts.max(axis=0) > 0.8).all()
    assert (shifts.min(axis=0) < -0.8).all()


def test_who_speaks_beats_time_with_the_head():
    still = MOODS[1]
    for (silent, _), (speaking, _) in zip(
        heads(still), heads(still, stressed=[30.0, 31.0]), strict=True
    ):
        beat = speaking[:, 1] - silent[:, 1]
        assert beat[1500] > 0
        assert np.degrees(beat.max()) < 3.0
        assert beat[:1490].max() == 0
        assert beat[1600:].max() == 0
        np.testing.assert_array_equal(silent[:, 0], speaking[:, 0])


def test_what_is_drawn_does_not_depend_on_the_frames():
    stretches = [Stretch(0.0, 60.0, MOODS[2], talks=False)]
    slow, fast = (
        draw_head(time, np.random.default_rng(5), stretches, 3.0, np.empty(0))
        for time in (np.arange(60) / 20, np.arange(120) / 40)
    )
    assert fast[0][::2] == pytest.approx(slow[0], abs=1e-9)
    assert fast[1][::2] == pytest.approx(slow[1], abs=1e-9)
