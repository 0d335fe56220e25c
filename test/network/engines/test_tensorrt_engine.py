"""The engine `tensorrt`: what it asks of the library, by a stand-in; and on a GPU, where one is."""

import contextlib
import sys
import types

import pytest
import torch

from cs3d_ros.network.engines.engine import EngineError, EngineUnavailableError
from cs3d_ros.network.engines.selection import open_engine
from cs3d_ros.network.engines.tensorrt_engine import TensorRtEngine
from engine_helpers import assert_alike, request_of, windows_of
from fake_tensorrt import fake_tensorrt
from network_helpers import trained

pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture
def install(monkeypatch):
    """Puts a stand-in in place of the library, and the CPU in that of the GPU."""
    gpu = types.SimpleNamespace(name="Orin", major=8, minor=7, total_memory=8 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    monkeypatch.setattr(torch.cuda, "device", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "Stream", lambda _: types.SimpleNamespace(cuda_stream=7))

    def put(version="10.3.0", gpu_name="Orin"):
        gpu.name = gpu_name
        library = fake_tensorrt(version)
        monkeypatch.setitem(sys.modules, "tensorrt", library)
        return library

    return put


@pytest.fixture
def request_():
    return request_of(trained("rnn"), 32)


@pytest.mark.parametrize("version", ["8.6.2", "10.3.0", "11.4.1"])
def test_it_answers_by_every_version(version, install, request_):
    library = install(version)
    engine = TensorRtEngine(request_)
    assert_alike(engine, request_, 3)
    assert engine.infer(windows_of(request_, 0)).shape == (0, 7)
    assert engine.version == f"TensorRT {version}"
    assert library.creation_flags == [1 if version.startswith("8") else 0]
    engine.close()
    engine.close()


@pytest.mark.parametrize(
    ("precision", "flags"),
    [
        ("float32", set()),
        ("tf32", {"TF32"}),
        ("float16", {"TF32", "FP16"}),
        ("bfloat16", {"TF32", "BF16"}),
    ],
)
def test_it_builds_in_the_precision_asked_for(precision, flags, install):
    library = install()
    TensorRtEngine(request_of(trained("rnn"), 32, precision=precision))
    (config,) = library.builds
    assert config.flags == flags
    assert config.limits == {"WORKSPACE": 1 << 30}


@pytest.mark.parametrize(
    ("version", "precision", "advice"),
    [
        ("8.6.2", "bfloat16", "install a newer one, or compute in float16"),
        ("11.4.1", "float16", "install TensorRT 10, or compute in float32 or tf32"),
        ("11.4.1", "bfloat16", "install TensorRT 10"),
    ],
)
def test_a_precision_that_its_version_does_not_take_is_refused(version, precision, advice, install):
    library = install(version)
    with pytest.raises(EngineUnavailableError, match=f"{version} cannot .* {precision}; {advice}"):
        TensorRtEngine(request_of(trained("rnn"), 32, precision=precision))
    assert library.builds == []


def test_a_plan_is_built_once(install, request_, cache_folder):
    library = install()
    TensorRtEngine(request_)
    assert_alike(TensorRtEngine(request_), request_)
    assert len(library.builds) == 1
    assert sorted(p.name.split("-")[0] for p in cache_folder.iterdir()) == ["onnx", "tensorrt"]


def test_another_version_gpu_or_precision_builds_its_own(install, request_):
    libraries = [install()]
    TensorRtEngine(request_)
    TensorRtEngine(request_of(request_.network, 32, precision="float16"))
    libraries.append(install(gpu_name="Xavier"))
    TensorRtEngine(request_)
    libraries.append(install("10.7.0"))
    TensorRtEngine(request_)
    assert [len(library.builds) for library in libraries] == [2, 1, 1]


def test_a_plan_that_does_not_load_is_built_again(install, request_, cache_folder):
    library = install()
    TensorRtEngine(request_)
    # As after an update of the driver that changes no version.
    deserialize = library.Runtime.deserialize_cuda_engine
    tries = []

    def refuse_first(self, plan):
        tries.append(plan)
        return None if len(tries) == 1 else deserialize(self, plan)

    library.Runtime.deserialize_cuda_engine = refuse_first
    assert_alike(TensorRtEngine(request_), request_)
    assert len(library.builds) == 2


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("parse", "TensorRT cannot read the network: no such operator"),
        ("build", "TensorRT cannot build the network: Error Code 10: no implementation"),
        ("load", "TensorRT cannot load what it built: plan of another version"),
        ("context", "TensorRT cannot prepare the network: it does not say why"),
    ],
)
def test_what_fails_is_told_in_one_line(fault, told, install, request_, cache_folder, capfd):
    install().faults.add(fault)
    with pytest.raises(EngineError) as caught:
        TensorRtEngine(request_)
    assert str(caught.value) == told
    assert capfd.readouterr() == ("", "")
    kept = [p.name for p in cache_folder.glob("tensorrt-*")]
    assert len(kept) == (fault == "context")


def test_what_fails_while_answering_is_its_error(install, request_):
    library = install()
    engine = TensorRtEngine(request_)
    library.faults.add("execute")
    with pytest.raises(EngineError, match="TensorRT could not answer: it does not say why"):
        engine.infer(windows_of(request_, 1))


def test_a_version_that_is_too_old_is_not_used(install, request_):
    # As JetPack 5.0 has it.
    library = install()
    library.__version__ = "8.4.1.5"
    with pytest.raises(EngineUnavailableError, match=r"TensorRT 8.4.1.5 is too old"):
        TensorRtEngine(request_)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", TensorRtEngine.PRECISIONS)
def test_on_a_gpu_it_gives_the_networks_answers(precision):
    pytest.importorskip("tensorrt")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    network = trained("cs3d")
    request = request_of(network, 112, device=torch.device("cuda:0"), precision=precision)
    # It compares them.
    choice = open_engine("tensorrt", request)
    choice.engine.close()
