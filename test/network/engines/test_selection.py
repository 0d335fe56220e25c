"""Which engine serves: by name, by speed, and what happens to those that do not work."""

import dataclasses

import numpy as np
import pytest
import torch

from cs3d_ros.network import build
from cs3d_ros.network.engines import ENGINES, selection
from cs3d_ros.network.engines.engine import (
    Engine,
    EngineError,
    EngineRequest,
    EngineUnavailableError,
)
from cs3d_ros.network.engines.selection import AUTO, engine_names, open_engine
from cs3d_ros.network.engines.self_check import TOLERANCES, sample_window
from cs3d_ros.network.engines.torch_engine import TorchEngine

SHAPE = (3, 16, 32, 32)


@pytest.fixture(scope="module")
def request_():
    torch.manual_seed(0)
    network = build("rnn").eval()
    for parameter in network.parameters():
        parameter.data.add_(torch.randn(parameter.shape).mul_(0.1))
    return EngineRequest(network, SHAPE, torch.device("cpu"))


class Right(TorchEngine):
    """Answers as torch does."""

    name = "right"
    takes_ms = 0.0
    made = closed = 0

    def __init__(self, request):
        super().__init__(request)
        type(self).made += 1

    def close(self):
        type(self).closed += 1
        super().close()


def engine(name_, **changes):
    return type(name_, (Right,), {"name": name_, "made": 0, "closed": 0, **changes})


def refuses(error):
    def init(self, request):
        raise error

    return init


def answers(function):
    def infer(self, windows, shift=None):
        return function(TorchEngine.infer(self, windows, shift))

    return infer


@pytest.fixture
def engines(monkeypatch):
    def put(*kinds, candidates=None):
        for kind in kinds:
            monkeypatch.setitem(ENGINES, kind.name, kind)
        names = candidates or tuple(kind.name for kind in kinds)
        monkeypatch.setitem(selection.CANDIDATES, "cpu", names)

    return put


def test_the_engine_that_is_asked_for_serves(request_):
    choice = open_engine("torch", request_)
    assert isinstance(choice.engine, TorchEngine)
    assert choice.reason == f"torch {torch.__version__}, as asked for"
    assert choice.failures == ()
    window = sample_window(SHAPE, seed=3)
    expected = request_.network(torch.from_numpy(window[None])).detach().numpy()
    np.testing.assert_allclose(choice.engine.infer(window[None]), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["", "Torch", "onnx", "../torch"])
def test_an_unknown_name_is_refused_with_those_there_are(request_, name):
    with pytest.raises(EngineError, match=r"unknown engine .*choose one of torch, .*auto"):
        open_engine(name, request_)
    assert engine_names()[-1] == AUTO


def test_an_unknown_precision_is_refused(request_):
    wrong = EngineRequest(request_.network, SHAPE, request_.device, precision="int8")
    with pytest.raises(EngineError, match="unknown precision 'int8'; choose one of float32, tf32"):
        open_engine("torch", wrong)


def test_a_precision_that_the_engine_lacks_is_refused(request_):
    wrong = EngineRequest(request_.network, SHAPE, request_.device, precision="bfloat16")
    with pytest.raises(EngineUnavailableError, match=r"computes in float32.*, not in bfloat16"):
        open_engine("torch", wrong)


def test_an_engine_of_another_device_is_refused(request_, engines):
    engines(engine("elsewhere", DEVICES=("cuda",)))
    with pytest.raises(EngineUnavailableError, match="engine elsewhere: runs on cuda only; choose"):
        open_engine("elsewhere", request_)


def test_auto_takes_the_fastest_and_closes_the_others(request_, engines, monkeypatch):
    slow, fast, slower = engine("slow", takes_ms=5.0), engine("fast"), engine("slower", takes_ms=7)
    engines(slow, fast, slower)
    monkeypatch.setattr(
        selection, "_medians_ms", lambda engines, window, shift: [e.takes_ms for e in engines]
    )
    choice = open_engine(AUTO, request_)
    assert choice.engine.name == "fast"
    assert choice.failures == ()
    assert choice.reason.endswith(", 0.0 ms a window (slow: 5.0 ms; slower: 7.0 ms)")
    assert [(kind.made, kind.closed) for kind in (slow, fast, slower)] == [(1, 1), (1, 0), (1, 1)]


@pytest.mark.parametrize(("preferred_ms", "name"), [(11.0, "preferred"), (12.0, "fastest")])
def test_auto_takes_the_preferred_engine_if_it_is_as_good(
    request_, engines, monkeypatch, preferred_ms, name
):
    engines(engine("preferred"), engine("fastest"))
    monkeypatch.setattr(selection, "_medians_ms", lambda *_: [preferred_ms, 10.0])
    choice = open_engine(AUTO, request_)
    assert choice.engine.name == name
    assert f"{preferred_ms:.1f} ms" in choice.reason
    assert "10.0 ms" in choice.reason


def test_engines_are_timed_with_windows_as_far_apart_as_they_will_be(request_, engines):
    seen = []

    def infer(self, windows, shift=None):
        seen.append(shift)
        return TorchEngine.infer(self, windows)

    engines(engine("watched", infer=infer))
    open_engine(AUTO, dataclasses.replace(request_, shift=4))
    # The self-check has nothing before it.
    assert seen[0] is None
    assert set(seen[1:]) == {4}
    assert len(seen) > 3


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"__init__": refuses(EngineError("conversion failed: no such node"))}, "no such node"),
        ({"__init__": refuses(ValueError("bad\nmany lines"))}, "cannot be made: ValueError: bad$"),
        ({"__init__": refuses(MemoryError())}, "cannot be made: MemoryError$"),
        ({"infer": answers(lambda found: 1 / 0)}, "does not answer: ZeroDivisionError"),
        ({"infer": answers(lambda found: found * 1.001)}, "off by 0.001 of the largest logit"),
        ({"infer": answers(lambda found: found * np.nan)}, "off by nan of the largest"),
        ({"infer": answers(lambda found: found[:, ::-1])}, "off by"),
        (
            {"infer": answers(lambda found: found[:, :3])},
            r"answers with \(1, 3\) numbers, expected \(1, 7\)",
        ),
    ],
)
def test_an_engine_that_fails_is_passed_over_or_refused(request_, engines, changes, why):
    broken = engine("broken", **changes)
    engines(broken, TorchEngine)
    choice = open_engine(AUTO, request_)
    assert choice.engine.name == "torch"
    assert "(broken: " in choice.reason
    assert len(choice.failures) == 1
    assert choice.failures[0].startswith("engine broken: ")
    assert broken.made == broken.closed
    with pytest.raises(EngineError, match=why.replace("$", "; choose another one, or auto")):
        open_engine("broken", request_)


def test_an_engine_that_is_not_installed_is_no_failure(request_, engines):
    absent = engine("absent", __init__=refuses(EngineUnavailableError("install it")))
    engines(absent, TorchEngine)
    choice = open_engine(AUTO, request_)
    assert (choice.engine.name, choice.failures) == ("torch", ())
    assert "absent: install it" in choice.reason
    with pytest.raises(EngineUnavailableError, match="engine absent: install it; choose another"):
        open_engine("absent", request_)


def test_where_nothing_works_all_reasons_are_told(request_, engines):
    engines(
        engine("absent", __init__=refuses(EngineUnavailableError("install it"))),
        engine("broken", __init__=refuses(EngineError("out of luck"))),
    )
    with pytest.raises(EngineError, match=r"no engine .*absent: install it; broken: out of luck"):
        open_engine(AUTO, request_)


def test_what_is_to_be_left_out_is_left_out(request_, engines):
    fast = engine("fast")
    engines(fast, TorchEngine)
    assert open_engine(AUTO, request_, without=["fast"]).engine.name == "torch"
    assert fast.made == 0


def test_weights_that_make_no_numbers_are_refused_before_any_engine_is_made(request_):
    network = build("rnn").eval()
    next(network.parameters()).data.fill_(np.nan)
    with pytest.raises(EngineError, match="not finite or all zero"):
        open_engine("torch", EngineRequest(network, SHAPE, request_.device))


def test_every_candidate_is_an_engine_of_its_device():
    for device, names in selection.CANDIDATES.items():
        for name in names:
            assert device in ENGINES[name].DEVICES
        assert "torch" in names


def test_every_engine_has_a_tolerance_for_its_precisions():
    for kind in ENGINES.values():
        assert issubclass(kind, Engine)
        assert set(kind.PRECISIONS) <= set(TOLERANCES)
