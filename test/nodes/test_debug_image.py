import numpy as np

from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.windows import Window
from cs3d_ros.nodes import debug_image
from cs3d_ros.recognizer import ReadyWindow, Recognition

MS = 1_000_000
ROI = Roi(20, 30, 100, 90)


def draw(width=320, height=260, roi=ROI, labels=("happy", "sad")) -> np.ndarray:
    events = Events(
        np.array([10 * MS, 490 * MS, 495 * MS, 500 * MS], np.int64),
        np.array([5, 200, 201, 202], np.uint16),
        np.array([5, 100, 101, 102], np.uint16),
        np.array([1, 1, 0, 1], np.uint8),
    )
    window = Window(0, 500 * MS, (events,), 3)
    ready = ReadyWindow(window, 0, "cam", width, height, roi, 0)
    probabilities = (0.75, *[0.25 / (len(labels) - 1)] * (len(labels) - 1))
    recognition = Recognition(
        0,
        500 * MS,
        "cam",
        tuple(labels),
        probabilities,
        labels[0],
        3,
        0,
        12.0,
        roi,
        "cs3d-untrained",
    )
    return debug_image.draw(ready, recognition)


def test_shows_recent_events_in_two_colours():
    image = draw()
    background = image[200, 250].tolist()
    on, off = image[100, 200].tolist(), image[101, 201].tolist()
    assert len({tuple(c) for c in (background, on, off)}) == 3
    assert image[5, 5].tolist() == background, "long past"
    assert image[102, 202].tolist() == background, "after the window"


def test_shows_the_region():
    image = draw()
    frame = image[30, 20].tolist()
    assert frame != image[200, 250].tolist()
    for y, x in ((30, 119), (119, 20), (119, 119)):
        assert image[y, x].tolist() == frame


def test_shows_the_probabilities_as_bars():
    panel = draw()[:, 320:]
    rows = [panel[y, 104:208] for y in (50, 70)]
    background = panel[0, 0]
    lengths = [int(np.any(row != background, axis=1).sum()) for row in rows]
    assert 2.5 < lengths[0] / lengths[1] < 3.5


def test_a_small_sensor_and_many_labels_fit():
    image = draw(width=40, height=30, roi=Roi(0, 0, 30, 30), labels=[f"l{i}" for i in range(50)])
    assert image.shape[0] >= 240
    assert image.dtype == np.uint8
