import numpy as np
import pytest

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.speech import CONSONANTS, VOWELS, draw_speech
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path


@pytest.fixture(scope="module")
def blendshapes():
    return Blendshapes(load_facekit(facekit_path()).expression_names)


@pytest.fixture(scope="module")
def minutes(blendshapes):
    """Two minutes of speech at 200 frames per second, and its stressed syllables."""
    time = np.arange(0, 120, 0.005)
    return draw_speech(time, np.random.default_rng(1), blendshapes, 120.0, effort=1.0)


def test_mouths_open_at_the_rate_of_syllables_and_rest_in_pauses(minutes, blendshapes):
    jaw = minutes[0][:, blendshapes.column("jawOpen")]
    peaks = np.count_nonzero((jaw[1:-1] > jaw[:-2]) & (jaw[1:-1] >= jaw[2:]))
    assert 2 < peaks / 120 < 6
    resting = (minutes[0].max(axis=1) == 0).mean()
    assert 0.1 < resting < 0.5


def test_only_the_mouth_moves(minutes, blendshapes):
    moved = {
        name for name, most in zip(blendshapes.names, minutes[0].max(axis=0), strict=True) if most
    }
    assert all(name.startswith(("mouth", "jaw")) for name in moved)
    stems = {name for pose in (*VOWELS, *CONSONANTS) for name in pose}
    assert {name.removesuffix("_L").removesuffix("_R") for name in moved} == stems


def test_weights_stay_within_0_and_1_and_do_not_jump(minutes):
    assert minutes[0].min() >= 0
    assert minutes[0].max() <= 1
    assert np.abs(np.diff(minutes[0], axis=0)).max() < 0.2


def test_stressed_syllables_are_some_of_all_and_in_order(minutes):
    stressed = minutes[1]
    assert (np.diff(stressed) > 0).all()
    assert 0.5 < np.count_nonzero(stressed > 0) / 120 < 3


def test_effort_scales_it(blendshapes):
    time = np.arange(0, 20, 0.01)
    soft, loud = (
        draw_speech(time, np.random.default_rng(3), blendshapes, 20.0, effort=e)[0].sum()
        for e in (0.5, 1.0)
    )
    assert 0.4 < soft / loud < 0.8


def test_a_clip_may_begin_within_a_phrase(blendshapes):
    begins = [
        draw_speech(np.zeros(1), np.random.default_rng(i), blendshapes, 1.0, effort=1.0)[0].any()
        for i in range(60)
    ]
    assert 20 < sum(begins) < 58


def test_lips_close_at_most_over_the_jaw_as_it_is_open():
    for pose in (*VOWELS, *CONSONANTS):
        assert pose.get("mouthClose", 0) <= pose["jawOpen"]
