"""Checkpoints: bit-exact when sound, one clear error when not."""

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as serialize

from cs3d_ros.network import (
    CheckpointError,
    DeviceError,
    NetworkError,
    NetworkSpec,
    default_options,
    names,
    stages,
)
from cs3d_ros.network.card import DEFAULT_LABELS
from cs3d_ros.network.checkpoint import load, save, untrained

WINDOW = (1, 3, 16, 56, 56)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return the path of a sound checkpoint, whose statistics are not the initial ones."""
    network, card = untrained(labels=("left", "right", "rest"), seed=5, threshold=0.2)
    with torch.no_grad():
        for index, (name, buffer) in enumerate(network.named_buffers()):
            buffer.fill_(index if name.endswith("tracked") else 1 / (index + 3))
    path = tmp_path_factory.mktemp("sound") / "model.safetensors"
    save(path, network, replace(card, name="sound", provenance={"commit": "abc", "seed": 5}))
    return path


@pytest.fixture(scope="module")
def content(sound):
    return sound.read_bytes()


def split(content):
    """Return the header as a dictionary, and the bytes after it."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header, body):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def with_card(content, **changes):
    header, body = split(content)
    card = json.loads(header["__metadata__"]["cs3d_ros"])
    for key, value in changes.items():
        inner = card
        *path, last = key.split("__")
        for part in path:
            inner = inner[part]
        inner[last] = value
    header["__metadata__"]["cs3d_ros"] = json.dumps(card)
    return join(header, body)


def tensors_of(content):
    from safetensors.torch import load as deserialize

    return deserialize(content), split(content)[0]["__metadata__"]


def refuse(tmp_path, content, what):
    path = tmp_path / "given.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=what) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert len(message) < len(str(path)) + 500


def test_round_trip_is_bit_exact(sound, tmp_path):
    network, card = load(sound)
    assert not network.training
    assert card.name == "sound"
    assert card.labels == ("left", "right", "rest")
    assert (card.representation, card.bins, card.size) == ("on_off_recency", 16, 112)
    assert card.provenance == {"commit": "abc", "seed": 5}
    assert card.network == network.specification
    assert card.network.options["threshold"] == 0.2

    again = tmp_path / "again.safetensors"
    save(again, network, card)
    assert again.read_bytes() == sound.read_bytes()

    x = torch.rand(WINDOW)
    other, _ = load(again)
    with torch.inference_mode():
        assert torch.equal(network(x), other(x))


def test_what_is_saved_is_what_is_loaded(tmp_path):
    network, card = untrained(seed=9)
    save(tmp_path / "a", network, card)
    loaded, loaded_card = load(tmp_path / "a")
    assert loaded_card == card
    before, after = network.state_dict(), loaded.state_dict()
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        assert after[key].dtype == tensor.dtype
        assert torch.equal(after[key], tensor)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("name", names())
def test_every_network_makes_the_round_trip(name, tmp_path, monkeypatch):
    monkeypatch.setattr(stages, "HIDDEN", 8)  # C3D's classifier takes 200 MB otherwise
    network, card = untrained(name, ("a", "b"), 3, size=32, in_channels=2, dropout=0.25)
    save(tmp_path / "a", network, card)
    loaded, loaded_card = load(tmp_path / "a")
    assert loaded_card == card
    assert loaded_card.input_shape == (2, 16, 32, 32)
    x = torch.rand(1, 2, 16, 32, 32)
    with torch.inference_mode():
        assert torch.equal(loaded(x), network(x))


def test_the_memory_format_does_not_reach_the_file(sound, tmp_path):
    network, card = load(sound)
    network.to(memory_format=torch.channels_last_3d)
    save(tmp_path / "a", network, card)
    assert (tmp_path / "a").read_bytes() == sound.read_bytes()


def test_a_loaded_network_outlives_its_file(content, tmp_path):
    path = tmp_path / "a"
    path.write_bytes(content)
    network, _ = load(path)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    with path.open("r+b") as file:
        file.write(b"\xff" * len(content))
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize(("option", "default"), [("steepness", 4.0), ("in_channels", 3)])
def test_an_option_left_out_of_the_header_takes_its_default(content, tmp_path, option, default):
    header, body = split(content)
    card = json.loads(header["__metadata__"]["cs3d_ros"])
    del card["network"]["options"][option]
    header["__metadata__"]["cs3d_ros"] = json.dumps(card)
    (tmp_path / "a").write_bytes(join(header, body))
    network, loaded = load(tmp_path / "a")
    assert loaded.network.options[option] == default
    assert loaded.network == network.specification


def test_loading_leaves_the_random_numbers_alone(sound):
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    load(sound)
    assert torch.equal(torch.rand(3), expected)


def test_untrained_is_seeded_and_says_so():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    (a, card), (b, _), (c, _) = untrained(), untrained(), untrained(seed=1)
    assert torch.equal(torch.rand(3), expected)
    first = "stages.0.convolution.temporal_pointwise.weight"
    assert torch.equal(a.state_dict()[first], b.state_dict()[first])
    assert not torch.equal(a.state_dict()[first], c.state_dict()[first])
    assert not a.training
    assert card.name == "cs3d-untrained"
    assert card.labels == DEFAULT_LABELS
    assert card.network == a.specification
    assert card.provenance == {"weights": "random", "seed": 0}


def test_untrained_takes_what_a_card_and_a_network_take():
    network, card = untrained(
        labels=["a", "b"], representation="counts", window_ms=50, temporal_attention="per_frame"
    )
    assert (card.labels, card.representation, card.window_ms) == (("a", "b"), "counts", 50)
    assert network.specification.num_classes == 2
    assert network.specification.options["temporal_attention"] == "per_frame"
    assert untrained("rnn", in_channels=1, size=64)[1].input_shape == (1, 16, 64, 64)
    with pytest.raises(NetworkError, match="unknown network"):
        untrained("c4d")
    with pytest.raises(CheckpointError, match="not all different"):
        untrained(labels=("a", "a"))


# What is wrong with the path


def test_a_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.safetensors: no such file; give the path"):
        load(tmp_path / "none.safetensors")


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000, "/dev/null"])
def test_a_path_that_leads_nowhere(path):
    with pytest.raises(CheckpointError):
        load(path)


def test_a_directory_and_a_pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(CheckpointError, match="not a file"):
            load(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_a_file_that_may_not_be_read(sound, tmp_path):
    path = tmp_path / "secret"
    path.write_bytes(b"")
    path.chmod(0)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(path)


def test_an_error_while_reading_names_the_file(sound, monkeypatch):
    def fail(*_):
        raise OSError("disk gone")

    monkeypatch.setattr(Path, "stat", fail)
    with pytest.raises(CheckpointError, match=r"model\.safetensors: cannot be read: disk gone"):
        load(sound)


def test_a_device_that_does_not_exist(sound):
    with pytest.raises(DeviceError, match="available: cpu"):
        load(sound, "cuda:77")


# What is wrong with the bytes


def test_truncation_at_every_kind_of_place(content, tmp_path):
    header_end = 8 + int.from_bytes(content[:8], "little")
    places = {0, 1, 7, 8, 9, header_end - 1, header_end, header_end + 1, len(content) - 1}
    places |= set(range(10, header_end, 501)) | set(range(header_end, len(content), 199_999))
    for place in sorted(places):
        refuse(tmp_path, content[:place], "damaged, or not a safetensors file")


def test_trailing_bytes(content, tmp_path):
    refuse(tmp_path, content + b"\0", "damaged")


def test_a_pickle_is_named_and_not_run(tmp_path):
    witness = tmp_path / "ran"

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (witness,))

    for zipped in (True, False):
        torch.save(
            {"x": torch.zeros(3), "bomb": Bomb()},
            tmp_path / "model.pt",
            _use_new_zipfile_serialization=zipped,
        )
        refuse(tmp_path, (tmp_path / "model.pt").read_bytes(), r"a PyTorch pickle \(\.pt\)")
    refuse(tmp_path, pickle.dumps(Bomb(), protocol=4), "pickle")
    assert not witness.exists()


@pytest.mark.parametrize("length", [1 << 21, 1 << 40, (1 << 64) - 1])
def test_an_absurd_header_length(content, tmp_path, length):
    padding = b" " * (1 << 21) if length == 1 << 21 else b""
    what = "a header of 2097152 bytes" if padding else "too few for its header"
    refuse(tmp_path, length.to_bytes(8, "little") + content[8:] + padding, what)


@pytest.mark.parametrize("header", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"a": {}}'])
def test_a_header_that_is_not_one(tmp_path, header):
    refuse(tmp_path, len(header).to_bytes(8, "little") + header, "damaged|without a model card")


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(given_bytes=st.binary(max_size=300))
def test_random_bytes(tmp_path, given_bytes):
    path = tmp_path / "random"
    path.write_bytes(given_bytes)
    with pytest.raises(CheckpointError):
        load(path)


ODD_KEYS = [
    *("name", "network", "labels", "representation", "window_ms", "bins", "size", "provenance"),
    *("format_version", "network__name", "network__num_classes", "network__options"),
    *(
        f"network__options__{option}"
        for option in ("name", "num_classes", *default_options("cs3d"))
    ),
]

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_random_damage_to_the_header(content, tmp_path, data):
    """Bytes flipped in the JSON: refused, or the damage was to free text."""
    end = 8 + int.from_bytes(content[:8], "little")
    damaged = bytearray(content)
    for place in data.draw(st.lists(st.integers(0, end - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(damaged)
    try:
        _, card = load(path)
    except CheckpointError:
        return
    assert len(card.labels) == card.network.num_classes == 3


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    key=st.sampled_from(ODD_KEYS),
    value=_JSON,
)
def test_random_values_in_the_card(content, tmp_path, key, value):
    path = tmp_path / "odd"
    path.write_bytes(with_card(content, **{key: value}))
    try:
        network, card = load(path)
    except CheckpointError:
        return
    assert card.network == network.specification


# What is wrong with the card


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"format_version": 2}, "format version is 2; this package reads 1"),
        ({"network__name": "c4d"}, "network cannot be built: unknown network 'c4d'"),
        ({"network__options": {"depth": 3}}, "no option depth"),
        ({"network__options": {"num_classes": 3}}, "no option num_classes"),
        ({"network__options__threshold": "high"}, "threshold is 'high'"),
        ({"network__options__threshold": 10**400}, "threshold is 1000"),
        ({"network__options__surrogate": "x" * 10_000}, "unknown surrogate gradient 'xxx"),
        ({"network__options__reduction": 0}, "reduction is 0"),
        ({"network__options__in_channels": 10**9}, "takes 1000000000 channels; from 1 to 16"),
        ({"network__options__in_channels": 2}, r"weight is torch.float32 \(3, 1, 3, 1, 1\), exp"),
        ({"network__options__attention_place": "none"}, r"unexpected, first 'stages\.0\.attention"),
        ({"labels": ["left", "right"]}, "2 labels for a network of 3 classes"),
        ({"labels": list("abcd"), "network__num_classes": 4}, r"weight is torch.float32 \(3, 512"),
        ({"network__num_classes": 10**12}, "1000000000000 classes; from 2 to 1000"),
        ({"network__num_classes": -1}, "-1 classes"),
        ({"bins": 10**9}, "1000000000 bins"),
        ({"size": 10**9}, "16 bins of 1000000000 rows and columns"),
    ],
)
def test_a_bad_card(content, tmp_path, changes, what):
    refuse(tmp_path, with_card(content, **changes), what)


def test_a_safetensors_file_of_another_program(content, tmp_path):
    tensors, _ = tensors_of(content)
    refuse(tmp_path, serialize(tensors, {"format": "pt"}), "without a model card")
    refuse(tmp_path, serialize(tensors), "without a model card")
    refuse(tmp_path, serialize(tensors, {"cs3d_ros": "{"}), "header is not JSON")


# What is wrong with the tensors


def test_missing_and_unexpected_tensors(content, tmp_path):
    tensors, metadata = tensors_of(content)
    fewer = {key: tensor for key, tensor in tensors.items() if key != "classifier.output.bias"}
    refuse(tmp_path, serialize(fewer, metadata), "1 missing, first 'classifier.output.bias'")
    more = tensors | {"total_ops": torch.zeros(1)}
    refuse(tmp_path, serialize(more, metadata), "1 unexpected, first 'total_ops'")
    long = tensors | {"x" * 100_000: torch.zeros(1)}
    refuse(tmp_path, serialize(long, metadata), "1 unexpected, first 'xxx")


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (torch.zeros(4), r"bias is torch.float32 \(4,\), expected torch.float32 \(3,\)"),
        (torch.zeros(3, 1), r"bias is torch.float32 \(3, 1\)"),
        (torch.zeros(3, dtype=torch.float64), "bias is F64"),
        (torch.zeros(3, dtype=torch.int64), "bias is torch.int64"),
        (torch.tensor([0, float("nan"), 0]), "output.bias holds NaN or infinity"),
        (torch.tensor([0, float("-inf"), 0]), "output.bias holds NaN or infinity"),
    ],
)
def test_a_tensor_that_does_not_fit(content, tmp_path, value, what):
    tensors, metadata = tensors_of(content)
    refuse(tmp_path, serialize(tensors | {"classifier.output.bias": value}, metadata), what)


def test_a_negative_variance(content, tmp_path):
    tensors, metadata = tensors_of(content)
    tensors["stages.0.convolution.spatial_norm.running_var"][3] = -1
    refuse(tmp_path, serialize(tensors, metadata), "running_var holds a negative variance")


def test_a_tensor_that_claims_more_than_the_file_holds(content, tmp_path):
    header, body = split(content)
    header["classifier.output.bias"]["shape"] = [1 << 40]
    refuse(tmp_path, join(header, body), "damaged")


def test_nothing_large_is_allocated_for_a_network_that_is_not_in_the_file(content, tmp_path):
    """The header asks for 66 million parameters (264 MB); the file holds 1.3 million."""
    path = tmp_path / "a"
    labels = [f"class {index}" for index in range(1000)]
    network = {"name": "c3d", "num_classes": 1000, "options": {}}
    path.write_bytes(with_card(content, network=network, labels=labels))
    code = (
        "import resource, sys\n"
        "from cs3d_ros.network.checkpoint import CheckpointError, load, untrained\n"
        "def peak_kib(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "untrained()\n"
        "before = peak_kib()\n"
        "try: load(sys.argv[1])\n"
        "except CheckpointError as error: assert 'do not fit c3d' in str(error), error\n"
        "else: sys.exit('loaded')\n"
        "print(peak_kib() - before)"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50_000


# Saving


@pytest.fixture
def pair():
    return untrained(labels=("a", "b"))


def test_a_card_of_another_network_is_not_saved(pair, tmp_path):
    network, card = pair
    spec = NetworkSpec("cs3d", 2, {**card.network.options, "threshold": 0.9})
    with pytest.raises(CheckpointError, match="make the card from the network's specification"):
        save(tmp_path / "a", network, replace(card, network=spec))
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_was_changed_is_not_saved(pair, tmp_path):
    network, card = pair
    network.register_buffer("total_ops", torch.zeros(1))
    with pytest.raises(CheckpointError, match="1 unexpected, first 'total_ops'"):
        save(tmp_path / "a", network, card)


def test_weights_that_are_not_finite_are_not_saved(pair, tmp_path):
    network, card = pair
    with torch.no_grad():
        next(network.parameters())[0] = float("nan")
    with pytest.raises(CheckpointError, match="holds NaN"):
        save(tmp_path / "a", network, card)
    assert list(tmp_path.iterdir()) == []


def test_a_card_too_large_to_be_read_is_not_saved(pair, tmp_path):
    network, card = pair
    with pytest.raises(CheckpointError, match="shorten the provenance"):
        save(tmp_path / "a", network, replace(card, provenance={"log": "x" * (1 << 20)}))


def test_a_place_that_cannot_be_written(pair, tmp_path):
    network, card = pair
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "none" / "a", tmp_path / "file" / "a", tmp_path / "folder"):
        with pytest.raises(CheckpointError, match="cannot be written"):
            save(path, network, card)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_a_failed_save_leaves_the_old_file(pair, tmp_path, monkeypatch):
    network, card = pair
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail(_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(CheckpointError, match="disk full"):
        save(path, network, card)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_saving_replaces_a_file_as_a_whole(pair, tmp_path):
    network, card = pair
    path, link = tmp_path / "a", tmp_path / "link"
    path.write_bytes(b"old")
    link.hardlink_to(path)
    save(path, network, card)
    assert load(path)[1] == card
    assert link.read_bytes() == b"old"  # whoever has the old file open keeps it
    assert sorted(tmp_path.iterdir()) == [path, link]


def test_a_network_in_training_keeps_its_mode(pair, tmp_path):
    network, card = pair
    save(tmp_path / "a", network.train(), card)
    assert network.training
