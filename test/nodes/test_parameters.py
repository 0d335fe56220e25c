from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from cs3d_ros.events.noise import NoiseSettings
from cs3d_ros.network import checkpoint
from cs3d_ros.nodes import energy_node, fer_node, player_node
from cs3d_ros.nodes.fer_parameters import make_recognizer
from cs3d_ros.nodes.parameters import ParameterSpec

CONFIG = Path(__file__).parents[2] / "config" / "fer.yaml"


@pytest.mark.parametrize(
    ("node", "specs"),
    [("/**/fer", fer_node.PARAMETERS), ("/**/fer_energy", energy_node.PARAMETERS)],
)
def test_the_parameter_file_holds_every_parameter_with_its_default(node, specs):
    written = yaml.safe_load(CONFIG.read_text())[node]["ros__parameters"]
    defaults = {spec.name: spec.default for spec in specs}
    assert written == defaults
    # YAML's 1 is an integer for ROS and refused where a float is declared.
    assert {k: type(v) for k, v in written.items()} == {k: type(v) for k, v in defaults.items()}


@pytest.mark.parametrize(
    "spec",
    [*fer_node.PARAMETERS, *energy_node.PARAMETERS, *player_node.PARAMETERS],
    ids=lambda spec: spec.name,
)
def test_every_parameter_is_described_and_accepts_its_default(spec):
    descriptor = spec.descriptor()
    assert descriptor.name == spec.name
    assert descriptor.description == spec.description
    assert len(spec.description) > 5
    assert spec.accepts(spec.default)
    ranges = [*descriptor.integer_range, *descriptor.floating_point_range]
    if spec.minimum is not None:
        assert (ranges[0].from_value, ranges[0].to_value) == (spec.minimum, spec.maximum)


@pytest.mark.parametrize(("given", "used"), [(-1, 20_000), (0, 0), (7, 7)])
def test_the_background_activity_filter_is_the_networks_unless_told(given, used):
    card = replace(checkpoint.untrained("rnn")[1], background_activity_us=20_000)
    values = {spec.name: spec.default for spec in fer_node.PARAMETERS}
    assert values["background_activity_us"] == -1
    values |= {"background_activity_us": given, "refractory_us": 3}
    recognizer = make_recognizer(values, SimpleNamespace(card=card))
    assert recognizer.noise == NoiseSettings(refractory_us=3, background_activity_us=used)


def test_the_rule_of_decision_is_that_of_the_parameters(monkeypatch):
    monkeypatch.setattr("cs3d_ros.nodes.fer_parameters.Decision", lambda *rule: rule)
    values = {spec.name: spec.default for spec in fer_node.PARAMETERS}
    values |= {"min_confidence": 0.5, "min_messages": 2, "smoothing_ms": 100.0}
    values["keep_confidence"] = 0.2
    recognizer = make_recognizer(values, SimpleNamespace(card=checkpoint.untrained("rnn")[1]))
    assert recognizer._decision == (0.5, 2, 100.0, 0.2)


def test_ranges_and_choices():
    number = ParameterSpec("speed", 1.0, "How fast.", 0.5, 2.0)
    assert [number.accepts(v) for v in (0.4, 0.5, 2.0, 2.1, float("nan"), float("inf"))] == [
        False,
        True,
        True,
        False,
        False,
        False,
    ]
    assert number.expected == "0.5 to 2.0 (float)"
    colour = ParameterSpec("colour", "red", "Which.", choices=("red", "blue"))
    assert colour.accepts("blue")
    assert not colour.accepts("green")
    assert colour.descriptor().additional_constraints == "one of: red, blue"
