"""Recordings of one format to another."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.recordings import (
    Recording,
    RecordingError,
    open_recording,
    write_csv,
    write_npz,
    write_raw,
    write_recording,
)
from cs3d_ros.recordings.bag_files import EXPRESSION_TYPE, BagFiles
from cs3d_ros.recordings.decoded import DecodedPackets
from cs3d_ros.recordings.labels import LABEL_TOPIC, Label, read_labels
from cs3d_ros.recordings.reencode import Reencoder
from cs3d_ros.recordings.rosbag import DEFAULT_TOPIC

BAG = ""
"""The kind of output that is a rosbag2 folder; the other kinds are suffixes."""

RAW_ENCODINGS = ("evt2", "evt21", "evt21_legacy", "evt3")
"""The encodings that a .raw file can hold."""

_KINDS = (BAG, ".csv", ".npz", ".raw")
# EVT3's coordinates have 11 bits.
_MAX_EVT3_SIDE = 2048
_BAG_FILES = re.compile(r"metadata\.yaml|.*\.(mcap|db3)(\.zstd)?")
_TOPIC = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")


@dataclass(slots=True)
class Conversion:
    """What a conversion has done.

    Attributes:
        kind: `BAG`, ".raw", ".csv" or ".npz".
        packets: Packets written, or decoded into a table.
        events: Events in them; those of packets that stay as they are without being decodable
            do not count.
        encodings_in: Encodings of the source's packets, in the order of appearance.
        encodings_out: Encodings written; empty for .csv and .npz.
        bytes_in: Size of the source on disk.
        bytes_out: Size of the output on disk.
        triggers_lost: External triggers that the output does not hold.
        packets_left_out: Packets that came late or cannot be decoded and are not in the output.
        bad_packets: Packets that cannot be decoded.
        last_error: Why the last of these cannot; empty without any.
        packets_lost: Packets missing in the source by their sequence numbers.
        resets: How often the source starts over.
        events_moved: Events whose time EVT3 cannot say; see `Reencoder`.
    """

    kind: str
    packets: int = 0
    events: int = 0
    encodings_in: list[str] = field(default_factory=list)
    encodings_out: list[str] = field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    triggers_lost: int = 0
    packets_left_out: int = 0
    bad_packets: int = 0
    last_error: str = ""
    packets_lost: int = 0
    resets: int = 0
    events_moved: int = 0

    def remarks(self) -> list[str]:
        """What the user may not expect, as sentences."""
        remarks = []
        if self.triggers_lost:
            remarks.append(
                f"{self.triggers_lost} external triggers are lost: the output holds change events "
                "only"
            )
        if self.packets_left_out:
            remarks.append(f"{self.packets_left_out} late or undecodable packets are left out")
        if self.bad_packets:
            remarks.append(
                f"{self.bad_packets} packets could not be decoded; the last: {self.last_error}"
            )
        if self.events_moved:
            remarks.append(
                f"{self.events_moved} events were out of order by more than evt3 can say and were "
                "moved in time"
            )
        if self.kind == ".raw" and self.packets_lost:
            remarks.append(
                f"{self.packets_lost} packets are missing in the source: a .raw file cannot say "
                "so, and some events after each gap may be misplaced"
            )
        if self.kind != BAG and self.resets:
            effect = (
                "times of different stretches cannot be compared"
                if self.kind == ".raw"
                else "times go on from the last one before"
            )
            remarks.append(f"the source starts over {self.resets} times; in the output {effect}")
        return remarks


def convert(
    source: str | Path,
    target: str | Path,
    *,
    topic: str | None = None,
    out_topic: str = DEFAULT_TOPIC,
    encoding: str | None = None,
    overwrite: bool = False,
) -> Conversion:
    """Write a recording in another format.

    Packets stay as they are where the output can hold them and no other encoding is asked for. From
    bag to bag, labels on /fer/label go with them; other topics do not.

    Sources that have no encoding of their own (.dat, AEDAT4, .csv, .npz) become evt3, if the sensor
    has at most 2048 pixels on a side. What is encoded anew loses external triggers; all but mono
    cut times to µs, and evt3 also says them modulo 2^24 µs, so that the stamps alone keep the date.

    The output appears under its name when it is complete. Memory is bounded by the largest packet,
    other than for .npz.

    Args:
        source: What `open_recording` opens.
        target: What to write, by its suffix: .raw, .csv or .npz; a rosbag2 folder without a suffix
            or with a slash at the end.
        topic: Topic of the event packets; may be left out where there is only one.
        out_topic: Topic in a bag that is written.
        encoding: Encode the packets anew, as this one.
        overwrite: Replace an output that exists.

    Raises:
        RecordingError: The source cannot be read to its end, nothing in it can be decoded, or the
            output exists or cannot be written.
        PacketError: Events that the encoding cannot say.
    """
    kind = _kind(target)
    source, target = Path(source).expanduser(), Path(target).expanduser()
    _check_choices(kind, out_topic, encoding)
    conversion = Conversion(kind)
    with open_recording(source, topic) as recording:
        _check_target(source, target, overwrite)
        with _replaced(target, overwrite) as new:
            packets = _Packets(recording, conversion, encoding)
            if kind == BAG:
                labels = _labels(source) if recording.topic else None
                write_recording(new, packets, topic=out_topic, labels=labels)
            else:
                _WRITERS[kind](new, packets)
            packets.finish()
            conversion.bytes_in = _size(source)
            conversion.bytes_out = _size(new)
    return conversion


def _labels(source: Path) -> list[Label] | None:
    """The labels of a bag; None where it has no topic of them."""
    files = BagFiles(source)
    try:
        has_labels = LABEL_TOPIC in files.topics(EXPRESSION_TYPE)
    finally:
        files.close()
    return read_labels(source) if has_labels else None


_WRITERS = {".csv": write_csv, ".npz": write_npz, ".raw": write_raw}


class _Packets:
    """The packets to write, counted on their way; an error at the end if all had to be left out."""

    def __init__(self, recording: Recording, conversion: Conversion, encoding: str | None) -> None:
        self._conversion = conversion
        self._encoding = encoding
        self._has_topic = bool(recording.topic)
        self._decoded = DecodedPackets(recording)
        self._reencoders: dict[str, Reencoder] = {}

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        stream, conversion = self._decoded.stream, self._conversion
        for log_time_ns, packet, events in self._decoded:
            encoding = self._encoding_of(packet)
            anew = encoding != packet.encoding
            if events is None and (anew or conversion.kind != BAG):
                conversion.packets_left_out += 1
                continue
            _note(conversion.encodings_in, packet.encoding)
            if conversion.kind in (BAG, ".raw"):
                _note(conversion.encodings_out, encoding)
            if anew or conversion.kind in (".csv", ".npz"):
                conversion.triggers_lost += len(stream.triggers)
            conversion.events += 0 if events is None else len(events)
            if not anew or events is None:
                conversion.packets += 1
                yield log_time_ns, packet
                continue
            if encoding not in self._reencoders:
                self._reencoders[encoding] = Reencoder(encoding)
            for new in self._reencoders[encoding].packets(packet, events, stream.epoch):
                conversion.packets += 1
                yield log_time_ns, new
        if conversion.packets_left_out:
            self._decoded.raise_if_all_are_bad()

    def _encoding_of(self, packet: EventPacket) -> str:
        """What to write a packet as."""
        kind, present = self._conversion.kind, packet.encoding
        if self._encoding is not None:
            return self._encoding
        if kind == ".raw":
            return present if present in RAW_ENCODINGS else "evt3"
        # Files without topics come as mono where they have no encoding of their own.
        is_bare = present == "mono" and not self._has_topic
        fits = max(packet.width, packet.height) <= _MAX_EVT3_SIDE
        return "evt3" if kind == BAG and is_bare and fits else present

    def finish(self) -> None:
        """Take over the counters."""
        decoded, conversion = self._decoded, self._conversion
        conversion.bad_packets = decoded.bad_packets
        conversion.last_error = decoded.last_error
        conversion.packets_lost = decoded.stream.counters.packets_lost
        conversion.resets = decoded.stream.counters.resets
        conversion.events_moved = sum(r.moved for r in self._reencoders.values())


def _note(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _kind(target: str | Path) -> str:
    kind = BAG if str(target).endswith(("/", os.sep)) else Path(target).suffix.lower()
    if kind in (".mcap", ".db3"):
        raise RecordingError(
            f"{target}: a bag is written as a rosbag2 folder; leave the suffix {kind!r} out"
        )
    if kind not in _KINDS:
        raise RecordingError(
            f"{target}: cannot write {kind!r}, expected .raw, .csv or .npz, or no suffix for a "
            "rosbag2 folder (with a slash at the end where its name has a dot)"
        )
    return kind


def _check_choices(kind: str, out_topic: str, encoding: str | None) -> None:
    if kind == BAG and not _TOPIC.fullmatch(out_topic):
        raise RecordingError(
            f"{out_topic!r} is not the name of a topic, expected one such as {DEFAULT_TOPIC}"
        )
    if encoding is None:
        return
    if kind in (".csv", ".npz"):
        raise RecordingError(
            f"a {kind} file holds decoded events: leave the encoding {encoding!r} out"
        )
    if kind == ".raw" and encoding not in RAW_ENCODINGS:
        raise RecordingError(
            f"a .raw file cannot hold {encoding!r}, expected one of: {', '.join(RAW_ENCODINGS)}"
        )


def _check_target(source: Path, target: Path, overwrite: bool) -> None:
    if not os.path.lexists(target):
        return
    if not overwrite:
        raise RecordingError(
            f"{target}: exists already; choose another name, or replace it with --overwrite"
        )
    if source.resolve().is_relative_to(target.resolve()):
        raise RecordingError(f"{target}: is what is to be read; choose another name")
    if target.is_dir() and not target.is_symlink():
        strangers = [p.name for p in target.iterdir() if not _BAG_FILES.fullmatch(p.name)]
        if strangers:
            raise RecordingError(
                f"{target}: a folder with other things than a recording ({strangers[0]}), which "
                "is not replaced; choose another name"
            )


@contextmanager
def _replaced(target: Path, overwrite: bool) -> Iterator[Path]:
    """Where to write what becomes `target` when the block ends well, and is removed otherwise."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=f".{target.name[:100]}.", dir=target.parent))
    except OSError as error:
        raise RecordingError(f"{target}: cannot be written ({error})") from error
    try:
        # The name matters: a bag's files are named after their folder.
        new, old = folder / "new" / target.name, folder / "old"
        new.parent.mkdir()
        yield new
        try:
            if os.path.lexists(target):
                if not overwrite:
                    raise RecordingError(f"{target}: has appeared meanwhile; choose another name")
                target.rename(old)
            new.rename(target)
        except OSError as error:
            if os.path.lexists(old):
                old.rename(target)
            raise RecordingError(f"{target}: cannot be written ({error})") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _size(path: Path) -> int:
    """Size on disk in bytes, of a folder with all that is in it."""
    if not path.is_dir():
        return path.stat().st_size
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
