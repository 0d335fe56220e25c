import numpy as np
import pytest

from cs3d_ros.faces.acting.action_units import ACTION_UNITS, Blendshapes
from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.facekit import load_facekit
from faces_data import facekit_path

NAMES = ("browDown_L", "browDown_R", "jawOpen", "eyeSquint_L", "eyeSquint_R")


class TestActionUnits:
    def test_every_unit_has_its_number_and_blendshapes_of_positive_weight(self):
        for number, unit in ACTION_UNITS.items():
            assert unit.number == number
            assert unit.name
            assert unit.blendshapes
            assert all(0 < weight <= 1 for weight in unit.blendshapes.values())

    def test_every_unit_moves_the_morphable_face(self):
        blendshapes = Blendshapes(load_facekit(facekit_path()).expression_names)
        for number, unit in ACTION_UNITS.items():
            row = blendshapes.unit(number)
            assert row.shape == (53,)
            assert row.max() == max(unit.blendshapes.values())

    def test_the_brow_lowerer_lowers_both_brows(self):
        np.testing.assert_array_equal(Blendshapes(NAMES).unit(4), [1, 1, 0, 0, 0])

    def test_sides_can_differ(self):
        row = Blendshapes(NAMES).unit(4, left=0.5, right=0.25)
        np.testing.assert_array_equal(row, [0.5, 0.25, 0, 0, 0])

    def test_what_has_no_side_gets_the_mean_of_both(self):
        row = Blendshapes(NAMES).unit(26, left=0.4, right=0.8)
        assert row[2] == pytest.approx(0.5 * 0.6)

    def test_weights_stay_within_0_and_1(self):
        row = Blendshapes(NAMES).unit(4, left=3.0, right=-1.0)
        np.testing.assert_array_equal(row[:2], [1, 0])

    def test_an_unknown_unit_is_refused_with_those_that_are_known(self):
        with pytest.raises(FaceError, match=r"action unit 3, expected one of 1, 2, 4, 5"):
            Blendshapes(NAMES).unit(3)

    def test_a_face_without_the_blendshape_is_refused(self):
        with pytest.raises(FaceError, match="no blendshape 'mouthSmile' among its 5"):
            Blendshapes(NAMES).unit(12)


class TestBlendshapes:
    def test_columns_come_in_the_order_of_the_names(self):
        blendshapes = Blendshapes(NAMES)
        assert len(blendshapes) == 5
        assert blendshapes.column("jawOpen") == 2
        assert blendshapes.columns("eyeSquint", "jawOpen") == [3, 4, 2]

    def test_names_of_numpy_are_taken(self):
        assert Blendshapes(np.array(NAMES)).names == NAMES

    @pytest.mark.parametrize("names", [(), ("jawOpen", "jawOpen")])
    def test_no_names_and_double_names_are_refused(self, names):
        with pytest.raises(FaceError, match="each once"):
            Blendshapes(names)
