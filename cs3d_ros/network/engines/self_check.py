"""Whether an engine's answers are those of the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from cs3d_ros.network.engines.engine import EngineError
from cs3d_ros.network.specification import Network

TOLERANCES = {"float32": 1e-4, "tf32": 1e-2, "bfloat16": 5e-2, "float16": 1e-2}
"""How far logits may be from the reference's, as a share of its largest logit, by precision."""

# Of the cells of `on_off_recency`, 1 to 3 % hold something where a face moves.
_FILLED = 0.03
# By how much a window is multiplied until the network answers it otherwise than an empty one. What
# was trained does so at once; random weights let little pass the thresholds of five stages.
_FACTORS = (1.0, 10.0, 100.0, 1000.0)
_TELLING = 0.01


def sample_window(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return random windows about as full as those of a camera, float32."""
    random = np.random.default_rng(seed)
    window = random.random(shape, np.float32)
    window[random.random(shape, np.float32) >= _FILLED] = 0
    return window


@dataclass(frozen=True)
class Probe:
    """A window with the network's own answer, by its `Conv3d` modules on the CPU in float32.

    Attributes:
        window: float32 `(1, C, T, S, S)`.
        logits: float32 `(1, classes)`.
    """

    window: np.ndarray
    logits: np.ndarray

    @classmethod
    def of(cls, network: Network, input_shape: tuple[int, ...]) -> Probe:
        """Return a window that the network answers otherwise than an empty one, if there is any.

        Args:
            network: On the CPU, in evaluation mode, float32.
            input_shape: Of one window.

        Raises:
            EngineError: The logits are not finite, or all zero.
        """
        window = sample_window((1, *input_shape))
        silent = _logits(network, np.zeros_like(window))
        logits = silent
        for factor in _FACTORS:
            logits = _logits(network, window * np.float32(factor))
            if np.abs(logits - silent).max() > _TELLING * np.abs(logits).max():
                return cls(window * np.float32(factor), logits)
        return cls(window, logits)

    def check(self, infer: Callable[[np.ndarray], np.ndarray], precision: str) -> float:
        """Return by what share of the largest logit an answer is off.

        Args:
            infer: Takes the window to logits.
            precision: A key of `TOLERANCES`.

        Raises:
            EngineError: There is no answer, or it is not the network's.
        """
        try:
            found = infer(self.window)
        except EngineError:
            raise
        except Exception as error:
            # Libraries raise what they like.
            raise EngineError(f"does not answer: {first_line(error)}") from error
        if found.shape != self.logits.shape:
            raise EngineError(f"answers with {found.shape} numbers, expected {self.logits.shape}")
        off = float(np.abs(found - self.logits).max() / np.abs(self.logits).max())
        tolerance = TOLERANCES[precision]
        # Written so that NaN fails.
        if not off <= tolerance:
            raise EngineError(
                f"its answer to a test window is off by {off:.2g} of the largest logit, expected "
                f"at most {tolerance:g}"
            )
        return off


def _logits(network: Network, window: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        logits: np.ndarray = network(torch.from_numpy(window)).numpy()
    if not np.isfinite(logits).all() or not np.abs(logits).max() > 0:
        raise EngineError(
            "the network answers a test window with logits that are not finite or all zero; its "
            "weights are of no use"
        )
    return logits


def first_line(error: BaseException) -> str:
    """Return what a library's error says in its first line, with its type."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
