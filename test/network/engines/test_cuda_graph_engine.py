"""The engine cuda-graph: its choice without a GPU, its answers on one."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from cs3d_ros.network.engines import cuda_graph_engine
from cs3d_ros.network.engines.cuda_graph_engine import CudaGraphEngine
from cs3d_ros.network.engines.engine import (
    PRECISIONS,
    EngineError,
    EngineRequest,
    EngineUnavailableError,
)
from cs3d_ros.network.engines.self_check import TOLERANCES, sample_window
from cs3d_ros.network.specification import Network
from network_helpers import trained

SHAPE = (3, 16, 32, 32)
GPU = torch.device("cuda:0")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(scope="module")
def network() -> Network:
    return trained("cs3d").requires_grad_(False)


def request(network: Network, precision: str = "float32", size: int = 32) -> EngineRequest:
    return EngineRequest(network, (3, 16, size, size), GPU, precision=precision)


class Played:
    """Stands in for a recording: runs its module on the CPU, and takes as long as it is told."""

    took_ms: dict[object, float]
    open: list["Played"]
    tf32: list[bool]

    def __init__(self, module: nn.Module, shape: tuple, device: torch.device) -> None:
        assert device == GPU
        self.module = module
        self.open.append(self)
        self.tf32.append(torch.backends.cudnn.allow_tf32)

    def infer(self, windows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.module(torch.from_numpy(windows)).numpy()

    def median_ms(self) -> float:
        return self.took_ms[type(self.module)]

    def close(self) -> None:
        self.open.remove(self)


class Folded(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)


class Fused(Folded):
    pass


class Wrong(Folded):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x) * 1.001


class NotANumber(Folded):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x) * float("nan")


class Broken(Folded):
    def __init__(self, network: nn.Module) -> None:
        raise ValueError("out of resource: shared memory\nmore")


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> type[Played]:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(cuda_graph_engine, "Replay", Played)
    Played.took_ms = {Folded: 2.0, Fused: 1.0, Wrong: 0.1, NotANumber: 0.1}
    Played.open, Played.tf32 = [], []
    return Played


def offer(monkeypatch: pytest.MonkeyPatch, folded: type, fused: type) -> None:
    forms = {
        "folded": lambda device, network, precision: folded(network),
        "fused": lambda device, network, precision: fused(network),
    }
    monkeypatch.setattr(cuda_graph_engine, "FORMS", forms)


def test_without_a_gpu_it_is_unavailable(monkeypatch: pytest.MonkeyPatch, network: Network) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(EngineUnavailableError, match="no CUDA device here"):
        CudaGraphEngine(request(network))


@pytest.mark.parametrize(("fused_ms", "chosen"), [(1.0, "fused"), (3.0, "folded")])
def test_the_faster_form_serves_and_the_other_is_closed(
    monkeypatch: pytest.MonkeyPatch,
    played: type[Played],
    network: Network,
    fused_ms: float,
    chosen: str,
) -> None:
    played.took_ms[Fused] = fused_ms
    offer(monkeypatch, Folded, Fused)
    engine = CudaGraphEngine(request(network))
    assert engine.form == chosen
    assert len(played.open) == 1
    assert f"{chosen} form" in engine.version
    x = sample_window(SHAPE, seed=3)[None]
    np.testing.assert_array_equal(engine.infer(x), played.open[0].infer(x))
    engine.close()
    engine.close()
    assert not played.open


@pytest.mark.parametrize("bad", [Wrong, NotANumber, Broken])
def test_a_form_that_fails_or_is_wrong_is_out_however_fast(
    monkeypatch: pytest.MonkeyPatch, played: type[Played], network: Network, bad: type
) -> None:
    offer(monkeypatch, Folded, bad)
    assert CudaGraphEngine(request(network)).form == "folded"
    assert len(played.open) == 1


def test_when_none_is_left_it_says_why_in_one_line(
    monkeypatch: pytest.MonkeyPatch, played: type[Played], network: Network
) -> None:
    offer(monkeypatch, Wrong, Broken)
    with pytest.raises(
        EngineError, match=r"folded: .*off by 0\.001 of the largest.*fused: .*shared memory$"
    ):
        CudaGraphEngine(request(network))
    assert not played.open


def test_without_factorized_blocks_nothing_is_fused(
    monkeypatch: pytest.MonkeyPatch, played: type[Played]
) -> None:
    offer(monkeypatch, Folded, Fused)
    lstm = trained("lstm").requires_grad_(False)
    assert CudaGraphEngine(request(lstm)).form == "folded"


@pytest.mark.parametrize(("precision", "tf32"), [("float32", False), ("tf32", True)])
def test_it_is_recorded_with_the_rounding_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
    played: type[Played],
    network: Network,
    precision: str,
    tf32: bool,
) -> None:
    offer(monkeypatch, Folded, Fused)
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    CudaGraphEngine(request(network, precision))
    assert played.tf32 == [tf32, tf32]
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["cs3d", "c3d", "lstm"])
def test_a_gpu_answers_as_the_network_does(name: str, precision: str) -> None:
    network = trained(name).requires_grad_(False)
    engine = CudaGraphEngine(request(network, precision, 48))
    x = np.stack([sample_window((3, 16, 48, 48), seed) for seed in range(3)])
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()
    found = engine.infer(x)
    assert np.abs(found - expected).max() < TOLERANCES[precision] * np.abs(expected).max()
    # Nothing of one window is left in the next.
    np.testing.assert_array_equal(engine.infer(x[::-1])[::-1], found)
    assert engine.infer(x[:0]).shape == (0, expected.shape[1])
    with pytest.raises(EngineError, match="given"):
        engine.infer(np.zeros((1, 3, 16, 40, 40), np.float32))
    engine.close()


@pytest.mark.gpu
@needs_gpu
def test_another_thread_may_ask_and_the_memory_comes_back(network: Network) -> None:
    engine = CudaGraphEngine(request(network))
    x = sample_window(SHAPE)[None]
    answers: list[np.ndarray] = []

    def ask() -> None:
        answers.append(engine.infer(x))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    np.testing.assert_array_equal(answers[0], engine.infer(x))
    weights = sum(parameter.numel() * 4 for parameter in network.parameters())
    before = torch.cuda.memory_allocated(GPU)
    engine.close()
    # What cuBLAS took for itself stays.
    assert torch.cuda.memory_allocated(GPU) <= before - weights
