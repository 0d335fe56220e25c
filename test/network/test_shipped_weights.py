"""The weights that come with the package."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open

import cs3d_ros
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.network.classifier import Classifier
from cs3d_ros.nodes.demo_report import Message, shortfall, sum_up
from cs3d_ros.recognizer import Recognizer
from cs3d_ros.recordings import EMBEDDED, open_recording, read_labels

WEIGHTS = Path(cs3d_ros.__file__).parent / "weights" / "cs3d.safetensors"


@pytest.fixture(scope="module")
def shipped() -> Classifier:
    return Classifier.from_checkpoint("shipped", device="cpu")


def test_are_small_enough_to_ship():
    assert WEIGHTS.stat().st_size < 10_000_000


def test_know_the_seven_expressions(shipped):
    assert shipped.labels == EXPRESSIONS
    assert "untrained" not in shipped.name


def test_say_where_they_come_from():
    with safe_open(WEIGHTS, "pt") as file:
        provenance = json.loads(file.metadata()["cs3d_ros"])["provenance"]
    assert provenance["finished"]
    assert provenance["data"]["name"] == "facekit-7"
    assert provenance["command"].startswith("cs3d train ")
    assert len(provenance["commit"]) == 40, "of a tree without changes"
    assert provenance["settings"]["seed"] >= 0
    assert 0.5 < provenance["metrics"]["validation_accuracy"] <= 1
    # Another machine's folders mean nothing to anybody.
    assert "/" not in provenance["command"].split("--")[0]


def test_recognise_the_embedded_recording(shipped):
    recognizer, messages = Recognizer(shipped), []
    with open_recording(EMBEDDED) as recording:
        for _, packet in recording:
            for found in recognizer.feed(packet):
                message = Message(
                    start_ns=found.stamp_ns - found.window_duration_ns,
                    end_ns=found.stamp_ns,
                    expression=found.expression,
                    confidence=found.confidence,
                    labels=found.labels,
                    probabilities=found.probabilities,
                    latency_ms=0.0,
                )
                messages.append(message)
    rows = sum_up(messages, read_labels(EMBEDDED))
    assert len(rows) == 7
    assert not shortfall(rows)
