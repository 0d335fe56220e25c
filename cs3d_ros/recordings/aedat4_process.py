"""The process that reads AEDAT4 files for `aedat4.Aedat4Recording`.

    python3 aedat4_process.py FILE

It writes messages to its standard output: one byte for the kind, the length as uint32, the content.
The first DATA message is "width height camera" as text, the others are batches of events as
dv-processing has them: int64 time in µs, int16 x, int16 y, int8 polarity, 3 bytes of padding. END,
with the number of external triggers as text, or ERROR, with a reason, comes last. Run as a file, it
imports nothing of this package.
"""

import resource
import struct
import sys
from pathlib import Path

DATA, END, ERROR = b"D", b"E", b"X"

# What a damaged length may make the library ask for; it needs 0.2 GB as a rule.
_MAX_MEMORY = 2 << 30


def main(path: str) -> None:
    """Read one file and write what is in it."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    try:
        triggers = _send_events(path)
    except BrokenPipeError:
        # The reader has seen enough.
        return
    except Exception as error:
        _send(ERROR, f"{type(error).__name__}: {error}".encode()[:1000])
    else:
        _send(END, f"{triggers}".encode())
    sys.stdout.flush()


def _send_events(path: str) -> int:
    """Send the events and return how many external triggers there are."""
    import dv_processing

    recording = dv_processing.io.MonoCameraRecording(path)
    if not recording.isEventStreamAvailable():
        raise ValueError(f"no stream of events, only {recording.getStreamNames()}")
    resolution = recording.getEventResolution()
    if resolution is None:
        raise ValueError("the size of the sensor is not in it")
    width, height = resolution
    _send(DATA, f"{width} {height} {recording.getCameraName()}".encode())
    while (batch := recording.getNextEventBatch()) is not None:
        _send(DATA, batch.numpy().tobytes())
    count = 0
    if recording.isTriggerStreamAvailable():
        # The others tell when frames begin and end.
        while (triggers := recording.getNextTriggerBatch()) is not None:
            count += sum(trigger.type.name.startswith("EXTERNAL_SIGNAL") for trigger in triggers)
    return count


def _send(kind: bytes, content: bytes) -> None:
    sys.stdout.buffer.write(struct.pack("<cI", kind, len(content)) + content)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    # Run as a file, Python looks for modules first in this folder, where nobody means them.
    sys.path = [folder for folder in sys.path if folder != str(Path(__file__).parent)]
    main(sys.argv[1])
