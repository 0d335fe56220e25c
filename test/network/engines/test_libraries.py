"""The libraries of the engines: missing, too old, and with nobody to report to."""

import os
import subprocess
import sys

import pytest

from cs3d_ros.network.engines.engine import EngineUnavailableError
from cs3d_ros.network.engines.libraries import (
    load_onnx,
    load_onnxruntime,
    load_openvino,
    load_tensorrt,
    version_of,
)

LOADERS = {
    "onnx": load_onnx,
    "onnxruntime": load_onnxruntime,
    "openvino": load_openvino,
    "tensorrt": load_tensorrt,
}
USE = """
import sys, torch
from cs3d_ros.network import build
from cs3d_ros.network.engines.engine import EngineRequest
from cs3d_ros.network.engines.{name}_engine import {kind}
from cs3d_ros.network.engines.self_check import sample_window

shape = (3, 16, 32, 32)
engine = {kind}(EngineRequest(build("rnn").eval(), shape, torch.device("cpu"), 1))
print(engine.infer(sample_window((1, *shape))).shape)
engine.close()
print("openvino_telemetry" in sys.modules)
"""


@pytest.mark.parametrize("module", LOADERS)
def test_a_library_that_is_missing_is_told_in_one_line(module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(EngineUnavailableError, match=f"needs {module} .*pip install") as caught:
        LOADERS[module]()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "old", "needed"),
    [
        ("openvino", "2023.3.0-13775-ceeafaf64f3", "2024.0"),
        ("onnxruntime", "1.12.1", "1.13"),
    ],
)
def test_a_library_that_is_too_old_is_not_used(module, old, needed, monkeypatch):
    monkeypatch.setattr(pytest.importorskip(module), "__version__", old)
    with pytest.raises(EngineUnavailableError, match=f"{old} is too old; install {needed}"):
        LOADERS[module]()


@pytest.mark.parametrize(
    ("text", "version"),
    [("2026.4.1-22982-e213a", (2026, 4)), ("10.3.0", (10, 3)), ("8", (8, 0)), ("dev.1", (0, 1))],
)
def test_versions_are_read(text, version):
    assert version_of(text) == version


@pytest.mark.parametrize(
    ("name", "kind"), [("openvino", "OpenVinoEngine"), ("onnxruntime", "OnnxRuntimeEngine")]
)
def test_nothing_is_reported_to_anybody(name, kind, tmp_path):
    # Both libraries keep an identifier in the home folder when they report. What they take for a
    # test machine they leave in peace.
    home = tmp_path / "home"
    home.mkdir()
    silencers = ("CI", "ORT_DISABLE_TELEMETRY", "TF_BUILD", "JENKINS_URL", "XDG_CACHE_HOME")
    environment = {k: v for k, v in os.environ.items() if k not in silencers}
    environment.update(HOME=str(home), CS3D_CACHE=str(tmp_path / "cache"))
    ended = subprocess.run(
        [sys.executable, "-c", USE.format(name=name, kind=kind)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == "(1, 7)\nFalse\n"
    assert ended.stderr == ""
    assert [str(p.relative_to(home)) for p in home.rglob("*")] == []
