"""A data set and recordings whose expressions anything can read, and a classifier that does.

What is shown is written in the events: those of class i lie in the ith seventh of the columns.
"""

import numpy as np

from cs3d_ros.datasets.build import Plan, build, shards_of
from cs3d_ros.datasets.clip import Clip
from cs3d_ros.datasets.plan import RecordingPlan
from cs3d_ros.events.encoding import encode_events
from cs3d_ros.events.packets import EventPacket, Events
from cs3d_ros.expressions import EXPRESSIONS, Course
from cs3d_ros.network.card import ModelCard
from cs3d_ros.network.specification import NetworkSpec
from cs3d_ros.recordings import Label, write_recording

MS = 1_000_000
SECOND_NS = 1000 * MS
BEGIN_NS = 1_700_000_000 * SECOND_NS
SIDE = 112
WIDTH = SIDE // 7

STREAM = (
    (0.0, 2.0, "neutral"),
    (2.0, 3.5, "happy"),
    (3.5, 5.0, "neutral"),
    (5.0, 6.5, "angry"),
    (6.5, 8.0, "neutral"),
)
"""What the recordings show, in s."""


class Reader:
    """A classifier that reads the class from the columns of the events, and is sure of it.

    Args:
        labels: Its classes, in its order.
        mistakes: What it says in place of a class.
    """

    name = "reader"

    def __init__(self, labels=EXPRESSIONS, mistakes=None, window_ms=500.0):
        self.labels = tuple(labels)
        self.card = ModelCard(
            name="reader",
            network=NetworkSpec("cs3d", len(labels), {}),
            labels=self.labels,
            representation="on_off_recency",
            window_ms=window_ms,
            provenance={"weights": "none"},
        )
        self.mistakes = dict(mistakes or {})
        self.windows = self.asked = 0

    def predict(self, tensor, shift=None):
        batch = tensor if tensor.ndim == 5 else tensor[None]
        assert batch.dtype == np.float32
        assert batch.shape[1:] == (3, 16, SIDE, SIDE)
        self.windows += len(batch)
        self.asked += 1
        counts = batch[:, :2].sum(axis=(1, 2, 3)).reshape(len(batch), 7, WIDTH).sum(axis=2)
        answers = np.full((len(batch), len(self.labels)), 0.02, np.float32)
        for row, best in zip(answers, counts.argmax(axis=1), strict=True):
            said = self.mistakes.get(EXPRESSIONS[best], EXPRESSIONS[best])
            row[self.labels.index(said)] = 1 - 0.02 * (len(self.labels) - 1)
        return answers if tensor.ndim == 5 else answers[0]


def events_of(rng, expression, begin_ns, end_ns, per_ms=0.4) -> Events:
    n = max(1, int((end_ns - begin_ns) / MS * per_ms))
    first = EXPRESSIONS.index(expression) * WIDTH
    return Events(
        np.sort(rng.integers(begin_ns, end_ns, n)) // 1000 * 1000,
        rng.integers(first, first + WIDTH, n).astype(np.uint16),
        rng.integers(0, SIDE, n).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )


def joined(chunks) -> Events:
    columns = zip(*((e.t_ns, e.x, e.y, e.p) for e in chunks), strict=True)
    return Events(*(np.concatenate(column) for column in columns))


def load(settings, sources):
    return None


def make_clip(context, spec) -> Clip:
    """1 s; the expression is there from 200 to 800 ms."""
    rng = np.random.default_rng(spec["seed"])
    expression = spec["expression"]
    is_neutral = expression == "neutral"
    parts = [("neutral", 0, 200), (expression, 200, 800), ("neutral", 800, 1000)]
    return Clip(
        name=spec["name"],
        events=joined(events_of(rng, e, a * MS, b * MS, 2) for e, a, b in parts),
        width=SIDE,
        height=SIDE,
        duration_ns=SECOND_NS,
        expression=expression,
        subject=spec["subject"],
        light=spec["light"],
        course=None if is_neutral else Course(200 * MS, 400 * MS, 700 * MS, 800 * MS),
        provenance={} if is_neutral else {"intensity": spec["intensity"]},
    )


def stream_packets(shown=STREAM, begin_ns=BEGIN_NS):
    """Packets of 10 ms of what is shown."""
    rng = np.random.default_rng(0)
    spans = [(begin * 1e9, end * 1e9, expression) for begin, end, expression in shown]
    packets = []
    for seq in range(round(spans[-1][1] / 1e7)):
        since, until = seq * 10 * MS, (seq + 1) * 10 * MS
        expression = next(e for a, b, e in spans if a <= since < b)
        time_base, payload = encode_events("mono", events_of(rng, expression, since, until, 1))
        stamp_ns = begin_ns + until
        packet = EventPacket(stamp_ns, "cam", SIDE, SIDE, seq, time_base, "mono", False, payload)
        packets.append((stamp_ns, packet))
    return packets


def stream_labels(shown=STREAM, begin_ns=BEGIN_NS):
    times = [(begin_ns + round(a * 1e9), begin_ns + round(b * 1e9), e) for a, b, e in shown]
    return [Label(begin, begin, end, expression) for begin, end, expression in times]


def write_stream(path, shown=STREAM, labels=STREAM):
    write_recording(
        path, stream_packets(shown), labels=None if labels is None else stream_labels(labels)
    )


def make_recording(context, spec, path):
    write_stream(path)
    return dict(spec)


def some_plan(expressions=EXPRESSIONS, **changes) -> Plan:
    """A test part of 14 clips of three people, a train part of 2, and two recordings."""
    specs = {
        part: [
            {
                "name": f"{part}-{i}",
                "seed": 100 * len(part) + i,
                "expression": expressions[i % len(expressions)],
                "subject": f"{kind}-{part}-{i % 3}",
                "light": ("sufficient", "insufficient")[i % 2],
                "intensity": ("full", "micro")[i // 7 % 2],
            }
            for i in range(n)
        ]
        for part, n, kind in (("test", 14, "photo"), ("train", 2, "random"))
    }
    values = {
        "name": "some",
        "seed": 5,
        "shards": shards_of("test", specs["test"], 7) + shards_of("train", specs["train"], 7),
        "make_clip": make_clip,
        "make_context": load,
        "settings": {"base": 7},
        "sources": {},
        "recordings": [
            RecordingPlan("test-sufficient-0", {"light": "sufficient", "subject": "photo-test-0"}),
            RecordingPlan("train-sufficient-0", {"light": "sufficient", "subject": "x"}),
        ],
        "make_recording": make_recording,
    }
    return Plan(**{**values, **changes})


def built(folder, **changes):
    """Path of a data set made from `some_plan`."""
    build(some_plan(**changes), folder / "set")
    return folder / "set"
