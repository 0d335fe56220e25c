"""The blocks against plain NumPy and torch arithmetic at known weights."""

import pytest
import torch
from torch import nn

from cs3d_ros.network import NetworkError
from cs3d_ros.network.blocks import (
    POOLING,
    FactorizedConv3d,
    JointAttention,
    MultiPool3d,
    SpatialAttention,
    TemporalAttention,
)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def features(channels=8, n=2):
    return torch.randn(n, channels, 4, 6, 5)


def randomize(module):
    """Give every parameter and statistic a value that a test can see."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=0.5)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_()
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return module.eval()


def expected_block(block, x, threshold):
    """The block of the paper, written out with functions."""
    f = nn.functional

    def norm(y, bn):
        scale = bn.weight / torch.sqrt(bn.running_var + bn.eps)
        return y * scale.view(-1, 1, 1, 1) + (bn.bias - bn.running_mean * scale).view(-1, 1, 1, 1)

    c_in, c_out = x.shape[1], block.spatial_norm.num_features
    y = f.conv3d(x, block.temporal_depthwise.weight, padding=(1, 0, 0), groups=c_in)
    y = torch.einsum("oi,nithw->nothw", block.temporal_pointwise.weight[..., 0, 0, 0], y)
    y = (norm(y, block.temporal_norm) - threshold).clamp(min=0)
    y = f.conv3d(y, block.spatial_depthwise.weight, padding=(0, 1, 1), groups=c_out)
    y = torch.einsum("oi,nithw->nothw", block.spatial_pointwise.weight[..., 0, 0, 0], y)
    y = norm(y, block.spatial_norm)
    if c_in == c_out:
        y = y + x
    else:
        y = y + torch.einsum("oi,nithw->nothw", block.shortcut.weight[..., 0, 0, 0], x)
    return (y - threshold).clamp(min=0)


@pytest.mark.parametrize(("c_in", "c_out"), [(3, 8), (8, 8)])
def test_factorized_block_is_the_drawn_order(c_in, c_out):
    block = randomize(FactorizedConv3d(c_in, c_out))
    x = features(c_in)
    with torch.no_grad():
        torch.testing.assert_close(block(x), expected_block(block, x, 0.1), rtol=1e-4, atol=1e-4)


def test_factorized_block_has_kernels_along_time_then_space():
    block = FactorizedConv3d(3, 8)
    shapes = {name: tuple(p.shape) for name, p in block.named_parameters() if "norm" not in name}
    assert shapes == {
        "temporal_depthwise.weight": (3, 1, 3, 1, 1),
        "temporal_pointwise.weight": (8, 3, 1, 1, 1),
        "spatial_depthwise.weight": (8, 1, 1, 3, 3),
        "spatial_pointwise.weight": (8, 8, 1, 1, 1),
        "shortcut.weight": (8, 3, 1, 1, 1),
    }


def test_factorized_block_takes_the_neuron_given():
    made = []

    def neuron():
        made.append(nn.Tanh())
        return made[-1]

    block = FactorizedConv3d(4, 4, neuron)
    assert [block.temporal_neuron, block.spatial_neuron] == made


def test_factorized_block_is_local_in_time():
    block = randomize(FactorizedConv3d(3, 8))
    x = torch.zeros(1, 3, 9, 6, 5)
    touched = x.clone()
    touched[:, :, 4] = 1
    with torch.no_grad():
        changed = (block(x) != block(touched)).flatten(3).any(3).any(1)[0]
    assert changed.tolist() == [False] * 3 + [True] * 3 + [False] * 3


def test_multi_pool_is_the_mean_of_average_and_maximum():
    x = torch.arange(8.0).view(1, 1, 2, 2, 2)
    assert MultiPool3d((2, 2, 2))(x).flatten().tolist() == [(3.5 + 7) / 2]
    assert MultiPool3d((1, 2, 2))(x).flatten().tolist() == [(1.5 + 3) / 2, (5.5 + 7) / 2]


@pytest.mark.parametrize(("kind", "expected"), [("multi", 5.25), ("max", 7.0), ("average", 3.5)])
def test_pools_by_name(kind, expected):
    x = torch.arange(8.0).view(1, 1, 2, 2, 2)
    assert POOLING[kind]((2, 2, 2), (0, 0, 0))(x).flatten().tolist() == [expected]


@pytest.mark.parametrize("kind", POOLING)
def test_no_pool_counts_padding(kind):
    x = torch.full((1, 1, 2, 7, 7), -3.0)
    y = POOLING[kind]((2, 2, 2), (0, 1, 1))(x)
    assert y.shape == (1, 1, 1, 4, 4)
    assert (y == -3).all()


def test_temporal_attention_per_frame_gives_one_weight_per_frame():
    attention = randomize(TemporalAttention(8, "per_frame", reduction=1))
    f = features()
    weights = attention.weights(f)
    assert weights.shape == (2, 1, 4, 1, 1)
    assert weights.flatten().unique().numel() == 8  # two samples of four frames
    ratio = attention(f) / f - 1
    torch.testing.assert_close(ratio, weights.expand_as(f), rtol=1e-3, atol=1e-4)


def test_temporal_attention_per_frame_is_a_convolution_over_time():
    attention = TemporalAttention(2, "per_frame", reduction=1)
    kernel, bias = [0.5, -1.0, 2.0], 0.25
    with torch.no_grad():
        attention.shared.weight.copy_(torch.tensor(kernel).view(1, 1, 3, 1, 1))
        attention.shared.bias.fill_(bias)
    f = torch.randn(1, 2, 4, 3, 3)

    def convolved(series):
        padded = [0.0, *series, 0.0]
        return [
            sum(k * v for k, v in zip(kernel, padded[t : t + 3], strict=True)) + bias
            for t in range(4)
        ]

    average = convolved([f[0, :, t].mean().item() for t in range(4)])
    maximum = convolved([f[0, :, t].max().item() for t in range(4)])
    expected = torch.sigmoid(torch.tensor([max(p) for p in zip(average, maximum, strict=True)]))
    torch.testing.assert_close(attention.weights(f).flatten(), expected)


def test_temporal_attention_per_channel_gives_one_weight_per_channel_and_frame():
    attention = randomize(TemporalAttention(8, "per_channel", reduction=4))
    f = features()
    first, _, second = attention.shared
    assert (first.out_channels, second.out_channels) == (2, 8)

    def shared(pooled):  # (N, C, T)
        hidden = torch.einsum("oi,nit->not", first.weight[..., 0, 0, 0], pooled)
        hidden = (hidden + first.bias[:, None]).clamp(min=0)
        return (
            torch.einsum("oi,nit->not", second.weight[..., 0, 0, 0], hidden) + second.bias[:, None]
        )

    flat = f.flatten(3)
    expected = torch.sigmoid(torch.maximum(shared(flat.mean(3)), shared(flat.amax(3))))
    weights = attention.weights(f)
    assert weights.shape == (2, 8, 4, 1, 1)
    torch.testing.assert_close(weights[..., 0, 0], expected)
    torch.testing.assert_close(attention(f), f + weights * f)


def test_spatial_attention_gives_one_weight_per_pixel_and_frame():
    attention = randomize(SpatialAttention())
    f = features()
    weights = attention.weights(f)
    pooled = torch.stack((f.mean(1), f.amax(1)), 1)
    expected = torch.sigmoid(
        nn.functional.conv3d(
            pooled, attention.convolution.weight, attention.convolution.bias, padding=(0, 3, 3)
        )
    )
    assert attention.convolution.weight.shape == (1, 2, 1, 7, 7)
    assert weights.shape == (2, 1, 4, 6, 5)
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(attention(f), f + weights * f)


def test_spatial_attention_does_not_mix_frames():
    attention = randomize(SpatialAttention())
    f = features()
    changed = f.clone()
    changed[:, :, 2] += 1
    same = (attention.weights(f) == attention.weights(changed)).flatten(3).all(3)[:, 0]
    assert same.tolist() == [[True, True, False, True]] * 2


@pytest.mark.parametrize("kind", TemporalAttention.KINDS)
def test_attention_at_zero_weights_scales_by_known_factors(kind):
    f = features(16)
    joint = JointAttention(16, kind)
    for parameter in joint.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(joint.temporal(f), 1.5 * f)
    torch.testing.assert_close(joint.spatial(f), 1.5 * f)
    # The sum, (1.5·1.5 + 1)·F, is divided by that factor.
    torch.testing.assert_close(joint(f), f)


@pytest.mark.parametrize("kind", TemporalAttention.KINDS)
def test_joint_attention_is_temporal_then_spatial_plus_the_input(kind):
    joint = randomize(JointAttention(16, kind))
    f = features(16)
    expected = (joint.spatial(joint.temporal(f)) + f) / 3.25
    torch.testing.assert_close(joint(f), expected)
    assert not torch.allclose(joint(f), (joint.temporal(joint.spatial(f)) + f) / 3.25)


@pytest.mark.parametrize("kind", TemporalAttention.KINDS)
def test_every_parameter_of_the_attention_learns(kind):
    joint = randomize(JointAttention(16, kind))
    joint(features(16)).square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in joint.parameters())


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"kind": "global"}, "'global'.*per_channel, per_frame"),
        ({"kind": []}, "temporal attention"),
        ({"reduction": 0}, "reduction is 0"),
        ({"reduction": 9}, "from 1 to the number of channels, 8"),
        ({"reduction": 2.0}, "reduction is 2.0"),
        ({"reduction": True}, "reduction is True"),
    ],
)
def test_bad_attention_settings_are_refused(arguments, what):
    with pytest.raises(NetworkError, match=what):
        TemporalAttention(8, **arguments)
