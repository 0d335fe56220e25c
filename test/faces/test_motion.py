import dataclasses

import numpy as np
import pytest

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.motion import Motion

TIMES = np.arange(5) / 100


def changed(**arrays):
    return dataclasses.replace(Motion.still(TIMES), **arrays)


def test_a_face_at_rest_has_no_weights_and_no_zoom():
    motion = Motion.still(TIMES)
    assert len(motion) == 5
    assert motion.weights.shape == (5, 53)
    assert not motion.weights.any()
    assert (motion.zoom == 1).all()
    assert (motion.light == 1).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"rotation": np.zeros((4, 3), np.float32)}, r"motion\.rotation.*\(5, 3\)"),
        ({"zoom": np.ones((5, 1), np.float32)}, r"motion\.zoom"),
        ({"position": np.full((5, 3), np.nan, np.float32)}, r"motion\.position.*no finite"),
        ({"camera": np.full((5, 3), np.inf, np.float32)}, r"motion\.camera.*no finite"),
        ({"time_s": np.zeros(5)}, "ascending"),
        ({"time_s": TIMES[::-1].copy()}, "ascending"),
        ({"zoom": np.zeros(5, np.float32)}, "positive"),
        ({"light": -np.ones(5, np.float32)}, "positive"),
    ],
)
def test_what_is_no_motion_is_refused(arrays, message):
    with pytest.raises(FaceError, match=message):
        changed(**arrays)


def test_no_frames_are_no_motion():
    with pytest.raises(FaceError, match="empty"):
        Motion.still(np.empty(0))
