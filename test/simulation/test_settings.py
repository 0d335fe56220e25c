import math
from dataclasses import asdict, fields

import pytest

from cs3d_ros.simulation.errors import SimulationError
from cs3d_ros.simulation.settings import HELD_OUT, PRESETS, EmulatorSettings


def test_the_defaults_are_those_of_v2e():
    assert EmulatorSettings() == EmulatorSettings(
        positive_threshold=0.2,
        negative_threshold=0.2,
        threshold_sigma=0.03,
        cutoff_hz=300,
        leak_rate_hz=0.01,
        leak_jitter=0.1,
        leak_decades=0.1,
        shot_noise_rate_hz=0.001,
        refractory_ms=0.5,
    )


def test_the_presets_are_named_after_the_light():
    assert list(PRESETS) == ["sufficient", "insufficient", "clean"]
    assert PRESETS["sufficient"] == EmulatorSettings()
    low = PRESETS["insufficient"]
    assert (low.threshold_sigma, low.cutoff_hz) == (0.05, 30)
    assert (low.leak_rate_hz, low.shot_noise_rate_hz) == (0.1, 5)
    clean = PRESETS["clean"]
    assert clean.threshold_sigma == 0.02
    assert not any((clean.leak_rate_hz, clean.shot_noise_rate_hz, clean.cutoff_hz))


def test_the_held_out_camera_is_another_one_in_either_light():
    assert list(HELD_OUT) == ["sufficient", "insufficient"]
    for light, camera in HELD_OUT.items():
        own, usual = asdict(camera), asdict(PRESETS[light])
        same = {name for name in own if own[name] == usual[name]}
        assert same <= {"leak_jitter", "threshold_sigma"}
        assert own["positive_threshold"] == 2 * own["negative_threshold"]


@pytest.mark.parametrize("name", [setting.name for setting in fields(EmulatorSettings)])
@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1, 1e12, "0.2", None])
def test_what_is_no_sensible_number_is_refused_by_name(name, value):
    with pytest.raises(SimulationError, match=f"{name} is .* expected a number from"):
        EmulatorSettings(**{name: value})


def test_a_threshold_of_nothing_is_refused():
    with pytest.raises(SimulationError, match=r"positive_threshold is 0\.0"):
        EmulatorSettings(positive_threshold=0.0)
