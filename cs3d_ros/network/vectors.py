"""Vectors for Numba: as many float32 as a register of this processor holds.

A value of the type `VECTOR` lives in a register. Arrays of float32 are given by their addresses,
and elements by their index from there. Nothing is checked, nobody holds the memory but the caller,
and threads do not meet at a reference count.

Numba keeps on disk what it has compiled for as long as the kernel's own file stays the same,
whatever has changed here. So `cpu_kernels.VECTORS_SHA256` has to change along with this file.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import extending, njit, types
from numba.core import cgutils


def _lanes() -> tuple[int, int]:
    """Lanes of a vector of this processor, and rows of a tile that its registers hold."""
    try:
        features = llvm.get_host_cpu_features()
    except RuntimeError:
        # Older versions of LLVM know those of some processors only.
        features = {}
    if features.get("avx512f"):
        return 16, 14
    if features.get("avx"):
        return 8, 6
    return 4, 12 if platform.machine() in ("aarch64", "arm64") else 6


# Compiled functions alone can call what it makes.
intrinsic: Any = extending.intrinsic

LANES, ROWS = _lanes()
COLUMNS = 2 * LANES
"""A product of matrices is computed in tiles of ROWS × COLUMNS, one sum in each lane."""

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ALIGN = 4
# Some tens of microseconds.
_PATIENCE = 10_000


class _VectorType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Vector{LANES}")


VECTOR = _VectorType()


@extending.register_model(_VectorType)
class _VectorModel(extending.models.PrimitiveModel):
    def __init__(self, manager: Any, frontend_type: Any) -> None:
        super().__init__(manager, frontend_type, _VECTOR)


def _element(builder: Any, address: Any, index: Any) -> Any:
    """Pointer to an element."""
    return builder.gep(builder.inttoptr(address, _FLOAT.as_pointer()), [index])


def _lanes_at(builder: Any, address: Any, index: Any) -> Any:
    """Pointer to an element and those after it, as to a vector."""
    return builder.bitcast(_element(builder, address, index), _VECTOR.as_pointer())


def _splat(builder: Any, scalar: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, _int32(0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), mask)


def _int32(value: int) -> Any:
    return ir.Constant(ir.IntType(32), value)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    name = f"llvm.fmuladd.v{LANES}f32"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [a, b, c])


def _larger(builder: Any, a: Any, b: Any) -> Any:
    """The larger of both; `a` where `b` is no number."""
    return builder.select(builder.fcmp_ordered("<", a, b), b, a)


@intrinsic
def load(typing: Any, address: Any, index: Any) -> Any:
    """Return `LANES` elements from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_lanes_at(builder, *values), align=_ALIGN)

    return VECTOR(types.intp, types.intp), generate


@intrinsic
def store(typing: Any, address: Any, index: Any, vector: Any) -> Any:
    """Write a vector from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _lanes_at(builder, *values[:2]), align=_ALIGN)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, VECTOR), generate


@intrinsic
def get(typing: Any, address: Any, index: Any) -> Any:
    """Return one element."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load(_element(builder, *values))

    return types.float32(types.intp, types.intp), generate


@intrinsic
def put(typing: Any, address: Any, index: Any, value: Any) -> Any:
    """Write one element."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store(values[2], _element(builder, *values[:2]))
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.float32), generate


@intrinsic
def splat(typing: Any, scalar: Any) -> Any:
    """Return a vector of the same number in all lanes."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _splat(builder, values[0])

    return VECTOR(types.float32), generate


@intrinsic
def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a·b + c."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _fma(builder, *values)

    return VECTOR(VECTOR, VECTOR, VECTOR), generate


def _of_two(operation: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    def typed(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return operation(builder, *values)

        return VECTOR(VECTOR, VECTOR), generate

    return intrinsic(typed)


add = _of_two(lambda builder, a, b: builder.fadd(a, b))
times = _of_two(lambda builder, a, b: builder.fmul(a, b))
larger = _of_two(_larger)


def _of_lanes(operation: Callable[[Any, Any, Any], Any]) -> Callable[..., Any]:
    def typed(typing: Any, vector: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            lanes = [builder.extract_element(values[0], _int32(i)) for i in range(LANES)]
            while len(lanes) > 1:
                half = len(lanes) // 2
                lanes = [
                    operation(builder, a, b)
                    for a, b in zip(lanes[:half], lanes[half:], strict=True)
                ]
            return lanes[0]

        return types.float32(VECTOR), generate

    return intrinsic(typed)


total = _of_lanes(lambda builder, a, b: builder.fadd(a, b))
largest = _of_lanes(_larger)


@intrinsic
def raised(typing: Any, counters: Any, index: Any) -> Any:
    """Raise an element of an int64 array by one, at once for all threads; return what it was.

    What this thread has written before is seen by one that finds the new number by `wait_for`.
    """

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        counter = _counter(context, builder, signature, values)
        return builder.atomic_rmw("add", counter, ir.Constant(ir.IntType(64), 1), "acq_rel")

    return types.int64(counters, types.intp), generate


@intrinsic
def _now(typing: Any, counters: Any, index: Any) -> Any:
    """Return an element of an int64 array that other threads raise."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        counter = _counter(context, builder, signature, values)
        return builder.load_atomic(counter, "acquire", 8)

    return types.int64(counters, types.intp), generate


@intrinsic
def _let_others(typing: Any) -> Any:
    """Let another thread have this processor: sched_yield(2)."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.IntType(32), [])
        builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), generate


def _counter(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    data = context.make_array(signature.args[0])(context, builder, values[0]).data
    return builder.gep(data, [values[1]])


@njit(nogil=True)
def wait_for(counters: np.ndarray, index: int, number: int) -> None:
    """Wait actively until an element of an int64 array is at least `number`."""
    turns = 0
    while _now(counters, index) < number:
        turns += 1
        if turns > _PATIENCE:
            # Whoever is to raise it may wait for this very processor.
            _let_others()


@intrinsic
def product_tile(
    typing: Any,
    a: Any,
    at: Any,
    stride: Any,
    depth: Any,
    panels: Any,
    panel: Any,
    bias: Any,
    column: Any,
    c: Any,
    to: Any,
    c_stride: Any,
) -> Any:
    """ROWS × COLUMNS of relu(A·B + bias): see `product`."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        a, at, stride, depth, panels, panel, bias, column, c, to, c_stride = values
        width, halves = ir.Constant(at.type, COLUMNS), (0, LANES)
        # Variables in memory, which LLVM moves into registers.
        sums = [[cgutils.alloca_once(builder, _VECTOR) for _ in halves] for _ in range(ROWS)]
        for half, offset in enumerate(halves):
            index = builder.add(column, ir.Constant(at.type, offset))
            start = builder.load(_lanes_at(builder, bias, index), align=_ALIGN)
            for row in sums:
                builder.store(start, row[half])
        lines = [
            _element(builder, a, builder.add(at, builder.mul(stride, ir.Constant(at.type, i))))
            for i in range(ROWS)
        ]
        with cgutils.for_range(builder, depth) as loop:
            begin = builder.add(panel, builder.mul(loop.index, width))
            b = []
            for offset in halves:
                index = builder.add(begin, ir.Constant(at.type, offset))
                b.append(builder.load(_lanes_at(builder, panels, index), align=_ALIGN))
            for line, row in zip(lines, sums, strict=True):
                factor = _splat(builder, builder.load(builder.gep(line, [loop.index])))
                for half, variable in zip(b, row, strict=True):
                    builder.store(_fma(builder, factor, half, builder.load(variable)), variable)
        zero = ir.Constant(_VECTOR, None)
        for i, row in enumerate(sums):
            begin = builder.add(to, builder.mul(c_stride, ir.Constant(at.type, i)))
            for offset, variable in zip(halves, row, strict=True):
                index = builder.add(begin, ir.Constant(at.type, offset))
                found = _larger(builder, builder.load(variable), zero)
                builder.store(found, _lanes_at(builder, c, index), align=_ALIGN)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 11), generate
