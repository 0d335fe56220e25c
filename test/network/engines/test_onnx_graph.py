"""OpenVINO and ONNX Runtime give every network's answers from its ONNX graph."""

import copy
import sys

import numpy as np
import pytest
import torch

from cs3d_ros.network import names
from cs3d_ros.network.engines import onnx_graph as module
from cs3d_ros.network.engines.engine import EngineError, EngineUnavailableError
from cs3d_ros.network.engines.onnx_graph import OPSET, converted, onnx_graph
from cs3d_ros.network.engines.onnxruntime_engine import OnnxRuntimeEngine
from cs3d_ros.network.engines.openvino_engine import OpenVinoEngine
from engine_helpers import answers_of, assert_alike, request_of, windows_of
from network_helpers import trained

pytestmark = pytest.mark.usefixtures("cache_folder")

ENGINES = (OpenVinoEngine, OnnxRuntimeEngine)
OPTIONS = [
    {"threshold": 1.0, "surrogate": "sigmoid_derivative", "temporal_attention": "per_frame"},
    {"temporal_attention": "per_frame", "attention_place": "last", "classifier": "map"},
    {"attention_place": "none", "pool": "max", "classifier": "mlp"},
    {"pool": "average", "reduction": 4, "in_channels": 2},
]


def assert_both_alike(request):
    for kind in ENGINES:
        engine = kind(request)
        assert_alike(engine, request)
        engine.close()


@pytest.mark.parametrize("name", names())
def test_every_network_answers_alike(name, monkeypatch):
    assert_both_alike(request_of(trained(name, narrow=True), 32))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_answers_alike(options, monkeypatch):
    assert_both_alike(request_of(trained("cs3d", narrow=True, **options), 33))


@pytest.mark.parametrize("length", [1, 2, 3, 5, 7, 8, 28, 33, 112])
@pytest.mark.parametrize("size", [4, 28])
def test_averages_are_those_of_an_adaptive_pool(length, size):
    x = torch.randn(1, 2, 3, length, length + 1)
    expected = torch.nn.functional.adaptive_avg_pool3d(x, (3, size, size))
    torch.testing.assert_close(module._averaged(x, size), expected)


def test_the_network_is_left_as_it_is():
    network = trained("transformer")
    before = copy.deepcopy(network.state_dict())
    request = request_of(network, 32)
    windows = windows_of(request, 1)
    expected = answers_of(request, windows)
    onnx_graph(network, request.input_shape)
    assert not network.training
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
    assert type(network.features).__name__ == "BinFeatures"
    np.testing.assert_array_equal(answers_of(request, windows), expected)


def test_torch_goes_on_using_its_fast_attention():
    assert torch.backends.mha.get_fastpath_enabled()
    onnx_graph(trained("transformer"), (3, 16, 32, 32))
    assert torch.backends.mha.get_fastpath_enabled()


def test_the_graph_is_of_the_opset_that_jetsons_know():
    import onnx

    model = onnx.load_from_string(onnx_graph(trained("rnn"), (3, 16, 32, 32)))
    assert [(o.domain, o.version) for o in model.opset_import] == [("", OPSET)]
    assert [i.name for i in model.graph.input] == ["windows"]
    assert [o.name for o in model.graph.output] == ["logits"]


def test_exporting_says_nothing(capfd, recwarn):
    onnx_graph(trained("cs3d"), (3, 16, 32, 32))
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_without_onnx_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(EngineUnavailableError, match=r"onnx .*cs3d_ros\[deploy\]") as caught:
        onnx_graph(trained("rnn"), (3, 16, 32, 32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("name", "kind"), [("cs3d", EngineError), ("rnn", EngineUnavailableError)])
def test_what_the_exporter_refuses_is_told_in_one_line(name, kind, monkeypatch):
    def refuse(*_, dynamo=True, **__):
        raise RuntimeError("\nno such operator\nand a long graph")

    monkeypatch.setattr(torch.onnx, "export", refuse)
    with pytest.raises(EngineError) as caught:
        onnx_graph(trained(name), (3, 16, 32, 32))
    assert type(caught.value) is kind
    assert (
        str(caught.value) == "the network cannot be written as ONNX: RuntimeError: no such operator"
    )


def test_an_older_torch_is_not_asked_for_an_exporter(monkeypatch):
    seen = []

    def export(model, args, f, opset_version=None, input_names=None, output_names=None):
        seen.append(opset_version)

    monkeypatch.setattr(torch.onnx, "export", export)
    onnx_graph(trained("rnn"), (3, 16, 32, 32))
    assert seen == [OPSET]


def test_a_network_is_converted_once(monkeypatch):
    request = request_of(trained("rnn"), 32)
    first = converted(request)
    monkeypatch.setattr(module, "onnx_graph", None)
    assert converted(request) == first


def test_another_torch_converts_again(monkeypatch):
    request = request_of(trained("rnn"), 32)
    converted(request)
    monkeypatch.setattr(torch, "__version__", "9.9")
    monkeypatch.setattr(module, "onnx_graph", lambda *_: b"anew")
    assert converted(request) == b"anew"
