"""How a text table of events is laid out, as its first lines tell."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from cs3d_ros.recordings.columns import Columns, P, T, X, Y, columns_by_name, missing_columns
from cs3d_ros.recordings.recording import RecordingError

MAX_LINE = 1 << 16
"""Bytes of the longest line."""

_BOM = b"\xef\xbb\xbf"
_FIRST_BYTES = 1 << 16
_SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_SIDE = re.compile(r"\b(width|height)\s*[=:]\s*(\d{1,9})\b", re.I)
_GEOMETRY = re.compile(r"%\s*geometry\s*:\s*(\d{1,9})\s*,\s*(\d{1,9})\b")
_TWO_NUMBERS = re.compile(r"(\d{1,9})\s+(\d{1,9})")

# The order of the columns where no line names them.
_CSV_ORDER = Columns((X, Y, T, P))
_PROPHESEE_ORDER = Columns((X, Y, P, T))
_TXT_ORDER = Columns((T, X, Y, P))


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table is laid out.

    Attributes:
        columns: What its columns are.
        is_named: Whether a line names them.
        unit: Unit of t.
        is_whole: Whether all times have to be whole, as the unit was told from the first one.
        size: Width and height; None where no line before the events tells.
        begin: Where the first event's line begins, in bytes.
        line: Number of lines before it.
    """

    columns: Columns
    is_named: bool
    unit: str
    is_whole: bool
    size: tuple[int, int] | None
    begin: int
    line: int


def read_layout(path: Path, file: BinaryIO) -> Layout:
    """Read the lines before the first event, and those of the first events.

    Args:
        path: For messages; its suffix tells the order of columns without names.
        file: The table, at its beginning.

    Raises:
        RecordingError: A line of names without x, y, t and p, or a t of unknown unit.
    """
    is_txt = path.suffix.lower() == ".txt"
    columns: Columns | None = None
    sides: dict[str, int] = {}
    line = 0
    begin = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    file.seek(begin)
    while raw := file.readline(MAX_LINE):
        text = _decoded(raw)
        if _is_comment(text):
            # A comment is the line of names only where it is nothing else.
            named = columns_by_name(_names(text.lstrip("#% \t")))
            columns = named if named and None not in named.roles else columns
            if geometry := _GEOMETRY.match(text):
                sides = {"width": int(geometry[1]), "height": int(geometry[2])}
            for side in _SIDE.finditer(text):
                sides[side[1].lower()] = int(side[2])
        elif is_txt and columns is None and not sides and (both := _TWO_NUMBERS.fullmatch(text)):
            sides = {"width": int(both[1]), "height": int(both[2])}
        elif text and (columns is not None or _is_row(text)):
            break
        elif text:
            columns = columns_by_name(_names(text))
            if columns is None:
                raise missing_columns(path, _names(text))
        line += 1
        begin += len(raw)
    file.seek(begin)
    rows = _first_rows(file)
    chosen = columns or (_TXT_ORDER if is_txt else _csv_order(rows))
    times = _column(rows, chosen.index(T))
    is_whole = not times or re.search("[.eE]", times[0]) is None
    if chosen.unit is None:
        _check_unit(path, line + 1, times, is_whole, is_txt and columns is None)
    return Layout(
        columns=chosen,
        is_named=columns is not None,
        unit=chosen.unit or ("us" if is_whole else "s"),
        is_whole=chosen.unit is None and is_whole,
        size=(sides["width"], sides["height"]) if len(sides) == 2 else None,
        begin=begin,
        line=line,
    )


def _check_unit(path: Path, line: int, times: list[str], is_whole: bool, is_dataset: bool) -> None:
    """Refuse times of which nothing tells whether they are seconds or µs."""
    if not times:
        return
    if is_dataset and is_whole:
        raise RecordingError(
            f"{path}: line {line}: t = {times[0][:80]!r}, expected t x y p with t in seconds and a "
            "decimal point; name the columns in a first line, such as `x y t_us p`"
        )
    # µs are often written as floating numbers, seconds hardly ever without a fraction.
    values = [float(time) for time in times if _NUMBER.fullmatch(time)]
    if not is_whole and any(values) and all(value.is_integer() for value in values):
        raise RecordingError(
            f"{path}: line {line}: t = {times[0][:80]!r}, and the times after it are whole numbers "
            "with a decimal point or an exponent, too: seconds or µs? Say it by a first line that "
            "names the column t_s or t_us, such as `x,y,t_us,p`"
        )


def _csv_order(rows: list[list[str]]) -> Columns:
    """The order of columns without names: x, y, t, p, or that of Prophesee's tools: x, y, p, t."""
    third, fourth = (
        all(_NUMBER.fullmatch(cell) and float(cell) in (-1, 0, 1) for cell in _column(rows, k))
        for k in (2, 3)
    )
    return _PROPHESEE_ORDER if third and not fourth else _CSV_ORDER


def _first_rows(file: BinaryIO) -> list[list[str]]:
    """The cells of the first lines of events."""
    data = file.read(_FIRST_BYTES)
    if len(data) == _FIRST_BYTES:
        data = data[: data.rfind(b"\n") + 1]
    texts = [_decoded(line) for line in data.split(b"\n")]
    return [_SEPARATOR.split(text) for text in texts if text and not _is_comment(text)]


def _column(rows: list[list[str]], index: int) -> list[str]:
    return [row[index] for row in rows if index < len(row)]


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "replace").strip()


def _is_comment(text: str) -> bool:
    return text.startswith(("#", "%"))


def _is_row(text: str) -> bool:
    cells = [cell for cell in _SEPARATOR.split(text) if cell]
    return bool(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)


def _names(text: str) -> list[str]:
    """The cells of a line of names; spaces separate them only where nothing else does."""
    for separator in ";,":
        if separator in text:
            return [name.strip() for name in text.split(separator)]
    return text.split()
