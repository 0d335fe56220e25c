"""The engine `torch` on a CPU: any batch, and windows that overlap."""

import numpy as np
import pytest
import torch

from cs3d_ros.network.engines.engine import PRECISIONS, EngineRequest
from cs3d_ros.network.engines.self_check import Probe
from cs3d_ros.network.engines.torch_engine import TorchEngine
from engine_helpers import answers_of, assert_alike, request_of
from network_helpers import trained

SIZE = 32
NAMES = ("cs3d", "c3d", "c3d+factorized", "rnn")


def made(
    name: str, monkeypatch: pytest.MonkeyPatch, **options: object
) -> tuple[TorchEngine, EngineRequest]:
    request = request_of(trained(name, narrow=True, **options), SIZE)
    return TorchEngine(request), request


def stream(bins: int) -> np.ndarray:
    random = np.random.default_rng(3)
    shape = (1, 3, bins, SIZE, SIZE)
    return random.standard_normal(shape, np.float32) * (random.random(shape) < 0.2)


def window(bins: np.ndarray, start: int) -> np.ndarray:
    return np.ascontiguousarray(bins[:, :, start : start + 16], np.float32)


def assert_right(engine: TorchEngine, request: EngineRequest, x: np.ndarray, shift) -> None:
    right = answers_of(request, x)
    assert right.std() > 1e-3
    assert np.abs(engine.infer(x, shift) - right).max() < 1e-4 * np.abs(right).max()


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_any_size_is_answered_as_by_the_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, request = made(name, monkeypatch)
    assert_alike(engine, request, 1)
    assert_alike(engine, request, 3)
    assert engine.infer(np.zeros((0, 3, 16, SIZE, SIZE), np.float32), 2).shape == (0, 7)


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, {}) for name in NAMES), ("cs3d", {"temporal_attention": "per_frame"})],
)
def test_windows_that_overlap_are_answered_as_by_the_network(
    name: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, request = made(name, monkeypatch, **options)
    bins, start = stream(30), 0
    for shift in (None, 2, 4, 0, 1):
        start += shift or 0
        assert_right(engine, request, window(bins, start), shift)


def test_a_call_that_failed_is_not_built_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, request = made("cs3d", monkeypatch)
    bins = stream(20)
    engine.infer(window(bins, 0))
    with pytest.raises(RuntimeError):
        engine.infer(np.zeros((1, 5, 16, SIZE, SIZE), np.float32), 2)
    assert_right(engine, request, window(bins, 4), 2)


def test_it_says_which_torch_and_closes_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = made("rnn", monkeypatch)
    assert engine.version == f"torch {torch.__version__}"
    engine.synchronize()
    engine.close()
    engine.close()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("precision", PRECISIONS)
def test_on_a_gpu_it_answers_as_precisely_as_it_is_asked_to(precision: str) -> None:
    network = trained("cs3d")
    request = EngineRequest(network, (3, 16, 48, 48), torch.device("cuda:0"), 0, precision)
    probe = Probe.of(request.network, request.input_shape)
    engine = TorchEngine(request)
    probe.check(engine.infer, precision)
    engine.close()
