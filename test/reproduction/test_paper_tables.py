from dataclasses import replace

import pytest
import torch

from cs3d_ros.network import build, default_options
from cs3d_ros.reproduction.errors import ReproductionError
from cs3d_ros.reproduction.protocols import PROTOCOLS
from cs3d_ros.reproduction.tables import FORKS, TABLES, base_value, table_of

QUICK = PROTOCOLS["quick"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", TABLES)
def test_all_rows_can_be_built_and_trained(name, protocol):
    for row in table_of(name, PROTOCOLS[protocol]).rows:
        settings = row.settings(PROTOCOLS[protocol], 3)
        assert settings.seed == 3
        with torch.device("meta"):
            build(settings.network, 7, **settings.network_options())


@pytest.mark.parametrize("name", ["table2", "table4"])
def test_rows_of_networks_differ_in_the_network_alone(name):
    for row in table_of(name, QUICK).rows:
        assert row.settings(QUICK, 0) == replace(QUICK, network=row.name)


def test_rows_of_augmentations_differ_in_the_augmentation_alone():
    rows = table_of("table3", QUICK).rows
    assert [row.name for row in rows] == [
        "none", "mild", "spiking-fer", "eventdrop", "eventdrop+mirror",
    ]  # fmt: skip
    for row in rows:
        assert row.settings(QUICK, 0) == replace(QUICK, augmentation=row.name)


class TestForks:
    def test_each_row_differs_from_the_base_in_one_thing(self):
        base, *others = table_of("forks", QUICK).rows
        known = {"representation": QUICK.representation, "window_ms": QUICK.window_ms}
        known |= default_options("cs3d")

        def everything(row):
            settings = row.settings(QUICK, 0)
            found = {"representation": settings.representation, "window_ms": settings.window_ms}
            return {**default_options("cs3d"), **settings.options, **found}

        assert everything(base) == known
        for row in others:
            different = {key for key, value in everything(row).items() if value != known[key]}
            assert different == {row.group}

    def test_every_value_is_there_once(self):
        rows = table_of("forks", QUICK).rows
        values = sum(len(values) for values in FORKS.values())
        assert len({row.name for row in rows}) == len(rows)
        # The base has one value of each.
        assert len(rows) == 1 + values - len(FORKS)

    def test_the_base_follows_the_protocol(self):
        changed = replace(QUICK, window_ms=1000.0, options={"pool": "max"})
        names = [row.name for row in table_of("forks", changed).rows]
        assert "window_ms=500" in names
        assert "window_ms=1000" not in names
        assert "pool=multi" in names
        assert "pool=max" not in names
        assert base_value("pool", changed) == "max"
        (row,) = (r for r in table_of("forks", changed).rows if r.name == "threshold=0.3")
        assert row.settings(changed, 0).options == {"pool": "max", "threshold": 0.3}

    def test_they_are_judged_on_the_validation_part(self):
        assert table_of("forks", QUICK).part == "validation"
        assert {table_of(name, QUICK).part for name in TABLES if name != "forks"} == {"test"}


def test_options_of_one_network_are_not_given_to_others():
    changed = replace(QUICK, options={"pool": "max"})
    options = {
        row.name: row.settings(changed, 0).options for row in table_of("table2", changed).rows
    }
    assert options["cs3d"] == {"pool": "max"}
    assert options["rnn"] == {}


class TestSelect:
    def test_no_name_is_all(self):
        table = table_of("table2", QUICK)
        assert table.select(()) == table.rows

    def test_names_and_groups_in_the_order_of_the_table(self):
        table = table_of("forks", QUICK)
        names = [row.name for row in table.select(["pool=max", "surrogate"])]
        assert names == ["surrogate=sigmoid_derivative", "pool=max"]

    def test_an_unknown_name_is_refused_with_those_that_there_are(self):
        with pytest.raises(ReproductionError, match=r"no row 'c4d'; choose of rnn, .*cs3d$"):
            table_of("table2", QUICK).select(["c3d", "c4d"])
        with pytest.raises(ReproductionError, match="or of the groups surrogate, threshold"):
            table_of("forks", QUICK).select(["theta"])


def test_an_unknown_table_is_refused():
    with pytest.raises(ReproductionError, match="unknown table 'table1'; choose one of table2"):
        table_of("table1", QUICK)
