"""Rows of nvidia-smi."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.energy.nvidia_smi import parse_row


@pytest.mark.parametrize(
    ("row", "gpu_index", "power_w"),
    [
        ("0, 100.25\n", 0, 100.25),
        ("0, 68.32 ", 0, 68.32),
        ("1,7", 1, 7.0),
        ("  12 ,  699.99\r\n", 12, 699.99),
    ],
)
def test_the_power_of_the_wanted_gpu_is_read(row: str, gpu_index: int, power_w: float) -> None:
    reading = parse_row(row, 5, gpu_index)
    assert reading is not None
    assert reading.t_ns == 5
    assert reading.rails == (f"gpu{gpu_index}",)
    assert reading.rail_power_w == (power_w,)
    assert reading.power_w == power_w
    assert not reading.estimated


@pytest.mark.parametrize(
    "row",
    [
        "1, 100.25",
        "0, [N/A]",
        "0, N/A",
        "0, [Not Supported]",
        "0, [Unknown Error]",
        "0, 100.25 W",
        "0, nan",
        "0, -1.0",
        "0, 1e9",
        "0, 4294967.29",
        "100.25",
        "index, power.draw",
        "No devices were found",
        'Field "power.draw" is not a valid field to query.',
        "",
    ],
)
def test_placeholders_and_other_rows_hold_no_reading(row: str) -> None:
    assert parse_row(row, 0, 0) is None


@settings(deadline=None)
@given(st.text() | st.text(alphabet="0123456789., \n[N/A]W-e"))
def test_any_text_gives_finite_power_or_nothing(row: str) -> None:
    reading = parse_row(row, 0, 0)
    assert reading is None or (math.isfinite(reading.power_w) and reading.power_w >= 0)
