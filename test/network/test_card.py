"""The model card: what it holds, what it refuses, and its JSON."""

import json

import pytest

from cs3d_ros.network import CheckpointError, NetworkSpec
from cs3d_ros.network.card import DEFAULT_LABELS, ModelCard

SPEC = NetworkSpec("cs3d", 7, {"classifier": "linear"})


def card(**changes):
    fields = {
        "name": "cs3d-test",
        "network": SPEC,
        "labels": DEFAULT_LABELS,
        "representation": "on_off_recency",
        "window_ms": 500.0,
        "provenance": {"data": ["a", "b"], "seed": 3, "metrics": {"accuracy": 0.5}, "by": None},
    }
    return ModelCard(**(fields | changes))


def test_the_default_labels():
    assert DEFAULT_LABELS == (
        "neutral",
        "happy",
        "sad",
        "surprised",
        "scared",
        "disgusted",
        "angry",
    )


def test_json_round_trip():
    assert ModelCard.from_json(card().to_json()) == card()


def test_the_json_is_the_documented_header():
    assert json.loads(card().to_json()) == {
        "format_version": 1,
        "name": "cs3d-test",
        "network": {"name": "cs3d", "num_classes": 7, "options": {"classifier": "linear"}},
        "labels": list(DEFAULT_LABELS),
        "representation": "on_off_recency",
        "window_ms": 500.0,
        "bins": 16,
        "size": 112,
        "background_activity_us": 0,
        "provenance": {"data": ["a", "b"], "seed": 3, "metrics": {"accuracy": 0.5}, "by": None},
    }


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"name": ""}, "name is ''"),
        ({"name": 3}, "name is 3"),
        ({"name": "a\nb"}, "name is 'a\\\\nb'"),
        ({"name": "\ud800"}, "give a printable text"),
        ({"representation": ""}, "representation is ''"),
        ({"labels": DEFAULT_LABELS[:6]}, "6 labels for a network of 7 classes"),
        ({"labels": ()}, "0 labels for a network of 7 classes"),
        ({"labels": list(DEFAULT_LABELS)}, "give a tuple"),
        ({"labels": (*DEFAULT_LABELS[:6], 7)}, "give a tuple of printable texts"),
        ({"labels": (*DEFAULT_LABELS[:6], "")}, "give a tuple of printable texts"),
        ({"labels": (*DEFAULT_LABELS[:6], "happy")}, "not all different"),
        ({"network": NetworkSpec("cs3d", 10**9, {})}, "1000000000 classes; from 2 to 1000"),
        ({"network": NetworkSpec("cs3d", True, {}), "labels": ("a",)}, "True classes"),
        ({"window_ms": 0}, "window is 0 ms"),
        ({"window_ms": -1.0}, "window is -1.0 ms"),
        ({"window_ms": float("nan")}, "window is nan ms"),
        ({"window_ms": 60_001}, "at most 60000"),
        ({"window_ms": "500"}, "window is '500' ms"),
        ({"bins": 8}, "8 bins of 112 rows and columns; the networks take 16 bins of 32 to 224"),
        ({"bins": 16.0}, "16.0 bins"),
        ({"size": 31}, "16 bins of 31 rows and columns; the networks take 16 bins of 32 to 224"),
        ({"size": 225}, "16 bins of 225 rows and columns"),
        ({"size": 10**9}, "16 bins of 1000000000 rows and columns"),
        ({"size": 112.0}, "16 bins of 112.0 rows"),
        ({"size": True}, "16 bins of True rows"),
        ({"network": NetworkSpec("cs3d", 7, {"in_channels": 0})}, "takes 0 channels; from 1 to 16"),
        ({"network": NetworkSpec("cs3d", 7, {"in_channels": 17})}, "takes 17 channels"),
        ({"network": NetworkSpec("cs3d", 7, {"in_channels": "3"})}, "takes '3' channels"),
        ({"background_activity_us": -1}, "background_activity_us is -1; give a whole number from"),
        ({"background_activity_us": 1_000_001}, r"from 0 \(no filter\) to 1000000"),
        ({"background_activity_us": 5000.0}, "background_activity_us is 5000.0"),
        ({"background_activity_us": True}, "background_activity_us is True"),
        ({"provenance": None}, "provenance is a NoneType; give a dictionary"),
        ({"provenance": []}, "provenance is a list"),
    ],
)
def test_bad_values_are_refused(changes, what):
    with pytest.raises(CheckpointError, match=what):
        card(**changes)


@pytest.mark.parametrize("size", [32, 33, 112, 224])
def test_any_size_from_32_to_224_is_kept(size):
    assert ModelCard.from_json(card(size=size).to_json()).input_shape == (3, 16, size, size)


def test_the_shape_of_a_window_has_the_channels_of_the_network():
    assert card().input_shape == (3, 16, 112, 112)
    network = NetworkSpec("cs3d", 7, {"in_channels": 2})
    assert card(network=network, size=56).input_shape == (2, 16, 56, 56)


@pytest.mark.parametrize("value", [object(), float("nan"), {1, 2}])
def test_a_provenance_that_json_does_not_hold_is_refused(value):
    with pytest.raises(CheckpointError, match="cannot be written as JSON"):
        card(provenance={"x": value}).to_json()


@pytest.mark.parametrize("us", [0, 1, 5_000, 1_000_000])
def test_the_time_of_the_background_activity_filter_is_kept(us):
    assert ModelCard.from_json(card(background_activity_us=us).to_json()) == card(
        background_activity_us=us
    )


def test_a_header_from_before_there_was_a_filter_has_none():
    older = ModelCard.from_json(without("background_activity_us"))
    assert older.background_activity_us == 0
    assert older == card()


def altered(**changes):
    return json.dumps(json.loads(card().to_json()) | changes)


def without(*path):
    header = json.loads(card().to_json())
    inner = header
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return json.dumps(header)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        (card().to_json()[:-1], "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"format_version": ' + "1" * 5000 + "}", "not JSON"),
        ("[]", "no format_version"),
        ("{}", "no format_version"),
        ("null", "no format_version"),
        (without("format_version"), "no format_version"),
        (altered(format_version=2), "format version is 2; this package reads 1"),
        (altered(format_version="1"), "format version is 1; this package reads 1"),
        (altered(format_version=True), "format version is True"),
        (without("labels"), "header lacks labels; expected background_activity_us, bins, labels"),
        (without("size"), "header lacks size"),
        (altered(background_activity_us=None), "background_activity_us is None"),
        (without("window_ms"), "header lacks window_ms"),
        (without("network", "options"), "header's network lacks options"),
        (altered(extra=1), "header has extra"),
        (altered(network="cs3d"), "header's network is not a JSON object"),
        (altered(network={**vars(SPEC), "options": [1]}), "options are not a JSON object"),
        (altered(labels={"a": 1}), "labels are not a JSON array"),
        (altered(labels=[["a"]] * 7), "give a tuple of printable texts"),
        (altered(name=None), "name is None"),
    ],
)
def test_a_text_that_is_no_card_is_refused(text, what):
    with pytest.raises(CheckpointError, match=what):
        ModelCard.from_json(text)
