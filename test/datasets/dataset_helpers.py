"""Clips and plans that cost nothing to make."""

import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from cs3d_ros.datasets.build import Plan, RecordingPlan, build, shards_of
from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.engines import choose_engine
from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.encoding import encode_events
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.expressions import EXPRESSIONS, Course

SECOND_NS = 1_000_000_000


def random_events(rng, n, width=112, height=112, duration_ns=SECOND_NS) -> Events:
    return Events(
        np.sort(rng.integers(0, duration_ns, n)),
        rng.integers(0, width, n).astype(np.uint16),
        rng.integers(0, height, n).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )


def some_clip(seed=0, n=500, **changes) -> Clip:
    rng = np.random.default_rng(seed)
    width, height = changes.get("width", 112), changes.get("height", 112)
    values = {
        "name": f"clip-{seed}",
        "events": random_events(rng, n, width, height),
        "width": width,
        "height": height,
        "duration_ns": SECOND_NS,
        "expression": "happy",
        "subject": "someone",
        "light": "sufficient",
        "course": Course(100_000_000, 300_000_000, None, 900_000_000),
        "provenance": {"seed": seed, "how": ["made", 0.5, None]},
    }
    return Clip(**{**values, **changes})


def assert_equal(a: Clip, b: Clip):
    for name in ("t_ns", "x", "y", "p"):
        one, other = getattr(a.events, name), getattr(b.events, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    none = Events.empty()
    without = [replace(clip, events=none) for clip in (a, b)]
    for name in ("name", "width", "height", "duration_ns", "expression", "subject", "light"):
        assert getattr(without[0], name) == getattr(without[1], name)
    assert (a.course, dict(a.provenance)) == (b.course, dict(b.provenance))


# What follows is called by name in worker processes.


def load(settings, sources):
    return settings, sources


def make_clip(context, spec):
    """A clip; `spec` may ask for something else to happen."""
    settings, sources = context
    happens = spec.get("happens")
    if happens and not Path(sources["mended"]).exists():
        HAPPENINGS[happens](spec)
    return some_clip(
        spec["seed"] + settings["base"],
        n=200,
        name=spec["name"],
        expression=spec["expression"],
        subject=spec["subject"],
        light=spec["light"],
    )


def _fail(spec):
    raise Cs3dError(f"no face in {spec['name']}")


def _odd(spec):
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    raise Odd("this", "that")


def _die(spec):
    os.kill(os.getpid(), signal.SIGKILL)


def _wait(spec):
    tempfile.mkdtemp()
    print(f"pid {os.getpid()}", file=sys.stderr, flush=True)
    time.sleep(60)


HAPPENINGS = {"fails": _fail, "odd": _odd, "dies": _die, "waits": _wait}


def make_recording(context, spec, path):
    # Workers start sooner without.
    from cs3d_ros.recordings import write_recording

    rng = np.random.default_rng(spec["seed"])
    events = random_events(rng, 3000)
    packets = []
    for seq, some in enumerate(np.array_split(np.arange(3000), 5)):
        time_base, payload = encode_events("mono", events.take(some))
        stamp_ns = SECOND_NS * 1000 + seq
        packet = EventPacket(stamp_ns, "cam", 112, 112, seq, time_base, "mono", False, payload)
        packets.append((stamp_ns, packet))
    write_recording(path, packets)
    return {"subject": "streamer", "events": 3000}


def some_plan(folder: Path, happens=(), **changes) -> Plan:
    """Two parts of five files and a recording; `happens`: (position in train, what)."""
    specs = {
        part: [
            {
                "name": f"{part}-{i}",
                "seed": 1000 * (part == "test") + i,
                "expression": EXPRESSIONS[i % 7],
                "subject": f"{part}-{i // 7}",
                "light": ("sufficient", "insufficient")[i % 2],
            }
            for i in range(n)
        ]
        for part, n in (("train", 14), ("test", 6))
    }
    for position, what in happens:
        specs["train"][position]["happens"] = what
    values = {
        "name": "some",
        "seed": 5,
        "shards": shards_of("train", specs["train"], 4) + shards_of("test", specs["test"], 4),
        "make_clip": make_clip,
        "make_context": load,
        "settings": {"base": 7, "nested": {"a": [1, 2]}},
        "sources": {"mended": str(folder / "mended")},
        "recordings": [RecordingPlan("stream-0", {"seed": 3})],
        "make_recording": make_recording,
    }
    return Plan(**{**values, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    """All files with what is in them, but for the log."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "build.log.json"
    }


if __name__ == "__main__":
    # A build that a test can interrupt: folder, workers, what happens to clip 9.
    from cs3d_ros.cli import _orderly_end

    folder = Path(sys.argv[1])
    with _orderly_end():
        # The functions by the name that other processes know them by.
        import dataset_helpers

        plan = dataset_helpers.some_plan(folder.parent, happens=[(9, sys.argv[3])])
        build(plan, folder, choose_engine(int(sys.argv[2])))
