import pytest

from cs3d_ros.reproduction import paper
from cs3d_ros.reproduction.protocols import PROTOCOLS
from cs3d_ros.reproduction.tables import table_of


@pytest.mark.parametrize("name", ["table2", "table3", "table4"])
def test_every_row_of_the_paper_is_a_row_of_ours(name):
    rows = {row.name for row in table_of(name, PROTOCOLS["quick"]).rows}
    assert set(paper._ACCURACIES[name]) <= rows


def test_c3d_and_cs3d_have_one_accuracy_on_szu_emodage_in_both_tables():
    for network in ("c3d", "cs3d"):
        (on_szu,) = paper.accuracies("table4", network).values()
        assert on_szu == paper.accuracies("table2", network)["szu-emodage"]


def test_accuracies_on_adfes_are_whole_numbers_of_37_clips():
    for row in ("rnn", "transformer", "lstm", "c3d", "cs3d"):
        clips = paper.accuracies("table2", row)["adfes"] / 100 * 37
        assert clips == pytest.approx(round(clips), abs=0.003)


def test_a_row_of_ours_alone_has_no_figures():
    assert paper.accuracies("table3", "mild") == {}
    assert paper.accuracies("forks", "base") == {}


def test_the_column_of_the_same_data_set_stands_alone():
    assert paper.columns("table2", "casme2") == ("casme2",)
    assert paper.columns("table2", "facekit-7") == ("adfes", "casme2", "szu-emodage")
    assert paper.columns("table3", "casme2") == ("adfes",)
    assert paper.columns("forks", "facekit-7") == ()


def test_the_orders_are_those_of_the_column():
    pairs = [("cs3d", "c3d"), ("c3d", "transformer"), ("c3d", "lstm")]
    # C3D 40.82, LSTM 40.82, Transformer 42.86.
    assert paper.orders("table2", pairs, "casme2") == [("cs3d", "c3d"), ("transformer", "c3d")]
    assert paper.orders("table2", pairs, "adfes") == pairs
    assert paper.orders("table2", pairs, "facekit-7") == pairs


def test_all_orders_are_those_of_most_columns():
    for name in ("table2", "table3", "table4"):
        for higher, lower in table_of(name, PROTOCOLS["quick"]).orders:
            one, other = paper.accuracies(name, higher), paper.accuracies(name, lower)
            assert sum(one[column] > other[column] for column in one) > len(one) / 2
