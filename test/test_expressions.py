import pytest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.expressions import EXPRESSIONS, Course


def test_there_are_seven_with_neutral_first():
    assert len(set(EXPRESSIONS)) == 7
    assert EXPRESSIONS[0] == "neutral"


@pytest.mark.parametrize("times", [(0, 0, 0, 0), (1, 2, 3, 4), (1, 2, None, 4), (5, 5, None, 5)])
def test_times_in_order_are_a_course(times):
    course = Course(*times)
    assert (course.onset_ns, course.apex_ns, course.release_ns, course.offset_ns) == times


@pytest.mark.parametrize(
    "times", [(-1, 2, 3, 4), (3, 2, None, 4), (1, 3, 2, 4), (1, 2, 5, 4), (1, 4, None, 3)]
)
def test_times_out_of_order_are_refused(times):
    with pytest.raises(Cs3dError, match="in this order"):
        Course(*times)
