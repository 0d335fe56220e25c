"""Each function answers and is trained as the modules that it stands for."""

import copy

import pytest
import torch
from torch import nn

from cs3d_ros.network.blocks import JointAttention, MultiPool3d
from cs3d_ros.network.frame_functions import attend, multi_pool, normalize_and_fire
from cs3d_ros.network.neurons import SURROGATES, SoftSpikingNeuron

# The surrogate's sigmoid is of float32.
ATOL = {torch.float32: 1e-5, torch.float64: 1e-6}


def _map(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """A map as rectifying neurons make them: half of it is zero, so that there are ties."""
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=dtype).relu()
    return values.contiguous(memory_format=torch.channels_last_3d).requires_grad_()


def _assert_alike(ours, theirs, inputs, modules=()):
    """Compare two results, and the gradients by the inputs and by the modules' parameters."""
    scale = max(1.0, float(theirs.detach().abs().max()))
    atol = ATOL[theirs.dtype] * scale
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=atol)
    generator = torch.Generator().manual_seed(2)
    given = torch.randn(theirs.shape, generator=generator, dtype=theirs.dtype)
    mine, reference = modules or (nn.Identity(), nn.Identity())
    our_gradients = torch.autograd.grad(ours, [*inputs, *mine.parameters()], given)
    for our, their in zip(
        our_gradients,
        torch.autograd.grad(theirs, [*inputs, *reference.parameters()], given),
        strict=True,
    ):
        scale = max(1.0, float(their.abs().max()))
        torch.testing.assert_close(our, their, rtol=1e-4, atol=10 * ATOL[theirs.dtype] * scale)
    for our, their in zip(mine.buffers(), reference.buffers(), strict=True):
        torch.testing.assert_close(our, their)


def _norm(channels: int, dtype: torch.dtype = torch.float64) -> nn.BatchNorm3d:
    norm = nn.BatchNorm3d(channels, dtype=dtype)
    nn.init.uniform_(norm.weight, -1, 2)
    nn.init.normal_(norm.bias)
    nn.init.normal_(norm.running_mean)
    nn.init.uniform_(norm.running_var, 0.5, 2)
    return norm


@pytest.mark.parametrize("surrogate", SURROGATES)
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_normalizing_and_firing(surrogate, residual, dtype):
    torch.manual_seed(0)
    norm, neuron = _norm(20, dtype), SoftSpikingNeuron(0.3, 2.5, surrogate)
    reference = copy.deepcopy(norm)
    y, x = (_map(3, 20, 4, 5, 6, seed=seed, dtype=dtype) for seed in (1, 2))
    inputs = [y, x] if residual else [y]
    ours = normalize_and_fire(norm, neuron, *inputs)
    theirs = neuron(reference(y) + x) if residual else neuron(reference(y))
    _assert_alike(ours, theirs, inputs, (norm, reference))
    assert int(norm.num_batches_tracked) == 1


def test_in_evaluation_the_statistics_stay():
    norm, neuron = _norm(7).eval(), SoftSpikingNeuron()
    reference = copy.deepcopy(norm)
    y = _map(2, 7, 3, 4, 4)
    _assert_alike(normalize_and_fire(norm, neuron, y), neuron(reference(y)), [y], (norm, reference))
    assert int(norm.num_batches_tracked) == 0


def test_far_from_the_threshold_the_slope_is_that_of_the_sigmoid():
    norm, neuron = nn.BatchNorm3d(1, affine=True, dtype=torch.float64), SoftSpikingNeuron(0.0, 60.0)
    norm.eval()
    values = torch.tensor([-1e9, -9.0, -1.0, 0.0, 1.0, 9.0, 1e9], dtype=torch.float64)
    y = values.view(1, 1, 1, 1, 7).clone().requires_grad_()
    normalize_and_fire(norm, neuron, y).sum().backward()
    expected = [0, 0, 0, 0.5, 1, 1, 1]
    assert y.grad.flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_what_is_no_number_stays_none():
    norm, neuron = _norm(3), SoftSpikingNeuron()
    y = _map(1, 3, 2, 4, 4).detach()
    y[0, 1, 0, 0, 0] = torch.nan
    y.requires_grad_()
    out = normalize_and_fire(norm, neuron, y)
    out.sum().backward()
    assert torch.isnan(norm.weight.grad[1])
    assert torch.isnan(norm.running_mean[1])
    assert torch.isfinite(norm.weight.grad[[0, 2]]).all()


@pytest.mark.parametrize(
    ("size", "kernel", "padding"),
    [
        ((4, 6, 8), (1, 2, 2), (0, 0, 0)),
        ((4, 6, 8), (2, 2, 2), (0, 0, 0)),
        ((2, 7, 7), (2, 2, 2), (0, 1, 1)),
        ((2, 3, 2), (2, 2, 2), (0, 1, 1)),
        ((4, 7, 5), (2, 2, 2), (0, 0, 0)),
    ],
)
def test_multi_pool(size, kernel, padding):
    pool = MultiPool3d(kernel, padding)
    x = _map(2, 19, *size)
    _assert_alike(multi_pool(pool, x), pool(x), [x])


@pytest.mark.parametrize("channels", [16, 37])
def test_attention(channels):
    torch.manual_seed(0)
    attention = JointAttention(channels, reduction=8).double()
    for parameter in attention.parameters():
        nn.init.normal_(parameter, std=0.3)
    reference = copy.deepcopy(attention)
    x = _map(2, channels, 3, 4, 5).detach()
    # Nothing at all in a channel, and at a pixel: all are as large there.
    x[0, 3] = 0
    x[1, :, 1, 2, 2] = 0
    x.requires_grad_()
    _assert_alike(attend(attention, x), reference(x), [x], (attention, reference))


def _step(threads: int) -> list[torch.Tensor]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.manual_seed(0)
        norm = _norm(16, torch.float32)
        x = _map(3, 16, 4, 6, 6, dtype=torch.float32)
        y = normalize_and_fire(norm, SoftSpikingNeuron(), x, x)
        y = multi_pool(MultiPool3d((2, 2, 2)), y)
        y.square().sum().backward()
        return [y.detach(), x.grad, *(p.grad for p in norm.parameters())]
    finally:
        torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit():
    for one, three in zip(_step(1), _step(3), strict=True):
        assert torch.equal(one, three)


def test_maps_in_another_order_of_memory_are_taken():
    norm, neuron, pool = _norm(5), SoftSpikingNeuron(), MultiPool3d((1, 2, 2))
    x = _map(2, 5, 2, 4, 6)
    other = x.detach().contiguous().requires_grad_()
    results = []
    for values in (x, other):
        y = multi_pool(pool, normalize_and_fire(norm, neuron, values, values))
        # A sum's gradient is one number, expanded.
        y.sum().backward()
        results.append((y.detach(), values.grad))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])
