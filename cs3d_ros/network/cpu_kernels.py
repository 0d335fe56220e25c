"""Loops of the engine `numba`: factorized blocks, pools and attention, tile by tile in the cache.

Arrays of float32 are given by their addresses, and places in them in elements from there; a map
`(frames, H, W, C)` is C-contiguous. Nothing is checked (`cs3d_ros.network.vectors`).

Kernels that take `counter`, an int64 array of one element that is 0, are called by several threads
with the same arguments but for `scratch`: each takes the next unit of work until there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

from cs3d_ros.network.vectors import (
    COLUMNS,
    LANES,
    ROWS,
    add,
    fma,
    get,
    larger,
    largest,
    load,
    product_tile,
    put,
    splat,
    store,
    take,
    times,
    total,
)

VECTORS_SHA256 = "3590c4d851c8f3f76aab57201e0281aaac73e2050ca6130a120323cbabf0617b"
"""Of vectors.py, which these kernels are made from; see there."""

MULTI, AVERAGE, MAXIMUM, SEPARATE = range(4)
"""What a pool makes of four cells: the mean of average and maximum, one of both, or both."""

Shape = tuple[int, int, int, int, int, int, int]
Weights = tuple[int, int, int, int, int, int]
Scratch = tuple[int, int, int, int]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function) -> _Function:
    """Compile with Numba, as the kernels of `cs3d_ros.events` are."""
    try:
        return cast(_Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:
        # Neither the package's folder nor the user's cache can be written.
        return cast(_Function, njit(nogil=True)(function))


@_compiled
def product(
    a: int,
    at: int,
    stride: int,
    rows: int,
    depth: int,
    panels: int,
    bias: int,
    columns: int,
    c: int,
    to: int,
    c_stride: int,
) -> None:
    """Write relu(A·B + bias) of a row-major A, to full tiles: up to ROWS − 1 rows too many.

    Args:
        a: Holds A from `at` on, `stride` elements from row to row.
        at, stride, rows, depth: A is `(rows, depth)`.
        panels: B `(depth, columns)`, packed by `packed`.
        bias: `(columns,)`.
        columns: A multiple of COLUMNS.
        c, to, c_stride: Where it goes.
    """
    for column in range(0, columns, COLUMNS):
        for row in range(0, rows, ROWS):
            product_tile(
                a, at + row * stride, stride, depth,
                panels, column * depth, bias, column,
                c, to + row * c_stride + column, c_stride,
            )  # fmt: skip


def packed(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix `(depth, columns)` in panels of COLUMNS columns, flattened."""
    depth, columns = matrix.shape
    panels = matrix.reshape(depth, columns // COLUMNS, COLUMNS).transpose(1, 0, 2)
    return aligned(panels)


def aligned(values: np.ndarray) -> np.ndarray:
    """Return values flattened, float32, in memory like that of `empty`."""
    flat = empty(values.size)
    flat[:] = values.ravel()
    return flat


def empty(size: int) -> np.ndarray:
    """Return float32 zeros whose address is a multiple of 64, the size of a cache line."""
    buffer = np.zeros(size + 16, np.float32)
    first = -buffer.ctypes.data % 64 // 4
    return buffer[first : first + size]


def address(array: np.ndarray) -> int:
    """Return what kernels are given for an array, which has to live on."""
    return int(array.ctypes.data)


class Arrays:
    """Arrays, and what kernels are given for them."""

    def __init__(self, *arrays: np.ndarray) -> None:
        self._arrays = arrays
        self.addresses = tuple(address(array) for array in arrays)


@_compiled
def row_stride(depth: int) -> int:
    """Elements from row to row of a matrix with `depth` columns.

    Rows begin at the same place of a cache line, and not at the same place of a page.
    """
    return (depth + 15) // 16 * 16 + 16


@_compiled
def plane_stride(width: int) -> int:
    """Elements from row to row of a plane of the spatial attention, with what is read beside it."""
    return (width + LANES - 1) // LANES * LANES + 6


@_compiled
def _in_time(
    x: int,
    earlier: int,
    at: int,
    later: int,
    first: int,
    pixels: int,
    channels: int,
    weights: int,
    y: int,
    stride: int,
) -> None:
    """Write three frames, each channel weighted, to rows `(pixels, stride)` of y.

    Args:
        x: Frames one after the other.
        earlier, at, later: Where in x the three frames begin; −1 where there is none.
        first: The pixel of each frame to begin with.
        pixels, channels: How many.
        weights: `(3, channels)`.
    """
    vectors = channels // LANES * LANES
    for pixel in range(pixels):
        source, to = (first + pixel) * channels, pixel * stride
        for c in range(0, vectors, LANES):
            sum_ = times(load(x, at + source + c), load(weights, channels + c))
            if earlier >= 0:
                sum_ = fma(load(x, earlier + source + c), load(weights, c), sum_)
            if later >= 0:
                sum_ = fma(load(x, later + source + c), load(weights, 2 * channels + c), sum_)
            store(y, to + c, sum_)
        for c in range(vectors, channels):
            one = get(x, at + source + c) * get(weights, channels + c)
            if earlier >= 0:
                one += get(x, earlier + source + c) * get(weights, c)
            if later >= 0:
                one += get(x, later + source + c) * get(weights, 2 * channels + c)
            put(y, to + c, one)


@_compiled
def _in_space(
    x: int, rows: int, width: int, channels: int, weights: int, y: int, stride: int
) -> None:
    """Write the depthwise 3×3 convolution of rows of a picture to rows `(pixels, stride)` of y.

    Args:
        x: The row before the first, `rows` rows, and the one after the last.
        rows, width, channels: How many.
        weights: `(3, 3, channels)`.
    """
    line, zero = width * channels, splat(np.float32(0))
    for c in range(0, channels, LANES):
        w00, w01, w02 = (
            load(weights, c),
            load(weights, channels + c),
            load(weights, 2 * channels + c),
        )
        w10, w11 = load(weights, 3 * channels + c), load(weights, 4 * channels + c)
        w12, w20 = load(weights, 5 * channels + c), load(weights, 6 * channels + c)
        w21, w22 = load(weights, 7 * channels + c), load(weights, 8 * channels + c)
        for row in range(rows):
            at, to = row * line + c, row * width * stride + c
            # Three columns of three rows go along, so that each element is loaded once for a row.
            l0, l1, l2 = zero, zero, zero
            m0, m1, m2 = load(x, at), load(x, at + line), load(x, at + 2 * line)
            for column in range(width):
                r0, r1, r2 = zero, zero, zero
                if column < width - 1:
                    at += channels
                    r0, r1, r2 = load(x, at), load(x, at + line), load(x, at + 2 * line)
                upper = fma(r0, w02, fma(m0, w01, times(l0, w00)))
                middle = fma(r1, w12, fma(m1, w11, times(l1, w10)))
                lower = fma(r2, w22, fma(m2, w21, times(l2, w20)))
                store(y, to, add(add(upper, middle), lower))
                l0, l1, l2, m0, m1, m2 = m0, m1, m2, r0, r1, r2
                to += stride


@_compiled
def _beside(
    x: int, begin: int, pixels: int, channels: int, y: int, offset: int, stride: int
) -> None:
    """Write pixels of x, from `begin` on, to rows `(pixels, stride)` of y, from `offset` on."""
    vectors = channels // LANES * LANES
    for pixel in range(pixels):
        at, to = begin + pixel * channels, offset + pixel * stride
        for c in range(0, vectors, LANES):
            store(y, to + c, load(x, at + c))
        for c in range(vectors, channels):
            put(y, to + c, get(x, at + c))


@_compiled
def _pool(
    x: int,
    top: int,
    height: int,
    width: int,
    channels: int,
    padding: int,
    begin: int,
    end: int,
    kind: int,
    average: int,
    maximum: int,
    to: int,
) -> None:
    """Pool rows of a picture, 2×2, to the pooled rows `begin` to `end`.

    Args:
        x: The picture's rows from `top` on.
        height, width, channels: Of the picture.
        padding: 0 or 1 on each side; it counts in no average.
        kind: MULTI, AVERAGE, MAXIMUM or SEPARATE.
        average, maximum: Where it goes; only SEPARATE uses both.
        to: Where the first pooled row begins.
    """
    quarter, half = splat(np.float32(0.25)), splat(np.float32(0.5))
    columns = (width + 2 * padding) // 2
    for row in range(begin, end):
        # A cell outside is the one beside it again: neither average nor maximum changes.
        upper = max(2 * row - padding, 0) - top
        lower = min(2 * row - padding + 1, height - 1) - top
        for column in range(columns):
            left = max(2 * column - padding, 0)
            right = min(2 * column - padding + 1, width - 1)
            i, j = (upper * width + left) * channels, (upper * width + right) * channels
            k, m = (lower * width + left) * channels, (lower * width + right) * channels
            for c in range(0, channels, LANES):
                p, q, r, s = load(x, i + c), load(x, j + c), load(x, k + c), load(x, m + c)
                mean = times(add(add(p, q), add(r, s)), quarter)
                peak = larger(larger(p, q), larger(r, s))
                if kind == MULTI:
                    store(average, to + c, times(add(mean, peak), half))
                elif kind == MAXIMUM:
                    store(average, to + c, peak)
                else:
                    store(average, to + c, mean)
                    if kind == SEPARATE:
                        store(maximum, to + c, peak)
            to += channels


@_compiled
def convolve(
    counter: np.ndarray,
    units: np.ndarray,
    x: int,
    shape: Shape,
    weights: Weights,
    average: int,
    maximum: int,
    scratch: Scratch,
) -> None:
    """Compute a factorized block and its pool in space.

    Args:
        counter: int64 `(1,)`.
        units: int64 `(units, 6)`: where the frames before, at and after begin in x (−1 for none),
            where the pooled frame begins, and which of its rows to compute, from and to.
        x: The maps `(frames, H, W, in_channels)`.
        shape: H, W, in_channels, out_channels, padding of the pool, its kind, and how many of its
            rows are made at a time.
        weights: Along time `(3, in)`, first product, its bias, in space `(3, 3, out)`, second
            product with the shortcut, its bias; products packed by `packed`.
        average, maximum: What is computed; see `_pool`.
        scratch: Of this thread: the four maps in between.
    """
    height, width, inputs, outputs, padding, kind, step = shape
    in_time, first, first_bias, in_space, second, second_bias = weights
    rows_in_time, frame, rows_in_space, found = scratch
    stride, depth = row_stride(inputs), inputs + outputs
    wide = row_stride(depth)
    line = width * outputs
    columns = (width + 2 * padding) // 2
    zero = splat(np.float32(0))
    while True:
        unit = take(counter)
        if unit >= len(units):
            return
        earlier, at, later = units[unit, 0], units[unit, 1], units[unit, 2]
        to, begin, end = units[unit, 3], units[unit, 4], units[unit, 5]
        rows = 0
        for low in range(begin, end, step):
            high = min(low + step, end)
            top, bottom = max(2 * low - padding, 0), min(2 * high - padding, height)
            # `frame` holds what the first half makes of the rows from top − 1 to bottom; the first
            # two of them are the last two of the tile before.
            first_row = max(top - 1, 0)
            if rows:
                for i in range(0, 2 * line, LANES):
                    store(frame, i, load(frame, rows * line + i))
                first_row = top + 1
            elif top == 0:
                for i in range(0, line, LANES):
                    store(frame, i, zero)
            rows = bottom - top
            pixels = (min(bottom + 1, height) - first_row) * width
            if pixels > 0:
                _in_time(
                    x, earlier, at, later, first_row * width, pixels, inputs, in_time,
                    rows_in_time, stride,
                )  # fmt: skip
                product(
                    rows_in_time, 0, stride, pixels, inputs, first, first_bias, outputs,
                    frame, (first_row - top + 1) * line, outputs,
                )  # fmt: skip
            if bottom == height:
                for i in range(0, line, LANES):
                    store(frame, (rows + 1) * line + i, zero)
            pixels = rows * width
            _in_space(frame, rows, width, outputs, in_space, rows_in_space, wide)
            _beside(x, at + top * width * inputs, pixels, inputs, rows_in_space, outputs, wide)
            product(
                rows_in_space, 0, wide, pixels, depth, second, second_bias, outputs,
                found, 0, outputs,
            )  # fmt: skip
            _pool(
                found, top, height, width, outputs, padding, low, high, kind, average, maximum,
                to + low * columns * outputs,
            )  # fmt: skip


@_compiled
def combine(
    counter: np.ndarray,
    units: np.ndarray,
    average: int,
    maximum: int,
    cells: int,
    channels: int,
    kind: int,
    y: int,
    mean: int,
    peak: int,
) -> None:
    """Pool along time, and find the mean and the largest value of each channel.

    Args:
        counter: int64 `(1,)`.
        units: int64 `(units, 4)`: where two frames begin (the second −1: nothing is pooled, y is
            `average`), where in y their pool begins, and its row of mean and peak.
        average, maximum: As `convolve` has written them.
        cells, channels: Of a frame.
        kind: SEPARATE, AVERAGE or MAXIMUM, as for `convolve`.
        y: Pooled frames.
        mean, peak: `(frames, channels)`.
    """
    half, share = splat(np.float32(0.5)), splat(np.float32(1 / cells))
    while True:
        unit = take(counter)
        if unit >= len(units):
            return
        one, other, to, index = units[unit, 0], units[unit, 1], units[unit, 2], units[unit, 3]
        for c in range(0, channels, LANES):
            sum_, most = splat(np.float32(0)), splat(np.float32(-np.inf))
            for i in range(c, cells * channels, channels):
                value = load(average, one + i)
                if other >= 0:
                    second = load(average, other + i)
                    if kind == MAXIMUM:
                        value = larger(value, second)
                    else:
                        value = times(add(value, second), half)
                    if kind == SEPARATE:
                        highest = larger(load(maximum, one + i), load(maximum, other + i))
                        value = times(add(value, highest), half)
                    store(y, to + i, value)
                sum_, most = add(sum_, value), larger(most, value)
            store(mean, index * channels + c, times(sum_, share))
            store(peak, index * channels + c, most)


@_compiled
def attend(
    counter: np.ndarray,
    units: np.ndarray,
    y: int,
    height: int,
    width: int,
    channels: int,
    factors: int,
    kernel: int,
    bias: float,
    gain: float,
    scratch: int,
) -> None:
    """Apply joint attention to frames, in place.

    Args:
        counter: int64 `(1,)`.
        units: int64 `(units, 2)`: where a frame begins in y, and its row of factors.
        y: Maps `(frames, height, width, channels)`.
        factors: 1 + the weights of the temporal attention, `(frames, channels)`.
        kernel: `(2, 7, 7)`, of the spatial attention.
        bias: Of the spatial attention.
        gain: What the sum is divided by.
        scratch: Of this thread; zeros where this kernel has not written.
    """
    wide = plane_stride(width)
    plane = (height + 6) * wide
    share, inverse = np.float32(1 / channels), splat(np.float32(1 / gain))
    while True:
        unit = take(counter)
        if unit >= len(units):
            return
        begin, index = units[unit, 0], units[unit, 1]
        weights = index * channels
        for row in range(height):
            for column in range(width):
                at = begin + (row * width + column) * channels
                sum_, most = splat(np.float32(0)), splat(np.float32(-np.inf))
                for c in range(0, channels, LANES):
                    value = times(load(y, at + c), load(factors, weights + c))
                    sum_, most = add(sum_, value), larger(most, value)
                to = (row + 3) * wide + column + 3
                put(scratch, to, total(sum_) * share)
                put(scratch, plane + to, largest(most))
        for row in range(height):
            for column in range(0, width, LANES):
                sum_ = splat(bias)
                for i in range(2):
                    for j in range(7):
                        for k in range(7):
                            at = i * plane + (row + j) * wide + column + k
                            tap = splat(get(kernel, (i * 7 + j) * 7 + k))
                            sum_ = fma(load(scratch, at), tap, sum_)
                store(scratch, 2 * plane + column, sum_)
            for column in range(width):
                weight = 1 / (1 + math.exp(-get(scratch, 2 * plane + column)))
                factor = splat(np.float32((1 + weight) / gain))
                at = begin + (row * width + column) * channels
                for c in range(0, channels, LANES):
                    both = fma(load(factors, weights + c), factor, inverse)
                    store(y, at + c, times(load(y, at + c), both))


@_compiled
def channels_last(
    counter: np.ndarray,
    units: np.ndarray,
    window: int,
    channels: int,
    bins: int,
    cells: int,
    y: int,
) -> None:
    """Write bins of a window `(channels, bins, cells)` to `(bins, cells, channels)`.

    Args:
        counter: int64 `(1,)`.
        units: int64 `(units, 1)`: which bins.
        window, channels, bins, cells, y: As above.
    """
    while True:
        unit = take(counter)
        if unit >= len(units):
            return
        t = units[unit, 0]
        for c in range(channels):
            begin, to = (c * bins + t) * cells, t * cells * channels + c
            for i in range(cells):
                put(y, to + i * channels, get(window, begin + i))
