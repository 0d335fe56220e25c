"""The kernels' parts against NumPy, at sizes that fill no tile."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from cs3d_ros.network import cpu_kernels as kernels
from cs3d_ros.network import vectors


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("rows", [1, kernels.ROWS - 1, kernels.ROWS, 3 * kernels.ROWS + 2])
@pytest.mark.parametrize("depth", [1, 3, 67, 200])
@pytest.mark.parametrize("panels", [1, 3])
def test_a_product_is_that_of_numpy(rows: int, depth: int, panels: int) -> None:
    columns, stride = panels * kernels.COLUMNS, int(kernels.row_stride(depth))
    a, b, bias = random(rows, depth), random(depth, columns), random(columns)
    full = -(-rows // kernels.ROWS) * kernels.ROWS
    padded, c = kernels.empty(full * stride), kernels.empty(full * columns + 1)
    padded.reshape(full, stride)[:rows, :depth] = a
    c[-1] = 7
    packed, start = kernels.packed(b), kernels.aligned(bias)
    kernels.product(
        kernels.address(padded), 0, stride, rows, depth, kernels.address(packed),
        kernels.address(start), columns, kernels.address(c), 0, columns,
    )  # fmt: skip
    expected = np.maximum(a.astype(np.float64) @ b + bias, 0)
    found = c[: rows * columns].reshape(rows, columns)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * depth)
    assert c[-1] == 7


def test_a_product_of_what_is_no_number_is_none() -> None:
    columns = kernels.COLUMNS
    a = np.full(kernels.ROWS * 32, np.nan, np.float32)
    b, bias, c = (
        kernels.empty(columns),
        kernels.empty(columns),
        kernels.empty(kernels.ROWS * columns),
    )
    kernels.product(
        kernels.address(a), 0, 32, 1, 1, kernels.address(b), kernels.address(bias), columns,
        kernels.address(c), 0, columns,
    )  # fmt: skip
    assert np.isnan(c).all()


def test_arrays_begin_where_a_cache_line_does() -> None:
    for size in (1, 1000):
        array = kernels.empty(size)
        assert kernels.address(array) % 64 == 0
        assert array.size == size
        assert not array.any()
    values = random(3, 5)
    np.testing.assert_array_equal(kernels.aligned(values), values.ravel())


def turning(window: np.ndarray, *targets: np.ndarray) -> tuple[np.ndarray, ...]:
    """A plan that turns a window `(channels, bins, cells)` once for each target."""
    channels, bins, cells = window.shape
    plan = np.zeros((len(targets), kernels.COLUMNS_OF_PLAN), np.int64)
    for step, y in enumerate(targets):
        arguments = (kernels.address(window), channels, bins, cells, kernels.address(y))
        plan[step, :8] = (kernels.TURN, step * bins, (step + 1) * bins, *arguments)
    units = np.zeros((len(targets) * bins, 6), np.int64)
    units[:, 0] = np.tile(np.arange(bins), len(targets))
    return plan, units, np.zeros((len(targets), 2), np.int64)


def test_each_unit_of_a_plan_is_done_once_however_many_threads_come() -> None:
    window = random(2, 64, 50)
    for threads in (1, 2, 4):
        targets = [kernels.empty(window.size) for _ in range(3)]
        arrays = turning(window, *targets)
        others = [
            threading.Thread(target=kernels.work, args=(*arrays, 0)) for _ in range(threads - 1)
        ]
        for thread in others:
            thread.start()
        kernels.work(*arrays, 0)
        # The last of the results are there as soon as one thread has come to the end.
        for y in targets:
            np.testing.assert_array_equal(y.reshape(64, 50, 2), window.transpose(1, 2, 0))
        for thread in others:
            thread.join()
        counters = arrays[2]
        assert (counters[:, 1] == 64).all()
        # Each thread has asked once more than there was work for.
        assert (counters[:, 0] == 64 + threads).all()


def test_a_thread_that_comes_late_finds_nothing_to_do() -> None:
    window, y = random(2, 8, 5), kernels.empty(80)
    arrays = turning(window, y)
    kernels.work(*arrays, 0)
    y[:] = 0
    kernels.work(*arrays, 0)
    assert not y.any()


def test_kernels_are_compiled_anew_when_their_vectors_have_changed() -> None:
    content = Path(vectors.__file__).read_bytes()
    assert hashlib.sha256(content).hexdigest() == kernels.VECTORS_SHA256, (
        "vectors.py has changed: write its SHA-256 into cpu_kernels.py"
    )


def test_vectors_are_those_of_this_processor() -> None:
    assert kernels.LANES in (4, 8, 16)
    assert kernels.COLUMNS == 2 * kernels.LANES
