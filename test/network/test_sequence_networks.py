"""RNN, LSTM and transformer: what they see of a window, how they are made, that they learn."""

import pytest
import torch
from torch import nn

from cs3d_ros.network import build
from cs3d_ros.network.bin_features import BinFeatures

NAMES = ("rnn", "lstm", "transformer")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_the_features_of_a_bin_are_means_over_a_grid():
    x = torch.rand(2, 3, 16, 56, 56)
    features = BinFeatures()(x)
    assert features.shape == (2, 16, 3 * 784)
    grid = features.view(2, 16, 3, 28, 28)
    torch.testing.assert_close(grid[1, 5, 2, 27, 3], x[1, 2, 5, 54:56, 6:8].mean())
    torch.testing.assert_close(grid[0, 15, 0, 0, 27], x[0, 0, 15, 0:2, 54:56].mean())


def test_the_features_are_the_same_at_any_resolution():
    x = torch.rand(1, 1, 16, 28, 28)
    finer = x.repeat_interleave(8, 3).repeat_interleave(8, 4)
    torch.testing.assert_close(BinFeatures()(finer), BinFeatures()(x))
    assert torch.equal(BinFeatures()(x), x.view(1, 16, 784))


@pytest.mark.parametrize(("name", "kind"), [("rnn", nn.RNN), ("lstm", nn.LSTM)])
def test_the_recurrent_networks_of_the_paper(name, kind):
    network = build(name)
    recurrent = network.recurrent
    assert type(recurrent) is kind
    assert (recurrent.num_layers, recurrent.hidden_size) == (2, 128)
    assert not recurrent.bidirectional
    assert (network.output.in_features, network.output.out_features) == (128, 7)


def test_the_transformer_of_the_paper():
    network = build("transformer")
    layers = network.encoder.layers
    assert [(x.self_attn.num_heads, x.self_attn.embed_dim) for x in layers] == [(4, 256)] * 2
    # Copies of one layer would learn the same.
    assert not torch.equal(layers[0].linear1.weight, layers[1].linear1.weight)


def expected_rnn(network, x):
    """Two layers of tanh units, written out; the state after the last bin gives the logits."""
    weights = dict(network.recurrent.named_parameters())
    sequence = BinFeatures()(x).unbind(1)
    for layer in range(2):
        state = torch.zeros(len(x), 128)
        states = []
        for step in sequence:
            state = torch.tanh(
                step @ weights[f"weight_ih_l{layer}"].T
                + weights[f"bias_ih_l{layer}"]
                + state @ weights[f"weight_hh_l{layer}"].T
                + weights[f"bias_hh_l{layer}"]
            )
            states.append(state)
        sequence = states
    return sequence[-1] @ network.output.weight.T + network.output.bias


def test_the_rnn_answers_after_its_last_bin():
    network = build("rnn").eval()
    x = torch.rand(2, 3, 16, 32, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network(x), expected_rnn(network, x))


@pytest.mark.parametrize("name", NAMES)
def test_every_bin_and_the_order_of_the_bins_matter(name):
    network = build(name).eval()
    x = torch.rand(1, 3, 16, 32, 32).requires_grad_()
    logits = network(x)
    logits[0, 0].backward()
    assert (x.grad.abs().amax((0, 1, 3, 4)) > 0).all()
    with torch.inference_mode():
        assert not torch.allclose(network(x.flip(2)), logits, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_learns(name):
    network = build(name, dropout=0)
    logits = network(torch.rand(2, 3, 16, 32, 32))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_a_few_windows_are_learned_by_heart(name):
    network = build(name, 3, dropout=0)
    x, y = torch.rand(6, 3, 16, 32, 32), torch.tensor([0, 1, 2, 2, 1, 0])
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    with torch.inference_mode():
        assert network.eval()(x).argmax(1).tolist() == y.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_dropout_acts_in_training_alone(name):
    network = build(name, dropout=0.5)
    x = torch.rand(2, 3, 16, 32, 32)
    with torch.no_grad():
        assert not torch.equal(network(x), network(x))
        network.eval()
        assert torch.equal(network(x), network(x))


@pytest.mark.parametrize("name", NAMES)
def test_training_and_evaluation_are_the_same_network(name):
    """Torch has a faster form of the transformer's layers for evaluation."""
    network = build(name, dropout=0)
    x = torch.rand(2, 3, 16, 32, 32)
    trained = network(x).detach()
    with torch.inference_mode():
        torch.testing.assert_close(network.eval()(x), trained, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_window_has_finite_answers(name):
    with torch.inference_mode():
        assert torch.isfinite(build(name).eval()(torch.zeros(1, 3, 16, 32, 32))).all()
