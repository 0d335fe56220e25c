"""What the tests of the engines share."""

import numpy as np
import torch

from cs3d_ros.network.engines.engine import Engine, EngineRequest
from cs3d_ros.network.engines.self_check import sample_window
from cs3d_ros.network.specification import Network


def request_of(network: Network, size: int, **changes: object) -> EngineRequest:
    channels = int(network.specification.options["in_channels"])
    settings = {"device": torch.device("cpu"), "threads": 1, **changes}
    return EngineRequest(network, (channels, 16, size, size), **settings)


def windows_of(request: EngineRequest, n: int) -> np.ndarray:
    return sample_window((n, *request.input_shape), seed=1)


def answers_of(request: EngineRequest, windows: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return request.network(torch.from_numpy(windows)).numpy()


def assert_alike(engine: Engine, request: EngineRequest, n: int = 1) -> None:
    windows = windows_of(request, n)
    given = windows.copy()
    expected = answers_of(request, windows)
    # Answers that are all alike would be right by chance.
    assert expected.std() > 1e-3
    found = engine.infer(windows)
    assert found.shape == expected.shape
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() / np.abs(expected).max() < 1e-4
    np.testing.assert_array_equal(windows, given)
