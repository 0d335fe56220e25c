"""Looks drawn from chance stay within what their description says."""

import dataclasses
import json
import math

import numpy as np
import pytest

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.background import KINDS
from cs3d_ros.faces.rendering.look import Look, draw_look


def looks(light, n=400):
    rng = np.random.default_rng(0)
    return [draw_look(rng, light) for _ in range(n)]


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("distance_cm", 35, 150),
        ("fill", 0.6, 0.95),
        ("right", -0.07, 0.07),
        ("down", -0.07, 0.07),
        ("yaw", -math.radians(15), math.radians(15)),
        ("pitch", -math.radians(10), math.radians(10)),
        ("roll", -math.radians(6.25), math.radians(6.25)),
        ("key_azimuth", -math.radians(75), math.radians(75)),
        ("key_elevation", -math.radians(10), math.radians(65)),
        ("key", 0.2, 0.8),
        ("above", 0.5, 0.9),
        ("gray", 80, 175),
        ("black", 0, 0.03),
        ("gamma", 1, 2.4),
        ("vignette", 0, 0.35),
        ("blur", 0.35, 0.8),
        ("background_blur", 1, 4.5),
        ("background_level", 0.12, 2.5),
    ],
)
def test_draws_span_the_described_range_and_stay_within(name, least, most):
    values = np.array([getattr(look, name) for look in looks("sufficient")])
    assert values.min() >= least
    assert values.max() <= most
    assert np.ptp(values) > 0.75 * (most - least)


def test_insufficient_light_is_darker_with_less_contrast():
    for look in looks("insufficient"):
        assert 18 <= look.gray <= 60
        assert 255 * look.black <= 0.4 * look.gray


def test_all_backgrounds_are_drawn():
    assert {look.background for look in looks("sufficient")} == set(KINDS)


def test_the_same_chance_gives_the_same_look():
    one, same, other = (draw_look(np.random.default_rng(s), "sufficient") for s in (1, 1, 2))
    assert one == same != other


def test_a_look_survives_json():
    look = draw_look(np.random.default_rng(3), "insufficient")
    assert Look(**json.loads(json.dumps(dataclasses.asdict(look)))) == look


def test_unknown_light_is_refused():
    with pytest.raises(FaceError, match=r"'dark'.*sufficient"):
        draw_look(np.random.default_rng(0), "dark")


@pytest.mark.parametrize(
    "given",
    [
        {"distance_cm": 0.0},
        {"fill": float("nan")},
        {"fill": -1.0},
        {"gray": 256.0},
        {"gamma": 0.0},
        {"background": "beach"},
        {"background_seed": -1},
        {"light": "unknown"},
        {"key": 1.5},
    ],
)
def test_impossible_looks_are_refused_by_name(given):
    with pytest.raises(FaceError, match=f"look.{next(iter(given))} is"):
        Look(**given)
