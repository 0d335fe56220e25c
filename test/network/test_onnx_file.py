"""ONNX files: what is in them, that they are checked, and whole or not there."""

import errno
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cs3d_ros.network import checkpoint, onnx_file
from cs3d_ros.network.card import ModelCard
from cs3d_ros.network.engines.engine import EngineError, EngineUnavailableError
from cs3d_ros.network.engines.self_check import sample_window
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.onnx_file import CARD_KEY, HASH_KEY, write_onnx


@pytest.fixture(scope="module")
def model():
    """A network and its card."""
    network, card = checkpoint.untrained("rnn", size=32)
    for parameter in network.parameters():
        parameter.data.add_(torch.randn(parameter.shape).mul_(0.1))
    return network, card


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_gives_the_networks_logits_and_has_its_card(model, tmp_path):
    network, card = model
    file = tmp_path / "out.onnx"
    exported = write_onnx(file, network, card, "ab12")
    content = file.read_bytes()
    assert exported.bytes == len(content)
    assert exported.opset == 17
    assert 0 <= exported.off < 1e-4
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape, given.type) == ("windows", [1, 3, 16, 32, 32], "tensor(float)")
    assert (answer.name, answer.shape) == ("logits", [1, 7])
    window = sample_window((1, 3, 16, 32, 32), seed=5)
    with torch.inference_mode():
        expected = network(torch.from_numpy(window)).numpy()
    np.testing.assert_allclose(session.run(None, {"windows": window})[0], expected, atol=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    assert ModelCard.from_json(metadata[CARD_KEY]) == card
    assert metadata[HASH_KEY] == "ab12"
    assert names_in(tmp_path) == ["out.onnx"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("out.pt", r"out\.pt: is not the name of an ONNX file; let it end in \.onnx"),
        ("no/out.onnx", "there is no folder .*no; make it first"),
        ("folder.onnx", "is not a file and is not replaced"),
        ("there.onnx", "exists already; .* --overwrite"),
        ("dangling.onnx", "is not a file and is not replaced"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_done(
    name, told, model, tmp_path, monkeypatch
):
    monkeypatch.setattr(onnx_file, "onnx_graph", None)
    (tmp_path / "folder.onnx").mkdir()
    (tmp_path / "there.onnx").write_text("mine")
    (tmp_path / "dangling.onnx").symlink_to("nowhere")
    before = names_in(tmp_path)
    with pytest.raises(NetworkError, match=told):
        write_onnx(tmp_path / name, *model, "")
    assert names_in(tmp_path) == before
    assert (tmp_path / "there.onnx").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused_before_the_conversion(model, monkeypatch):
    monkeypatch.setattr(onnx_file, "onnx_graph", None)
    with pytest.raises(NetworkError, match=r"/proc/out\.onnx: cannot be written: "):
        write_onnx(Path("/proc/out.onnx"), *model, "")


def test_a_file_is_replaced_when_that_is_asked_for(model, tmp_path):
    file = tmp_path / "out.onnx"
    file.write_text("old")
    exported = write_onnx(file, *model, "", overwrite=True)
    assert file.stat().st_size == exported.bytes


def fails(error):
    def function(*_, **__):
        raise error

    return function


@pytest.mark.parametrize(
    ("what", "value", "expected"),
    [
        ("_difference", fails(KeyboardInterrupt()), KeyboardInterrupt),
        ("onnx_graph", fails(EngineError("no such operator")), EngineError),
        ("onnx_graph", fails(MemoryError()), MemoryError),
        ("os.fsync", fails(OSError(errno.ENOSPC, "no space left")), NetworkError),
    ],
)
def test_what_goes_wrong_leaves_the_old_file_and_no_other(
    what, value, expected, model, tmp_path, monkeypatch
):
    file = tmp_path / "out.onnx"
    file.write_text("old")
    monkeypatch.setattr(f"cs3d_ros.network.onnx_file.{what}", value)
    with pytest.raises(expected):
        write_onnx(file, *model, "", overwrite=True)
    assert file.read_text() == "old"
    assert names_in(tmp_path) == ["out.onnx"]


def test_a_file_that_answers_otherwise_is_not_written(model, tmp_path, monkeypatch):
    network, card = model
    other, _ = checkpoint.untrained("rnn", size=32, seed=9)
    graph = onnx_file.onnx_graph(other, card.input_shape)
    monkeypatch.setattr(onnx_file, "onnx_graph", lambda *_: graph)
    with pytest.raises(EngineError, match=r"is off by .* expected at most 0\.0001"):
        write_onnx(tmp_path / "out.onnx", network, card, "")
    assert names_in(tmp_path) == []


def test_what_onnx_refuses_is_not_written(model, tmp_path, monkeypatch):
    graph = onnx.load_from_string(onnx_file.onnx_graph(model[0], model[1].input_shape))
    graph.graph.node[0].op_type = "Nothing"
    monkeypatch.setattr(onnx_file, "onnx_graph", lambda *_: graph.SerializeToString())
    with pytest.raises(EngineError, match="onnx refuses what was converted: ") as caught:
        write_onnx(tmp_path / "out.onnx", *model, "")
    assert "\n" not in str(caught.value)
    assert names_in(tmp_path) == []


def test_a_network_whose_logits_are_all_zero_is_not_written(tmp_path):
    network, card = checkpoint.untrained("rnn", size=32)
    for parameter in network.parameters():
        parameter.data.zero_()
    with pytest.raises(EngineError, match="not finite or all zero"):
        write_onnx(tmp_path / "out.onnx", network, card, "")
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("module", ["onnx", "onnxruntime"])
def test_without_the_libraries_it_says_what_to_install(module, model, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineUnavailableError, match=rf"{module} .*cs3d_ros\[deploy\]"):
        write_onnx(tmp_path / "out.onnx", *model, "")
    assert names_in(tmp_path) == []
