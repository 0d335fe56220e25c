import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest

from cs3d_ros.evaluation import words
from cs3d_ros.evaluation.evaluate import Evaluation
from cs3d_ros.evaluation.intervals import Interval
from cs3d_ros.evaluation.messages import Messages
from cs3d_ros.evaluation.plots import calibration_svg, confusion_svg, timeline_svg
from cs3d_ros.evaluation.predictions import Predictions
from cs3d_ros.evaluation.report import as_html, write_report
from cs3d_ros.evaluation.scores import score
from cs3d_ros.evaluation.stream_scores import pool
from cs3d_ros.evaluation.streams import judge

S = 1_000_000_000
LABELS = ("neutral", "happy", "sad")
EVIL = "<script>alert('x')</script>\"&amp;$x^2$"

_VOID = {"meta", "img", "br"}


def some_stream(labels=LABELS, name="test-0", n=40, seconds=0.25):
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet(np.ones(len(labels)), n).astype(np.float32)
    stamps = S + np.round(np.arange(n) * seconds * 1e9).astype(np.int64)
    messages = Messages(labels, stamps, probabilities, S // 2)
    truth = [Interval(2 * S, 4 * S, labels[1]), Interval(5 * S, 6 * S, labels[2])]
    return judge(messages, truth, name=name, light="sufficient", subject=name)


def some_evaluation(labels=LABELS, name="net", provenance=None, **changes):
    rng = np.random.default_rng(0)
    predictions = Predictions(
        labels,
        np.arange(30) % len(labels),
        rng.dirichlet(np.ones(len(labels)), 30).astype(np.float32),
        [f"{name}-{i % 4}" for i in range(30)],
        ["sufficient", "insufficient"] * 15,
        [f"{name}-{i}" for i in range(30)],
        {"intensity": ["full", "micro", name] * 10},
    )
    stream = some_stream(labels, name)
    values = {
        "date": "2026-01-31",
        "model": {
            "name": name,
            "network": "cs3d",
            "options": {name: name},
            "labels": list(labels),
            "representation": name,
            "window_ms": 500.0,
            "bins": 16,
            "size": 112,
            "provenance": {"data": name} if provenance is None else provenance,
        },
        "data": {
            "kind": "data set",
            "name": name,
            "part": "test",
            "parts": ["test", "train"],
            "clips": 30,
            "people": 4,
            "settings": {name: [name]},
        },
        "settings": {
            "hop_ms": 250.0,
            "min_confidence": 0.0,
            "min_messages": 1,
            "smoothing_ms": 0.0,
            "keep_confidence": 1.0,
        },
        "clips": score(predictions),
        "windows": score(predictions),
        "streams": (stream,),
        "pooled": pool([stream]),
    }
    return Evaluation(**{**values, **changes})


class Page(HTMLParser):
    """Tags, texts and sources of pictures; refuses tags that are not closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.sources, self._open = set(), [], [], []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.sources += [v for k, v in attributes if k in ("src", "href")]
        assert not any(key.startswith("on") for key, _ in attributes)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(self.texts)


@pytest.fixture(scope="module")
def page():
    return Page(as_html(some_evaluation()))


def test_it_stands_alone(page):
    assert page.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert not {"script", "link", "iframe", "object"} & page.tags


def test_it_has_a_picture_of_each_kind(page):
    # Confusion, calibration, one timeline.
    assert len(page.sources) == 3
    for source in page.sources:
        svg = base64.b64decode(source.split(",", 1)[1])
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        for element in root.iter():
            for key, value in element.attrib.items():
                if key.endswith("href"):
                    assert value.startswith(("#", "data:image/png;base64,"))


def test_the_numbers_are_those_of_the_evaluation(page):
    evaluation = some_evaluation()
    assert f"{100 * evaluation.clips.accuracy:.1f} %" in page.text
    assert f"{evaluation.pooled.totals.false_alarms_per_min:.2f}" in page.text
    for label in LABELS:
        assert label in page.text


def test_what_comes_from_files_is_escaped():
    labels = ("neutral", EVIL, f"{EVIL} too")
    html = as_html(some_evaluation(labels, EVIL, {EVIL: EVIL}))
    page = Page(html)
    assert "script" not in page.tags
    assert "<script" not in html
    # It is readable all the same, and so is the name of what was evaluated.
    assert EVIL in page.text


def test_the_same_evaluation_makes_the_same_file():
    assert as_html(some_evaluation()) == as_html(some_evaluation())


def test_each_part_may_lack():
    nothing = {"clips": None, "windows": None}
    streams = Page(as_html(some_evaluation(**nothing)))
    assert "Clip by clip" not in streams.text
    assert "Balanced accuracy" not in streams.text
    clips = Page(as_html(some_evaluation(streams=(), pooled=None)))
    assert "Continuous recordings" not in clips.text
    assert "False alarm" not in clips.text


def test_a_recording_without_expressions_has_no_share_and_no_delay():
    messages = some_stream().messages
    stream = judge(messages, [Interval(0, 9 * S, "neutral")], name="quiet")
    data = {"kind": "recording", "name": "quiet"}
    evaluation = some_evaluation(
        clips=None, windows=None, streams=(stream,), pooled=pool([stream]), data=data
    )
    text = Page(as_html(evaluation)).text
    assert "no expression was shown" in text
    assert "nan" not in text.lower().split()


def test_random_weights_and_data_to_train_on_are_told_first():
    evaluation = some_evaluation(provenance={"weights": "random"})
    assert any("never trained" in w for w in words.warnings(evaluation))
    on_train = some_evaluation(data={**evaluation.data, "part": "train"})
    assert any("by heart" in w for w in words.warnings(on_train))
    assert list(words.warnings(some_evaluation())) == []


def test_rendered_faces_are_told():
    rendered = some_evaluation()
    settings = {**rendered.data["settings"], "facekit_sha256": "0"}
    rendered = replace(rendered, data={**rendered.data, "settings": settings})
    assert any("rendered" in c for c in words.caveats(rendered))
    assert not any("rendered" in c for c in words.caveats(some_evaluation()))


def test_a_rule_with_settings_is_told():
    settings = {**some_evaluation().settings, "min_messages": 2}
    assert any("chosen by" in c for c in words.caveats(some_evaluation(settings=settings)))


def test_a_long_provenance_is_cut():
    html = as_html(some_evaluation(provenance={"log": "x" * 100_000}))
    assert len(re.findall("x", html)) < 50_000
    assert "(shortened)" in html


class TestPictures:
    @pytest.mark.parametrize("draw", [confusion_svg, calibration_svg])
    @pytest.mark.parametrize("k", [2, 30])
    def test_few_and_many_classes(self, draw, k):
        labels = tuple(f"class {i}" for i in range(k))
        rng = np.random.default_rng(0)
        predictions = Predictions(
            labels,
            np.arange(60) % k,
            rng.dirichlet(np.ones(k), 60).astype(np.float32),
            ["a"] * 60,
            ["unknown"] * 60,
            ["a"] * 60,
        )
        assert ElementTree.fromstring(draw(score(predictions))).tag.endswith("svg")

    def test_one_message(self):
        stream = some_stream(n=20)
        one = Messages(
            LABELS,
            stream.messages.stamps_ns[8:9],
            stream.messages.probabilities[8:9],
            stream.messages.window_ns,
        )
        scores = judge(one, [Interval(2 * S, 4 * S, "happy")])
        assert timeline_svg(scores).startswith(b"<?xml")

    def test_hours(self):
        """As many strips as for some minutes, each longer."""
        scores = some_stream(n=400, seconds=60.0)
        assert len(timeline_svg(scores)) < 2_000_000


def test_a_folder_that_lacks_is_told(tmp_path):
    from cs3d_ros.errors import Cs3dError

    with pytest.raises(Cs3dError, match="does not exist"):
        write_report(some_evaluation(), tmp_path / "none" / "r.html")
    write_report(some_evaluation(), tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").startswith("<!doctype html>")
