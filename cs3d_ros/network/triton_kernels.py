"""GPU kernels of a factorized block in its folded form, in Triton.

Importing this module needs triton. Its kernels take contiguous maps `(N, T, H, W, C)` of float32,
bfloat16 or float16 and add up in float32:

    x ─ DW(3,1,1) ─ PW + bias ─ ReLU ─ DW(1,3,3) ─ PW + bias (+ shortcut) ─ ReLU

`fused_block` does all of it. One program makes the output of one tile of one picture. It computes
what lies between the two halves for the tile and one more pixel around it, some channels at a time,
and that never leaves the multiprocessor. `first_half` and `second_half` are the same in two
kernels, with what lies between in the GPU's memory, or in its cache where it fits: for maps with
more channels than one program can add up at a time.

They have not been measured on a GPU yet.
"""

# Triton looks at annotations: only those that it knows can be written.
# mypy: disable-error-code="no-untyped-def"

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _in_time(x, weights, at, valid, t, bins, stride, channels, C: tl.constexpr):
    """Depthwise convolution along time: some pixels × some channels, float32.

    Args:
        x: The map.
        weights: `(3, C)`.
        at: Where the pixels' channels begin in x.
        valid: Which of the pixels exist.
        t: Time bins of the pixels.
        bins: T.
        stride: Values in x from one time bin to the next.
        channels: Numbers of the channels.
        C: Channels of x.
    """
    known = channels < C
    here = at[:, None] + channels[None, :]
    there = valid[:, None] & known[None, :]
    y = tl.load(x + here, mask=there, other=0.0).to(tl.float32)
    y *= tl.load(weights + C + channels, mask=known, other=0.0)[None, :]
    before = tl.load(x + here - stride, mask=there & (t > 0)[:, None], other=0.0).to(tl.float32)
    y += before * tl.load(weights + channels, mask=known, other=0.0)[None, :]
    after = tl.load(x + here + stride, mask=there & (t < bins - 1)[:, None], other=0.0).to(
        tl.float32
    )
    y += after * tl.load(weights + 2 * C + channels, mask=known, other=0.0)[None, :]
    return y


@triton.jit
def _matrix(weights, rows, columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Some rows and columns of a matrix, 0 beyond its ends."""
    known = (rows < ROWS)[:, None] & (columns < COLUMNS)[None, :]
    return tl.load(weights + rows[:, None] * COLUMNS + columns[None, :], mask=known, other=0.0)


@triton.jit
def _relu(y):
    """As torch's: what is not a number stays so."""
    return tl.maximum(y, 0.0, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def _shifted(y, by, P: tl.constexpr, K: tl.constexpr):
    """The rows of `(P, K)`, each as many places up as is said; what falls out comes back below."""
    places = (tl.arange(0, P) + by + P) % P
    return tl.gather(y, tl.broadcast_to(places[:, None], (P, K)), 0)


@triton.jit
def fused_block(
    x,
    in_time,
    first,
    first_bias,
    in_space,
    second,
    second_bias,
    shortcut,
    out,
    bins,
    height,
    width,
    tiles_down,
    tiles_across,
    C: tl.constexpr,
    D: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_D: tl.constexpr,
    HAS_MATRIX: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """A whole block. Grid: tiles across × tiles down × pictures, along one axis.

    Args:
        x: `(N, T, H, W, C)`.
        in_time: `(3, C)`, float32.
        first: `(C, D)`.
        first_bias: `(D,)`, float32.
        in_space: `(9, D)`, float32.
        second: `(D, D)`.
        second_bias: `(D,)`, float32.
        shortcut: `(C, D)`; not read without HAS_MATRIX.
        out: `(N, T, H, W, D)`.
        bins: T.
        height: H.
        width: W.
        tiles_down: Tiles of ROWS - 2 pixels along H.
        tiles_across: Tiles of COLUMNS - 2 pixels along W.
        C: Channels in.
        D: Channels out.
        ROWS: Rows of a tile with the pixel around it; a power of two.
        COLUMNS: Columns of the same.
        BLOCK_C: Channels in that are read at a time; a power of two, 16 or more.
        BLOCK_K: Channels between the halves that are made at a time; the same.
        BLOCK_D: The power of two from D on, 16 or more.
        HAS_MATRIX: Whether the shortcut is a matrix, not the input itself.
        PRECISION: How matrices of float32 are multiplied, as `tl.dot` says it.
    """
    P: tl.constexpr = ROWS * COLUMNS
    program = tl.program_id(0)
    across = program % tiles_across
    down = program // tiles_across % tiles_down
    picture = program // (tiles_across * tiles_down)

    pixel = tl.arange(0, P)
    t = tl.zeros((P,), tl.int32) + picture % bins
    row = pixel // COLUMNS
    column = pixel % COLUMNS
    h = down * (ROWS - 2) + row - 1
    w = across * (COLUMNS - 2) + column - 1
    inside = (h >= 0) & (h < height) & (w >= 0) & (w < width)
    # The ring around the tile is computed, but not for itself.
    kept = inside & (row > 0) & (row < ROWS - 1) & (column > 0) & (column < COLUMNS - 1)
    # Larger maps than 2³¹ values exist.
    picture_in = x + picture.to(tl.int64) * height * width * C
    at = (h * width + w) * C
    d = tl.arange(0, BLOCK_D)
    stored = kept[:, None] & (d < D)[None, :]

    total = tl.zeros((P, BLOCK_D), tl.float32)
    total += tl.load(second_bias + d, mask=d < D, other=0.0)[None, :]
    if HAS_MATRIX:
        for c in range(0, C, BLOCK_C):
            channels = c + tl.arange(0, BLOCK_C)
            mask = kept[:, None] & (channels < C)[None, :]
            part = tl.load(picture_in + at[:, None] + channels[None, :], mask=mask, other=0.0)
            matrix = _matrix(shortcut, channels, d, C, D)
            total = tl.dot(part, matrix, total, input_precision=PRECISION)
    else:
        itself = tl.load(picture_in + at[:, None] + d[None, :], mask=stored, other=0.0)
        total += itself.to(tl.float32)

    for k in range(0, D, BLOCK_K):
        between = k + tl.arange(0, BLOCK_K)
        known = between < D
        y = tl.zeros((P, BLOCK_K), tl.float32)
        y += tl.load(first_bias + between, mask=known, other=0.0)[None, :]
        for c in range(0, C, BLOCK_C):
            channels = c + tl.arange(0, BLOCK_C)
            part = _in_time(
                picture_in, in_time, at, inside, t, bins, height * width * C, channels, C
            )
            matrix = _matrix(first, channels, between, C, D)
            y = tl.dot(part.to(matrix.dtype), matrix, y, input_precision=PRECISION)
        # What pads the picture is 0 after the bias and the ReLU.
        y = tl.where(inside[:, None], _relu(y), 0.0)

        # Sideways first, one sum for each row of the kernel; then up and down. Four shifts, not 8.
        left = _shifted(y, -1, P, BLOCK_K)
        right = _shifted(y, 1, P, BLOCK_K)
        taps = in_space + between
        above = left * tl.load(taps, mask=known, other=0.0)[None, :]
        above += y * tl.load(taps + D, mask=known, other=0.0)[None, :]
        above += right * tl.load(taps + 2 * D, mask=known, other=0.0)[None, :]
        z = _shifted(above, -COLUMNS, P, BLOCK_K)
        z += left * tl.load(taps + 3 * D, mask=known, other=0.0)[None, :]
        z += y * tl.load(taps + 4 * D, mask=known, other=0.0)[None, :]
        z += right * tl.load(taps + 5 * D, mask=known, other=0.0)[None, :]
        below = left * tl.load(taps + 6 * D, mask=known, other=0.0)[None, :]
        below += y * tl.load(taps + 7 * D, mask=known, other=0.0)[None, :]
        below += right * tl.load(taps + 8 * D, mask=known, other=0.0)[None, :]
        z += _shifted(below, COLUMNS, P, BLOCK_K)

        matrix = _matrix(second, between, d, D, D)
        total = tl.dot(z.to(matrix.dtype), matrix, total, input_precision=PRECISION)

    result = out + picture.to(tl.int64) * height * width * D + ((h * width + w) * D)[:, None]
    total = _relu(total).to(out.dtype.element_ty)
    tl.store(result + d[None, :], total, mask=stored)


@triton.jit
def first_half(
    x,
    in_time,
    first,
    first_bias,
    out,
    pixels,
    bins,
    area,
    C: tl.constexpr,
    D: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """`DW(3,1,1) ─ PW + bias ─ ReLU`. Grid: blocks of pixels × blocks of channels out.

    Args:
        x: `(N, T, H, W, C)`.
        in_time: `(3, C)`, float32.
        first: `(C, D)`.
        first_bias: `(D,)`, float32.
        out: `(N, T, H, W, D)`.
        pixels: N·T·H·W.
        bins: T.
        area: H·W.
        C: Channels in.
        D: Channels out.
        BLOCK_P: Pixels of a program; this and what follows a power of two, 16 or more.
        BLOCK_C: Channels in that are read at a time.
        BLOCK_D: Channels out of a program.
        PRECISION: As in `fused_block`.
    """
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    valid = pixel < pixels
    t = pixel // area % bins
    far = pixel.to(tl.int64)
    y = tl.zeros((BLOCK_P, BLOCK_D), tl.float32)
    y += tl.load(first_bias + d, mask=d < D, other=0.0)[None, :]
    for c in range(0, C, BLOCK_C):
        channels = c + tl.arange(0, BLOCK_C)
        part = _in_time(x, in_time, far * C, valid, t, bins, area * C, channels, C)
        matrix = _matrix(first, channels, d, C, D)
        y = tl.dot(part.to(matrix.dtype), matrix, y, input_precision=PRECISION)
    y = _relu(y).to(out.dtype.element_ty)
    mask = valid[:, None] & (d < D)[None, :]
    tl.store(out + (far * D)[:, None] + d[None, :], y, mask=mask)


@triton.jit
def second_half(
    x,
    between,
    in_space,
    second,
    second_bias,
    shortcut,
    out,
    pixels,
    height,
    width,
    C: tl.constexpr,
    D: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_D: tl.constexpr,
    HAS_MATRIX: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """`DW(1,3,3) ─ PW + bias (+ shortcut) ─ ReLU`. Grid: as `first_half`.

    Args:
        x: Input of the block, `(N, T, H, W, C)`.
        between: What `first_half` made of it, `(N, T, H, W, D)`.
        in_space: `(9, D)`, float32.
        second: `(D, D)`.
        second_bias: `(D,)`, float32.
        shortcut: `(C, D)`; not read without HAS_MATRIX.
        out: `(N, T, H, W, D)`.
        pixels: N·T·H·W.
        height: H.
        width: W.
        C: Channels of x.
        D: Channels of between and out.
        BLOCK_P: As in `first_half`.
        BLOCK_C: Channels of x and of between that are read at a time.
        BLOCK_D: Channels out of a program.
        HAS_MATRIX: As in `fused_block`.
        PRECISION: As in `fused_block`.
    """
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    valid = pixel < pixels
    h = pixel // width % height
    w = pixel % width
    far = pixel.to(tl.int64)
    stored = valid[:, None] & (d < D)[None, :]
    total = tl.zeros((BLOCK_P, BLOCK_D), tl.float32)
    total += tl.load(second_bias + d, mask=d < D, other=0.0)[None, :]
    if HAS_MATRIX:
        for c in range(0, C, BLOCK_C):
            channels = c + tl.arange(0, BLOCK_C)
            mask = valid[:, None] & (channels < C)[None, :]
            part = tl.load(x + (far * C)[:, None] + channels[None, :], mask=mask, other=0.0)
            matrix = _matrix(shortcut, channels, d, C, D)
            total = tl.dot(part, matrix, total, input_precision=PRECISION)
    else:
        itself = tl.load(x + (far * C)[:, None] + d[None, :], mask=stored, other=0.0)
        total += itself.to(tl.float32)
    for k in range(0, D, BLOCK_C):
        channels = k + tl.arange(0, BLOCK_C)
        known = channels < D
        z = tl.zeros((BLOCK_P, BLOCK_C), tl.float32)
        for tap in tl.static_range(9):
            down = tap // 3 - 1
            across = tap % 3 - 1
            there = valid & (h + down >= 0) & (h + down < height)
            there = there & (w + across >= 0) & (w + across < width)
            where = ((far + down * width + across) * D)[:, None] + channels[None, :]
            mask = there[:, None] & known[None, :]
            y = tl.load(between + where, mask=mask, other=0.0).to(tl.float32)
            z += y * tl.load(in_space + tap * D + channels, mask=known, other=0.0)[None, :]
        matrix = _matrix(second, channels, d, D, D)
        total = tl.dot(z.to(matrix.dtype), matrix, total, input_precision=PRECISION)
    total = _relu(total).to(out.dtype.element_ty)
    tl.store(out + (far * D)[:, None] + d[None, :], total, mask=stored)
