"""Feed every decoder with random, structured and mutated packets, and watch what comes out.

    python3 test/fuzz_decoders.py [--packets 100000] [--encoding E] [--seed S]

Prints a line for each encoding. At the first violation it prints how to get there again and ends
with status 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from random import Random

import numpy as np

if __name__ == "__main__":
    # The tree that this file lies in, rather than an installed package.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from cs3d_ros import events as events_room
from cs3d_ros.events.packets import (
    MAX_SENSOR_SIDE,
    Decoder,
    EventPacket,
    Events,
    PacketError,
    Triggers,
    decoder_for,
)
from cs3d_ros.events.stream import EventStream
from fuzz_formats import FORMATS, census, pack

WIDTH, HEIGHT = 64, 48
_SIZES = [
    (WIDTH, HEIGHT),
    (64, 64),
    (1, 1),
    (2048, 2048),
    (MAX_SENSOR_SIDE, MAX_SENSOR_SIDE),
    (346, 260),
]
_NO_SIZES = [(0, HEIGHT), (WIDTH, 0), (4_000_000_000, 5), (8193, 1)]
_START_NS = 1_700_000_000_000_000_000
_STEP_NS = 4_000_000
_YEAR_NS = 365 * 24 * 3600 * 10**9
_MAX_GROWTH_BYTES = 32 << 20
_MAX_SECONDS_PER_PACKET = 30.0


class Violation(Exception):
    """Something that no packet may cause."""


@dataclass
class Tally:
    """What one encoding was fed with and what came of it, at the bare decoder and the stream.

    The seconds are those of the processor.
    """

    encoding: str
    packets: int = 0
    bytes: int = 0
    events: int = 0
    triggers: int = 0
    packet_errors: int = 0
    out_of_bounds: int = 0
    unsynced: int = 0
    skipped: int = 0
    reserved: int = 0
    truncated: int = 0
    stream_events: int = 0
    stream_resets: int = 0
    seconds: float = 0.0

    def line(self) -> str:
        """All of it on one line."""
        values = asdict(self)
        name, seconds = values.pop("encoding"), values.pop("seconds")
        return f"{name:12s} " + " ".join(f"{k}={v}" for k, v in values.items()) + f" {seconds:.1f}s"


def _seed_packets(encoding: str, random: Random) -> list[tuple[int, bytes]]:
    """Time bases and payloads of a scene with a moving bar, most of them short."""
    numbers = np.random.default_rng(random.getrandbits(32))
    seeds = []
    for k in range(40):
        n = 1500 if k % 20 == 0 else int(numbers.integers(0, 60))
        us = np.sort(numbers.integers(0, 4000, n)) + 4000 * k
        x = (k + numbers.integers(0, 3, n)) % WIDTH
        y = np.sort(numbers.integers(0, HEIGHT, n)) if k % 2 else numbers.integers(0, HEIGHT, n)
        columns = us * 1000, x.astype(np.uint16), y.astype(np.uint16), (us & 1).astype(np.uint8)
        seeds.append(pack(encoding, Events(*columns)))
    return seeds


def _mutated(payload: bytes, other: bytes, random: Random) -> bytes:
    """A payload with some of the damage that files and transports do."""
    data = bytearray(payload)
    for _ in range(random.choice([0, 1, 1, 2, 8])):
        if not data:
            break
        at = random.randrange(len(data))
        damage = random.randrange(6)
        if damage <= 1:
            data[at] ^= 1 << random.randrange(8)
        elif damage == 2:
            data[at] = random.choice([0, 0xFF, random.randrange(256)])
        elif damage == 3:
            del data[at : at + random.choice([1, 2, 4, 8, 64, 10_000])]
        elif damage == 4:
            data[at:at] = data[at : at + random.choice([2, 4, 8, 64])]
        else:
            data[at:] = other[at:]
    return bytes(data)


def _payload(encoding: str, seeds: list[tuple[int, bytes]], k: int, random: Random) -> bytes:
    wire = FORMATS[encoding]
    kind = random.random()
    n = random.randrange(400) if random.random() < 0.98 else random.randrange(20_000)
    if kind < 0.25:
        return random.randbytes(n)
    if kind < 0.6:
        words = wire.scatter(random, n // wire.record_bytes)
        return words.astype("<" + wire.word).tobytes() + random.randbytes(random.choice([0, 0, 3]))
    return _mutated(seeds[k % len(seeds)][1], random.choice(seeds)[1], random)


def packets(encoding: str, count: int, random: Random) -> Iterator[EventPacket]:
    """Packets of one camera, more or less, through a transport that spares nothing."""
    seeds = _seed_packets(encoding, random)
    size = WIDTH, HEIGHT
    seq, stamp_ns, base_ns = random.getrandbits(64), _START_NS, _START_NS
    is_bigendian = False
    previous = None
    for k in range(count):
        seq += 1
        stamp_ns += _STEP_NS
        base_ns += _STEP_NS
        jump = random.random()
        if jump < 0.01:
            seq += random.choice([1, 5, -3, -17, -1000, random.getrandbits(64)])
        elif jump < 0.02:
            stamp_ns += random.choice([-(10**6), -2 * 10**9, 11 * 10**9, _YEAR_NS, -_YEAR_NS])
        elif jump < 0.03:
            stamp_ns = random.choice([0, -1, _START_NS, random.getrandbits(63)])
        elif jump < 0.04:
            base_ns += random.choice([-(10**6), 11 * 10**9, 10 * _YEAR_NS, -10 * _YEAR_NS])
        elif jump < 0.05:
            base_ns = random.choice([0, stamp_ns, random.getrandbits(64), (1 << 62) - 5000])
        elif jump < 0.055:
            size = random.choice(_SIZES)
        elif jump < 0.065:
            is_bigendian = not is_bigendian
        elif jump < 0.2:
            stamp_ns = base_ns = _START_NS + k * _STEP_NS
        packet = EventPacket(
            stamp_ns=stamp_ns,
            frame_id="camera",
            width=size[0],
            height=size[1],
            seq=seq % (1 << 64),
            time_base=base_ns % (1 << 64),
            encoding=encoding,
            is_bigendian=is_bigendian,
            payload=_payload(encoding, seeds, k, random),
        )
        fate = random.random()
        if fate < 0.01:
            width, height = random.choice(_NO_SIZES)
            packet = replace(packet, width=width, height=height)
        elif fate < 0.02 and previous is not None:
            packet, previous = previous, packet
        elif fate < 0.03 and previous is not None:
            packet = previous
        else:
            previous = packet
        yield packet


def _require(holds: bool, what: str, *values: object) -> None:
    if not holds:
        # Only now, as most of the time would go into words that nobody reads.
        raise Violation(what.format(*values))


def check_columns(events: Events, triggers: Triggers, width: int, height: int) -> None:
    """Raise `Violation` for events or triggers that no decoder may hand out."""
    columns = events.t_ns, events.x, events.y, events.p
    dtypes = [column.dtype for column in columns]
    _require(dtypes == [np.int64, np.uint16, np.uint16, np.uint8], "events are {}", dtypes)
    _require({c.shape for c in columns} == {(len(events),)}, "columns of different shapes")
    if len(events):
        _require(int(events.x.max()) < width, "x beyond {}", width)
        _require(int(events.y.max()) < height, "y beyond {}", height)
        _require(int(events.p.max()) <= 1, "a polarity neither 0 nor 1")
        _require(abs(int(events.t_ns.max())) <= 1 << 62, "a time out of range")
    edges = triggers.t_ns, triggers.edge, triggers.id
    dtypes = [column.dtype for column in edges]
    _require(dtypes == [np.int64, np.uint8, np.uint8], "triggers are {}", dtypes)
    _require({c.shape for c in edges} == {(len(triggers),)}, "edges of different shapes")
    _require(len(triggers) == 0 or int(triggers.edge.max()) <= 1, "an edge neither 0 nor 1")


def check_clock(before_ns: int | None, now_ns: int | None) -> None:
    """Raise `Violation` for a clock that went back or out of range."""
    if now_ns is None:
        _require(before_ns is None, "now went from {} to None", before_ns)
        return
    _require(abs(now_ns) <= 1 << 62, "now is {}", now_ns)
    _require(
        before_ns is None or now_ns >= before_ns, "now went back from {} to {}", before_ns, now_ns
    )


def decode_checked(decoder: Decoder, packet: EventPacket, width: int, height: int) -> Events:
    """Decode a packet; every event and word of it must be accounted for.

    Raises:
        PacketError: As `Decoder.decode`; then the decoder is as before.
        Violation: Anything else that is wrong.
    """
    before = replace(decoder.counters)
    before_ns = decoder.now_ns
    try:
        events = decoder.decode(packet)
    except PacketError:
        _require(decoder.counters == before, "a refused packet was counted")
        _require(decoder.now_ns == before_ns, "a refused packet moved the clock")
        raise
    check_columns(events, decoder.triggers, width, height)
    check_clock(before_ns, decoder.now_ns)
    found, truncated = census(packet.encoding, bytes(packet.payload), packet.is_bigendian)
    after = decoder.counters
    handed_out = after.events - before.events, after.triggers - before.triggers
    _require(handed_out == (len(events), len(decoder.triggers)), "counted {}", handed_out)
    dropped = after.out_of_bounds - before.out_of_bounds
    dropped += after.dropped_unsynced - before.dropped_unsynced
    _require(
        sum(handed_out) + dropped == found.events,
        "{} handed out and {} dropped of {}",
        sum(handed_out),
        dropped,
        found.events,
    )
    words = (
        after.skipped_words - before.skipped_words,
        after.reserved_words - before.reserved_words,
        after.truncated_bytes - before.truncated_bytes,
    )
    expected = found.skipped, found.reserved, truncated
    _require(words == expected, "skipped, reserved, truncated {}, expected {}", words, expected)
    if len(events):
        _require(decoder.now_ns is not None, "events without a time")
    return events


def _feed_checked(stream: EventStream, packet: EventPacket) -> Events:
    before_ns, epoch = stream.now_ns, stream.epoch
    events = stream.feed(packet)
    check_columns(events, stream.triggers, packet.width, packet.height)
    check_clock(before_ns if stream.epoch == epoch else None, stream.now_ns)
    return events


def _state_bytes(decoder: Decoder) -> int:
    """Memory of a decoder's own arrays, without the triggers that it hands out."""
    return sum(v.nbytes for v in vars(decoder).values() if isinstance(v, np.ndarray))


def _resident_bytes() -> int:
    """Memory of this process; 0 where the system does not tell."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


def fuzz(encoding: str, count: int, seed: int) -> Tally:
    """Feed one encoding's decoder, bare and in a stream, with `count` packets each.

    Raises:
        Violation: The first thing that is wrong, with the way to it.
    """
    random = Random(f"{encoding} {seed}")
    tally = Tally(encoding)
    bare = decoder_for(encoding, WIDTH, HEIGHT)
    stream = EventStream()
    state_bytes = _state_bytes(bare)
    resident_bytes = 0
    begin = time.process_time()
    for k, packet in enumerate(packets(encoding, count, random)):
        start = time.perf_counter()
        try:
            order = random.random()
            if order < 0.02:
                bare.resync()
            elif order < 0.022:
                bare.reset()
                _require(bare.now_ns is None, "a time after reset()")
            try:
                decode_checked(bare, packet, WIDTH, HEIGHT)
            except PacketError:
                tally.packet_errors += 1
            try:
                tally.stream_events += len(_feed_checked(stream, packet))
            except PacketError:
                tally.packet_errors += 1
            seconds = time.perf_counter() - start
            _require(seconds < _MAX_SECONDS_PER_PACKET, "it took {:.1f} s", seconds)
            _require(_state_bytes(bare) == state_bytes, "the decoder's state has grown")
        except Exception as error:
            raise Violation(
                f"{encoding}: {type(error).__name__}: {error}\n"
                f"packet {k} of --encoding {encoding} --seed {seed} --packets {count}\n"
                f"{replace(packet, payload=b'')}\npayload {bytes(packet.payload).hex()}"
            ) from error
        tally.packets += 1
        tally.bytes += len(packet.payload)
        if k == count // 4:
            resident_bytes = _resident_bytes()
    grown = _resident_bytes() - resident_bytes
    _require(grown < _MAX_GROWTH_BYTES, "{}: memory grew by {} bytes", encoding, grown)
    counters = bare.counters
    tally.events, tally.triggers = counters.events, counters.triggers
    tally.out_of_bounds, tally.unsynced = counters.out_of_bounds, counters.dropped_unsynced
    tally.skipped, tally.reserved = counters.skipped_words, counters.reserved_words
    tally.truncated, tally.stream_resets = counters.truncated_bytes, stream.counters.resets
    tally.seconds = time.process_time() - begin
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packets", type=int, default=100_000, help="for each encoding")
    parser.add_argument("--encoding", choices=sorted(FORMATS), help="this one only")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    events_room.warm_up()
    for encoding in [arguments.encoding] if arguments.encoding else sorted(FORMATS):
        try:
            print(fuzz(encoding, arguments.packets, arguments.seed).line(), flush=True)
        except Violation as violation:
            print(violation)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
