"""CASME II: micro-expressions at 200 frames per second (Yan et al., PLoS ONE 9, 2014)."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cs3d_ros.datasets.errors import DatasetError
from cs3d_ros.datasets.licensed import Collection, LicensedClip, Sources, clip_name
from cs3d_ros.extras import load_extra

LABELS: dict[str, str | None] = {
    "happiness": "happy",
    "sadness": "sad",
    "surprise": "surprised",
    "fear": "scared",
    "disgust": "disgusted",
    "repression": None,
    "others": None,
}
"""The set's seven labels, and which of EXPRESSIONS they are. There is no neutral and no anger."""

FRAME_RATE = 200.0
"""Frames per second of the camera."""

_TABLE = re.compile(r"casme.*coding.*\.(xlsx|csv)", re.IGNORECASE)
_COLUMNS = {
    "subject": "Subject",
    "filename": "Filename",
    "onsetframe": "OnsetFrame",
    "apexframe": "ApexFrame",
    "offsetframe": "OffsetFrame",
    "actionunits": "Action Units",
    "estimatedemotion": "Estimated Emotion",
}
_MAX_ROWS = 10_000
_SUBJECT = re.compile(r"sub0*(\d{1,3})", re.IGNORECASE)
_PICTURE = re.compile(r"(?:reg_)?img0*(\d{1,7})\.(?:jpe?g|png|bmp)", re.IGNORECASE)
_EXPECTED = (
    "CASME2-coding-20140508.xlsx (or the same table as .csv) beside the frames, such as "
    "CASME2_RAW_selected/sub01/EP02_01f/img46.jpg"
)


def read_casme2(folder: Path, every_label: bool = False) -> Sources:
    """The clips of CASME II that its coding table lists.

    Whole pictures are taken where there are several versions of a clip; the cropped ones where
    there are no others.

    Args:
        folder: Where the set was unpacked: its table, and its frames as folders of pictures.
        every_label: Take repression and others as well.

    Raises:
        DatasetError: There is no table, it is unreadable or lacks columns, or none of its clips has
            frames.
    """
    found = Collection("casme2", folder, LABELS, every_label)
    table = _table_in(folder)
    clips = _clip_folders(folder)
    for number, row in enumerate(_rows(table), start=2):
        where = f"{table.relative_to(folder)}, row {number}"
        if not any(row.values()):
            continue
        try:
            expression = found.expression(row["estimatedemotion"])
        except KeyError:
            found.skip(where, f"{row['estimatedemotion']!r} is no label of the set")
            continue
        if expression is None:
            continue
        subject = _whole(row["subject"].lower().removeprefix("sub"))
        if subject is None:
            found.skip(where, f"subject {row['subject']!r} is no number")
            continue
        path = clips.get((subject, row["filename"].lower()))
        if path is None:
            found.skip(where, f"no frames sub{subject:02d}/{row['filename']}/img….jpg")
            continue
        clip = _clip(path, subject, expression, row)
        if isinstance(clip, str):
            found.skip(where, clip)
        else:
            found.add(clip)
    return found.sources(_EXPECTED)


def _clip(path: Path, subject: int, expression: str, row: dict[str, str]) -> LicensedClip | str:
    """A clip from its row and its pictures, or what is wrong with it."""
    numbers = [int(m[1]) for p in path.iterdir() if (m := _PICTURE.fullmatch(p.name))]
    first, last = min(numbers), max(numbers)
    onset, offset = _whole(row["onsetframe"]), _whole(row["offsetframe"])
    if onset is None or offset is None or onset > offset:
        return f"onset {row['onsetframe']!r} and offset {row['offsetframe']!r} are no frames"
    if offset < first or onset > last:
        return f"frames {onset} to {offset} are not among its pictures, {first} to {last}"
    # Of some clips the apex was not found, which the table says by a slash.
    apex = _whole(row["apexframe"])
    if apex is not None and not onset <= apex <= offset:
        apex = None
    onset, offset = max(onset, first), min(offset, last)
    return LicensedClip(
        name=clip_name("casme2", f"sub{subject:02d}", row["filename"]),
        path=path,
        frame_rate=FRAME_RATE,
        subject=f"casme2-sub{subject:02d}",
        expression=expression,
        original_label=row["estimatedemotion"].lower(),
        onset_s=(onset - first) / FRAME_RATE,
        apex_s=None if apex is None else (min(max(apex, onset), offset) - first) / FRAME_RATE,
        offset_s=(offset - first) / FRAME_RATE,
        provenance={
            "set": "CASME II",
            "file": row["filename"],
            "action_units": row["actionunits"],
            "first_frame": first,
        },
    )


def _table_in(folder: Path) -> Path:
    tables = sorted(
        (p for p in folder.rglob("*") if _TABLE.fullmatch(p.name) and p.is_file()),
        # The one at the top; the spreadsheet before a copy of it.
        key=lambda p: (len(p.parts), p.suffix.lower() != ".xlsx", p.name),
    )
    if not tables:
        raise DatasetError(f"{folder}: has no coding table; expected {_EXPECTED}")
    return tables[0]


def _clip_folders(folder: Path) -> dict[tuple[int, str], Path]:
    """Folders with pictures by the subject's number and the clip's name in lower case."""
    clips: dict[tuple[int, str], Path] = {}
    for path in sorted(folder.rglob("*"), key=lambda p: ("crop" in str(p).lower(), p)):
        match = _SUBJECT.fullmatch(path.parent.name)
        if match is None or not path.is_dir():
            continue
        if any(_PICTURE.fullmatch(p.name) for p in path.iterdir()):
            clips.setdefault((int(match[1]), path.name.lower()), path)
    return clips


def _rows(table: Path) -> Iterator[dict[str, str]]:
    """Rows of the table by the columns of _COLUMNS, as text without blanks around."""
    lines = _xlsx_lines(table) if table.suffix.lower() == ".xlsx" else _csv_lines(table)
    header = [re.sub(r"[^a-z]", "", str(cell or "").lower()) for cell in next(lines, [])]
    missing = [title for key, title in _COLUMNS.items() if key not in header]
    if missing:
        raise DatasetError(f"{table}: lacks the columns {', '.join(missing)}")
    index = {key: header.index(key) for key in _COLUMNS}
    for number, line in enumerate(lines):
        if number >= _MAX_ROWS:
            raise DatasetError(f"{table}: over {_MAX_ROWS} rows, expected some 250")
        cells = [_text(cell) for cell in line]
        cells += [""] * (len(header) - len(cells))
        yield {key: cells[i] for key, i in index.items()}


def _xlsx_lines(table: Path) -> Iterator[Sequence[Any]]:
    openpyxl = load_extra("openpyxl", "train")
    try:
        book = openpyxl.load_workbook(table, read_only=True, data_only=True)
        try:
            yield from book.worksheets[0].iter_rows(values_only=True)
        finally:
            book.close()
    except Exception as error:
        # Whatever a damaged spreadsheet makes openpyxl raise.
        raise DatasetError(f"{table}: cannot be read as a spreadsheet ({error})") from error


def _csv_lines(table: Path) -> Iterator[Sequence[Any]]:
    try:
        text = table.read_text("utf-8-sig")
        yield from csv.reader(text.splitlines())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{table}: cannot be read as .csv in UTF-8 ({error})") from error


def _text(cell: Any) -> str:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell).strip()


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,7}", text) else None
