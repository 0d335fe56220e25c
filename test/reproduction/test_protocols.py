import pytest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.reproduction import paper
from cs3d_ros.reproduction.protocols import PROTOCOLS, protocol
from cs3d_ros.training.settings import PRESETS


def test_the_papers_protocol_is_what_the_paper_says():
    settings = protocol("paper")
    assert settings == PRESETS["paper"]
    ours = {name: getattr(settings, name) for name in paper.PROTOCOL}
    assert ours == dict(paper.PROTOCOL)


def test_other_epochs_move_the_sizes_in_proportion(monkeypatch):
    grown = {
        **PROTOCOLS,
        "grown": PRESETS["paper"].__class__(sizes=((0, 56), (24, 112)), epochs=30),
    }
    monkeypatch.setattr("cs3d_ros.reproduction.protocols.PROTOCOLS", grown)
    assert protocol("grown", epochs=10).sizes == ((0, 56), (8, 112))
    assert protocol("grown", epochs=2).sizes == ((0, 56), (1, 112))
    assert protocol("grown", epochs=1).sizes == ((0, 112),)
    assert protocol("grown", epochs=10, size=40).sizes == ((0, 40),)


def test_what_is_none_stays():
    assert protocol("quick", clips=None, epochs=None, size=None) == PROTOCOLS["quick"]
    assert protocol("quick", clips=70).clips == 70


def test_a_small_batch_has_parts_no_larger():
    assert protocol("quick", batch=2).micro_batch == 2


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("fast", {}, "unknown protocol 'fast'; choose one of paper, tuned, quick"),
        ("quick", {"epochs": 0}, "epochs is 0"),
        ("quick", {"size": 16}, "sizes from 32 to 224"),
        ("quick", {"clips": -1}, "clips is -1"),
    ],
)
def test_what_cannot_be_trained_is_refused(name, changes, reason):
    with pytest.raises(Cs3dError, match=reason):
        protocol(name, **changes)
