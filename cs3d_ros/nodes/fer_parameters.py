"""What can be set on the node `fer`, and the recognizer that it makes of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cs3d_ros.decision import LIVE_RULE, Decision
from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.activity import ActivitySettings
from cs3d_ros.events.noise import NoiseSettings
from cs3d_ros.events.roi import Roi
from cs3d_ros.nodes.parameters import Parameters, ParameterSpec
from cs3d_ros.recognizer import DEFAULT_HOP_MS, DEFAULT_MAX_EVENTS, Recognizer

if TYPE_CHECKING:
    from cs3d_ros.network.classifier import Classifier

PARAMETERS = (
    ParameterSpec(
        "model",
        "shipped",
        "Checkpoint (.safetensors) to load; 'shipped': the weights that come with this package; "
        "'untrained': random weights.",
    ),
    ParameterSpec("device", "auto", "Where the network runs: auto, cpu, cuda or cuda:N."),
    ParameterSpec(
        "engine",
        "auto",
        "How the network is executed: torch, openvino, onnxruntime, torch-compile, cuda-graph, "
        "tensorrt, or auto, the fastest that works here.",
    ),
    ParameterSpec(
        "precision",
        "float32",
        "How the network computes: float32, or on a GPU tf32, bfloat16 or float16.",
        choices=("float32", "tf32", "bfloat16", "float16"),
    ),
    ParameterSpec("threads", 0, "CPU threads of the network; 0: all cores.", 0, 256),
    ParameterSpec(
        "window_ms",
        0.0,
        "Length of a window in ms; 0.0: the one that the network was trained on.",
        0.0,
        10_000.0,
    ),
    ParameterSpec(
        "hop_ms", DEFAULT_HOP_MS, "Time from one window to the next in ms.", 1.0, 10_000.0
    ),
    ParameterSpec(
        "roi",
        [0, 0, 0, 0],
        "Region of the sensor to look at, pixels: x, y, width, height; all 0: the largest centred "
        "square.",
    ),
    ParameterSpec(
        "roi_mode",
        "fixed",
        "Where the region comes from: fixed, the parameter roi; topic, the messages on ~/roi, and "
        "roi before the first; activity, follow what moves.",
        choices=("fixed", "topic", "activity"),
    ),
    ParameterSpec(
        "hot_pixel_learning_s",
        0.0,
        "Time at the start during which hot pixels are learned, in s; 0.0: off.",
        0.0,
        60.0,
    ),
    ParameterSpec(
        "refractory_us", 0, "A pixel rests after each event, in us; 0: off.", 0, 1_000_000
    ),
    ParameterSpec(
        "background_activity_us",
        -1,
        "An event without another one beside it within this time before is noise, in us; 0: off; "
        "-1: as the network was trained.",
        -1,
        1_000_000,
    ),
    ParameterSpec(
        "min_confidence",
        LIVE_RULE["min_confidence"],
        "If the largest (smoothed) probability is below this, neutral is reported.",
        0.0,
        1.0,
    ),
    ParameterSpec(
        "min_messages",
        1,
        "An expression is reported from its nth recognised window in a row on; before, neutral.",
        1,
        100,
    ),
    ParameterSpec(
        "smoothing_ms",
        LIVE_RULE["smoothing_ms"],
        "Time constant over which probabilities are smoothed before that is decided, in ms; 0.0: "
        "off.",
        0.0,
        10_000.0,
    ),
    ParameterSpec(
        "keep_confidence",
        LIVE_RULE["keep_confidence"],
        "An expression that is reported stays so until its (smoothed) probability is below this, "
        "whatever is more probable; 1.0: off.",
        0.0,
        1.0,
    ),
    ParameterSpec(
        "activity_gate",
        False,
        "Do not run the network on windows that hold nothing but the noise of the sensor; the last "
        "result is published again.",
    ),
    ParameterSpec(
        "queue_bytes",
        64 * 2**20,
        "Packets waiting to be decoded, in bytes; beyond that the oldest are dropped.",
        2**16,
        2**32,
    ),
    ParameterSpec(
        "max_events",
        DEFAULT_MAX_EVENTS,
        "Decoded events waiting for their windows; beyond that the oldest are dropped.",
        1_000,
        1_000_000_000,
    ),
)


def make_recognizer(parameters: Parameters, classifier: Classifier) -> Recognizer:
    """A recognizer as the parameters say.

    Raises:
        Cs3dError: Values that are impossible or do not go together.
    """
    roi = parameters["roi"]
    if len(roi) != 4:
        raise Cs3dError(
            f"parameter roi has {len(roi)} numbers, expected 4: x, y, width and height in pixels, "
            "or all 0 for the largest centred square"
        )
    background_activity_us = parameters["background_activity_us"]
    if background_activity_us < 0:
        background_activity_us = classifier.card.background_activity_us
    follow = parameters["roi_mode"] == "activity"
    if follow and any(roi):
        raise Cs3dError(
            f"parameter roi is {list(roi)}, but with roi_mode 'activity' the node finds the region "
            "itself; set roi to all 0, or roi_mode to 'fixed'"
        )
    return Recognizer(
        classifier,
        window_ms=parameters["window_ms"] or None,
        hop_ms=parameters["hop_ms"],
        roi=ActivitySettings() if follow else Roi(*roi) if any(roi) else None,
        noise=NoiseSettings(
            hot_pixel_learning_s=parameters["hot_pixel_learning_s"],
            refractory_us=parameters["refractory_us"],
            background_activity_us=background_activity_us,
        ),
        decision=Decision(
            parameters["min_confidence"],
            parameters["min_messages"],
            parameters["smoothing_ms"],
            parameters["keep_confidence"],
        ),
        max_events=parameters["max_events"],
        activity_gate=parameters["activity_gate"],
    )
