"""The paper's figures, exactly, and that counting leaves a network as it was."""

import pytest
import torch
from torch import nn

from cs3d_ros.network import NetworkError, build, complexity
from cs3d_ros.network.complexity import Complexity, as_dicts, as_text, table


@pytest.fixture(scope="module")
def rows():
    return table()


def test_the_table_has_the_figures_of_the_paper(rows):
    assert rows[:2] == [
        Complexity("c3d", 21_291_466_752, 62_100_871),
        Complexity("c3d+factorized", 4_255_309_824, 51_607_440),
    ]


def test_cs3d_as_it_is(rows):
    assert rows[2:] == [Complexity("cs3d", 4_215_157_444, 1_320_859)]


def count(name, **options):
    with torch.device("meta"):
        network = build(name, **options)
    found = complexity.complexity(network)
    assert found.network == name
    return found.macs, found.parameters


def test_the_other_networks_and_forks():
    assert count("c3d+ssn") == (21_291_466_752, 62_100_871)
    assert count("c3d+attention") == (21_297_397_956, 62_179_218)
    assert count("cs3d", classifier="mlp") == (4_265_514_180, 51_685_787)
    assert count("cs3d", temporal_attention="per_frame") == (4_214_846_334, 1_243_027)


def test_a_block_counted_by_hand():
    found = complexity.complexity(nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3)), nn.BatchNorm3d(4)))
    outputs = 4 * 16 * 110 * 110
    assert found == Complexity("Sequential", outputs * 3 * 9 + 4 * outputs, 4 * 27 + 4 + 8)


def test_the_network_given_stays_as_it_was(capfd):
    torch.manual_seed(0)
    network = build("cs3d").train()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    attributes = {name: set(vars(module)) for name, module in network.named_modules()}
    assert complexity.complexity(network).macs == 4_215_157_444
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert {name: set(vars(module)) for name, module in network.named_modules()} == attributes
    assert not any(module._forward_hooks for module in network.modules())
    assert all(module.training for module in network.modules())
    assert {p.device.type for p in network.parameters()} == {"cpu"}
    assert capfd.readouterr() == ("", "")


def test_parameters_are_those_that_the_optimizer_sees(rows):
    for row in rows:
        with torch.device("meta"):
            network = build(row.network)
        assert row.parameters == sum(p.numel() for p in network.parameters())


def test_rows_as_dictionaries(rows):
    assert as_dicts(rows) == [
        {
            "network": "c3d",
            "macs": 21_291_466_752,
            "parameters": 62_100_871,
            "paper_gmacs": 21.29,
        },
        {
            "network": "c3d+factorized",
            "macs": 4_255_309_824,
            "parameters": 51_607_440,
            "paper_gmacs": 4.26,
        },
        {"network": "cs3d", "macs": 4_215_157_444, "parameters": 1_320_859, "paper_gmacs": 4.68},
    ]
    assert as_dicts([Complexity("other", 1, 2)])[0]["paper_gmacs"] is None


def test_rows_as_text(rows):
    lines = as_text([*rows, Complexity("other", 1_000_000_000, 2)]).splitlines()
    assert [line.split() for line in lines] == [
        ["network", "MACs", "GMACs", "paper", "parameters"],
        ["c3d", "21,291,466,752", "21.29", "21.29", "62,100,871"],
        ["c3d+factorized", "4,255,309,824", "4.26", "4.26", "51,607,440"],
        ["cs3d", "4,215,157,444", "4.22", "4.68", "1,320,859"],
        ["other", "1,000,000,000", "1.00", "-", "2"],
    ]
    assert len({len(line) for line in lines}) == 1


def test_an_unknown_name_is_refused():
    with pytest.raises(NetworkError, match="unknown network 'c4d'"):
        complexity.complexity("c4d")


def test_a_missing_thop_is_explained(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "thop", None)
    with pytest.raises(NetworkError, match=r"THOP cannot be imported.*install thop"):
        complexity.complexity("cs3d")
