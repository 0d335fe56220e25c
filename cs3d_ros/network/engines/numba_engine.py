"""The engine `numba`: this package's own kernels, for factorized networks on CPUs."""

from __future__ import annotations

import numba
import numpy as np

from cs3d_ros.network.engines.engine import Engine, EngineRequest, EngineUnavailableError
from cs3d_ros.network.tiled import TiledNetwork, is_tileable


class NumbaEngine(Engine):
    """A `TiledNetwork`, compiled by Numba for this processor when the first one is made.

    What was compiled stays in Numba's cache on disk: beside this package where that can be written,
    or in the user's cache folder.
    """

    name = "numba"

    def __init__(self, request: EngineRequest) -> None:
        if not is_tileable(request.network):
            raise EngineUnavailableError(
                "the network has other convolutions than factorized blocks, which is all it knows"
            )
        self._network: TiledNetwork | None = None
        shape = request.input_shape
        self._network = TiledNetwork(request.network, shape, request.cpu_threads)
        self._classes = len(self._network(np.zeros(shape, np.float32)))

    @property
    def version(self) -> str:
        """Of Numba."""
        return f"Numba {numba.__version__}"

    def infer(self, windows: np.ndarray, shift: int | None = None) -> np.ndarray:
        """See `Engine.infer`."""
        assert self._network is not None
        answers = np.empty((len(windows), self._classes), np.float32)
        alone = len(windows) == 1
        for window, answer in zip(windows, answers, strict=True):
            answer[:] = self._network(window, shift if alone else None)
        return answers

    def close(self) -> None:
        """Drop the network and end its threads."""
        if self._network is not None:
            self._network.close()
        self._network = None
