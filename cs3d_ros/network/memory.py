"""Memory that stays with the process, for networks on a CPU under Linux."""

from __future__ import annotations

import ctypes

# malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_NEVER = -1
_TOP_PAD_BYTES = 1 << 28


def keep_memory() -> bool:
    """Let the GNU C library keep memory that was freed, instead of handing it back to the kernel.

    Each inference frees and takes the same tens of megabytes of activations, each step of training
    hundreds. By default every large one is mapped anew, so that the kernel has to hand out and
    clear all its pages again, which takes about as long as the arithmetic.

    Returns:
        Whether there is such a library and it did what it was asked.
    """
    try:
        library = ctypes.CDLL(None)
        library.gnu_get_libc_version  # noqa: B018
        mallopt = library.mallopt
    except (OSError, AttributeError, TypeError):
        return False
    # The threshold above which memory is mapped has an upper limit in older versions; allowing no
    # mapping at all works in all of them.
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _NEVER), (_M_TOP_PAD, _TOP_PAD_BYTES))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
