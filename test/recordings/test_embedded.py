"""The recording that comes with the package."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from cs3d_ros.expressions import EXPRESSIONS, Course
from cs3d_ros.faces.cast import Cast
from cs3d_ros.recordings import EMBEDDED, open_recording, read_labels
from cs3d_ros.recordings.decoded import DecodedPackets
from cs3d_ros.recordings.summary import summarize
from faces_data import facekit_path

MAKER = Path(__file__).parents[2] / "tools" / "make_demo_recording.py"
SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def maker():
    spec = importlib.util.spec_from_file_location("make_demo_recording", MAKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_is_small_enough_to_ship():
    assert sum(path.stat().st_size for path in EMBEDDED.iterdir()) < 4_000_000


def test_decodes_without_loss():
    summary = summarize(EMBEDDED)
    assert (summary.width, summary.height, summary.encoding) == (112, 112, "evt3")
    assert (summary.events, summary.bad_packets, summary.packets_lost) == (93_095, 0, 0)
    assert summary.damage is None


def test_shows_each_of_the_six_once_and_neutral_in_between():
    labels = read_labels(EMBEDDED)
    assert sorted(x.expression for x in labels[1::2]) == sorted(EXPRESSIONS[1:])
    assert {x.expression for x in labels[::2]} == {"neutral"}
    assert len(labels) == 13
    assert [a.end_ns for a in labels[:-1]] == [b.start_ns for b in labels[1:]]
    assert 20 * SECOND <= labels[-1].end_ns - labels[0].start_ns <= 30 * SECOND
    for neutral in labels[::2]:
        assert neutral.end_ns - neutral.start_ns >= SECOND


def test_labels_and_events_are_of_one_clock():
    labels = read_labels(EMBEDDED)
    with open_recording(EMBEDDED) as recording:
        decoded = DecodedPackets(recording)
        for _ in decoded:
            pass
    last_ns = decoded.stream.ros_time_ns(decoded.stream.now_ns)
    assert abs(last_ns - labels[-1].end_ns) < SECOND // 20


def test_shows_what_its_maker_draws(maker):
    """No rendering: just the seed that is found, and what it shows when."""
    from cs3d_ros.faces.acting.performance import draw_stream
    from cs3d_ros.faces.rendering.facekit import load_facekit

    names = load_facekit(facekit_path()).expression_names
    seed = maker.first_seed(names)
    assert seed == 22
    rng = np.random.default_rng(seed)
    _, shown, _ = draw_stream(
        names, rng, duration_s=maker.DURATION_S, frames_per_s=100.0, venue="lab"
    )
    labels = read_labels(EMBEDDED)
    begin_ns = labels[0].start_ns
    found = [(x.expression, x.start_ns - begin_ns, x.end_ns - begin_ns) for x in labels[1::2]]
    assert found == [(name, course.onset_ns, course.offset_ns) for name, course in shown]


def test_the_person_is_none_of_facekit_7(maker):
    cast = Cast(facekit_path(), None, seed=0)
    person = Cast(facekit_path(), None, seed=22).person(maker.SUBJECT)
    # facekit-7 has random-0000 to random-0135 of the seed 0; a few of them will do.
    others = [cast.person(f"random-{n:04d}") for n in (0, 1, 22, 77, 135)]
    assert all(np.abs(person.vertices - other.vertices).mean() > 0.05 for other in others)
    assert not maker.SUBJECT.startswith("random-0")


@pytest.mark.parametrize(
    ("change", "complete"),
    [
        (lambda shown: shown, True),
        (lambda shown: shown[:5], False),
        (lambda shown: [*shown, shown[0]], False),
        (lambda shown: [*shown[:5], ("happy", shown[5][1])], False),
        (lambda shown: [("happy", course(0.0, 0.5)), *shown[1:]], False),
        (lambda shown: [*shown[:5], ("angry", course(27.0, 29.5))], False),
    ],
    ids=["all", "one lacks", "seven", "one twice", "a micro-expression", "until the end"],
)
def test_what_is_complete(maker, change, complete):
    shown = [(name, course(4.0 * n, 4.0 * n + 2.0)) for n, name in enumerate(EXPRESSIONS[1:])]
    assert maker.is_complete(change(shown)) is complete


def course(start_s, stop_s):
    start, stop = round(start_s * SECOND), round(stop_s * SECOND)
    return Course(start, start, None, stop)
