"""Small files of the kernel's sysfs: a word or a number each."""

import os
import re
from pathlib import Path
from types import TracebackType

_NUMBER = re.compile(rb"(-?\d{1,19})\s*")
# Far above what the files in question hold; the rest of a longer one is not read.
_MAX_BYTES = 64


class SysfsNumber:
    """A file that holds one integer, kept open so that reading it again and again costs little.

    Use it as a context manager, or call `close`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            OSError: It is missing or may not be read.
        """
        self._path = path
        self._file = os.open(path, os.O_RDONLY)

    def read(self) -> int:
        """Return the number that the driver gives now.

        Raises:
            OSError: The driver fails, or its device is gone; names the file.
            ValueError: There is something else in it; names the file.
        """
        try:
            content = os.pread(self._file, _MAX_BYTES, 0)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        return parse_number(content, self._path)

    def close(self) -> None:
        """Close the file. To be called once."""
        os.close(self._file)

    def __enter__(self) -> "SysfsNumber":
        """Return the open file."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def parse_number(content: bytes, path: Path) -> int:
    """Return the decimal integer that is the whole `content` of `path`, but for blanks at its end.

    Raises:
        ValueError: It is none, or has more than 19 digits.
    """
    match = _NUMBER.fullmatch(content)
    if match is None:
        raise ValueError(f"{path} holds {content!r}, not an integer")
    return int(match[1])


def read_word(path: Path) -> str:
    """Return the text of a file, without blanks around it.

    Raises:
        OSError: It is missing or may not be read.
        ValueError: It is empty, too long for a name, or not printable ASCII.
    """
    with path.open("rb") as file:
        content = file.read(_MAX_BYTES)
    text = content.decode("ascii", errors="replace").strip()
    if not text or not text.isascii() or not text.isprintable() or len(content) == _MAX_BYTES:
        raise ValueError(f"{path} holds {content!r}, not a name")
    return text
