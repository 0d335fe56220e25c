"""What all recordings have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.packets import MAX_SENSOR_SIDE, EventPacket

SLICE_NS = 4_096_000
"""How much sensor time one packet of a file without packets holds, in ns; EVT3's TIME_HIGH."""

LAST_ROS_TIME_NS = (1 << 31) * 1_000_000_000 - 1
"""The last moment that ROS time can say, in the year 2038."""


class RecordingError(Cs3dError):
    """A recording that cannot be opened, read on or written."""


class Recording(Protocol):
    """An open recording: a context manager, and an iterable of (log_time_ns, EventPacket).

    Each iteration starts at the beginning. It raises RecordingError where the file is damaged,
    after the packets before.

    Attributes:
        topic: Topic of the packets; empty where the format has none.
        topics: All topics with event packets.
    """

    topic: str
    topics: tuple[str, ...]

    def __enter__(self) -> "Recording":
        """Keep the recording open for a `with` block."""

    def __exit__(self, *exception: object) -> None:
        """Close it."""

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        """The packets with the times at which they were recorded, in the order of these times."""

    def close(self) -> None:
        """Release the files; closing twice does no harm."""


class FileRecording(ABC):
    """A file without topics that each iteration opens anew; see `Recording`.

    A derived class says how to iterate.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.topic = ""
        self.topics: tuple[str, ...] = ()

    def __enter__(self) -> "FileRecording":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def __iter__(self) -> Iterator[tuple[int, EventPacket]]: ...

    def close(self) -> None:  # noqa: B027
        """Do nothing: no file is open between iterations."""

    @contextmanager
    def open_file(self) -> Iterator[BinaryIO]:
        """The file, open for reading.

        Raises:
            RecordingError: It cannot be opened, or not be read within the block.
        """
        try:
            with self.path.open("rb") as file:
                yield file
        except OSError as error:
            raise RecordingError(f"{self.path}: cannot be read ({error})") from error


def expanded(path: str | Path) -> Path:
    """The path with a leading ~ or ~user replaced by that home folder.

    Raises:
        RecordingError: There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise RecordingError(
            f"{path}: no home folder to put for the ~ ({error}); write the whole path, or ./~ for "
            "a file whose name begins so"
        ) from error


@contextmanager
def new_file(path: str | Path) -> Iterator[BinaryIO]:
    """A new file, open for writing; where the block fails, nothing of it is left.

    Raises:
        RecordingError: The file exists already or cannot be written.
    """
    path = expanded(path)
    try:
        with path.open("xb") as file:
            try:
                yield file
            except BaseException:
                path.unlink()
                raise
    except FileExistsError as error:
        raise RecordingError(f"{path}: exists already; choose another name") from error
    except OSError as error:
        raise RecordingError(f"{path}: cannot be written ({error})") from error


def checked_size(path: Path, width: int, height: int) -> tuple[int, int]:
    """A sensor's size as a file declares it.

    Raises:
        RecordingError: A size that no sensor has.
    """
    if not (0 < width <= MAX_SENSOR_SIDE and 0 < height <= MAX_SENSOR_SIDE):
        raise RecordingError(
            f"{path}: a sensor of {width}x{height} pixels, expected 1 to {MAX_SENSOR_SIDE} on each "
            "side; the file is damaged, or its header wrong"
        )
    return width, height


def checked_stamp(path: Path, stamp_ns: int) -> int:
    """A packet's stamp in ns since the epoch.

    Raises:
        RecordingError: ROS time cannot say it.
    """
    if not 0 <= stamp_ns <= LAST_ROS_TIME_NS:
        raise RecordingError(
            f"{path}: a time of {stamp_ns} ns since the epoch, expected 0 to {LAST_ROS_TIME_NS} "
            "as ROS has it; the file is damaged, or its times are of another unit"
        )
    return stamp_ns
