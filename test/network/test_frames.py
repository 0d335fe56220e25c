"""Both ways to execute a network give the same: answers, gradients and running statistics."""

import copy

import pytest
import torch
from torch.nn import functional

from cs3d_ros.network import build
from cs3d_ros.network.frames import frame_form

FACTORIZED = ("c3d+factorized", "cs3d")


def _windows(n: int = 2, size: int = 32, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    dense = torch.randn(n, 3, 16, size, size, generator=generator, dtype=dtype)
    return dense * (torch.rand(dense.shape, generator=generator) < 0.2)


def _pair(name: str, **options: object) -> tuple[torch.nn.Module, torch.nn.Module]:
    torch.manual_seed(0)
    network = build(name, dropout=0.0, **options).double()
    return network, copy.deepcopy(network)


def _step(module: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    logits = module(x)
    functional.cross_entropy(logits, torch.arange(len(x)) % logits.shape[1]).backward()
    return logits


def _assert_trained_alike(network: torch.nn.Module, reference: torch.nn.Module) -> None:
    gradients = {key: p.grad for key, p in reference.named_parameters()}
    for key, parameter in network.named_parameters():
        # The surrogate's sigmoid is of float32, whatever the maps are.
        atol = 5e-6 * float(gradients[key].abs().max())
        torch.testing.assert_close(parameter.grad, gradients[key], rtol=1e-6, atol=atol)
    buffers = dict(reference.named_buffers())
    for key, buffer in network.named_buffers():
        torch.testing.assert_close(buffer, buffers[key])


@pytest.mark.parametrize("surrogate", ["sigmoid", "sigmoid_derivative"])
@pytest.mark.parametrize("name", FACTORIZED)
def test_a_training_step_is_the_same(name: str, surrogate: str) -> None:
    network, reference = _pair(name, surrogate=surrogate, threshold=0.3)
    x = _windows()
    torch.testing.assert_close(_step(frame_form(network), x), _step(reference, x))
    _assert_trained_alike(network, reference)


@pytest.mark.parametrize("name", ["c3d", "c3d+factorized", "lstm"])
def test_a_network_answers_the_same_in_evaluation(name: str) -> None:
    network, reference = _pair(name)
    frames = frame_form(network)
    frames.eval()
    reference.eval()
    assert not network.training
    with torch.inference_mode():
        torch.testing.assert_close(frames(_windows(1)), reference(_windows(1)))


def test_an_odd_size_pools_alike() -> None:
    network, reference = _pair("cs3d")
    x = _windows(size=50)
    torch.testing.assert_close(_step(frame_form(network), x), _step(reference, x))
    _assert_trained_alike(network, reference)


def test_float32_differs_by_rounding_only() -> None:
    network, reference = _pair("cs3d")
    network.float().eval()
    reference.float().eval()
    x = _windows(dtype=torch.float32)
    with torch.inference_mode():
        torch.testing.assert_close(frame_form(network)(x), reference(x), rtol=1e-4, atol=1e-6)


def test_training_the_form_trains_the_network() -> None:
    network, _ = _pair("cs3d")
    frames = frame_form(network)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimizer = torch.optim.SGD(frames.parameters(), lr=0.1)
    _step(frames, _windows())
    optimizer.step()
    moved = [key for key, value in network.state_dict().items() if not value.equal(before[key])]
    assert "stages.0.convolution.temporal_depthwise.weight" in moved
    assert "stages.0.convolution.temporal_norm.running_mean" in moved
    assert network.state_dict().keys() == before.keys()
