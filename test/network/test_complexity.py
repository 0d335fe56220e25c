"""The paper's figures, exactly, and that counting leaves a network as it was."""

import pytest
import torch
from torch import nn

from cs3d_ros.network import NetworkError, build, complexity
from cs3d_ros.network.complexity import PAPER_GMACS, Complexity, as_dicts, as_text, table


@pytest.fixture(scope="module")
def rows():
    return table()


def test_the_table_has_every_network_and_the_figures_of_the_paper(rows):
    assert rows == [
        Complexity("c3d", 21_291_466_752, 62_100_871),
        Complexity("c3d+ssn", 21_291_466_752, 62_100_871),
        Complexity("c3d+factorized", 4_255_309_824, 51_607_440),
        Complexity("c3d+attention", 21_297_397_956, 62_179_218),
        Complexity("cs3d", 4_215_157_444, 1_320_859),
        Complexity("rnn", 5_616_512, 351_623),
        Complexity("lstm", 22_479_744, 1_403_783),
        Complexity("transformer", 26_478_336, 2_187_783),
    ]
    for row in rows:
        if row.network in PAPER_GMACS and row.network != "cs3d":
            assert round(row.macs / 1e9, 2) == PAPER_GMACS[row.network]


def count(name, **options):
    with torch.device("meta"):
        network = build(name, **options)
    found = complexity.complexity(network)
    assert found.network == name
    return found.macs, found.parameters


def test_the_forks():
    assert count("cs3d", classifier="mlp") == (4_265_514_180, 51_685_787)
    assert count("cs3d", temporal_attention="per_frame") == (4_214_846_334, 1_243_027)
    assert count("cs3d", attention_place="last") == (4_209_293_344, 1_275_923)
    assert count("cs3d", attention_place="none") == (4_209_226_240, 1_242_512)
    assert count("cs3d", pool="max") == (4_210_884_292, 1_320_859)
    assert count("cs3d", pool="average") == (4_215_157_444, 1_320_859)
    assert count("c3d+attention", attention_place="none") == (21_291_466_752, 62_100_871)


def test_other_channels():
    # The first convolution has 64·27 weights a channel at 16·112·112 places, without attention.
    added = 64 * 27 * 16 * 112 * 112
    assert count("c3d", in_channels=4) == (21_291_466_752 + added, 62_100_871 + 64 * 27)
    assert count("rnn", in_channels=2) == (5_616_512 - 16 * 784 * 128, 351_623 - 784 * 128)


def test_the_recurrent_networks_counted_by_hand():
    """A step of a unit: its weights, one addition of the two sums, and two biases."""
    step = 128 * (2352 + 128 + 3) + 128 * (128 + 128 + 3)
    assert count("rnn")[0] == 16 * step + 128 * 7
    # Four gates, and four products of gates and cell in each of two layers.
    assert count("lstm")[0] == 16 * (4 * step + 2 * 4 * 128) + 128 * 7


def test_the_transformer_counted_by_hand_without_its_attention():
    projection, feedforward, norms = 2352 * 256, 2 * 256 * 1024, 2 * 4 * 256
    assert count("transformer")[0] == 16 * (projection + 2 * (feedforward + norms)) + 256 * 7


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
    found = {row.pop("network"): row for row in as_dicts(rows)}
    assert list(found) == [row.network for row in rows]
    assert found["c3d"] == {
        "macs": 21_291_466_752,
        "parameters": 62_100_871,
        "paper_gmacs": 21.29,
        "note": None,
    }
    assert {name: row["paper_gmacs"] for name, row in found.items() if row["paper_gmacs"]} == {
        "c3d": 21.29,
        "c3d+factorized": 4.26,
        "cs3d": 4.68,
    }
    assert "does not count attention" in found["transformer"]["note"]
    assert as_dicts([Complexity("other", 1, 2)]) == [
        {"network": "other", "macs": 1, "parameters": 2, "paper_gmacs": None, "note": None}
    ]


def test_rows_as_text(rows):
    given = [row for row in rows if not row.network.startswith("c3d+")]
    *lines, note = as_text([*given, Complexity("other", 1_000_000_000, 2)]).splitlines()
    assert [line.split() for line in lines] == [
        ["network", "MACs", "GMACs", "paper", "parameters"],
        ["c3d", "21,291,466,752", "21.29", "21.29", "62,100,871"],
        ["cs3d", "4,215,157,444", "4.22", "4.68", "1,320,859"],
        ["rnn", "5,616,512", "0.01", "-", "351,623"],
        ["lstm", "22,479,744", "0.02", "-", "1,403,783"],
        ["transformer", "26,478,336", "0.03", "-", "2,187,783"],
        ["other", "1,000,000,000", "1.00", "-", "2"],
    ]
    assert len({len(line) for line in lines}) == 1
    assert note.startswith("transformer: THOP does not count attention")
    assert len(as_text([Complexity("other", 1, 2)]).splitlines()) == 2


def test_an_unknown_name_is_refused():
    with pytest.raises(NetworkError, match="unknown network 'c4d'"):
        complexity.complexity("c4d")


def test_a_missing_thop_is_explained(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "thop", None)
    with pytest.raises(NetworkError, match=r"THOP cannot be imported.*install thop"):
        complexity.complexity("cs3d")
