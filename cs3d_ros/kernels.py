"""How the package compiles its inner loops."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile `function` with Numba, without the interpreter lock and cached on disk.

    Compilation happens at the first call: each module with kernels that a node needs has a
    `warm_up()` that makes that call with the same types as a real one, so that no packet waits for
    the compiler.

    Numba refuses to cache where neither the package's folder nor the user's cache folder can be
    written, as in a read-only container: there the kernel is compiled once per process.
    """
    return _compiled(function)


def vector_kernel(function: _Function) -> _Function:
    """As `kernel`, for arithmetic on floating-point numbers whose loops are to become vectors.

    A product and the sum that takes it are rounded once, and a division by zero is no exception.
    """
    return _compiled(function, error_model="numpy", fastmath={"contract"})


def sum_kernel(function: _Function) -> _Function:
    """As `vector_kernel`; a sum over a loop may be taken in any order."""
    return _compiled(function, error_model="numpy", fastmath={"contract", "reassoc"})


def _compiled(function: _Function, **options: Any) -> _Function:
    try:
        return cast(_Function, njit(nogil=True, cache=True, **options)(function))
    except RuntimeError:
        return cast(_Function, njit(nogil=True, **options)(function))
