"""How this room compiles its inner loops."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

_Function = TypeVar("_Function", bound=Callable[..., Any])


def kernel(function: _Function) -> _Function:
    """Compile `function` with Numba, without the interpreter lock and cached on disk.

    Compilation happens at the first call: each module with kernels has a `warm_up()` that makes
    that call with the same types as a real one, so that no packet waits for the compiler.

    Numba refuses to cache where neither the package's folder nor the user's cache folder can be
    written, as in a read-only container: there the kernel is compiled once per process.
    """
    try:
        return cast(_Function, njit(nogil=True, cache=True)(function))
    except RuntimeError:
        return cast(_Function, njit(nogil=True)(function))
