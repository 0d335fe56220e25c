import numpy as np
import pytest

from cs3d_ros.faces.acting.action_units import Blendshapes
from cs3d_ros.faces.acting.recipes import HEADS, RECIPES
from cs3d_ros.faces.acting.rendition import INTENSITIES, MAX_ASYMMETRY, draw_rendition
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path

SHOWN = [expression for expression, recipes in RECIPES.items() if recipes]


@pytest.fixture(scope="module")
def blendshapes():
    return Blendshapes(load_facekit(facekit_path()).expression_names)


def many(expression, intensity, count=100):
    return [draw_rendition(np.random.default_rng(i), expression, intensity) for i in range(count)]


@pytest.mark.parametrize("expression", SHOWN)
class TestRendition:
    def test_all_recipes_are_drawn(self, expression):
        drawn = {rendition.recipe.name for rendition in many(expression, "full")}
        assert drawn == {recipe.name for recipe in RECIPES[expression]}

    @pytest.mark.parametrize("intensity", list(INTENSITIES))
    def test_every_unit_is_within_its_range_on_average_of_both_sides(self, expression, intensity):
        low, high = INTENSITIES[intensity]
        for rendition in many(expression, intensity):
            assert low <= rendition.strength <= high
            parts = {part.unit: part for part in rendition.recipe.parts}
            assert {u for u, part in parts.items() if part.share == 1} <= set(rendition.units)
            for unit, (left, right) in rendition.units.items():
                part = parts[unit]
                most = min(1.0, rendition.strength * part.high)
                assert (left + right) / 2 <= most + 1e-9
                if max(left, right) < 1.0:
                    assert (left + right) / 2 >= rendition.strength * part.low - 1e-9

    def test_sides_differ_a_little(self, expression):
        sides = np.array([s for r in many(expression, "micro") for s in r.units.values()])
        share = (sides[:, 0] - sides[:, 1]) / sides.sum(axis=1)
        assert np.abs(share).max() <= MAX_ASYMMETRY + 1e-9
        assert 0.04 < share.std() < 0.12
        assert abs(share.mean()) < 0.04

    def test_the_blendshapes_of_all_units_are_in_the_rows(self, expression, blendshapes):
        for rendition in many(expression, "full", 20):
            rows = rendition.rows(blendshapes)
            assert rows.shape == (len(rendition.units), 53)
            assert rows.min() >= 0
            assert rows.max() <= 1
            for unit, row in zip(rendition.units, rows, strict=True):
                np.testing.assert_array_equal(row > 0, blendshapes.unit(unit) > 0)

    def test_the_head_takes_part_in_some_and_within_its_range(self, expression):
        renditions = many(expression, "full")
        moved = [r for r in renditions if r.turn.any()]
        assert 20 < len(moved) < 50
        head = HEADS[expression]
        for r in renditions:
            assert (np.abs(r.turn) <= np.radians(np.abs(head.turn_deg)) + 1e-9).all()
            assert (np.abs(r.shift) <= np.abs(head.shift_cm) + np.array(1e-9)).all()

    def test_the_same_seed_gives_the_same(self, expression):
        one, two = (draw_rendition(np.random.default_rng(5), expression, "full") for _ in "ab")
        assert one.units == two.units
        np.testing.assert_array_equal(one.turn, two.turn)


def test_another_intensity_is_refused():
    with pytest.raises(
        FaceError, match="no intensity 'huge' is known, expected one of full, micro"
    ):
        draw_rendition(np.random.default_rng(0), "happy", "huge")


@pytest.mark.parametrize("expression", ["neutral", "bored"])
def test_an_expression_without_recipes_is_refused(expression):
    with pytest.raises(FaceError, match=f"no recipe for '{expression}', expected one of happy"):
        draw_rendition(np.random.default_rng(0), expression, "full")
