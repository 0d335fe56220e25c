"""The engine `onnxruntime`, beyond what test_onnx_graph.py tests of it."""

import numpy as np
import pytest

from cs3d_ros.network.engines import onnxruntime_engine
from cs3d_ros.network.engines.engine import EngineError
from cs3d_ros.network.engines.onnxruntime_engine import OnnxRuntimeEngine
from engine_helpers import assert_alike, request_of, windows_of
from network_helpers import trained

pytestmark = pytest.mark.usefixtures("cache_folder")


@pytest.fixture
def request_():
    return request_of(trained("rnn"), 32)


def test_any_number_of_windows_is_answered(request_):
    engine = OnnxRuntimeEngine(request_)
    assert_alike(engine, request_, 3)
    assert engine.infer(windows_of(request_, 0)).shape == (0, 7)


def test_it_tells_its_version_and_closes_twice(request_):
    import onnxruntime

    engine = OnnxRuntimeEngine(request_)
    assert engine.version == f"ONNX Runtime {onnxruntime.__version__}"
    engine.close()
    engine.close()


def test_the_second_start_converts_nothing(request_, monkeypatch):
    OnnxRuntimeEngine(request_)
    monkeypatch.setattr("cs3d_ros.network.engines.onnx_graph.onnx_graph", None)
    assert_alike(OnnxRuntimeEngine(request_), request_)


def test_it_runs_on_the_cpu_with_the_threads_asked_for(request_, monkeypatch):
    seen = []
    open_session = onnxruntime_engine.open_session

    def spy(library, content, threads):
        session = open_session(library, content, threads)
        seen.append((session.get_providers(), session.get_session_options().intra_op_num_threads))
        return session

    monkeypatch.setattr(onnxruntime_engine, "open_session", spy)
    OnnxRuntimeEngine(request_)
    assert seen == [(["CPUExecutionProvider"], 1)]


def test_what_it_cannot_read_is_told_in_one_line(request_, monkeypatch, capfd):
    monkeypatch.setattr(onnxruntime_engine, "converted", lambda _: b"not onnx")
    with pytest.raises(EngineError, match="cannot be loaded: ") as caught:
        OnnxRuntimeEngine(request_)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_what_goes_wrong_while_answering_is_its_error(request_):
    engine = OnnxRuntimeEngine(request_)
    with pytest.raises(EngineError, match="could not answer") as caught:
        engine.infer(np.zeros((1, 3, 16, 40, 40), np.float32))
    assert "\n" not in str(caught.value)
