"""The engine torch-compile, on a network that compiles in seconds."""

import shutil

import numpy as np
import pytest
import torch
from torch import nn

from cs3d_ros.network.engines import compiled_engine
from cs3d_ros.network.engines.compiled_engine import CompiledEngine
from cs3d_ros.network.engines.engine import EngineError, EngineRequest, EngineUnavailableError
from cs3d_ros.network.specification import Network

SHAPE = (3, 16, 32, 32)
CPU = torch.device("cpu")


class Small(Network):
    """One convolution."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.convolution = nn.Conv3d(3, 4, 3, stride=4)
        self.output = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output(self.convolution(x).relu().mean((2, 3, 4)))


def request(network: Network, device: torch.device = CPU, precision: str = "float32"):
    return EngineRequest(network.eval().requires_grad_(False), SHAPE, device, precision=precision)


def windows(n: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, *SHAPE), np.float32)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda module, **options: module)


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler")
def test_two_engines_in_a_process_answer_each_for_its_own_network() -> None:
    x = windows(3)
    engines = [(Small(seed), CompiledEngine(request(Small(seed)))) for seed in (0, 1)]
    for network, engine in engines:
        with torch.inference_mode():
            expected = network(torch.from_numpy(x)).numpy()
        found = engine.infer(x)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(engine.infer(x[1:2]), found[1:2])
        assert engine.version == f"torch {torch.__version__}, compiled"
        engine.close()
        engine.close()


def test_no_window_has_no_answer(uncompiled: None) -> None:
    assert CompiledEngine(request(Small(0))).infer(windows(0)).shape == (0, 5)


def test_a_window_of_another_shape_is_refused(uncompiled: None) -> None:
    engine = CompiledEngine(request(Small(0)))
    with pytest.raises(EngineError, match=r"\(3, 16, 40, 40\) given, \(3, 16, 32, 32\) expected"):
        engine.infer(np.zeros((1, 3, 16, 40, 40), np.float32))


class InvalidCxxCompiler(RuntimeError):
    """As torch's."""


class Wrapped(Exception):
    """As torch wraps errors."""

    def __init__(self, inner: Exception) -> None:
        super().__init__(f"backend='inductor' raised:\n{inner}")
        self.inner_exception = inner


@pytest.mark.parametrize("is_wrapped", [False, True])
def test_without_a_compiler_it_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, is_wrapped: bool
) -> None:
    error: Exception = InvalidCxxCompiler("No working C++ compiler found: ('g++',)\nmore")

    def fail(module: object, **options: object) -> object:
        raise Wrapped(error) if is_wrapped else error

    monkeypatch.setattr(torch, "compile", fail)
    with pytest.raises(
        EngineUnavailableError, match=r"working C\+\+ compiler .*g\+\+.*CXX"
    ) as told:
        CompiledEngine(request(Small(0)))
    assert "\n" not in str(told.value)


def test_what_does_not_compile_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ValueError("cannot lower aten.foo\nwhile compiling\n" + "x" * 1000)
    # An error that comes back to itself must not be followed forever.
    error.__context__ = Wrapped(error)

    def compiled(module: object, **options: object) -> object:
        def run(x: torch.Tensor) -> torch.Tensor:
            raise error

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    with pytest.raises(EngineError, match=r"^ValueError: cannot lower aten\.foo$") as told:
        CompiledEngine(request(Small(0)))
    assert not isinstance(told.value, EngineUnavailableError)


def test_running_out_of_memory_later_is_an_engines_error(
    uncompiled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = CompiledEngine(request(Small(0)))

    def full(x: torch.Tensor) -> torch.Tensor:
        raise MemoryError("1 GiB")

    monkeypatch.setattr(engine, "_compiled", full)
    with pytest.raises(EngineError, match="MemoryError: 1 GiB"):
        engine.infer(windows(1))


def test_on_a_gpu_it_is_recorded_without_torchs_own_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, object] = {}

    def compiled(module: object, **options: object) -> object:
        asked.update(options)
        return module

    class Recorded:
        def __init__(self, module: object, shape: object, device: object) -> None:
            cudnn = torch.backends.cudnn
            asked.update(shape=shape, device=device, tf32=cudnn.allow_tf32)

        def infer(self, windows: np.ndarray) -> np.ndarray:
            return np.ones((len(windows), 5), np.float32)

        def close(self) -> None:
            asked["closed"] = True

    monkeypatch.setattr(torch, "compile", compiled)
    monkeypatch.setattr(compiled_engine, "Replay", Recorded)
    monkeypatch.setattr(compiled_engine, "folded_on", lambda device, network, precision: network)
    before = torch.backends.cudnn.allow_tf32
    gpu = torch.device("cuda:0")
    engine = CompiledEngine(request(Small(0), gpu))
    assert asked["mode"] == "max-autotune-no-cudagraphs"
    assert (asked["shape"], asked["device"], asked["tf32"]) == (SHAPE, gpu, False)
    assert torch.backends.cudnn.allow_tf32 == before
    assert engine.infer(windows(2)).shape == (2, 5)
    engine.close()
    assert asked["closed"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_answers_alike() -> None:
    network, x = Small(0), windows(3)
    engine = CompiledEngine(request(network, torch.device("cuda:0")))
    with torch.inference_mode():
        expected = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(engine.infer(x), expected, rtol=1e-3, atol=1e-5)
    engine.close()
