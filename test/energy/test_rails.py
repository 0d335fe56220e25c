"""What counts as the power of a module."""

import pytest

from cs3d_ros.energy.rails import is_connected, total_of


@pytest.mark.parametrize(
    ("rails", "power_w", "estimated"),
    [
        ({"VDD_SOC": 1.0, "VDD_IN": 5.0, "VDD_CPU_GPU_CV": 2.0}, 5.0, False),
        ({"POM_5V_IN": 5.0, "POM_5V_GPU": 1.0}, 5.0, False),
        ({"VDD_IN@7-0041:1": 5.0, "VDD_SOC": 1.0}, 5.0, False),
        ({"VDD_GPU_SOC": 2.0, "VDD_CPU_CV": -0.5, "VIN_SYS_5V0": 4.0}, 5.5, True),
        ({"SYS5V": 3.0, "VDDQ_VDD2_1V8AO": 1.0}, 3.0, True),
        ({"SYS5V": 3.0, "VDDQ_VDD2_1V8AO@1-0040:2": 1.0}, 3.0, True),
        ({"VDD_GPU": 3.0, "VIN": 20.0}, 3.0, True),
        ({"VIN": 20.0}, 20.0, True),
        ({"VDD_IN@1-0040:1": 5.0, "VDD_IN@1-0041:1": 2.0, "VDD_SOC": 1.0}, 7.0, True),
    ],
)
def test_the_input_is_the_total_and_a_sum_an_estimate(
    rails: dict[str, float], power_w: float, estimated: bool
) -> None:
    assert total_of(rails) == (power_w, estimated)


def test_a_channel_left_open_is_told_by_its_label() -> None:
    assert not is_connected("NC")
    assert is_connected("VDD_IN")
    assert is_connected("SYNC")
