"""Recorded event packets in and out of files, without a ROS installation."""

from collections.abc import Callable
from pathlib import Path

from cs3d_ros.recordings.aedat4 import Aedat4Recording
from cs3d_ros.recordings.dat import DatRecording
from cs3d_ros.recordings.labels import LABEL_TOPIC, Label, read_labels
from cs3d_ros.recordings.npz import NpzRecording, write_npz
from cs3d_ros.recordings.raw import RawRecording
from cs3d_ros.recordings.raw_writer import write_raw
from cs3d_ros.recordings.recording import Recording, RecordingError, expanded
from cs3d_ros.recordings.rosbag import BagRecording, write_recording
from cs3d_ros.recordings.tables import TableRecording, write_csv

__all__ = [
    "EMBEDDED",
    "LABEL_TOPIC",
    "Label",
    "Recording",
    "RecordingError",
    "open_recording",
    "read_labels",
    "write_csv",
    "write_npz",
    "write_raw",
    "write_recording",
]

EMBEDDED = Path(__file__).parents[1] / "demo" / "rendered_face"
"""The recording that comes with the package: a rendered face, 30 s, 112x112, with labels.

tools/make_demo_recording.py makes it.
"""

_KINDS: dict[str, Callable[[Path], Recording]] = {
    ".raw": RawRecording,
    ".dat": DatRecording,
    ".aedat4": Aedat4Recording,
    ".csv": TableRecording,
    ".txt": TableRecording,
    ".npz": NpzRecording,
}


def open_recording(path: str | Path, topic: str | None = None) -> Recording:
    """Open a recording of event packets, of the kind that its suffix tells.

    Use it as a context manager and iterate over (log_time_ns, EventPacket). What a file holds as
    packets is handed out as it is; single events become packets of 4.096 ms with the encoding mono.

    - a folder, .mcap, .db3: rosbag2, also compressed (zstd) where the folder has its metadata.yaml
    - .raw: Prophesee, with EVT3, EVT2 or EVT2.1 events
    - .dat: Prophesee, single events
    - .aedat4: iniVation, single events; needs the library dv-processing
    - .csv, .txt: one event a line; see `tables.TableRecording`
    - .npz: NumPy arrays x, y, t, p; see `npz.NpzRecording`

    Args:
        path: The file or folder.
        topic: Topic of the event packets in a bag; may be left out where there is only one. The
            other kinds have no topics and ignore it.

    Raises:
        RecordingError: There is no such file, it cannot be read, it has no event packets, or it has
            several topics of them and none was chosen.
    """
    # A launch argument such as bag:=~/bags/one reaches us as it is written.
    path = expanded(path)
    if not path.exists():
        raise RecordingError(f"{path}: no such file or folder")
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in (".mcap", ".db3"):
        return BagRecording(path, topic)
    if suffix in _KINDS:
        return _KINDS[suffix](path)
    if suffix == ".zstd":
        raise RecordingError(
            f"{path}: a compressed file of a bag can be read only by its folder with the "
            f"metadata.yaml; decompress it with `zstd -d {path.name}`, or give the folder"
        )
    raise RecordingError(
        f"{path}: unknown kind of recording, expected a rosbag2 folder, an .mcap or .db3 file of "
        f"one, or a file with one of the suffixes {', '.join(sorted(_KINDS))}"
    )
