"""Numbers and words in small files."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.energy.sysfs import SysfsNumber, parse_number, read_word
from fake_sysfs import open_files, unplug


@pytest.mark.parametrize(
    ("content", "number"),
    [(b"4968\n", 4968), (b"-8\n", -8), (b"0", 0), (b"262143328850\n", 262143328850)],
)
def test_a_number_is_read_with_or_without_the_end_of_its_line(content: bytes, number: int) -> None:
    assert parse_number(content, Path("in1_input")) == number


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b" 5",
        b"5 6",
        b"+5",
        b"1_000",
        b"1e3",
        b"0x10",
        b"1.5",
        b"nan",
        b"9" * 20,
        b"\xff",
    ],
)
def test_anything_else_is_refused_with_its_place(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^in1_input holds b.*, not an integer$"):
        parse_number(content, Path("in1_input"))


@settings(deadline=None)
@given(st.binary() | st.text("0123456789-+_. \n").map(str.encode))
def test_any_content_is_a_whole_number_or_refused(content: bytes) -> None:
    try:
        number = parse_number(content, Path("x"))
    except ValueError:
        return
    assert re.fullmatch(rb"-?[0-9]{1,19}\s*", content)
    assert number == int(content)


def test_an_open_file_is_read_anew_each_time(tmp_path: Path) -> None:
    path = tmp_path / "in1_input"
    path.write_text("1234567\n")
    before = open_files()
    with SysfsNumber(path) as number:
        assert [number.read(), number.read()] == [1234567, 1234567]
        path.write_text("-2\n")
        assert number.read() == -2
    assert open_files() == before


def test_a_file_of_the_kernel_is_read_anew_each_time() -> None:
    path = Path("/proc/sys/kernel/pid_max")
    with SysfsNumber(path) as number:
        assert number.read() == number.read() == int(path.read_text())


def test_an_error_of_the_driver_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "in1_input"
    path.write_text("5\n")
    unplug(monkeypatch)
    with (
        SysfsNumber(path) as number,
        pytest.raises(OSError, match=re.escape(f"No such device: '{path}'")),
    ):
        number.read()


def test_a_folder_is_no_number(tmp_path: Path) -> None:
    with SysfsNumber(tmp_path) as number, pytest.raises(IsADirectoryError):
        number.read()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    before = open_files()
    with pytest.raises(FileNotFoundError):
        SysfsNumber(tmp_path / "in1_input")
    assert open_files() == before


def test_a_word_is_read_without_blanks_around_it(tmp_path: Path) -> None:
    path = tmp_path / "in1_label"
    path.write_text(" sum of shunt voltages\n")
    assert read_word(path) == "sum of shunt voltages"


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"VDD\x00IN\n", b"VDD\x1b[2J\n", "VDD_µ".encode(), b"\xff", b"V" * 9999]
)
def test_what_cannot_be_shown_is_no_word(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "in1_label"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a name") as caught:
        read_word(path)
    assert len(str(caught.value)) < len(os.fspath(path)) + 400
