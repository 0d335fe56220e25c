"""What several commands take as arguments, for argparse."""

from __future__ import annotations

import argparse
import math
from pathlib import Path


def positive(text: str) -> float:
    """A number above 0.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def path(text: str) -> Path:
    """A path, with a leading ~ replaced.

    Raises:
        argparse.ArgumentTypeError: There is no such user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None
