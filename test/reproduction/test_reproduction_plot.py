import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.reproduction.plot import write_plot
from reproduction_helpers import study_of

# BGR.
OURS, PAPER_ADFES, PAPER_CASME2 = (178, 114, 0), (0, 94, 213), (115, 158, 0)


def picture(study, path):
    write_plot(study, path)
    return cv2.imread(str(path)).astype(int)


def count(pixels, colour):
    return int((np.abs(pixels - np.array(colour)).max(axis=2) < 12).sum())


def test_ours_are_drawn_when_they_are_finished(tmp_path):
    pytest.importorskip("matplotlib")
    one = picture(study_of("table2", {"c3d": [(7, 8), (8, 8)]}), tmp_path / "one.png")
    none = picture(study_of("table2", {"c3d": [(7, 8)]}), tmp_path / "none.png")
    assert count(one, OURS) > 50
    assert count(none, OURS) == 0
    assert count(none, PAPER_ADFES) > 50


def test_a_data_set_of_the_paper_has_its_colour_on_its_own_as_well(tmp_path):
    pytest.importorskip("matplotlib")
    alone = picture(study_of("table2", {}, data_set="casme2"), tmp_path / "alone.png")
    assert count(alone, PAPER_CASME2) > 15
    assert count(alone, PAPER_ADFES) == 0


def test_each_data_set_has_a_panel(tmp_path):
    pytest.importorskip("matplotlib")
    study = study_of("table2", {"c3d": [(7, 8), (8, 8)]})
    two = replace(study, data=(study.data[0], replace(study.data[0], data_set="adfes")))
    one_wide = picture(study, tmp_path / "one.png").shape[1]
    assert picture(two, tmp_path / "two.png").shape[1] > 1.3 * one_wide


def test_many_rows_make_a_taller_picture(tmp_path):
    pytest.importorskip("matplotlib")
    few = picture(study_of("table2", {}), tmp_path / "few.png").shape[0]
    assert picture(study_of("forks", {}), tmp_path / "many.png").shape[0] > 2 * few


def test_without_matplotlib_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Cs3dError, match=r"needs matplotlib .*cs3d_ros\[plot\]"):
        write_plot(study_of("table2", {}), tmp_path / "x.png")
    assert list(tmp_path.iterdir()) == []
