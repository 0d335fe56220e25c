"""The window by which engines are checked."""

import numpy as np
import pytest
import torch

from cs3d_ros.network.checkpoint import load, untrained
from cs3d_ros.network.classifier import SHIPPED_WEIGHTS
from cs3d_ros.network.engines.engine import EngineError
from cs3d_ros.network.engines.self_check import Probe, sample_window


def test_a_sample_window_is_about_as_full_as_a_camera_makes_it():
    window = sample_window((3, 16, 64, 64))
    assert window.dtype == np.float32
    assert 0.02 < (window > 0).mean() < 0.04
    np.testing.assert_array_equal(window, sample_window((3, 16, 64, 64)))
    assert not np.array_equal(window, sample_window((3, 16, 64, 64), seed=1))


def test_a_network_in_which_little_passes_the_thresholds_is_asked_something_louder():
    silent, _ = untrained("cs3d", size=32)
    quiet = Probe.of(silent, (3, 16, 32, 32))
    empty = silent(torch.zeros(1, 3, 16, 32, 32)).detach().numpy()
    assert quiet.window.max() > 1
    assert np.abs(quiet.logits - empty).max() > 0.01 * np.abs(quiet.logits).max()
    trained, card = load(SHIPPED_WEIGHTS)
    assert Probe.of(trained, card.input_shape).window.max() <= 1


def test_a_probe_tells_how_far_an_answer_is_off():
    window = sample_window((1, 3, 16, 32, 32))
    probe = Probe(window, np.array([[1.0, -4.0]], np.float32))
    assert probe.check(lambda given: probe.logits.copy(), "float32") == 0
    assert probe.check(lambda given: probe.logits + np.float32(0.02), "float16") == pytest.approx(
        0.005, rel=1e-3
    )
    with pytest.raises(EngineError, match=r"off by 0\.005 of the largest logit"):
        probe.check(lambda given: probe.logits + np.float32(0.02), "float32")
