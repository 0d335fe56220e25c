"""Loops of the frame form: what stands between its convolutions, forward and backward.

Maps are of one window, C-contiguous with the channels last: `(rows, C)` where each element counts
by itself, `(T, P, C)` with P pixels, or `(T, H, W, C)`; float32 or float64. Written so that the
compiler makes vectors of the inner loops: an operation of torch for each step would read and
write maps from memory many times, which takes longer than the convolutions between.
"""

from __future__ import annotations

import numpy as np

from cs3d_ros.kernels import sum_kernel, vector_kernel

Triple = tuple[int, int, int]

_ROWS = 64
"""So many rows are added up in the type of the map before they come to the sums, in float64."""

_LANES = 16
"""So many maxima are kept side by side, since the compiler makes no vectors of a single one."""


@vector_kernel
def _sigmoid(x: np.float32) -> np.float32:
    """Return σ(x), within 1.4e-7 of it: exp(−x) as 2ⁿ·exp(f), the latter as a polynomial."""
    y = min(max(-x, np.float32(-87.0)), np.float32(87.0))
    n = np.floor(y * np.float32(1.4426950408889634) + np.float32(0.5))
    # ln 2 in two parts, so that f is exact to the last place.
    f = y - n * np.float32(0.693359375) - n * np.float32(-2.12194440e-4)
    p = np.float32(1 / 5040)
    p = p * f + np.float32(1 / 720)
    p = p * f + np.float32(1 / 120)
    p = p * f + np.float32(1 / 24)
    p = p * f + np.float32(1 / 6)
    p = p * f + np.float32(0.5)
    p = p * f + np.float32(1)
    p = p * f + np.float32(1)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return np.float32(1) / (np.float32(1) + p * power)


@vector_kernel
def moments(y: np.ndarray, sums: np.ndarray, squares: np.ndarray) -> None:
    """Add the sums of a map `(rows, C)` and of its squares to float64 `(C,)`."""
    rows, channels = y.shape
    some, some_squares = np.empty(channels, y.dtype), np.empty(channels, y.dtype)
    for begin in range(0, rows, _ROWS):
        some[:], some_squares[:] = 0, 0
        for row in range(begin, min(begin + _ROWS, rows)):
            for c in range(channels):
                v = y[row, c]
                some[c] += v
                some_squares[c] += v * v
        for c in range(channels):
            sums[c] += some[c]
            squares[c] += some_squares[c]


@vector_kernel
def fire(
    y: np.ndarray,
    residual: np.ndarray | None,
    scale: np.ndarray,
    shift: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write `max(0, scale·y + shift + residual)`; the residual may be None."""
    rows, channels = y.shape
    zero = y.dtype.type(0)
    for row in range(rows):
        for c in range(channels):
            z = scale[c] * y[row, c] + shift[c]
            if residual is not None:
                z += residual[row, c]
            out[row, c] = max(z, zero)


@vector_kernel
def fire_backward(
    y: np.ndarray,
    residual: np.ndarray | None,
    scale: np.ndarray,
    shift: np.ndarray,
    steepness: np.float32,
    is_derivative: bool,
    gradient: np.ndarray,
    out: np.ndarray,
    sums: np.ndarray,
    products: np.ndarray,
) -> None:
    """Write the gradient by `scale·y + shift + residual`, given that by what `fire` wrote.

    The surrogate is the sigmoid of that steepness, or its derivative. Sums of the gradient and of
    its products with y are added to float64 `(C,)`.
    """
    rows, channels = y.shape
    some, some_products = np.empty(channels, y.dtype), np.empty(channels, y.dtype)
    for begin in range(0, rows, _ROWS):
        some[:], some_products[:] = 0, 0
        for row in range(begin, min(begin + _ROWS, rows)):
            for c in range(channels):
                z = scale[c] * y[row, c] + shift[c]
                if residual is not None:
                    z += residual[row, c]
                slope = _sigmoid(steepness * np.float32(z))
                if is_derivative:
                    slope = steepness * slope * (np.float32(1) - slope)
                out[row, c] = gradient[row, c] * slope
            for c in range(channels):
                g = out[row, c]
                some[c] += g
                some_products[c] += g * y[row, c]
        for c in range(channels):
            sums[c] += some[c]
            products[c] += some_products[c]


@vector_kernel
def combine(
    gradient: np.ndarray,
    y: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    c: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write `a·gradient + b·y + c`, with a, b, c of each channel."""
    rows, channels = y.shape
    for row in range(rows):
        for i in range(channels):
            out[row, i] = a[i] * gradient[row, i] + b[i] * y[row, i] + c[i]


@vector_kernel
def _span(cell: int, kernel: int, padding: int, size: int) -> tuple[int, int]:
    """Begin and end of a cell along an axis, padding left out."""
    begin = cell * kernel - padding
    return max(begin, 0), min(begin + kernel, size)


@vector_kernel
def multi_pool(x: np.ndarray, kernel: Triple, padding: Triple, out: np.ndarray) -> None:
    """Write the mean of average and maximum of each cell of `(T, H, W, C)`.

    Kernel and padding are along T, H and W; padding, of which there is none along T, counts in
    neither.
    """
    channels = x.shape[3]
    half = x.dtype.type(0.5)
    top, total = np.empty(channels, x.dtype), np.empty(channels, x.dtype)
    for t in range(out.shape[0]):
        for i in range(out.shape[1]):
            top_row, end_row = _span(i, kernel[1], padding[1], x.shape[1])
            for j in range(out.shape[2]):
                left, right = _span(j, kernel[2], padding[2], x.shape[2])
                for c in range(channels):
                    top[c], total[c] = -np.inf, 0
                for k in range(t * kernel[0], (t + 1) * kernel[0]):
                    for h in range(top_row, end_row):
                        for w in range(left, right):
                            for c in range(channels):
                                v = x[k, h, w, c]
                                top[c] = max(top[c], v)
                                total[c] += v
                share = half / x.dtype.type(kernel[0] * (end_row - top_row) * (right - left))
                for c in range(channels):
                    out[t, i, j, c] = half * top[c] + share * total[c]


@vector_kernel
def multi_pool_backward(
    x: np.ndarray, kernel: Triple, padding: Triple, gradient: np.ndarray, out: np.ndarray
) -> None:
    """Write the gradient by x, given that by what `multi_pool` wrote.

    Of elements of a cell that are as large, the first has that of the maximum.
    """
    channels = x.shape[3]
    half, none = x.dtype.type(0.5), x.dtype.type(0)
    top, first = np.empty(channels, x.dtype), np.empty(channels, np.int32)
    if out.shape[1] + 2 * padding[1] > gradient.shape[1] * kernel[1] or (
        out.shape[2] + 2 * padding[2] > gradient.shape[2] * kernel[2]
    ):
        # What is in no cell.
        out[:] = 0
    for t in range(gradient.shape[0]):
        for i in range(gradient.shape[1]):
            top_row, end_row = _span(i, kernel[1], padding[1], x.shape[1])
            for j in range(gradient.shape[2]):
                left, right = _span(j, kernel[2], padding[2], x.shape[2])
                for c in range(channels):
                    top[c], first[c] = -np.inf, 0
                place = np.int32(0)
                for k in range(t * kernel[0], (t + 1) * kernel[0]):
                    for h in range(top_row, end_row):
                        for w in range(left, right):
                            for c in range(channels):
                                v = x[k, h, w, c]
                                first[c] = place if v > top[c] else first[c]
                                top[c] = max(top[c], v)
                            place += np.int32(1)
                share = half / x.dtype.type(kernel[0] * (end_row - top_row) * (right - left))
                place = np.int32(0)
                for k in range(t * kernel[0], (t + 1) * kernel[0]):
                    for h in range(top_row, end_row):
                        for w in range(left, right):
                            for c in range(channels):
                                weight = share + (half if first[c] == place else none)
                                out[k, h, w, c] = weight * gradient[t, i, j, c]
                            place += np.int32(1)


@vector_kernel
def pool_space(x: np.ndarray, mean: np.ndarray, top: np.ndarray, ties: np.ndarray) -> None:
    """Write mean and maximum over the pixels of `(T, P, C)`, and how many have it, `(T, C)`."""
    frames, pixels, channels = x.shape
    one, none = x.dtype.type(1), x.dtype.type(0)
    for t in range(frames):
        for c in range(channels):
            mean[t, c], top[t, c], ties[t, c] = 0, -np.inf, 0
        for p in range(pixels):
            for c in range(channels):
                v = x[t, p, c]
                mean[t, c] += v
                as_large = ties[t, c] + (one if v == top[t, c] else none)
                ties[t, c] = one if v > top[t, c] else as_large
                top[t, c] = max(top[t, c], v)
        for c in range(channels):
            mean[t, c] /= x.dtype.type(pixels)


@vector_kernel
def pool_space_backward(
    x: np.ndarray,
    top: np.ndarray,
    mean_gradient: np.ndarray,
    top_gradient: np.ndarray,
    out: np.ndarray,
) -> None:
    """Write the gradient by x: that of the mean to all, of the maximum to those as large.

    Both are given, `(T, C)`, for each pixel that has a share in it.
    """
    frames, pixels, channels = x.shape
    none = x.dtype.type(0)
    for t in range(frames):
        for p in range(pixels):
            for c in range(channels):
                g = top_gradient[t, c] if x[t, p, c] == top[t, c] else none
                out[t, p, c] = mean_gradient[t, c] + g


@sum_kernel
def _mean(gain: np.ndarray, x: np.ndarray) -> float:
    total = x.dtype.type(0)
    for c in range(x.size):
        total += gain[c] * x[c]
    return total / x.dtype.type(x.size)


@vector_kernel
def pool_channels(
    x: np.ndarray, gain: np.ndarray, mean: np.ndarray, top: np.ndarray, ties: np.ndarray
) -> None:
    """Write mean and maximum over the channels of `gain·x`, and how many have it, `(T, P)`.

    x is `(T, P, C)` and the gain `(T, C)`.
    """
    frames, pixels, channels = x.shape
    one, none = x.dtype.type(1), x.dtype.type(0)
    lanes = np.empty(_LANES, x.dtype)
    for t in range(frames):
        for p in range(pixels):
            mean[t, p] = _mean(gain[t], x[t, p])
            lanes[:] = -np.inf
            for c in range(0, channels - channels % _LANES, _LANES):
                for i in range(_LANES):
                    lanes[i] = max(lanes[i], gain[t, c + i] * x[t, p, c + i])
            for c in range(channels - channels % _LANES, channels):
                lanes[0] = max(lanes[0], gain[t, c] * x[t, p, c])
            largest = lanes.max()
            count = none
            for c in range(channels):
                count += one if gain[t, c] * x[t, p, c] == largest else none
            top[t, p], ties[t, p] = largest, count


@vector_kernel
def pool_channels_backward(
    x: np.ndarray,
    gain: np.ndarray,
    top: np.ndarray,
    mean_gradient: np.ndarray,
    top_gradient: np.ndarray,
    out: np.ndarray,
    gain_gradient: np.ndarray,
) -> None:
    """Write the gradient by x, and add that by the gain, `(T, C)`.

    Those by mean and maximum are given, `(T, P)`, for each channel that has a share in them.
    """
    frames, pixels, channels = x.shape
    none = x.dtype.type(0)
    for t in range(frames):
        for p in range(pixels):
            largest, of_mean, of_top = top[t, p], mean_gradient[t, p], top_gradient[t, p]
            for c in range(channels):
                v = gain[t, c] * x[t, p, c]
                g = of_mean + (of_top if v == largest else none)
                out[t, p, c] = g * gain[t, c]
                gain_gradient[t, c] += g * x[t, p, c]


@vector_kernel
def weigh(
    x: np.ndarray, temporal: np.ndarray, spatial: np.ndarray, scale: float, out: np.ndarray
) -> None:
    """Write `scale·(temporal·spatial + 1)·x`.

    x is `(T, P, C)`, temporal `(T, C)`, spatial `(T, P)`; the scale is a number of their type.
    """
    frames, pixels, channels = x.shape
    for t in range(frames):
        for p in range(pixels):
            weight = scale * spatial[t, p]
            for c in range(channels):
                out[t, p, c] = (weight * temporal[t, c] + scale) * x[t, p, c]


@sum_kernel
def _triple_product(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i] * b[i] * c[i]
    return total


@vector_kernel
def weigh_backward(
    x: np.ndarray,
    temporal: np.ndarray,
    spatial: np.ndarray,
    scale: float,
    gradient: np.ndarray,
    out: np.ndarray,
    temporal_gradient: np.ndarray,
    spatial_gradient: np.ndarray,
) -> None:
    """Write the gradients by x and `spatial`, and add that by `temporal`; see `weigh`."""
    frames, pixels, channels = x.shape
    for t in range(frames):
        for p in range(pixels):
            weight = scale * spatial[t, p]
            for c in range(channels):
                g = gradient[t, p, c]
                out[t, p, c] = (weight * temporal[t, c] + scale) * g
                temporal_gradient[t, c] += weight * g * x[t, p, c]
            spatial_gradient[t, p] = scale * _triple_product(gradient[t, p], temporal[t], x[t, p])
