"""The classifier: probabilities, determinism, refusals, closing."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from cs3d_ros.network import CheckpointError, DeviceError, NetworkError, names, stages
from cs3d_ros.network.card import DEFAULT_LABELS
from cs3d_ros.network.checkpoint import save, untrained
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.network.engines import ENGINES, selection
from cs3d_ros.network.engines.engine import EngineError
from cs3d_ros.network.engines.torch_engine import TorchEngine

SHAPE = (3, 16, 112, 112)


@pytest.fixture(scope="module")
def classifier():
    with Classifier.from_checkpoint("untrained") as made:
        yield made


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).random((2, *SHAPE), np.float32)


@pytest.fixture(scope="module")
def answers(classifier, windows):
    return classifier.predict(windows)


@pytest.fixture(scope="module")
def answer(classifier, windows):
    return classifier.predict(windows[0])


def test_name_and_labels(classifier):
    assert classifier.name == "cs3d-untrained"
    assert classifier.labels == DEFAULT_LABELS
    assert classifier.device == torch.device("cpu")
    assert classifier.input_shape == SHAPE


def test_probabilities_are_the_softmax_of_the_network(answers, windows):
    network, _ = untrained()
    with torch.no_grad():
        logits = network(torch.from_numpy(windows)).double().numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = answers
    assert (found.shape, found.dtype) == ((2, 7), np.float32)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-6)
    assert np.ptp(found) > 1e-4


def test_one_window_gives_one_row(answer, answers):
    assert (answer.shape, answer.dtype) == ((7,), np.float32)
    np.testing.assert_allclose(answer, answers[0], rtol=1e-5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("order", "CF")
def test_the_same_window_gives_the_same_bits_in_any_layout(classifier, windows, answer, order):
    before = windows.copy()
    same = windows[0].copy(order)
    same.setflags(write=False)
    assert classifier.predict(same).tobytes() == answer.tobytes()
    np.testing.assert_array_equal(windows, before)


@pytest.mark.parametrize("name", names())
def test_every_network_classifies_windows_of_its_own_shape(name, monkeypatch):
    monkeypatch.setattr(stages, "HIDDEN", 8)  # C3D's classifier takes 200 MB otherwise
    with Classifier(*untrained(name, ("a", "b"), in_channels=2, size=40)) as made:
        assert made.input_shape == (2, 16, 40, 40)
        window = np.random.default_rng(0).random(made.input_shape, np.float32)
        answer = made.predict(window)
        assert answer.shape == (2,)
        np.testing.assert_allclose(answer.sum(), 1, rtol=1e-6)
        assert made.predict(window[None][:0]).shape == (0, 2)
        with pytest.raises(NetworkError, match=r"give float32 \(2, 16, 40, 40\), or a batch"):
            made.predict(np.zeros(SHAPE, np.float32))
        made.warm_up(1)


def test_an_empty_batch(classifier):
    assert classifier.predict(np.zeros((0, *SHAPE), np.float32)).shape == (0, 7)


@pytest.mark.parametrize(
    ("tensor", "what"),
    [
        (np.zeros(SHAPE), r"float64 \(3, 16, 112, 112\); give float32 \(3, 16, 112, 112\)"),
        (np.zeros(SHAPE, ">f4"), "give float32"),
        (np.zeros((2, 16, 112, 112), np.float32), r"float32 \(2, 16, 112, 112\)"),
        (np.zeros((3, 16, 56, 56), np.float32), r"\(3, 16, 56, 56\)"),
        (np.zeros((1, 1, *SHAPE), np.float32), r"\(1, 1, 3, 16, 112, 112\)"),
        (np.zeros((16, 112, 112), np.float32), r"\(16, 112, 112\)"),
        (np.float32(0), r"float32 \(\)"),
    ],
)
def test_another_shape_or_dtype_is_refused(classifier, tensor, what):
    with pytest.raises(NetworkError, match=what):
        classifier.predict(tensor)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_answer_that_is_not_finite_is_refused(classifier, windows, value):
    bad = windows[0].copy()
    bad[1, 2, 3, 4] = value
    with pytest.raises(NetworkError, match="NaN or infinite numbers; "):
        classifier.predict(bad)


def test_inference_records_no_gradient(classifier, windows):
    seen = []
    handle = classifier._engine._module.register_forward_hook(
        lambda _module, _inputs, output: seen.append((output.requires_grad, output.is_inference()))
    )
    classifier.predict(windows[0])
    handle.remove()
    assert seen == [(False, True)]


def test_warm_up_classifies_n_windows(classifier):
    seen = []
    handle = classifier._engine._module.register_forward_hook(lambda *_: seen.append(1))
    classifier.warm_up(1)
    handle.remove()
    assert len(seen) == 1
    classifier.synchronize()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_checkpoint_gives_the_same_classifier(classifier, windows, answer, tmp_path, kind):
    network, card = untrained()
    save(tmp_path / "model.safetensors", network.train(), card)
    loaded = Classifier.from_checkpoint(kind(tmp_path / "model.safetensors"))
    assert loaded.card == classifier.card
    assert loaded.predict(windows[0]).tobytes() == answer.tobytes()


def test_a_network_in_training_is_put_into_evaluation(windows, answer):
    network, card = untrained()
    made = Classifier(network.train(), card)
    assert made.predict(windows[0]).tobytes() == answer.tobytes()


def test_no_checkpoint_is_explained():
    with pytest.raises(CheckpointError, match=r"no checkpoint given.*`shipped`.*`untrained`"):
        Classifier.from_checkpoint("")


def test_a_bad_checkpoint_or_device_is_explained(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        Classifier.from_checkpoint(tmp_path / "none")
    with pytest.raises(DeviceError, match="available: cpu"):
        Classifier.from_checkpoint("untrained", "cuda:77")


def test_threads():
    before = torch.get_num_threads()
    network, card = untrained()
    try:
        Classifier(network, card, threads=0)
        assert torch.get_num_threads() == before
        Classifier(network, card, threads=before + 1)
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)
    with pytest.raises(NetworkError, match="-1 threads"):
        Classifier(network, card, threads=-1)


def test_a_closed_classifier_holds_no_network():
    made = Classifier.from_checkpoint("untrained")
    network = weakref.ref(made._engine._module)
    made.close()
    made.close()
    gc.collect()
    assert network() is None
    with pytest.raises(NetworkError, match="cs3d-untrained is closed"):
        made.predict(np.zeros(SHAPE, np.float32))
    assert made.labels == DEFAULT_LABELS


class Failing(TorchEngine):
    """Answers until it is told to fail."""

    name = "failing"
    error: str | None = None

    def infer(self, windows, shift=None):
        if type(self).error:
            raise EngineError(type(self).error)
        return super().infer(windows, shift)


@pytest.fixture
def failing(monkeypatch):
    kind = type("Failing", (Failing,), {})
    monkeypatch.setitem(ENGINES, "failing", kind)
    return kind


@pytest.fixture
def small(failing, monkeypatch):
    """A classifier by the engine that fails, where there are others to choose from."""
    monkeypatch.setitem(selection.CANDIDATES, "cpu", ("failing",))
    with Classifier(*untrained("rnn", size=32), engine="auto") as made:
        monkeypatch.setitem(selection.CANDIDATES, "cpu", ("failing", "torch"))
        yield made


def test_auto_goes_on_with_another_engine_where_one_fails_later_on(small, failing):
    window = np.random.default_rng(0).random(small.input_shape, np.float32)
    before = small.predict(window)
    assert (small.engine, small.engine_failures) == ("failing", [])
    failing.error = "no memory"
    np.testing.assert_allclose(small.predict(window), before, rtol=1e-5)
    assert small.engine == "torch"
    assert small.engine_failures == ["engine failing: no memory"]
    assert small.engine_reason.startswith("torch ")
    failing.error = None
    small.predict(window)
    assert small.engine == "torch"


def test_where_no_other_engine_is_left_it_is_asked_again(small, failing, monkeypatch):
    monkeypatch.setitem(selection.CANDIDATES, "cpu", ("failing",))
    window = np.random.default_rng(0).random(small.input_shape, np.float32)
    expected = small.predict(window)
    failing.error = "no memory"
    for message in ("no engine can run the network", "no memory", "no memory"):
        with pytest.raises(EngineError, match=message):
            small.predict(window)
    assert small.engine_failures == ["engine failing: no memory"]
    failing.error = None
    np.testing.assert_array_equal(small.predict(window), expected)


def test_an_engine_asked_for_by_name_is_not_replaced(failing):
    with Classifier(*untrained("rnn", size=32), engine="failing") as made:
        assert made.engine_reason.endswith("as asked for")
        failing.error = "no memory"
        with pytest.raises(EngineError, match="no memory"):
            made.predict(np.zeros(made.input_shape, np.float32))
        assert (made.engine, made.engine_failures) == ("failing", [])
    assert made.engine == ""


def test_the_shift_of_a_window_reaches_the_engine(failing):
    seen = []

    def infer(self, windows, shift=None):
        seen.append((len(windows), shift))
        return TorchEngine.infer(self, windows)

    failing.infer = infer
    with Classifier(*untrained("rnn", size=32), engine="failing") as made:
        seen.clear()
        window = np.zeros(made.input_shape, np.float32)
        made.predict(window)
        made.predict(window, 4)
        made.predict(np.stack([window, window]), 4)
    assert seen == [(1, None), (1, 4), (2, None)]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_agrees_with_the_cpu_and_is_given_back(classifier, windows):
    device = torch.device("cuda:0")
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated(device)
    made = Classifier.from_checkpoint("untrained", "auto")
    assert made.device == device
    made.warm_up()
    np.testing.assert_allclose(made.predict(windows), classifier.predict(windows), atol=2e-3)
    assert torch.cuda.memory_allocated(device) > before
    made.close()
    assert torch.cuda.memory_allocated(device) == before
