"""Which column of a table is x, y, t or p, and in which unit t is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cs3d_ros.recordings.recording import RecordingError

X, Y, T, P = range(4)
"""The roles of columns."""

NS_EXPONENTS = {"ns": 0, "us": 3, "ms": 6, "s": 9}
"""Powers of ten from each unit to ns."""

_TIME = re.compile(
    r"(?:t|ts|time|timestamp)(?:_(?P<suffix>s|ms|us|ns)|\s*[(\[](?P<unit>s|ms|us|[µμ]s|ns)[)\]])?"
)
_ROLES = {"x": X, "xs": X, "y": Y, "ys": Y, "p": P, "ps": P, "pol": P, "polarity": P}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table.

    Attributes:
        roles: X, Y, T, P or None for each column.
        unit: Unit of t by the column's name: ns, us, ms or s; None where it does not tell.
    """

    roles: tuple[int | None, ...]
    unit: str | None = None

    def __str__(self) -> str:
        return ", ".join("?" if role is None else "xytp"[role] for role in self.roles)

    def index(self, role: int) -> int:
        """Number of the column with this role."""
        return self.roles.index(role)


def columns_by_name(names: Sequence[str]) -> Columns | None:
    """Find x (xs), y (ys), t (ts, time, timestamp) and p (ps, pol, polarity).

    A unit at the name of t is s, ms, us or ns: t_us, t (us), t [us].

    Returns:
        The columns, with others among them; None where one of the four is missing or there twice.
    """
    roles: list[int | None] = []
    unit = None
    for name in names:
        clean = name.strip().strip("\"'").lower()
        time = _TIME.fullmatch(clean)
        if time:
            unit = time["suffix"] or time["unit"]
            unit = "us" if unit in ("µs", "μs") else unit
        roles.append(T if time else _ROLES.get(clean))
    found = sorted(role for role in roles if role is not None)
    return Columns(tuple(roles), unit) if found == [X, Y, T, P] else None


def missing_columns(path: Path, names: Sequence[str]) -> RecordingError:
    """The error for names in which `columns_by_name` finds nothing."""
    listed = ", ".join(repr(name) for name in names[:20]) or "none"
    return RecordingError(
        f"{path}: columns {listed[:500]}, expected one each of x, y, t (or timestamp, or with a "
        "unit t_s, t_ms, t_us, t_ns) and p (or pol, polarity); rename them"
    )
