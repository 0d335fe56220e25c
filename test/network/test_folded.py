"""The folded form answers as the network does, for every network and every one of its options."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from cs3d_ros.network import build, checkpoint, names
from cs3d_ros.network.classifier import _WEIGHTS, Classifier
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.folded import folded_form
from cs3d_ros.network.specification import Network
from cs3d_ros.recognizer import Recognizer
from cs3d_ros.recordings import open_recording
from recordings_data import DRAWN_FACE

FIVE_STAGES = ("c3d", "c3d+ssn", "c3d+factorized", "c3d+attention", "cs3d")
OPTIONS = [
    {"threshold": 0.0},
    {"threshold": 1.0, "surrogate": "sigmoid_derivative", "steepness": 10.0},
    {"temporal_attention": "per_frame"},
    {"temporal_attention": "per_frame", "attention_place": "last"},
    {"attention_place": "none", "pool": "max"},
    {"pool": "average", "reduction": 4},
    {"classifier": "map"},
    {"classifier": "mlp"},
    {"in_channels": 2},
]


def trained(name: str, **options: object) -> Network:
    """A network whose normalizations and biases are not those it begins with, in evaluation."""
    torch.manual_seed(0)
    network = build(name, **options)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.2, 3.0)
    for parameter in network.parameters():
        if parameter.ndim == 1 or parameter.std() < 2e-3:
            parameter.data.add_(torch.randn(parameter.shape).mul_(0.05))
    return network.eval()


def windows(n: int, channels: int, size: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    dense = torch.randn(n, channels, 16, size, size, generator=generator)
    return dense * (torch.rand(dense.shape, generator=generator) < 0.2)


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
    reference, _ = checkpoint.load(_WEIGHTS)
    seen: list[tuple[np.ndarray, np.ndarray]] = []
    predict = classifier.predict

    def spy(tensor: np.ndarray) -> np.ndarray:
        answer = predict(tensor)
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
