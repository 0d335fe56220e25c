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


def test_units_of_work_are_taken_once() -> None:
    window, channels, bins, cells = random(2, 64, 50), 2, 64, 50
    for _ in range(20):
        counter, units = np.zeros(1, np.int64), np.arange(bins).reshape(bins, 1)
        y = kernels.empty(window.size)
        arguments = (kernels.address(window), channels, bins, cells, kernels.address(y))
        threads = [
            threading.Thread(target=kernels.channels_last, args=(counter, units, *arguments))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        np.testing.assert_array_equal(y.reshape(bins, cells, channels), window.transpose(1, 2, 0))
        # Each thread has asked once more than there was work for.
        assert counter[0] == bins + len(threads)


def test_kernels_are_compiled_anew_when_their_vectors_have_changed() -> None:
    content = Path(vectors.__file__).read_bytes()
    assert hashlib.sha256(content).hexdigest() == kernels.VECTORS_SHA256, (
        "vectors.py has changed: write its SHA-256 into cpu_kernels.py"
    )


def test_vectors_are_those_of_this_processor() -> None:
    assert kernels.LANES in (4, 8, 16)
    assert kernels.COLUMNS == 2 * kernels.LANES
