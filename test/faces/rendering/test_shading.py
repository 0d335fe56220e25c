"""Normals, Lambert's law, highlights and hollows."""

import numpy as np
import pytest

from cs3d_ros.faces.rendering.facekit import load_facekit
from cs3d_ros.faces.rendering.shading import Lights, add_normals, open_to_light, shade_vertices
from faces_data import facekit_path


def shaded(normal, albedo=0.5, opened=1.0, gloss=0.0, worn=False, **lights):
    given = {"x": 0.0, "y": 0.0, "z": 1.0, "key": 0.0, "above": 0.0, "below": 0.0, "wrap": 0.0}
    shade = np.empty(1, np.float32)
    shade_vertices(
        np.array([normal], np.float32),
        np.array([albedo], np.float32),
        np.array([opened], np.float32),
        np.array([gloss], np.float32),
        np.array([16], np.int32),
        0 if worn else 1,
        Lights(**{**given, **lights}),
        shade,
    )
    return shade[0]


def test_normals_point_outwards_and_weigh_triangles_by_area():
    corners = np.array([[0, 0, 0], [2, 0, 0], [0, 1, 0], [0, 0, -1]], np.float32)
    normals = np.empty_like(corners)
    add_normals(corners, np.array([[0, 1, 2], [0, 3, 1]], np.int32), normals)
    # Twice the area of each: 2 towards +z, and 2 towards −y.
    np.testing.assert_allclose(normals[1], [0, -2, 2])
    np.testing.assert_allclose(normals[2], [0, 0, 2])
    np.testing.assert_allclose(normals[3], [0, -2, 0])


@pytest.mark.parametrize("degrees", [0, 30, 60, 89, 120, 180])
def test_the_key_light_follows_lamberts_law(degrees):
    angle = np.radians(degrees)
    radiance = shaded([7 * np.sin(angle), 0, 7 * np.cos(angle)], key=2.0)
    assert radiance == pytest.approx(max(0, np.cos(angle)), abs=1e-5)


def test_light_from_all_around_depends_on_up_and_down():
    around = {"above": 0.8, "below": 0.2}
    assert shaded([0, 1, 0], **around) == pytest.approx(0.4)
    assert shaded([0, -1, 0], **around) == pytest.approx(0.1)
    assert shaded([1, 0, 0], **around) == pytest.approx(0.25)


def test_hollows_get_less_of_all_light():
    around = {"above": 0.5, "below": 0.5, "key": 0.5}
    assert shaded([0, 0, 1], opened=0.2, **around) < 0.5 * shaded([0, 0, 1], **around)
    assert shaded([0, 0, 1], opened=0.0, **around) == 0


def test_translucence_reaches_round_the_edge():
    assert shaded([1, 0, -0.1], key=1.0) == 0
    assert shaded([1, 0, -0.1], key=1.0, wrap=0.3) > 0.01


def test_highlights_are_where_the_light_is_mirrored_to_the_camera():
    light = {"x": 0.8, "z": 0.6, "key": 1.0}
    half = np.array([0.8, 0, 1.6])
    with_gloss = shaded(half, gloss=0.3, **light) - shaded(half, **light)
    assert with_gloss == pytest.approx(0.3, rel=1e-3)
    assert shaded([1, 0, 0], gloss=0.3, **light) - shaded([1, 0, 0], **light) < 0.01


def test_what_is_worn_is_lit_from_the_side_that_is_seen():
    assert shaded([0, 0, -1], key=1.0) == 0
    assert shaded([0, 0, -1], key=1.0, worn=True) == pytest.approx(0.5)


def test_a_vertex_without_a_normal_is_a_number():
    assert np.isfinite(shaded([0, 0, 0], gloss=1.0, key=1.0, above=1.0))


def test_noses_are_open_to_the_light_and_mouths_are_not():
    kit = load_facekit(facekit_path())
    light = open_to_light(kit)
    marks = kit.landmarks68
    assert light.min() >= 0
    assert light.max() <= 1
    assert light[marks[30]] > 0.8
    # The inner corners of the eyes are hollow, the mouth and its back far more.
    assert light[marks[[39, 42]]].max() < 0.8 * light[marks[30]]
    assert np.median(light[kit.mouth_socket]) < 0.1
    front_teeth = np.argsort(kit.vertices[kit.teeth, 2])[-300:] + kit.teeth.start
    assert light[front_teeth].max() > 2 * np.median(light[kit.mouth_socket])
