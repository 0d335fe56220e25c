"""`cs3d export`: a checkpoint as an ONNX file."""

import argparse
import hashlib
import json
import re
import sys

import onnx
import pytest

from cs3d_ros import export_cli
from cs3d_ros.errors import Cs3dError
from cs3d_ros.network import checkpoint


def export(*words):
    parser = argparse.ArgumentParser()
    export_cli.add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["export", *map(str, words)])
    return arguments.run(arguments)


@pytest.fixture
def weights(tmp_path):
    file = tmp_path / "weights.safetensors"
    checkpoint.save(file, *checkpoint.untrained("rnn", size=32))
    return file


def test_the_weights_that_ship_become_a_file(tmp_path, capsys):
    file = tmp_path / "out.onnx"
    assert export("shipped", file) == 0
    line = capsys.readouterr().out
    assert re.fullmatch(
        rf"{file}: 5\.\d MB, opset 17, off by \d(\.\d)?(e-\d\d)? of the largest logit "
        r"\(ONNX Runtime [\d.]+\)\n",
        line,
    )
    model = onnx.load(file)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(metadata["cs3d_ros"])["representation"] == "on_off_recency"


def test_the_result_can_be_had_as_json(weights, tmp_path, capsys):
    file = tmp_path / "out.onnx"
    assert export(weights, file, "--json") == 0
    result = json.loads(capsys.readouterr().out)
    assert result["file"] == str(file)
    assert result["bytes"] == file.stat().st_size
    assert result["opset"] == 17
    assert result["off"] < 1e-4
    assert result["checked_by"].startswith("ONNX Runtime ")
    metadata = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
    expected = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert metadata["checkpoint_sha256"] == expected


def test_a_file_is_replaced_only_when_that_is_asked_for(weights, tmp_path, capsys):
    file = tmp_path / "out.onnx"
    file.write_text("mine")
    with pytest.raises(Cs3dError, match="exists already"):
        export(weights, file)
    assert file.read_text() == "mine"
    assert export(weights, file, "--overwrite") == 0
    assert file.stat().st_size > 1000


@pytest.mark.parametrize(
    ("source", "target", "told"),
    [
        ("no.safetensors", "out.onnx", "no.safetensors: no such file"),
        ("", "out.onnx", "not a file"),
        ("weights.safetensors", "no/out.onnx", "there is no folder"),
        ("weights.safetensors", "out.bin", r"let it end in \.onnx"),
        ("broken.safetensors", "out.onnx", "damaged"),
    ],
)
def test_bad_input_is_told_in_one_line(source, target, told, weights, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.safetensors").write_bytes(weights.read_bytes()[:50])
    with pytest.raises(Cs3dError, match=told) as caught:
        export(source, target)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.rglob("*.onnx*"))


def test_without_onnx_it_names_the_extra(weights, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(Cs3dError, match=r"pip install 'cs3d_ros\[deploy\]'"):
        export(weights, tmp_path / "out.onnx")
