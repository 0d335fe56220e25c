import dataclasses

import numpy as np
import pytest

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.events.packets import Events
from dataset_helpers import some_clip


def with_events(t_ns, x=0, y=0):
    n = len(t_ns)
    events = Events(
        np.array(t_ns, np.int64),
        np.full(n, x, np.uint16),
        np.full(n, y, np.uint16),
        np.ones(n, np.uint8),
    )
    return dataclasses.replace(some_clip(), events=events)


def test_events_may_lie_anywhere_in_the_clip():
    duration_ns = some_clip().duration_ns
    assert len(with_events([0, 0, duration_ns], x=111, y=111).events) == 3
    assert len(with_events([]).events) == 0


@pytest.mark.parametrize("times", [[-1], [5, 4], [0, 1_000_000_001]])
def test_times_out_of_the_clip_or_of_order_are_refused(times):
    with pytest.raises(DatasetError, match="ascending within"):
        with_events(times)


@pytest.mark.parametrize("place", [{"x": 112}, {"y": 112}])
def test_events_outside_of_the_picture_are_refused(place):
    with pytest.raises(DatasetError, match="outside of 112x112"):
        with_events([0], **place)


@pytest.mark.parametrize("size", [{"width": 0}, {"height": 4097}])
def test_a_size_that_no_sensor_has_is_refused(size):
    with pytest.raises(DatasetError, match="sides from 1 to 4096"):
        dataclasses.replace(some_clip(), **size)


def test_an_unknown_light_is_refused():
    with pytest.raises(DatasetError, match="dim"):
        dataclasses.replace(some_clip(), light="dim")
