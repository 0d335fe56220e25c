from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.faces.acting.action_units import ACTION_UNITS
from cs3d_ros.faces.acting.recipes import HEADS, HELD_OUT, RECIPES

UPPER, LOWER = {1, 2, 4, 5, 6, 7}, {9, 10, 12, 14, 15, 16, 17, 20, 22, 23, 24, 25, 26, 27}


def units(recipe):
    """The units that every performance of a recipe has."""
    return {part.unit for part in recipe.parts if part.share == 1}


def test_every_expression_but_neutral_has_several_recipes():
    assert tuple(RECIPES) == EXPRESSIONS
    assert RECIPES["neutral"] == ()
    assert all(len(RECIPES[expression]) >= 4 for expression in EXPRESSIONS[1:])
    assert set(HEADS) == set(EXPRESSIONS[1:])


def test_recipes_are_well_formed_and_name_their_source():
    recipes = [recipe for found in RECIPES.values() for recipe in found] + list(HELD_OUT.values())
    assert len({recipe.name for recipe in recipes}) == len(recipes)
    for recipe in recipes:
        assert recipe.source
        numbers = [part.unit for part in recipe.parts]
        assert len(set(numbers)) == len(numbers)
        for part in recipe.parts:
            assert part.unit in ACTION_UNITS
            assert 0 < part.low <= part.high <= 1.6
            assert 0 < part.share <= 1


def test_recipes_have_the_units_that_the_literature_asks_for():
    """The criteria of CK+ (Lucey et al. 2010), and FACS's table for fear."""
    for recipe in RECIPES["happy"]:
        assert 12 in units(recipe)
    for recipe in RECIPES["sad"]:
        assert {1, 4, 15} <= units(recipe)
    for recipe in RECIPES["surprised"]:
        assert {1, 2} <= units(recipe)
    for recipe in RECIPES["disgusted"]:
        assert {9, 10} & units(recipe)
    for recipe in RECIPES["scared"]:
        assert {1, 4, 5, 20} <= units(recipe)
    for recipe in RECIPES["angry"]:
        assert {4, 7} <= units(recipe)


def test_recipes_move_more_than_one_part_of_the_face():
    for expression, recipes in RECIPES.items():
        for recipe in recipes:
            if recipe.name in ("happy-social", "surprised-brows"):
                continue
            assert units(recipe) & UPPER, (expression, recipe.name)
            assert units(recipe) & LOWER, (expression, recipe.name)


def test_what_is_taken_for_another_class_lacks_what_makes_that_class():
    for recipe in RECIPES["disgusted"]:
        assert 4 not in units(recipe)
    for recipe in RECIPES["surprised"]:
        assert not {4, 20} & units(recipe)
    for recipe in RECIPES["scared"]:
        outer = next((part.high for part in recipe.parts if part.unit == 2), 0)
        assert outer < 0.5


def test_each_expression_holds_out_a_recipe_that_differs_in_a_unit_from_all_others():
    assert list(HELD_OUT) == list(EXPRESSIONS[1:])
    others = {r.name: {part.unit for part in r.parts} for found in RECIPES.values() for r in found}
    for held_out in HELD_OUT.values():
        assert held_out.name not in others
        own = {part.unit for part in held_out.parts}
        for recipe, units_of in others.items():
            assert own != units_of, (held_out.name, recipe)


def test_what_is_held_out_lacks_or_adds_what_matters_to_its_class():
    missing = {"sad": 15, "surprised": 1, "scared": 20, "disgusted": 9, "angry": 7}
    for expression, unit in missing.items():
        assert all(unit in units(r) for r in RECIPES[expression])
        assert unit not in units(HELD_OUT[expression])
    grin = units(HELD_OUT["happy"])
    assert {7, 10, 16} <= grin
    assert not any({7, 10, 16} & units(r) for r in RECIPES["happy"])
