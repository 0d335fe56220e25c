from dataclasses import replace

import pytest

from cs3d_ros.reproduction import words
from cs3d_ros.reproduction.protocols import protocol
from reproduction_helpers import SETTINGS, study_of


def orders(study):
    return list(words.orders(study, study.data[0]))


def choices(study):
    return list(words.choices(study, study.data[0]))


def test_orders_say_where_the_paper_has_them():
    study = study_of("table2", {"cs3d": [(9, 9), (9, 9)], "c3d": [(5, 5), (5, 5)]})
    first, *others = orders(study)
    assert first == (
        "cs3d above c3d (so in the paper on 3 of 3 data sets): **holds**; +40.0 points, spread "
        "0.0, over people +40.0 to +40.0."
    )
    assert others == ["6 orders cannot be told yet: not all runs are finished."]


def test_on_a_data_set_of_the_paper_its_own_column_counts():
    hits = {name: [(5, 5), (6, 6)] for name in ("rnn", "transformer", "lstm", "c3d", "cs3d")}
    found = orders(study_of("table2", hits, data_set="casme2"))
    assert found[4].startswith("c3d above rnn (so in the paper, on CASME II)")
    assert found[5].startswith("transformer above c3d (so in the paper, on CASME II): **does not")
    # C3D and LSTM are equal there.
    assert len(found) == 6


class TestChoices:
    def test_each_says_what_is_best_and_whether_that_is_beyond_the_spread(self):
        found = choices(
            study_of(
                "forks",
                {
                    "base": [(5, 5), (5, 6)],
                    "surrogate=sigmoid_derivative": [(9, 9), (9, 9)],
                    "steepness=1": [(5, 5), (6, 6)],
                    "steepness=10": [(3, 3), (3, 3)],
                    "classifier=mlp": [(1, 1), (1, 1)],
                    "classifier=map": [(0, 0), (0, 0)],
                    "pool=max": [(9, 9), (9, 9)],
                },
            )
        )
        by_group = {line.partition(":")[0]: line for line in found}
        assert (
            "**sigmoid_derivative** is better than the base's sigmoid by" in by_group["surrogate"]
        )
        assert "undecided; 1 is better than the base's 4 by less" in by_group["steepness"]
        assert "**linear** (the base) is best; the next is mlp, −42.5" in by_group["classifier"]
        # One that is missing could be the best.
        assert by_group["pool"] == "pool: 1 of 2 alternatives to multi are finished."
        assert len(found) == 9

    def test_one_seed_does_not_speak_of_spread(self):
        hits = {"base": [(5, 5)], "classifier=mlp": [(9, 9)], "classifier=map": [(1, 1)]}
        found = choices(study_of("forks", hits, wanted=1))
        assert any(
            line.startswith("classifier: **mlp** is best with one seed; +") for line in found
        )

    def test_without_the_base_nothing_is_told(self):
        study = study_of("forks", {"classifier=mlp": [(9, 9), (9, 9)]})
        assert choices(study) == ["Nothing can be told yet: the base is not finished."]


class TestNotes:
    def test_differences_from_the_papers_protocol_are_named(self):
        text = "\n".join(words.notes(study_of("table2", {})))
        assert "size 32 instead of 112" in text
        assert "learning rate 0.0003 instead of 0.0001" in text
        assert "batch 8 instead of 16" in text
        assert "augmentation none instead" not in text
        assert "15 epochs over at most 1,400 clips of the train part, 32 px" in text
        assert "windows of 500 ms, background-activity filter 5 ms, augmentation none." in text

    def test_the_papers_protocol_has_none(self):
        study = study_of("table2", {}, protocol="paper", settings=protocol("paper"))
        text = "\n".join(words.notes(study))
        assert "Other than in the paper" not in text
        assert "50 epochs over all clips" in text
        assert "filter" not in text
        assert "stopped after 10 epochs" in text

    def test_growing_pictures_are_told(self):
        settings = replace(SETTINGS, sizes=((0, 56), (4, 112)))
        text = "\n".join(words.notes(study_of("table2", {}, settings=settings)))
        assert "56 px, 112 px from epoch 4 on" in text
        assert "size 56, then 112 instead of 112" in text

    def test_rendered_faces_are_told(self):
        rendered = study_of("table2", {})
        assert "The faces of facekit-7 are rendered" in "\n".join(words.notes(rendered))
        filmed = replace(rendered, data=(replace(rendered.data[0], rendered=False),))
        assert "rendered" not in "\n".join(words.notes(filmed))

    def test_other_columns_are_told_to_be_of_other_faces(self):
        assert "no such table on facekit-7" in "\n".join(words.notes(study_of("table4", {})))
        assert "no such table" not in "\n".join(
            words.notes(study_of("table4", {}, data_set="szu-emodage"))
        )

    def test_machine_and_time_are_those_of_finished_rows(self):
        study = study_of("table2", {"rnn": [(5, 5), (5, 5)], "c3d": [(5, 5)]})
        assert "Trained on a machine: 2 runs in 2 min all together." in list(words.notes(study))
        assert not any("Trained on" in line for line in words.notes(study_of("table2", {})))

    def test_table3_says_that_it_is_another_comparison(self):
        assert "All rows are of one network, CS3D." in next(words.notes(study_of("table3", {})))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (90, "2 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (9e5, "250.0 h"),
    ],
)
def test_durations_are_for_people(seconds, text):
    assert words.duration(seconds) == text


def test_points_have_a_sign():
    assert [words.points(x) for x in (0.031, -0.031, 0)] == ["+3.1", "−3.1", "+0.0"]
