"""The folded form answers as the network does, for every network and every one of its options."""

import copy

import numpy as np
import pytest
import torch

from cs3d_ros.network import build, checkpoint, names
from cs3d_ros.network.classifier import SHIPPED_WEIGHTS, Classifier
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.folded import folded_form
from cs3d_ros.network.specification import Network
from cs3d_ros.recognizer import Recognizer
from cs3d_ros.recordings import open_recording
from network_helpers import FIVE_STAGES, OPTIONS, trained, windows
from recordings_data import DRAWN_FACE


def assert_alike(network: Network, x: torch.Tensor) -> None:
    reference = copy.deepcopy(network)
    with torch.inference_mode():
        expected = reference(x)
        found = folded_form(network)(x)
    # Answers that are all alike would be right by chance.
    assert expected.std() > 1e-3
    error = (found - expected).abs().max() / expected.abs().max()
    assert error < 1e-4


@pytest.mark.parametrize("name", names())
def test_every_network_answers_alike(name: str) -> None:
    assert_alike(trained(name), windows(2, 3, 40))


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_answers_alike(options: dict[str, object]) -> None:
    assert_alike(trained("cs3d", **options), windows(2, int(options.get("in_channels", 3)), 33))


def test_a_window_of_the_papers_size_answers_alike() -> None:
    assert_alike(trained("cs3d"), windows(1, 3, 112))


def test_an_empty_window_answers_alike() -> None:
    network = trained("cs3d")
    x = torch.zeros(1, 3, 16, 40, 40)
    with torch.inference_mode():
        torch.testing.assert_close(folded_form(network)(x), network(x), rtol=1e-4, atol=1e-5)


def test_the_weights_that_ship_answer_alike_on_a_real_recording(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    classifier = Classifier.from_checkpoint("shipped")
    reference, _ = checkpoint.load(SHIPPED_WEIGHTS)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    predict = classifier.predict

    def spy(tensor: np.ndarray, shift: int | None = None) -> np.ndarray:
        answer = predict(tensor, shift)
        seen.append((tensor.copy(), answer))
        return answer

    monkeypatch.setattr(classifier, "predict", spy)
    recognizer = Recognizer(classifier)
    with open_recording(DRAWN_FACE) as recording:
        for _, packet in recording:
            for _ in recognizer.feed(packet):
                pass
    assert len(seen) > 5
    for tensor, answer in seen:
        with torch.inference_mode():
            expected = torch.softmax(reference(torch.from_numpy(tensor)[None]), 1)[0].numpy()
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", FIVE_STAGES)
def test_an_empty_batch_has_no_answers(name: str) -> None:
    with torch.inference_mode():
        assert folded_form(build(name).eval())(torch.zeros(0, 3, 16, 32, 32)).shape == (0, 7)


def test_it_leaves_its_input_and_the_network_alone() -> None:
    network = trained("cs3d")
    before = {key: value.clone() for key, value in network.state_dict().items()}
    x = windows(1, 3, 32)
    given = x.clone()
    form = folded_form(network)
    with torch.inference_mode():
        first, second = form(x), form(x)
    assert x.equal(given)
    assert first.equal(second)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"training mode cannot be folded; call eval\(\)"):
        folded_form(build("cs3d"))
