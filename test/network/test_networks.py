"""The registry and the shape, structure and learning of every network that it builds."""

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from cs3d_ros.errors import Cs3dError
from cs3d_ros.network import (
    INPUT_SHAPE,
    MAX_CLASSES,
    MAX_SIZE,
    MIN_SIZE,
    NetworkError,
    NetworkSpec,
    build,
    default_options,
    names,
    rebuild,
)
from cs3d_ros.network.blocks import FactorizedConv3d, JointAttention, MultiPool3d
from cs3d_ros.network.neurons import SoftSpikingNeuron

SMALL = (2, 3, 16, 32, 32)

CS3D_FORKS = [
    {},
    {"temporal_attention": "per_frame"},
    {"surrogate": "sigmoid_derivative", "threshold": 0.0, "steepness": 1, "reduction": 8},
    {"attention_place": "last", "pool": "max"},
    {"attention_place": "last", "pool": "average", "temporal_attention": "per_frame"},
    {"attention_place": "none", "pool": "average", "in_channels": 1},
    {"attention_place": "none", "pool": "max", "surrogate": "sigmoid_derivative"},
]

FIVE_STAGES = ("c3d", "c3d+ssn", "c3d+factorized", "c3d+attention", "cs3d")


def on_meta(name, *arguments, **options):
    with torch.device("meta"):
        return build(name, *arguments, **options)


def count(network, kind):
    return sum(isinstance(module, kind) for module in network.modules())


def test_names():
    assert names() == (*FIVE_STAGES, "rnn", "lstm", "transformer")


@pytest.mark.parametrize("name", names())
def test_logits_of_a_batch_of_two(name):
    logits = on_meta(name, num_classes=5)(torch.zeros(2, *INPUT_SHAPE, device="meta"))
    assert (logits.shape, logits.dtype) == ((2, 5), torch.float32)


@pytest.mark.parametrize(
    ("size", "in_channels"), [(MIN_SIZE, 1), (33, 3), (56, 2), (111, 3), (112, 16), (MAX_SIZE, 3)]
)
@pytest.mark.parametrize("name", names())
def test_every_network_takes_any_size_and_its_channels(name, size, in_channels):
    network = on_meta(name, 5, in_channels=in_channels)
    window = torch.zeros(2, in_channels, 16, size, size, device="meta")
    assert network(window).shape == (2, 5)


@pytest.mark.parametrize("name", names())
def test_the_size_changes_nothing_about_the_weights_but_the_channels_do(name):
    network, other = on_meta(name), on_meta(name, in_channels=4)
    changed = {
        key
        for key, tensor in network.state_dict().items()
        if tensor.shape != other.state_dict()[key].shape
    }
    assert changed
    assert all(
        "stages.0.convolution" in key or "weight_ih_l0" in key or "projection" in key
        for key in changed
    )


@pytest.mark.parametrize("name", FIVE_STAGES)
def test_features_depend_on_the_window(name):
    torch.manual_seed(0)
    stages = on_meta(name).stages.to_empty(device="cpu")
    for module in stages.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    features = stages(torch.rand(SMALL))  # normalized by the batch, as in training
    assert torch.isfinite(features).all()
    assert not torch.equal(features[0], features[1])


def test_c3d_as_a_whole():
    torch.manual_seed(0)
    network = build("c3d").eval()
    with torch.inference_mode():
        logits = network(torch.rand(2, *INPUT_SHAPE))
    assert logits.shape == (2, 7)
    assert torch.isfinite(logits).all()
    assert not torch.equal(logits[0], logits[1])


def test_cs3d_with_the_classifier_of_c3d():
    network = on_meta("cs3d", classifier="mlp")
    assert network(torch.zeros(2, *INPUT_SHAPE, device="meta")).shape == (2, 7)
    assert network.classifier.hidden1.in_features == 8192


def test_the_classifier_of_c3d_averages_maps_of_another_size():
    flatten = on_meta("c3d").classifier.flatten
    last = torch.rand(2, 512, 1, 8, 8)
    expected = nn.functional.avg_pool3d(last, (1, 2, 2)).flatten(1)
    torch.testing.assert_close(flatten(last), expected)
    small = torch.rand(2, 512, 1, 2, 2)
    expected = small.repeat_interleave(2, 3).repeat_interleave(2, 4).flatten(1)
    torch.testing.assert_close(flatten(small), expected)
    known = torch.rand(2, 512, 1, 4, 4)
    assert torch.equal(flatten(known), known.flatten(1))


@pytest.mark.parametrize("options", CS3D_FORKS)
def test_every_parameter_of_cs3d_learns(options):
    torch.manual_seed(0)
    network = build("cs3d", dropout=0, **options)
    logits = network(torch.rand(2, network.specification.options["in_channels"], 16, 32, 32))
    assert torch.isfinite(logits).all()
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    unmoved = {
        key
        for key, parameter in network.named_parameters()
        if parameter.grad is None or not parameter.grad.abs().max() > 0
    }
    assert unmoved == set()


def test_cs3d_starts_with_answers_near_uniform():
    torch.manual_seed(0)
    network = build("cs3d").eval()
    with torch.inference_mode():
        probabilities = torch.softmax(network(torch.rand(SMALL)), 1)
    assert probabilities.max() < 0.5


def test_the_parts_of_each_network():
    kinds = (nn.ReLU, SoftSpikingNeuron, FactorizedConv3d, JointAttention, MultiPool3d)
    found = {name: tuple(count(on_meta(name), kind) for kind in kinds) for name in FIVE_STAGES}
    assert found == {
        "c3d": (7, 0, 0, 0, 0),
        "c3d+ssn": (0, 7, 0, 0, 0),
        "c3d+factorized": (2, 10, 5, 0, 0),
        "c3d+attention": (7 + 5, 0, 0, 5, 0),
        "cs3d": (5, 10, 5, 5, 5),
    }


@pytest.mark.parametrize("name", ["cs3d", "c3d+attention"])
@pytest.mark.parametrize(
    ("place", "stages"), [("pool", [0, 1, 2, 3, 4]), ("last", [4]), ("none", [])]
)
def test_attention_is_where_it_is_asked_for(name, place, stages):
    network = on_meta(name, attention_place=place)
    found = [i for i, stage in enumerate(network.stages) if hasattr(stage, "attention")]
    assert found == stages
    assert count(network, JointAttention) == len(stages)
    assert any("attention" in key for key in network.state_dict()) == bool(stages)


def test_c3d_with_its_attention_nowhere_is_c3d():
    bare = on_meta("c3d+attention", attention_place="none")
    assert repr(bare) == repr(on_meta("c3d"))


@pytest.mark.parametrize(
    ("pool", "numbers"), [("multi", (5, 5, 5)), ("max", (0, 5, 0)), ("average", (0, 0, 5))]
)
def test_the_pools_of_cs3d(pool, numbers):
    network = on_meta("cs3d", pool=pool)
    kinds = (MultiPool3d, nn.MaxPool3d, nn.AvgPool3d)
    assert tuple(count(network, kind) for kind in kinds) == numbers


def test_c3d_is_the_network_of_the_paper():
    network = on_meta("c3d")
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv3d)]
    assert [m.out_channels for m in convolutions] == [64, 128, 256, 512, 512]
    assert {m.kernel_size for m in convolutions} == {(3, 3, 3)}
    pools = [m for m in network.modules() if isinstance(m, nn.MaxPool3d)]
    assert [m.kernel_size for m in pools] == [(1, 2, 2)] + [(2, 2, 2)] * 4
    assert [m.padding for m in pools] == [(0, 0, 0)] * 4 + [(0, 1, 1)]
    linear = [m for m in network.modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in linear] == [
        (8192, 4096),
        (4096, 4096),
        (4096, 7),
    ]


@pytest.mark.parametrize(("classifier", "knows"), [("linear", False), ("map", True)])
def test_a_classifier_on_the_map_knows_where_something_is(classifier, knows):
    torch.manual_seed(0)
    head = build("cs3d", classifier=classifier, dropout=0.0).classifier
    above, below = torch.zeros(2, 1, 512, 1, 4, 4)
    above[..., 0, :] = 1
    below[..., 3, :] = 1
    assert torch.allclose(head(above), head(below)) is not knows


@pytest.mark.parametrize("name", ["c3d+ssn", "c3d+factorized", "cs3d"])
def test_neuron_options_reach_every_neuron(name):
    network = on_meta(name, threshold=0.7, steepness=2, surrogate="sigmoid_derivative")
    neurons = [m for m in network.modules() if isinstance(m, SoftSpikingNeuron)]
    assert neurons
    assert {(n.threshold, n.steepness, n.surrogate) for n in neurons} == {
        (0.7, 2.0, "sigmoid_derivative")
    }


@pytest.mark.parametrize("name", names())
def test_the_specification_rebuilds_the_network_through_json(name):
    options = default_options(name)
    options["dropout"] = 0.25
    network = on_meta(name, 4, dropout=0.25)
    assert network.specification == NetworkSpec(name, 4, options)
    through_json = json.loads(json.dumps(options))
    with torch.device("meta"):
        again = rebuild(NetworkSpec(name, 4, through_json))
    assert again.specification == network.specification
    assert repr(again) == repr(network)
    layout = {key: tensor.shape for key, tensor in network.state_dict().items()}
    assert {key: tensor.shape for key, tensor in again.state_dict().items()} == layout


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: build("c4d"), "'c4d'.*c3d, .*cs3d"),
        (lambda: build(""), "unknown network ''"),
        (lambda: build(["cs3d"]), "unknown network"),
        (lambda: default_options("x"), "unknown network 'x'"),
        (lambda: build("cs3d", theta=1), "no option theta; it has in_channels, pool"),
        (lambda: build("cs3d", in_channels=0), "0 channels; give a whole number from 1 to 16"),
        (lambda: build("rnn", in_channels=17), "17 channels"),
        (lambda: build("c3d", in_channels=3.0), "3.0 channels"),
        (lambda: build("lstm", in_channels=True), "True channels"),
        (lambda: build("cs3d", pool="min"), "unknown pool 'min'.*multi, max, average"),
        (lambda: build("cs3d", pool=None), "unknown pool None"),
        (lambda: build("cs3d", attention_place="first"), "'first'.*pool, last, none"),
        (lambda: build("c3d+attention", attention_place=[]), r"attention \[\]; choose one of"),
        (
            lambda: build("cs3d", attention_place="none", temporal_attention="global"),
            "unknown temporal attention 'global'",
        ),
        (lambda: build("cs3d", attention_place="none", reduction=0), "reduction is 0"),
        (lambda: build("rnn", dropout=1), "dropout is 1"),
        (lambda: build("lstm", dropout=float("nan")), "dropout is nan"),
        (lambda: build("transformer", dropout=-0.1), "dropout is -0.1"),
        (lambda: build("transformer", heads=8), "no option heads; it has in_channels, dropout"),
        (lambda: build("c3d", threshold=1), "c3d has no option threshold"),
        (lambda: build("cs3d", classifier="svm"), "'svm'.*linear, map, mlp"),
        (lambda: build("cs3d", classifier=1), "classifier 1"),
        (lambda: build("cs3d", dropout=1.0), "dropout is 1.0"),
        (lambda: build("cs3d", dropout="0.5"), "dropout is '0.5'"),
        (lambda: build("cs3d", threshold=-1), "threshold is -1"),
        (lambda: build("cs3d", reduction=65), "from 1 to the number of channels, 64"),
        (lambda: build("cs3d", 1), "1 classes"),
        (lambda: build("cs3d", MAX_CLASSES + 1), f"from 2 to {MAX_CLASSES}"),
        (lambda: build("cs3d", 7.0), "7.0 classes"),
        (lambda: build("cs3d", True), "True classes"),
        (lambda: rebuild(NetworkSpec("cs3d", 7, {"num_classes": 9})), "no option num_classes"),
    ],
)
def test_bad_requests_are_refused(call, what):
    with pytest.raises(NetworkError, match=what) as caught:
        call()
    assert isinstance(caught.value, Cs3dError)


def test_importing_the_room_imports_neither_ros_nor_its_neighbours():
    code = (
        "import sys, cs3d_ros.network, cs3d_ros.network.classifier, cs3d_ros.network.complexity\n"
        "loaded = set(sys.modules)\n"
        "assert 'torch' in loaded\n"
        "print(loaded & {'rclpy', 'thop', 'cs3d_ros.events', 'cs3d_ros.energy', 'cs3d_ros.nodes'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
