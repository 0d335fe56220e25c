"""Recorded event packets in and out of files, without a ROS installation."""

from pathlib import Path

from cs3d_ros.recordings.raw import RawRecording
from cs3d_ros.recordings.recording import Recording, RecordingError
from cs3d_ros.recordings.rosbag import BagRecording, write_recording

__all__ = ["EMBEDDED", "Recording", "RecordingError", "open_recording", "write_recording"]

EMBEDDED = Path(__file__).parents[1] / "demo" / "drawn_face"
"""The recording that comes with the package: a drawn face, 6 s, 320x240, 1499 packets."""


def open_recording(path: str | Path, topic: str | None = None) -> Recording:
    """Open a recording of event packets.

    Use it as a context manager and iterate over (log_time_ns, EventPacket).

    Args:
        path: A rosbag2 folder (sqlite3 or mcap), one .mcap or .db3 file of one, or a Prophesee
            .raw file with EVT3 events.
        topic: Topic of the event packets in a bag; may be left out where there is only one. A .raw
            file has no topics and ignores it.

    Raises:
        RecordingError: There is no such file, it cannot be read, it has no event packets, or it has
            several topics of them and none was chosen.
    """
    # A launch argument such as bag:=~/bags/one reaches us as it is written.
    path = Path(path).expanduser()
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    if path.is_dir() or path.suffix in (".mcap", ".db3"):
        return BagRecording(path, topic)
    if path.suffix == ".raw":
        return RawRecording(path)
    raise RecordingError(
        f"{path}: unknown kind of recording, expected a rosbag2 folder, an .mcap or .db3 file of "
        "one, or a Prophesee .raw file"
    )
