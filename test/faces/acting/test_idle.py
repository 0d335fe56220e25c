import numpy as np
import pytest

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.idle import Idle, Shown, blended, draw_idle
from cs3d_ros.faces.acting.venues import VENUES
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path

TIME = np.arange(0, 2, 0.02)
SHARED = ("gaze", "blink", "position", "camera", "zoom", "light", "background")


@pytest.fixture(scope="module")
def blendshapes():
    return Blendshapes(load_facekit(facekit_path()).expression_names)


def idle_of(blendshapes, seed, neutral=False):
    return draw_idle(
        TIME,
        np.random.default_rng(seed),
        blendshapes,
        duration_s=2.0,
        frames_per_s=50.0,
        neutral=neutral,
        venue=VENUES["robot"],
    )


def resting(blendshapes, **changes):
    """Nothing moves apart from what is given."""
    n, width = len(TIME), len(blendshapes)
    parts = {
        **{name: np.zeros((n, width)) for name in ("speech", "distractions", "gaze")},
        **{name: np.zeros((n, 3)) for name in ("rotation", "position", "camera")},
        "blink": np.zeros(n),
        "zoom": np.ones(n),
        "light": np.ones(n),
        "background": np.zeros((n, 2)),
    }
    return Idle(**{**parts, **changes})


def shown_of(blendshapes, weights, strength=1.0):
    shown = Shown.nothing(len(TIME), len(blendshapes))
    shown.weights[:] = blendshapes.row(weights)
    shown.strength[:] = strength
    return shown


class TestIdle:
    def test_neutral_clips_move_like_all_others(self, blendshapes):
        for seed in range(20):
            shows, neutral = (idle_of(blendshapes, seed, neutral=n) for n in (False, True))
            for name in SHARED:
                np.testing.assert_array_equal(getattr(shows, name), getattr(neutral, name))

    def test_neutral_faces_speak_and_move_single_units_more_often(self, blendshapes):
        drawn = {n: [idle_of(blendshapes, i, n) for i in range(120)] for n in (False, True)}
        talks = {n: np.mean([i.speech.any() for i in found]) for n, found in drawn.items()}
        units = {
            n: np.mean([len(i.description["distractions"]) for i in found])
            for n, found in drawn.items()
        }
        assert talks[True] == pytest.approx(0.55, abs=0.12)
        assert talks[False] == pytest.approx(0.35, abs=0.12)
        assert units[True] / units[False] == pytest.approx(2.0, rel=0.25)

    def test_some_clips_are_almost_still_and_some_wild(self, blendshapes):
        turns = [np.degrees(np.ptp(idle_of(blendshapes, i).rotation)) for i in range(150)]
        assert np.quantile(turns, 0.1) < 1.0
        assert np.quantile(turns, 0.9) > 10.0

    def test_the_description_names_what_was_drawn(self, blendshapes):
        described = idle_of(blendshapes, 3).description
        assert set(described) == {"moods", "talks", "distractions", "blinks_per_min", "camera"}
        assert 10 <= described["blinks_per_min"] <= 25


class TestBlending:
    def test_nothing_at_all_is_a_face_at_rest(self, blendshapes):
        motion = blended(TIME, blendshapes, resting(blendshapes), Shown.nothing(len(TIME), 53))
        assert not motion.weights.any()
        assert (motion.zoom == 1).all()
        assert motion.weights.dtype == np.float32

    def test_an_expression_alone_is_itself(self, blendshapes):
        shown = shown_of(blendshapes, {"mouthSmile": 0.8, "eyeSquint": 0.4})
        motion = blended(TIME, blendshapes, resting(blendshapes), shown)
        np.testing.assert_array_equal(motion.weights, shown.weights.astype(np.float32))

    def test_head_and_expression_add_up(self, blendshapes):
        shown = shown_of(blendshapes, {})
        shown.rotation[:] = 0.1
        shown.position[:] = 2.0
        idle = resting(blendshapes, rotation=np.full((len(TIME), 3), 0.2))
        motion = blended(TIME, blendshapes, idle, shown)
        assert motion.rotation == pytest.approx(0.3)
        assert motion.position == pytest.approx(2.0)

    def test_speech_is_half_and_single_units_nothing_at_full_strength(self, blendshapes):
        talk = np.tile(blendshapes.row({"mouthPucker": 0.6}), (len(TIME), 1))
        press = np.tile(blendshapes.row({"cheekPuff": 0.6}), (len(TIME), 1))
        idle = resting(blendshapes, speech=talk, distractions=press)
        motion = blended(TIME, blendshapes, idle, shown_of(blendshapes, {"browDown": 1.0}))
        assert motion.weights[:, blendshapes.column("mouthPucker")] == pytest.approx(0.3)
        assert not motion.weights[:, blendshapes.columns("cheekPuff")].any()

    def test_lids_that_close_take_away_wide_eyes(self, blendshapes):
        idle = resting(blendshapes, blink=np.linspace(0, 1, len(TIME)))
        shown = shown_of(blendshapes, {"eyeWide": 1.0, "eyeSquint": 0.5})
        weights = blended(TIME, blendshapes, idle, shown).weights
        wide, squint = (weights[:, blendshapes.columns(s)] for s in ("eyeWide", "eyeSquint"))
        assert wide[0] == pytest.approx([1, 1])
        assert wide[-1] == pytest.approx([0, 0])
        assert (np.diff(wide, axis=0) <= 0).all()
        assert squint[-1] == pytest.approx([0.2, 0.2])

    def test_wide_lips_cannot_be_rounded(self, blendshapes):
        talk = np.tile(blendshapes.row({"mouthFunnel": 0.4}), (len(TIME), 1))
        shown = shown_of(blendshapes, {"mouthStretch": 1.0}, strength=0.0)
        motion = blended(TIME, blendshapes, resting(blendshapes, speech=talk), shown)
        assert motion.weights[:, blendshapes.column("mouthFunnel")] == pytest.approx(0.12)

    def test_lips_close_only_over_an_open_jaw(self, blendshapes):
        talk = np.tile(blendshapes.row({"mouthClose": 0.4, "jawOpen": 0.1}), (len(TIME), 1))
        motion = blended(
            TIME, blendshapes, resting(blendshapes, speech=talk), shown_of(blendshapes, {}, 0.0)
        )
        assert motion.weights[:, blendshapes.column("mouthClose")] == pytest.approx(0.1)
