"""Recordings of one format to another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cs3d_ros.events.encoding import encodable
from cs3d_ros.events.evt3 import MAX_COORDINATE
from cs3d_ros.events.packets import DecoderCounters, EventPacket
from cs3d_ros.recordings import (
    Recording,
    RecordingError,
    open_recording,
    write_csv,
    write_npz,
    write_raw,
    write_recording,
)
from cs3d_ros.recordings.decoded import DecodedPackets
from cs3d_ros.recordings.labels import has_labels, read_labels
from cs3d_ros.recordings.output import BAG, check_target, kind_of, replaced, size_on_disk
from cs3d_ros.recordings.raw_writer import RAW_ENCODINGS
from cs3d_ros.recordings.recording import expanded
from cs3d_ros.recordings.reencode import Reencoder
from cs3d_ros.recordings.rosbag import DEFAULT_TOPIC

_MAX_EVT3_SIDE = MAX_COORDINATE + 1
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
        labels_lost: Labels of a bag that the output does not hold.
        events_out_of_bounds: Events outside the sensor. This and the next four count in packets
            that are decoded for the output, which does not hold them.
        events_at_jumps: Events of packets that an `EventStream` drops where times fall apart.
        dropped_unsynced: Events and triggers whose time or place is not known.
        reserved_words: Words of a type that the format reserves.
        truncated_bytes: Bytes at the end of payloads that make no whole word.
        packets_left_out: Packets that came late or cannot be decoded and are not in the output.
        bad_packets: Packets that cannot be decoded.
        last_error: Why the last of these cannot; empty without any.
        packets_lost: Packets missing in the source by their sequence numbers.
        resets: How often the source starts over.
        events_moved: Events whose time EVT3 cannot say; see `Reencoder`.
        times_cut: Events whose time is not a whole µs, and is cut to one.
    """

    kind: str
    packets: int = 0
    events: int = 0
    encodings_in: list[str] = field(default_factory=list)
    encodings_out: list[str] = field(default_factory=list)
    bytes_in: int = 0
    bytes_out: int = 0
    triggers_lost: int = 0
    labels_lost: int = 0
    events_out_of_bounds: int = 0
    events_at_jumps: int = 0
    dropped_unsynced: int = 0
    reserved_words: int = 0
    truncated_bytes: int = 0
    packets_left_out: int = 0
    bad_packets: int = 0
    last_error: str = ""
    packets_lost: int = 0
    resets: int = 0
    events_moved: int = 0
    times_cut: int = 0

    def remarks(self) -> list[str]:
        """What the user may not expect, as sentences."""
        remarks = []
        if self.triggers_lost:
            remarks.append(
                f"{self.triggers_lost} external triggers are lost: the output holds change events "
                "only"
            )
        if self.labels_lost:
            remarks.append(f"{self.labels_lost} labels are lost: only a bag can hold them")
        remarks += [
            f"{count} {what} are left out"
            for count, what in (
                (self.events_out_of_bounds, "events off the sensor"),
                (self.events_at_jumps, "events at jumps of the clock"),
                (self.dropped_unsynced, "events before time and place were known"),
                (self.reserved_words, "reserved words"),
                (self.truncated_bytes, "stray bytes"),
            )
            if count
        ]
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
        if self.times_cut:
            remarks.append(
                f"the times of {self.times_cut} events are cut to µs: of the encodings, only mono "
                "says ns"
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
    has at most 2048 pixels on a side. What is encoded anew loses external triggers. All but mono
    cut times to µs; evt3 says them modulo 2^24 µs and evt2 modulo 2^34 µs, so that the stamps alone
    keep the date.

    The output appears under its name when it is complete. Memory is bounded by the largest packet,
    other than for .npz.

    Args:
        source: What `open_recording` opens.
        target: What to write, by its suffix: .raw, .csv or .npz; a rosbag2 folder without a suffix
            or with a slash at the end.
        topic: Topic of the event packets; may be left out where there is only one.
        out_topic: Topic in a bag that is written.
        encoding: Encode the packets that have another one anew, as this one. It must be among
            `encodable()`, for a .raw file evt2 or evt3.
        overwrite: Replace an output that exists; see `output.check_target`.

    Raises:
        RecordingError: The source cannot be read to its end, holds no packets, or none that can be
            decoded or encoded so; or the output exists, cannot be written, or lies within the
            source.
        PacketError: Events that the encoding cannot say.
    """
    kind = kind_of(target)
    source, target = expanded(source), expanded(target)
    _check_choices(kind, out_topic, encoding)
    conversion = Conversion(kind)
    with open_recording(source, topic) as recording:
        check_target(source, target, kind, overwrite)
        with replaced(target, overwrite) as new:
            packets = _Packets(recording, conversion, encoding)
            has = recording.topic and has_labels(source)
            labels = read_labels(source) if has else None
            if kind == BAG:
                write_recording(new, packets, topic=out_topic, labels=labels)
            else:
                conversion.labels_lost = len(labels or ())
                _WRITERS[kind](new, packets)
            packets.finish()
            if not packets.met:
                raise RecordingError(f"{source}: no packets to convert")
            conversion.bytes_in = size_on_disk(source)
            conversion.bytes_out = size_on_disk(new)
    return conversion


_TABLES = (".csv", ".npz")
_WRITERS = {".csv": write_csv, ".npz": write_npz, ".raw": write_raw}


class _Packets:
    """The packets to write, counted on their way; an error at the end if all had to be left out."""

    def __init__(self, recording: Recording, conversion: Conversion, encoding: str | None) -> None:
        self._conversion = conversion
        self._encoding = encoding
        self._has_topic = bool(recording.topic)
        self._decoded = DecodedPackets(recording)
        self._reencoders: dict[str, Reencoder] = {}
        self._words = DecoderCounters()

    @property
    def met(self) -> int:
        """Packets of the source so far."""
        return self._decoded.packets

    def __iter__(self) -> Iterator[tuple[int, EventPacket]]:
        stream, conversion = self._decoded.stream, self._conversion
        is_table = conversion.kind in _TABLES
        for log_time_ns, packet, events in self._decoded:
            encoding = self._encoding_of(packet)
            anew = encoding != packet.encoding
            if anew:
                self._check_encoding(encoding)
            if events is None and (anew or conversion.kind != BAG):
                conversion.packets_left_out += 1
                continue
            _note(conversion.encodings_in, packet.encoding)
            if not is_table:
                _note(conversion.encodings_out, encoding)
            n_events = 0 if events is None else len(events)
            self._count_losses(anew or is_table, n_events)
            conversion.events += n_events
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

    def _check_encoding(self, encoding: str) -> None:
        kind = self._conversion.kind
        choices = [e for e in encodable() if kind == BAG or e in RAW_ENCODINGS]
        if encoding not in choices:
            raise RecordingError(
                f"packets cannot be encoded anew as {encoding!r} for {kind or 'a bag'}, expected "
                f"one of: {', '.join(choices)}"
            )

    def _count_losses(self, is_decoded: bool, n_events: int) -> None:
        """Count what was dropped of a packet, if the output is made of its `n_events` events."""
        conversion, words, before = self._conversion, self._decoded.words, self._words
        if is_decoded:
            conversion.triggers_lost += len(self._decoded.stream.triggers)
            conversion.events_out_of_bounds += words.out_of_bounds - before.out_of_bounds
            conversion.events_at_jumps += words.events - before.events - n_events
            conversion.dropped_unsynced += words.dropped_unsynced - before.dropped_unsynced
            conversion.reserved_words += words.reserved_words - before.reserved_words
            conversion.truncated_bytes += words.truncated_bytes - before.truncated_bytes
        self._words = replace(words)

    def finish(self) -> None:
        """Take over the counters."""
        decoded, conversion = self._decoded, self._conversion
        conversion.bad_packets = decoded.bad_packets
        conversion.last_error = decoded.last_error
        conversion.packets_lost = decoded.stream.counters.packets_lost
        conversion.resets = decoded.stream.counters.resets
        conversion.events_moved = sum(r.moved for r in self._reencoders.values())
        conversion.times_cut = sum(r.cut for r in self._reencoders.values())


def _note(names: list[str], name: str) -> None:
    if name not in names:
        names.append(name)


def _check_choices(kind: str, out_topic: str, encoding: str | None) -> None:
    if kind == BAG and not _TOPIC.fullmatch(out_topic):
        raise RecordingError(
            f"{out_topic!r} is not the name of a topic, expected one such as {DEFAULT_TOPIC}"
        )
    if encoding is not None and kind in _TABLES:
        raise RecordingError(
            f"a {kind} file holds decoded events: leave the encoding {encoding!r} out"
        )
