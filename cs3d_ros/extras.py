"""Libraries that only some commands need."""

from __future__ import annotations

import importlib
from typing import Any

from cs3d_ros.errors import Cs3dError


def load_extra(module: str, extra: str) -> Any:
    """A module that is installed with one of the package's extras.

    Args:
        module: Its name, such as "pyarrow".
        extra: The extra that brings it.

    Raises:
        Cs3dError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise Cs3dError(
            f"this needs {module} ({error}); install it with: pip install 'cs3d_ros[{extra}]'"
        ) from None


def load_pyarrow() -> Any:
    """The module pyarrow, with pyarrow.ipc.

    Raises:
        Cs3dError: It is not installed.
    """
    load_extra("pyarrow.ipc", "train")
    return load_extra("pyarrow", "train")
