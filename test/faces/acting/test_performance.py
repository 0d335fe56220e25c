import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.performance import draw_performance, draw_stream
from cs3d_ros.faces.acting.recipes import HELD_OUT, RECIPES
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.motion import Motion
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path

SHOWN = EXPRESSIONS[1:]
SURROUNDINGS = ("camera", "zoom", "light", "background")
LOOKS = ("eyeLook", "eyeBlink")


@pytest.fixture(scope="module")
def names():
    return load_facekit(facekit_path()).expression_names


def perform(names, seed, expression, duration_s=2.5, frames_per_s=50.0, intensity=None):
    return draw_performance(
        names,
        np.random.default_rng(seed),
        expression,
        duration_s=duration_s,
        frames_per_s=frames_per_s,
        intensity=intensity,
    )


def everything(motion):
    return [getattr(motion, name).tobytes() for name in Motion.__slots__]


def quiet(names, expression, intensity="full", count=4):
    """Performances in which nothing but the expression moves the face below the lids."""
    seed = found = 0
    while found < count:
        performance = perform(names, seed, expression, 3.0, 200.0, intensity)
        beside = performance.description["beside"]
        if not any(beside["talks"]) and not beside["distractions"]:
            found += 1
            yield performance
        seed += 1


@pytest.mark.parametrize("expression", SHOWN)
class TestExpression:
    def test_all_its_units_show_at_the_apex(self, names, expression):
        blendshapes = Blendshapes(names)
        for performance in quiet(names, expression):
            at_apex = performance.motion.weights[_frame(performance, "apex_ns") + 1]
            for unit, sides in performance.description["action_units"].items():
                row = blendshapes.unit(int(unit), *sides)
                if unit in ("5", "7"):  # which a blink may hide
                    continue
                assert (at_apex[row > 0.05] >= 0.4 * row[row > 0.05]).all(), unit

    def test_before_the_onset_there_is_nothing_of_it(self, names, expression):
        for performance in quiet(names, expression):
            lower = [i for i, name in enumerate(names) if not name.startswith(LOOKS)]
            before = performance.motion.weights[: _frame(performance, "onset_ns"), lower]
            assert len(before) > 0
            assert not before.any()

    def test_the_apex_is_near_the_peak_and_the_offset_is_the_end(self, names, expression):
        for performance in quiet(names, expression):
            lower = [i for i, name in enumerate(names) if not name.startswith(("eye", "jaw"))]
            total = performance.motion.weights[:, lower].sum(axis=1)
            assert total[_frame(performance, "apex_ns") + 1] >= 0.9 * total.max()
            if performance.course.offset_ns < 3_000_000_000:
                assert total[_frame(performance, "offset_ns") + 1 :].max(initial=0) == 0

    def test_micro_expressions_are_faint_and_quick(self, names, expression):
        for performance in quiet(names, expression, "micro"):
            lower = [i for i, name in enumerate(names) if not name.startswith(LOOKS)]
            assert 0.05 < performance.motion.weights[:, lower].max() < 0.65
            course = performance.course
            assert course.offset_ns - course.onset_ns <= 500_000_001

    def test_all_that_moves_beside_it_is_that_of_neutral(self, names, expression):
        for seed in range(10):
            shows, neutral = (perform(names, seed, e).motion for e in (expression, "neutral"))
            for name in SURROUNDINGS:
                np.testing.assert_array_equal(getattr(shows, name), getattr(neutral, name))


def _frame(performance, what):
    """The last frame up to a time of the course."""
    at_s = getattr(performance.course, what) / 1e9
    return int(np.searchsorted(performance.motion.time_s, at_s, side="right")) - 1


class TestClips:
    @pytest.mark.parametrize("expression", EXPRESSIONS)
    @settings(deadline=None, max_examples=30)
    @given(
        seed=st.integers(0, 2**63),
        duration=st.floats(0.5, 6.0),
        rate=st.floats(5.0, 120.0),
        intensity=st.sampled_from([None, "full", "micro"]),
    )
    def test_all_seeds_and_durations_give_sound_motion(
        self, names, expression, seed, duration, rate, intensity
    ):
        performance = perform(names, seed, expression, duration, rate, intensity)
        motion, course = performance.motion, performance.course
        assert duration - 1 / rate < motion.time_s[-1] <= duration + 1e-9
        assert motion.weights.min() >= 0
        assert motion.weights.max() <= 1
        assert performance.expression == expression
        json.dumps(performance.description)
        assert (course is None) == (expression == "neutral")
        if course is not None:
            assert 0 < course.onset_ns < course.apex_ns < course.offset_ns
            assert course.offset_ns <= round(duration * 1e9)

    def test_windows_can_lie_before_on_and_after_the_expression(self, names):
        courses = [perform(names, i, "happy", 2.5, 5.0).course for i in range(120)]
        onset = np.array([course.onset_ns for course in courses]) / 1e9
        offset = np.array([course.offset_ns for course in courses]) / 1e9
        held = np.array([(c.release_ns or c.offset_ns) - c.apex_ns for c in courses]) / 1e9
        assert (onset > 0.5).mean() > 0.25
        assert (offset < 2.0).mean() > 0.2
        assert (offset == 2.5).mean() > 0.05
        assert (held > 0.5).mean() > 0.2
        assert any(course.release_ns is None for course in courses)

    def test_the_same_seed_gives_the_same_bytes(self, names):
        one, two = (perform(names, 7, "sad") for _ in "ab")
        assert everything(one.motion) == everything(two.motion)
        assert (one.course, one.description) == (two.course, two.description)
        assert everything(perform(names, 8, "sad").motion) != everything(one.motion)

    def test_more_frames_show_the_same_motion(self, names):
        slow, fast = (perform(names, 11, "angry", 2.0, rate) for rate in (50.0, 100.0))
        assert slow.course == fast.course
        for name in Motion.__slots__:
            np.testing.assert_allclose(
                getattr(fast.motion, name)[::2], getattr(slow.motion, name), atol=1e-6
            )

    def test_a_quarter_are_micro_expressions(self, names):
        drawn = [perform(names, i, "sad", 2.0, 5.0).description["intensity"] for i in range(150)]
        assert drawn.count("micro") / 150 == pytest.approx(0.25, abs=0.1)

    def test_disturbances_have_one_distribution_over_all_classes(self, names):
        """Kolmogorov-Smirnov between each class and all others; seeds differ between classes."""
        measures = {
            "camera": lambda p: np.ptp(p.motion.camera, axis=0).max(),
            "zoom": lambda p: np.ptp(p.motion.zoom),
            "light": lambda p: np.ptp(p.motion.light),
            "background": lambda p: np.ptp(p.motion.background[:, 0]),
            "gaze": lambda p: p.motion.weights[:, looks].max(),
            "head": lambda p: np.ptp(p.motion.rotation, axis=0).max(),
            "shift": lambda p: np.ptp(p.motion.position, axis=0).max(),
            "blink": lambda p: float(p.motion.weights[:, lids].max() > 0.6),
        }
        looks, lids = (
            Blendshapes(names).columns(*stems)
            for stems in (("eyeLookIn", "eyeLookOut"), ("eyeBlink",))
        )
        count = 80
        found = {
            e: [perform(names, 1000 * k + i, e, 2.0, 25.0) for i in range(count)]
            for k, e in enumerate(EXPRESSIONS)
        }
        for what, measure in measures.items():
            values = {e: np.array([measure(p) for p in clips]) for e, clips in found.items()}
            # What the head does with an expression depends on it; neutral has the mean of all.
            told = ["neutral"] if what in ("head", "shift") else EXPRESSIONS
            for expression in told:
                own = values[expression]
                rest = np.concatenate([v for e, v in values.items() if e != expression])
                at = np.concatenate([own, rest])
                distance = np.abs(
                    np.searchsorted(np.sort(own), at, "right") / len(own)
                    - np.searchsorted(np.sort(rest), at, "right") / len(rest)
                ).max()
                # Exceeded once in 1000 times by chance.
                assert distance < 1.95 * np.sqrt(1 / len(own) + 1 / len(rest)), what


class TestHeldOut:
    @pytest.mark.parametrize("expression", list(HELD_OUT))
    def test_it_is_shown_when_asked_for_and_never_otherwise(self, names, expression):
        own, others = HELD_OUT[expression].name, {r.name for r in RECIPES[expression]}
        how = {"duration_s": 0.5, "frames_per_s": 2.0}
        for held_out, expected in ((True, {own}), (False, others)):
            drawn = {
                draw_performance(
                    names, np.random.default_rng(seed), expression, held_out=held_out, **how
                ).description["recipe"]
                for seed in range(60)
            }
            assert drawn == expected

    @pytest.mark.parametrize("expression", list(HELD_OUT))
    def test_its_units_are_within_their_range_and_as_lopsided_as_others(self, names, expression):
        parts = {part.unit: part for part in HELD_OUT[expression].parts}
        sides = []
        for seed in range(40):
            how = {"duration_s": 0.5, "frames_per_s": 2.0, "intensity": "micro", "held_out": True}
            drawn = draw_performance(names, np.random.default_rng(seed), expression, **how)
            strength = drawn.description["strength"]
            units = drawn.description["action_units"]
            assert set(units) == set(map(str, parts))
            for unit, (left, right) in units.items():
                part = parts[int(unit)]
                # Descriptions are rounded to a thousandth.
                assert strength * part.low - 2e-3 <= (left + right) / 2
                assert (left + right) / 2 <= strength * part.high + 2e-3
                sides.append((left - right) / (left + right))
        assert 0.04 < np.std(sides) < 0.12

    def test_all_that_moves_beside_it_is_the_same(self, names):
        how = {"duration_s": 2.0, "frames_per_s": 20.0}
        usual, other = (
            draw_performance(names, np.random.default_rng(3), "surprised", held_out=held_out, **how)
            for held_out in (False, True)
        )
        assert usual.description["beside"] == other.description["beside"]
        for name in SURROUNDINGS:
            one, two = (getattr(p.motion, name) for p in (usual, other))
            np.testing.assert_array_equal(one, two)
        assert not np.array_equal(usual.motion.weights, other.motion.weights)


@pytest.fixture(scope="module")
def stream(names):
    return draw_stream(names, np.random.default_rng(1), duration_s=240.0, frames_per_s=50.0)


class TestStream:
    def test_every_expression_comes_about_equally_often(self, stream):
        counts = Counter(expression for expression, _ in stream[1])
        assert set(counts) == set(SHOWN)
        assert max(counts.values()) - min(counts.values()) <= 1
        assert sum(counts.values()) > 30

    def test_expressions_follow_each_other_with_pauses(self, stream):
        courses = [course for _, course in stream[1]]
        for before, after in itertools.pairwise(courses):
            assert 1e9 <= after.onset_ns - before.offset_ns <= 6e9 + 1
        assert courses[0].onset_ns >= 1e9
        assert courses[-1].offset_ns <= 240e9
        assert all(course.release_ns is not None for course in courses)

    def test_micro_expressions_are_the_short_ones(self, stream):
        _, shown, intensities = stream
        lengths = {"full": [], "micro": []}
        for (_, course), intensity in zip(shown, intensities, strict=True):
            lengths[intensity].append(course.offset_ns - course.onset_ns)
        assert max(lengths["micro"]) <= 500_000_000 < min(lengths["full"])

    def test_disturbances_go_on_through_all_of_it(self, stream):
        motion = stream[0]
        assert len(motion) == 240 * 50 + 1
        for part in np.array_split(np.arange(len(motion)), 4):
            assert np.ptp(motion.rotation[part]) > np.radians(3)
            assert motion.weights[part].max() > 0.9
        assert motion.weights.min() >= 0
        assert motion.weights.max() <= 1

    def test_brows_rise_while_surprise_is_at_its_apex(self, stream, names):
        motion, shown, _ = stream
        brows = motion.weights[:, Blendshapes(names).columns("browOuterUp")].min(axis=1)
        for expression, course in shown:
            at = slice(
                *np.searchsorted(motion.time_s, [course.apex_ns / 1e9, course.release_ns / 1e9])
            )
            if expression == "surprised":
                assert brows[at].min(initial=1) > 0.08

    def test_the_same_seed_gives_the_same_bytes(self, names, stream):
        motion, shown, _ = draw_stream(
            names, np.random.default_rng(1), duration_s=240.0, frames_per_s=50.0
        )
        assert everything(motion) == everything(stream[0])
        assert shown == stream[1]

    @settings(deadline=None, max_examples=20)
    @given(seed=st.integers(0, 2**63), duration=st.floats(0.5, 30.0))
    def test_all_seeds_and_durations_give_sound_streams(self, names, seed, duration):
        motion, shown, _ = draw_stream(
            names, np.random.default_rng(seed), duration_s=duration, frames_per_s=20.0
        )
        assert motion.weights.max() <= 1
        ends = [0, *(course.offset_ns for _, course in shown)]
        assert all(c.onset_ns > end for (_, c), end in zip(shown, ends, strict=False))
        assert ends[-1] <= round(duration * 1e9)

    def test_a_stream_of_neutral_shows_nothing(self, names):
        motion, shown, _ = draw_stream(
            names,
            np.random.default_rng(2),
            duration_s=60.0,
            frames_per_s=20.0,
            expressions=["neutral"],
        )
        assert shown == []
        nose = Blendshapes(names).columns("noseSneer", "mouthSmile", "mouthFrown")
        assert not motion.weights[:, nose].any()

    def test_only_the_expressions_asked_for_come(self, names):
        _, shown, _ = draw_stream(
            names,
            np.random.default_rng(2),
            duration_s=60.0,
            frames_per_s=20.0,
            expressions=["angry", "neutral", "sad"],
        )
        assert {expression for expression, _ in shown} == {"angry", "sad"}


class TestBadArguments:
    @pytest.mark.parametrize("duration", [0.0, -1.0, 0.49, 3601.0, float("nan"), float("inf")])
    def test_a_clip_without_length_or_end_is_refused(self, names, duration):
        with pytest.raises(FaceError, match=r"expected 0\.5 to 3600 s"):
            perform(names, 0, "happy", duration)
        with pytest.raises(FaceError, match=r"expected 0\.5 to 3600 s"):
            draw_stream(names, np.random.default_rng(0), duration_s=duration, frames_per_s=50.0)

    @pytest.mark.parametrize("rate", [0.0, -100.0, float("nan"), float("inf")])
    def test_no_frames_are_refused(self, names, rate):
        with pytest.raises(FaceError, match="expected a positive number"):
            perform(names, 0, "happy", 2.0, rate)

    def test_too_many_frames_are_refused_before_they_take_memory(self, names):
        with pytest.raises(FaceError, match="at most 200000 frames"):
            perform(names, 0, "happy", 3600.0, 1e9)

    def test_an_unknown_expression_is_refused(self, names):
        with pytest.raises(FaceError, match="no expression 'bored' is known, expected one of neu"):
            perform(names, 0, "bored")
        with pytest.raises(FaceError, match="no expression 'bored'"):
            draw_stream(
                names,
                np.random.default_rng(0),
                duration_s=10.0,
                frames_per_s=10.0,
                expressions=["happy", "bored"],
            )

    def test_an_unknown_intensity_is_refused(self, names):
        with pytest.raises(FaceError, match="no intensity 'loud'"):
            perform(names, 0, "neutral", intensity="loud")

    def test_a_stream_of_nothing_is_refused(self, names):
        with pytest.raises(FaceError, match="name at least one"):
            draw_stream(
                names, np.random.default_rng(0), duration_s=9.0, frames_per_s=9.0, expressions=[]
            )

    def test_a_face_that_lacks_blendshapes_is_refused(self):
        with pytest.raises(FaceError, match="the face has no blendshape"):
            perform(["jawOpen", "mouthClose"], 0, "happy")
