"""Compiling where nothing can be cached."""

import pytest
from numba import njit

from cs3d_ros.kernels import kernel


def test_a_function_that_cannot_be_cached_is_compiled_all_the_same():
    # Without a file there is no place for a cache, as in a read-only container.
    names = {}
    exec("def double(x): return 2 * x", names)
    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(names["double"])
    double = kernel(names["double"])
    assert double(21) == 42
    assert len(double.signatures) == 1
