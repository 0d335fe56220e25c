import numpy as np
import pytest

from cs3d_ros.faces.cast import Cast
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.take import draw_stream_take, draw_take
from faces_data import facekit_path


@pytest.fixture(scope="module")
def cast():
    return Cast(facekit_path(), None, seed=0)


def some_take(cast, expression="happy", seed=0, **changes):
    how = {"duration_s": 0.5, "frames_per_s": 20.0, "size": 48, **changes}
    return draw_take(cast, "random-1", expression, "sufficient", np.random.default_rng(seed), **how)


def test_a_take_has_a_picture_for_every_frame(cast):
    frames = list(some_take(cast).frames())
    np.testing.assert_allclose([t for t, _ in frames], np.arange(11) / 20)
    for _, picture in frames:
        assert picture.shape == (48, 48)
        assert picture.dtype == np.float32
        assert 0 <= picture.min() < picture.max() <= 255


def test_the_same_seed_gives_the_same_pictures(cast):
    pictures = [np.stack([p for _, p in some_take(cast, seed=s).frames()]) for s in (5, 5, 6)]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert not np.array_equal(pictures[0], pictures[2])


def test_only_neutral_shows_no_expression(cast):
    assert some_take(cast, "neutral").expressions == []
    [(expression, course)] = some_take(cast, "angry", duration_s=2.0).expressions
    assert expression == "angry"
    assert 0 <= course.onset_ns < course.apex_ns <= 2_000_000_000


def test_a_style_changes_the_pictures_and_nothing_else(cast):
    plain, drawn = some_take(cast), some_take(cast, style="cartoon")
    assert drawn.description == {**plain.description, "style": "cartoon"}
    np.testing.assert_array_equal(drawn.motion.weights, plain.motion.weights)
    one, two = (take.renderer.frame(take.motion, 5) for take in (plain, drawn))
    assert np.abs(one - two).mean() > 2
    assert 0.7 < one.mean() / two.mean() < 1.4


def test_a_held_out_recipe_is_shown_only_when_asked_for(cast):
    assert some_take(cast, held_out=True).description["recipe"] == "happy-grinning"
    assert some_take(cast).description["recipe"] != "happy-grinning"
    assert "recipe" not in some_take(cast, "neutral", held_out=True).description


def test_a_stream_shows_one_expression_after_the_other(cast):
    rng = np.random.default_rng(0)
    take = draw_stream_take(
        cast, "random-1", "insufficient", rng, duration_s=60.0, frames_per_s=5.0, size=32
    )
    ends = [course.offset_ns for _, course in take.expressions]
    begins = [course.onset_ns for _, course in take.expressions]
    assert len(begins) >= 7
    assert all(end < begin for end, begin in zip(ends, begins[1:], strict=False))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 0}, "0 pixels"),
        ({"duration_s": 0.0}, r"0\.0 s"),
        ({"frames_per_s": -1.0}, "positive"),
        ({"intensity": "weak"}, "weak"),
        ({"style": "oil"}, "no style 'oil' is known, expected one of cartoon"),
    ],
)
def test_impossible_choices_are_refused(cast, changes, message):
    with pytest.raises(FaceError, match=message):
        some_take(cast, **changes)
