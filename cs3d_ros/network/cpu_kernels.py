"""Loops of the engine `numba`: factorized blocks, pools and attention, tile by tile in the cache.

Arrays of float32 are given by their addresses, and places in them in elements from there; a map
`(frames, H, W, C)` is C-contiguous. Nothing is checked (`cs3d_ros.network.vectors`).

All of a window is one call of `work` in each thread. Between its steps nobody goes to sleep or
needs the interpreter: Linux likes to wake a thread where the one runs that wakes it, and takes
longer to find that another processor is idle than a window takes.
"""

from __future__ import annotations

import math

import numpy as np

from cs3d_ros.kernels import kernel
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
    raised,
    splat,
    store,
    times,
    total,
    wait_for,
)

VECTORS_SHA256 = "0db64f01b3ed929a4967629923c315b7340cb61c45273553391ead6b5e038d5e"
"""Of vectors.py, which these kernels are made from; see there."""

MULTI, AVERAGE, MAXIMUM, SEPARATE = range(4)
"""What a pool makes of four cells: the mean of average and maximum, one of both, or both."""

TURN, CONVOLVE, COMBINE, ATTEND = range(4)
"""What a step of a plan does."""

COLUMNS_OF_PLAN = 22

_TAPS = 2 * 7 * 7
"""Weights of a spatial attention; its bias and what its sum is divided by come behind them."""


@kernel
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


@kernel
def row_stride(depth: int) -> int:
    """Elements from row to row of a matrix with `depth` columns.

    Rows begin at the same place of a cache line, and not at the same place of a page.
    """
    return (depth + 15) // 16 * 16 + 16


@kernel
def plane_stride(width: int) -> int:
    """Elements from row to row of a plane of the spatial attention, with what is read beside it."""
    return (width + LANES - 1) // LANES * LANES + 6


@kernel
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


@kernel
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


@kernel
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


@kernel
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


@kernel
def _convolve(plan: np.ndarray, step: int, units: np.ndarray, unit: int, scratch: int) -> None:
    """Compute a factorized block and its pool in space, for some rows of a frame.

    A unit: where the frames before, at and after begin in x (−1 for none), where the pooled frame
    begins, and which of its rows to compute, from and to.

    Arguments: x, a map `(frames, H, W, in)`; H, W, in, out; padding and kind of the pool, how many
    of its rows are made at a time; the weights along time `(3, in)`, of the first product, its
    bias, those in space `(3, 3, out)`, of the second product with the shortcut, its bias; average
    and maximum, where the pool goes; and where in scratch the second to fourth map in between are.
    """
    a = plan[step]
    x, height, width, inputs, outputs = a[3], a[4], a[5], a[6], a[7]
    padding, kind, at_once = a[8], a[9], a[10]
    in_time, first, first_bias, in_space, second, second_bias = (
        a[11],
        a[12],
        a[13],
        a[14],
        a[15],
        a[16],
    )
    average, maximum = a[17], a[18]
    rows_in_time, frame, rows_in_space, found = (
        scratch,
        scratch + a[19],
        scratch + a[20],
        scratch + a[21],
    )
    earlier, at, later = units[unit, 0], units[unit, 1], units[unit, 2]
    to, begin, end = units[unit, 3], units[unit, 4], units[unit, 5]
    stride, depth = row_stride(inputs), inputs + outputs
    wide = row_stride(depth)
    line = width * outputs
    columns = (width + 2 * padding) // 2
    zero = splat(np.float32(0))
    rows = 0
    for low in range(begin, end, at_once):
        high = min(low + at_once, end)
        top, bottom = max(2 * low - padding, 0), min(2 * high - padding, height)
        # `frame` holds what the first half makes of the rows from top − 1 to bottom; the first two
        # of them are the last two of the tile before.
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


@kernel
def _combine(plan: np.ndarray, step: int, units: np.ndarray, unit: int) -> None:
    """Pool a frame along time, and find the mean and the largest value of each channel.

    A unit: where two frames begin (the second −1: nothing is pooled, y is `average`), where in y
    their pool begins, and its row of mean and peak.

    Arguments: average and maximum, as `_convolve` has written them; cells and channels of a frame;
    the kind of the pool, SEPARATE, AVERAGE or MAXIMUM; y, the pooled frames; mean and peak,
    `(frames, channels)`.
    """
    a = plan[step]
    average, maximum, cells, channels, kind, y, mean, peak = (
        a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10]
    )  # fmt: skip
    one, other, to, index = units[unit, 0], units[unit, 1], units[unit, 2], units[unit, 3]
    half, share = splat(np.float32(0.5)), splat(np.float32(1 / cells))
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


@kernel
def _per_channel(
    pooled: int, channels: int, weights: int, hidden: int, between: int, y: int, first: bool
) -> None:
    """Write the shared convolution of a frame's pooled channels to y, or what is larger there.

    Args:
        pooled: `(channels,)`.
        channels: How many.
        weights: `(hidden, channels)` into the hidden layer, its bias, `(hidden, channels)` back,
            and that bias.
        hidden: Units of the hidden layer.
        between: Holds it.
        y: `(channels,)`.
        first: Whether nothing is there yet.
    """
    bias = hidden * channels
    back, back_bias = bias + hidden, bias + hidden + hidden * channels
    for unit in range(hidden):
        sum_ = splat(np.float32(0))
        for c in range(0, channels, LANES):
            sum_ = fma(load(pooled, c), load(weights, unit * channels + c), sum_)
        put(between, unit, max(total(sum_) + get(weights, bias + unit), np.float32(0)))
    for c in range(0, channels, LANES):
        sum_ = load(weights, back_bias + c)
        for unit in range(hidden):
            sum_ = fma(splat(get(between, unit)), load(weights, back + unit * channels + c), sum_)
        store(y, c, sum_ if first else larger(sum_, load(y, c)))


@kernel
def _of_frame(pooled: int, channels: int, is_peak: bool) -> float:
    """The mean of pooled channels, or the largest."""
    sum_, most = splat(np.float32(0)), splat(np.float32(-np.inf))
    for c in range(0, channels, LANES):
        sum_, most = add(sum_, load(pooled, c)), larger(most, load(pooled, c))
    return largest(most) if is_peak else total(sum_) / np.float32(channels)


@kernel
def _per_frame(
    pooled: int, frames: int, index: int, channels: int, weights: int, is_peak: bool
) -> float:
    """The convolution of three frames' pooled values, `weights` being three taps and a bias."""
    sum_ = get(weights, 3)
    for tap in range(3):
        frame = index + tap - 1
        if 0 <= frame < frames:
            value = _of_frame(pooled + 4 * frame * channels, channels, is_peak)
            sum_ += np.float32(value) * get(weights, tap)
    return sum_


@kernel
def _attend(plan: np.ndarray, step: int, units: np.ndarray, unit: int, scratch: int) -> None:
    """Apply joint attention to a frame, in place.

    A unit: where the frame begins in y, and its row of mean and peak.

    Arguments: y, a map `(frames, H, W, channels)`; frames, H, W, channels; mean and peak of
    `_combine`; the weights of the temporal attention and the units of its hidden layer (0: it is
    one weight per frame); those of the spatial attention `(2, 7, 7)`, its bias, and what the sum is
    divided by.
    """
    a = plan[step]
    y, frames, height, width, channels = a[3], a[4], a[5], a[6], a[7]
    mean, peak, temporal, hidden, kernel = a[8], a[9], a[10], a[11], a[12]
    begin, index = units[unit, 0], units[unit, 1]
    row_of = 4 * index * channels
    factors, planes = scratch, scratch + 4 * channels
    if hidden:
        between = planes
        _per_channel(mean + row_of, channels, temporal, hidden, between, factors, True)
        _per_channel(peak + row_of, channels, temporal, hidden, between, factors, False)
    else:
        weight = max(
            _per_frame(mean, frames, index, channels, temporal, False),
            _per_frame(peak, frames, index, channels, temporal, True),
        )
        for c in range(channels):
            put(factors, c, np.float32(weight))
    for c in range(channels):
        put(factors, c, np.float32(1 + 1 / (1 + math.exp(-get(factors, c)))))
    wide = plane_stride(width)
    plane = (height + 6) * wide
    gain = get(kernel, _TAPS + 1)
    share, inverse = np.float32(1 / channels), splat(np.float32(1 / gain))
    for i in range(2 * plane):
        put(planes, i, np.float32(0))
    for row in range(height):
        for column in range(width):
            at = begin + (row * width + column) * channels
            sum_, most = splat(np.float32(0)), splat(np.float32(-np.inf))
            for c in range(0, channels, LANES):
                value = times(load(y, at + c), load(factors, c))
                sum_, most = add(sum_, value), larger(most, value)
            to = (row + 3) * wide + column + 3
            put(planes, to, total(sum_) * share)
            put(planes, plane + to, largest(most))
    for row in range(height):
        for column in range(0, width, LANES):
            sum_ = splat(get(kernel, _TAPS))
            for i in range(2):
                for j in range(7):
                    for k in range(7):
                        at = i * plane + (row + j) * wide + column + k
                        sum_ = fma(load(planes, at), splat(get(kernel, (i * 7 + j) * 7 + k)), sum_)
            store(planes, 2 * plane + column, sum_)
        for column in range(width):
            weight = 1 / (1 + math.exp(-get(planes, 2 * plane + column)))
            factor = splat(np.float32((1 + weight) / gain))
            at = begin + (row * width + column) * channels
            for c in range(0, channels, LANES):
                both = fma(load(factors, c), factor, inverse)
                store(y, at + c, times(load(y, at + c), both))


@kernel
def _turn(plan: np.ndarray, step: int, units: np.ndarray, unit: int) -> None:
    """Write a bin of a window `(channels, bins, cells)` to `(bins, cells, channels)`.

    A unit: which bin. Arguments: the window; channels, bins, cells; where it goes.
    """
    a = plan[step]
    window, channels, bins, cells, y = a[3], a[4], a[5], a[6], a[7]
    t = units[unit, 0]
    for c in range(channels):
        begin, to = (c * bins + t) * cells, t * cells * channels + c
        for i in range(cells):
            put(y, to + i * channels, get(window, begin + i))


@kernel
def work(plan: np.ndarray, units: np.ndarray, counters: np.ndarray, scratch: int) -> None:
    """Go through a plan together with other threads.

    Each takes the next unit of a step that nobody has taken, and when there is none, waits until
    all are done. A thread that comes late finds less to do; nobody waits for it to come.

    Args:
        plan: int64 `(steps, COLUMNS_OF_PLAN)`: what to do (TURN, CONVOLVE, COMBINE or ATTEND), for
            which units, from and to, and the arguments.
        units: int64 `(units, 6)`.
        counters: int64 `(steps, 2)`, zeros at first: units taken and done.
        scratch: Of this thread.
    """
    for step in range(plan.shape[0]):
        kind, begin, end = plan[step, 0], plan[step, 1], plan[step, 2]
        while True:
            unit = begin + raised(counters, 2 * step)
            if unit >= end:
                break
            if kind == CONVOLVE:
                _convolve(plan, step, units, unit, scratch)
            elif kind == COMBINE:
                _combine(plan, step, units, unit)
            elif kind == ATTEND:
                _attend(plan, step, units, unit, scratch)
            else:
                _turn(plan, step, units, unit)
            raised(counters, 2 * step + 1)
        wait_for(counters, 2 * step + 1, end - begin)
