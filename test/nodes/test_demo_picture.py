import sys

import matplotlib.figure
import matplotlib.image
import matplotlib.text
import numpy as np
import pytest

from cs3d_ros.expressions import EXPRESSIONS, NEUTRAL
from cs3d_ros.nodes import demo_picture
from cs3d_ros.nodes.demo_picture import draw_timeline, event_counts, refusal
from cs3d_ros.nodes.demo_report import Message
from cs3d_ros.recordings import EMBEDDED, read_labels
from cs3d_ros.recordings.plot import PlotError

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def labels():
    return read_labels(EMBEDDED)


def reported(begin_ns, seconds=30.0, step_ns=SECOND // 4, labels=EXPRESSIONS):
    """Every expression in turn."""
    ends = range(begin_ns + SECOND // 2, begin_ns + int(seconds * SECOND), step_ns)
    return [
        Message(
            end - SECOND // 2,
            end,
            labels[n % len(labels)],
            0.7,
            labels,
            tuple(0.7 if i == n % len(labels) else 0.05 for i in range(len(labels))),
            80.0,
        )
        for n, end in enumerate(ends)
    ]


def texts(figure):
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def figure_of(monkeypatch, tmp_path, messages, labels, bag=EMBEDDED):
    """The figure that is written, and the picture as read back."""
    made = []
    save = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda f, *a, **k: (made.append(f), save(f, *a, **k))
    )
    draw_timeline(bag, messages, labels, tmp_path / "x.png")
    return made[0], matplotlib.image.imread(tmp_path / "x.png")


def test_all_is_named_and_true_stretches_are_framed(monkeypatch, tmp_path, labels):
    figure, picture = figure_of(monkeypatch, tmp_path, reported(labels[0].start_ns), labels)
    assert picture.shape[1] == 1600
    said = texts(figure)
    assert {"rendered_face", "true", "reported", *EXPRESSIONS, "ON", "OFF"} <= set(said)
    assert any("expressions right" in text and "118 messages" in text for text in said)
    strips, lanes, _ = figure.axes
    assert sorted(text.get_text() for text in strips.texts) == sorted(EXPRESSIONS[1:])
    frames = [p for p in lanes.patches if p.get_edgecolor() == (0, 0, 0, 1)]
    places = sorted((p.get_x(), p.get_x() + p.get_width()) for p in frames)
    begin_ns = labels[0].start_ns
    true = [((x.start_ns - begin_ns) / SECOND, (x.end_ns - begin_ns) / SECOND) for x in labels]
    np.testing.assert_allclose(places, true)


def test_without_labels_there_is_no_truth(monkeypatch, tmp_path, labels):
    figure, _ = figure_of(monkeypatch, tmp_path, reported(labels[0].start_ns), [])
    said = texts(figure)
    assert "true" not in said
    assert not any("right" in text or "framed" in text for text in said)


def test_one_message_and_unknown_classes_are_drawn(monkeypatch, tmp_path, labels):
    only = reported(labels[0].start_ns, labels=("contempt", "smug"))[:1]
    figure, _ = figure_of(monkeypatch, tmp_path, only, labels)
    assert {"contempt", "smug"} <= set(texts(figure))


def test_names_of_short_stretches_do_not_run_over_their_neighbours(monkeypatch, tmp_path, labels):
    # As if the recording took ten minutes.
    messages = reported(labels[0].start_ns, seconds=600.0, step_ns=5 * SECOND)
    figure, _ = figure_of(monkeypatch, tmp_path, messages, labels)
    assert not figure.axes[0].texts


def test_what_is_reported_does_not_hold_for_ever():
    messages = reported(0, seconds=2.0, step_ns=SECOND // 2)
    silent = [*messages, *reported(8 * SECOND, seconds=1.0)]
    held = list(demo_picture._held(silent))
    assert held[0][:2] == (SECOND // 2, SECOND)
    assert max(stop - start for start, stop, _ in held) <= 600_000_000


def test_the_same_in_a_row_is_one_stretch():
    same = reported(0, seconds=3.0, labels=(NEUTRAL,))
    ((start, stop, expression),) = demo_picture._held(same)
    assert (start, expression) == (SECOND // 2, NEUTRAL)
    assert stop == same[-1].end_ns + 125_000_000


class TestEventCounts:
    def test_every_event_is_in_its_bin(self, labels):
        begin, end = labels[0].start_ns, labels[-1].end_ns
        counts, edges = event_counts(EMBEDDED, begin, end)
        assert counts.shape == (2, len(edges) - 1)
        assert edges[0] == begin
        assert end <= edges[-1] < end + (edges[1] - edges[0])
        # The clock is late by the time that a packet collects events: the last ones fall off.
        assert 0 <= 93_095 - counts.sum() < 200
        calm = counts[:, (edges[:-1] - begin) < 1.0 * SECOND].sum()
        scared = counts[:, ((edges[:-1] - begin) // SECOND) == 11].sum()
        assert scared > 5 * calm > 0

    def test_a_part_and_at_most_600_bins(self, labels):
        begin = labels[0].start_ns
        counts, edges = event_counts(
            EMBEDDED, begin + 11 * SECOND, begin + 11 * SECOND + 45_000_000
        )
        assert (counts.shape, len(edges)) == ((2, 5), 6)
        counts, _ = event_counts(EMBEDDED, begin - 3600 * SECOND, begin + 3600 * SECOND)
        assert counts.shape == (2, 600)


class TestRefusal:
    def test_without_matplotlib_it_says_how_to_get_it(self, monkeypatch, tmp_path):
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        assert "pip install 'cs3d_ros[plot]'" in refusal(tmp_path / "x.png")

    def test_with_it_nothing_is_refused(self, tmp_path):
        assert refusal(tmp_path / "x.png") == ""

    @pytest.mark.parametrize("name", ["x.jpg", "no/x.png"])
    def test_what_could_not_be_written_is_an_error(self, tmp_path, name):
        with pytest.raises(PlotError):
            refusal(tmp_path / name)


def test_colours_are_told_apart(labels):
    """Also by the dichromats that Okabe and Ito chose for: no two are of nearly one colour."""
    from matplotlib.colors import to_rgb

    colours = np.array([to_rgb(demo_picture._colour(e)) for e in EXPRESSIONS])
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2)
    assert distances[~np.eye(7, dtype=bool)].min() > 0.25
