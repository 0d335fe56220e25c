import numpy as np
import pytest

from cs3d_ros.faces.acting.moods import MOODS
from cs3d_ros.faces.acting.performance import draw_performance, draw_stream
from cs3d_ros.faces.acting.venues import VENUES, venue
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path


@pytest.fixture(scope="module")
def names():
    return load_facekit(facekit_path()).expression_names


@pytest.mark.parametrize("name", sorted(VENUES))
def test_shares_are_of_all_moods_and_mounts_and_add_up(name):
    assert list(VENUES[name].moods) == [mood.name for mood in MOODS]
    assert list(VENUES[name].mounts) == ["fixed", "held", "walking", "vibrating"]
    assert sum(VENUES[name].moods.values()) == pytest.approx(1)
    assert sum(VENUES[name].mounts.values()) == pytest.approx(1)


def performances(names, where, expression, count=60):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield draw_performance(
            names, rng, expression, duration_s=2.0, frames_per_s=25.0, venue=where
        )


def test_in_a_laboratory_people_hold_still_before_a_fixed_camera(names):
    lab = [p.description for p in performances(names, "lab", "happy")]
    robot = [p.description for p in performances(names, "robot", "happy")]
    assert not any(any(d["beside"]["talks"]) for d in lab)
    assert any(any(d["beside"]["talks"]) for d in robot)
    assert {d["beside"]["camera"] for d in lab} <= {"fixed", "held"}
    assert {d["beside"]["camera"] for d in robot} >= {"fixed", "held", "walking", "vibrating"}
    assert {mood for d in lab for mood in d["beside"]["moods"]} == {"still", "calm"}
    micro = [sum(d["intensity"] == "micro" for d in found) for found in (lab, robot)]
    assert micro[0] < micro[1]


def test_a_stream_in_a_laboratory_has_fewer_micro_expressions(names):
    rise_s = {}
    for where in VENUES:
        rng = np.random.default_rng(1)
        _, shown, _ = draw_stream(names, rng, duration_s=300.0, frames_per_s=10.0, venue=where)
        rise_s[where] = [(course.apex_ns - course.onset_ns) * 1e-9 for _, course in shown]
    assert np.mean(np.array(rise_s["lab"]) < 0.2) < np.mean(np.array(rise_s["robot"]) < 0.2)


def test_an_unknown_venue_is_refused(names):
    with pytest.raises(FaceError, match="unknown venue 'street', expected one of robot, lab"):
        venue("street")
    with pytest.raises(FaceError, match="unknown venue"):
        draw_performance(
            names, np.random.default_rng(0), "sad", duration_s=2.0, frames_per_s=25.0, venue="x"
        )
