import pytest

from cs3d_ros.events.roi import Roi, RoiError


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((1280, 720), Roi(280, 0, 720, 720)),
        ((260, 346), Roi(0, 43, 260, 260)),
        ((8, 8), Roi(0, 0, 8, 8)),
    ],
)
def test_the_default_region_is_the_largest_square_in_the_middle(size, expected):
    assert Roi.centred_square(*size) == expected


@pytest.mark.parametrize(
    "roi",
    [
        Roi(-1, 0, 20, 20),
        Roi(0, -1, 20, 20),
        Roi(21, 0, 20, 20),
        Roi(0, 11, 20, 20),
        Roi(0, 0, 7, 20),
        Roi(0, 0, 20, 7),
    ],
)
def test_a_region_off_the_sensor_or_too_small_is_refused(roi):
    with pytest.raises(RoiError, match="region"):
        roi.check(40, 30)


def test_a_region_up_to_the_edges_is_fine():
    Roi(20, 10, 20, 20).check(40, 30)
    Roi(32, 22, 8, 8).check(40, 30)


def test_a_sensor_too_small_for_a_region_is_refused():
    with pytest.raises(RoiError):
        Roi.centred_square(7, 100)
