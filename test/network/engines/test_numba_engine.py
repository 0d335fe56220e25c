"""The engine `numba`: factorized networks on a CPU."""

import numba
import numpy as np
import pytest

from cs3d_ros.network.engines.engine import EngineUnavailableError
from cs3d_ros.network.engines.numba_engine import NumbaEngine
from cs3d_ros.network.engines.selection import CANDIDATES, open_engine
from cs3d_ros.network.errors import NetworkError
from engine_helpers import assert_alike, request_of, windows_of
from network_helpers import trained

SIZE = 32


@pytest.fixture(scope="module")
def request_():
    return request_of(trained("cs3d"), SIZE, threads=2)


def test_a_batch_of_any_size_is_answered_as_by_the_network(request_):
    engine = NumbaEngine(request_)
    assert_alike(engine, request_, 1)
    assert_alike(engine, request_, 3)
    assert engine.infer(np.zeros((0, *request_.input_shape), np.float32), 2).shape == (0, 7)


def test_a_batch_is_answered_in_full_and_nothing_builds_upon_it(request_):
    engine, other = NumbaEngine(request_), NumbaEngine(request_)
    windows = windows_of(request_, 3)
    engine.infer(windows[:1])
    np.testing.assert_array_equal(engine.infer(windows, 2), other.infer(windows))
    # What a shift builds upon is the last window, whichever call it came in.
    later = np.roll(windows[2:], -2, axis=2)
    np.testing.assert_array_equal(engine.infer(later, 2), NumbaEngine(request_).infer(later))


def test_it_is_preferred_where_it_can_serve(request_):
    assert CANDIDATES["cpu"][0] == "numba"
    choice = open_engine("numba", request_)
    assert choice.reason == f"Numba {numba.__version__}, as asked for"
    choice.engine.synchronize()
    choice.engine.close()
    choice.engine.close()


@pytest.mark.parametrize("name", ["c3d", "rnn"])
def test_other_networks_are_for_other_engines(name):
    with pytest.raises(EngineUnavailableError, match="other convolutions than factorized blocks"):
        NumbaEngine(request_of(trained(name, narrow=True), SIZE))


def test_windows_of_another_shape_are_refused(request_):
    with pytest.raises(NetworkError, match=r"\(3, 16, 40, 40\) given, \(3, 16, 32, 32\) expected"):
        NumbaEngine(request_).infer(np.zeros((1, 3, 16, 40, 40), np.float32))
