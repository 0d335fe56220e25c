"""Tables and lists as Markdown, which a terminal shows as well."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NONE = "–"
"""What stands where there is no number."""


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """A table whose columns also line up as plain text.

    Args:
        rows: The header, then the rows; all of the same length.
        left: How many columns at the left are aligned to the left; the others are to the right.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        "| "
        + " | ".join(
            f"{cell:<{width}}" if place < left else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in rows
    ]
    rule = "|".join(
        "-" * (w + 2) if place < left else "-" * (w + 1) + ":" for place, w in enumerate(widths)
    )
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def bullets(lines: Iterable[str]) -> str:
    """A list, one line each."""
    return "\n".join(f"- {line}" for line in lines)
