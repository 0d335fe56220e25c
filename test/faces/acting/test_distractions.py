import numpy as np
import pytest

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.distractions import DISTRACTIONS, draw_distractions
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path

TIME = np.arange(0, 600, 0.05)


@pytest.fixture(scope="module")
def blendshapes():
    return Blendshapes(load_facekit(facekit_path()).expression_names)


def test_none_makes_an_expression():
    """None has the mouth's corners, the nose's wrinkles, stretched lips or wide eyes of one."""
    forbidden = {"mouthSmile", "mouthFrown", "noseSneer", "mouthStretch", "eyeWide"}
    for distraction in DISTRACTIONS:
        assert not forbidden & set(distraction.weights), distraction.name


def test_all_kinds_are_drawn_and_stay_within_their_weights(blendshapes):
    starts = np.arange(0.0, 590.0, 1.0)
    weights, names = draw_distractions(TIME, np.random.default_rng(1), blendshapes, starts)
    assert set(names) == {d.name for d in DISTRACTIONS}
    assert len(names) == len(starts)
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_one_is_gone_after_its_time(blendshapes):
    time = np.arange(0, 20, 0.01)
    for seed in range(40):
        weights, names = draw_distractions(
            time, np.random.default_rng(seed), blendshapes, np.array([1.0])
        )
        what = [d for d in DISTRACTIONS if d.name == names[0]]
        longest = max(d.rise_s[1] + d.hold_s[1] + d.fall_s[1] for d in what)
        assert (weights[time < 1.0] == 0).all()
        assert weights[(time > 1.0) & (time < 1.6)].max() > 0.02
        assert (weights[time > 1.0 + longest] == 0).all()


def test_one_sided_ones_are_on_either_side(blendshapes):
    left, right = blendshapes.columns("mouthDimple")
    ahead = []
    for seed in range(600):
        weights, names = draw_distractions(
            np.arange(0, 2, 0.05), np.random.default_rng(seed), blendshapes, np.array([0.0])
        )
        if names == ["dimple"]:
            ahead.append(np.sign(weights[:, left].max() - weights[:, right].max()))
    assert {-1.0, 0.0, 1.0} == set(ahead)


def test_none_at_all_is_a_face_at_rest(blendshapes):
    weights, names = draw_distractions(TIME, np.random.default_rng(1), blendshapes, np.empty(0))
    assert names == []
    assert not weights.any()
