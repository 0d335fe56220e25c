"""The engine `openvino`, beyond what test_onnx_graph.py tests of it."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from cs3d_ros.network import checkpoint
from cs3d_ros.network.classifier import SHIPPED_WEIGHTS, Classifier
from cs3d_ros.network.engines import openvino_engine
from cs3d_ros.network.engines.engine import EngineError, EngineRequest, EngineUnavailableError
from cs3d_ros.network.engines.openvino_engine import OpenVinoEngine
from cs3d_ros.recognizer import Recognizer
from cs3d_ros.recordings import open_recording
from engine_helpers import assert_alike, request_of, windows_of
from network_helpers import trained
from recordings_data import DRAWN_FACE

pytestmark = pytest.mark.usefixtures("cache_folder")

# In a process of its own, which must not be ended by what it is about.
INTERRUPTED = """
import signal, threading
from cs3d_ros.network.engines.openvino_engine import OpenVinoEngine
from engine_helpers import request_of
from network_helpers import trained

engines = [OpenVinoEngine(request_of(trained("rnn"), 32))]
closing = threading.Thread(target=engines.clear)
closing.start()
closing.join()
signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
signal.raise_signal(signal.SIGINT)
"""


@pytest.fixture
def request_():
    return request_of(trained("rnn"), 32)


def test_any_number_of_windows_is_answered(request_):
    engine = OpenVinoEngine(request_)
    assert_alike(engine, request_, 3)
    assert engine.infer(windows_of(request_, 0)).shape == (0, 7)


def test_an_answer_outlives_the_next_one(request_):
    engine = OpenVinoEngine(request_)
    first, second = windows_of(request_, 2)
    answer = engine.infer(first[None])
    kept = answer.copy()
    engine.infer(second[None])
    np.testing.assert_array_equal(answer, kept)


def test_it_tells_its_version_and_closes_twice(request_):
    import openvino

    engine = OpenVinoEngine(request_)
    assert engine.version == f"OpenVINO {openvino.__version__.split('-')[0]}"
    engine.close()
    engine.close()


def test_signals_still_arrive_when_another_thread_has_closed_it():
    result = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert (result.returncode, result.stdout) == (0, "interrupted\n"), result.stderr


def test_the_second_start_converts_nothing(request_, monkeypatch):
    OpenVinoEngine(request_)
    monkeypatch.setattr("cs3d_ros.network.engines.onnx_graph.onnx_graph", None)
    assert_alike(OpenVinoEngine(request_), request_)


def test_threads_are_those_asked_for(request_, monkeypatch):
    import openvino

    seen = {}
    compile_model = openvino.Core.compile_model

    def spy(self, model, device, settings):
        seen.update(settings)
        compiled = compile_model(self, model, device, settings)
        seen["really"] = compiled.get_property("INFERENCE_NUM_THREADS")
        seen["precision"] = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return compiled

    monkeypatch.setattr(openvino.Core, "compile_model", spy)
    OpenVinoEngine(request_)
    assert seen["INFERENCE_NUM_THREADS"] == seen["really"] == 1
    assert seen["precision"] == "f32"


def test_what_it_cannot_read_is_told_in_one_line(request_, monkeypatch):
    monkeypatch.setattr(openvino_engine, "converted", lambda _: b"not onnx")
    with pytest.raises(EngineError, match="cannot be compiled: ") as caught:
        OpenVinoEngine(request_)
    assert "\n" not in str(caught.value)


def test_a_machine_without_its_plugin_is_not_for_it(request_, monkeypatch):
    import openvino

    monkeypatch.setattr(openvino.Core, "available_devices", ["NPU"])
    with pytest.raises(EngineUnavailableError, match="no plugin for this CPU"):
        OpenVinoEngine(request_)


def test_what_goes_wrong_while_answering_is_its_error(request_):
    engine = OpenVinoEngine(request_)
    with pytest.raises(EngineError, match="could not answer") as caught:
        engine.infer(np.zeros((1, 3, 16, 40, 40), np.float32))
    assert "\n" not in str(caught.value)


def test_the_weights_that_ship_answer_alike_on_a_real_recording(monkeypatch):
    network, card = checkpoint.load(SHIPPED_WEIGHTS)
    request = EngineRequest(network, card.input_shape, torch.device("cpu"), 1)
    window = recorded_window(monkeypatch)
    with torch.inference_mode():
        expected = network(torch.from_numpy(window)[None]).numpy()
    found = OpenVinoEngine(request).infer(window[None])
    assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-4


def recorded_window(monkeypatch):
    """The fifth window that a recognizer makes of the drawn face."""
    classifier = Classifier.from_checkpoint("shipped")
    windows = []

    def spy(tensor, *_, **__):
        windows.append(tensor.copy())
        return np.full(7, 1 / 7, np.float32)

    monkeypatch.setattr(classifier, "predict", spy)
    recognizer = Recognizer(classifier)
    with open_recording(DRAWN_FACE) as recording:
        for _, packet in recording:
            list(recognizer.feed(packet))
            if len(windows) == 5:
                break
    return windows[-1]
