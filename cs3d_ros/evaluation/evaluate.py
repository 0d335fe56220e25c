"""Evaluation of a network on a data set or on a recording."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cs3d_ros import __version__
from cs3d_ros.datasets.clip import LIGHTS
from cs3d_ros.datasets.dataset import Dataset, open_dataset
from cs3d_ros.datasets.folder import UNFINISHED
from cs3d_ros.datasets.manifest import MANIFEST
from cs3d_ros.decision import Decision
from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.intervals import (
    Interval,
    check_expressions,
    intervals_of_csv,
    intervals_of_topic,
)
from cs3d_ros.evaluation.messages import Messages, recognize
from cs3d_ros.evaluation.predictions import (
    INTENSITIES,
    Predictions,
    label_columns,
    predict_clips,
    predict_windows,
)
from cs3d_ros.evaluation.scores import Scores, check_seed, score
from cs3d_ros.evaluation.stream_scores import Pooled, StreamScores, pool
from cs3d_ros.evaluation.streams import judge
from cs3d_ros.expressions import NEUTRAL
from cs3d_ros.recognizer import DEFAULT_HOP_MS
from cs3d_ros.recordings import LABEL_TOPIC
from cs3d_ros.recordings.recording import expanded

if TYPE_CHECKING:
    from cs3d_ros.events.activity import ActivitySettings
    from cs3d_ros.events.roi import Roi
    from cs3d_ros.network.classifier import Classifier

DEFAULT_WINDOW_HOP_MS = 500.0
"""From one window of a clip to the next, where windows all over the clips are evaluated."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All that was measured of one network on one set of data.

    Attributes:
        date: Day of the evaluation, such as "2026-01-31".
        model: The network's card, as JSON can hold it.
        data: What it was evaluated on: kind ("data set" or "recording"), name, and for a data set
            its part, seed, settings, and the number of clips and people.
        settings: How it was evaluated: version of this package, hops, the rule of decision.
        clips: One window a clip; None where not asked for.
        windows: Windows all over the clips; None where not asked for.
        streams: Each continuous recording.
        pooled: All of them together; None where there are none.
        clip_predictions, window_predictions: What `clips` and `windows` were computed from.
    """

    date: str
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    clips: Scores | None = None
    windows: Scores | None = None
    streams: tuple[StreamScores, ...] = ()
    pooled: Pooled | None = None
    clip_predictions: Predictions | None = None
    window_predictions: Predictions | None = None


def is_dataset(path: Path) -> bool:
    """Whether a path is a folder of a data set, finished or not, rather than a recording."""
    return (path / MANIFEST).exists() or (path / UNFINISHED).is_dir()


def evaluate_dataset(
    classifier: Classifier,
    dataset: Path,
    part: str = "test",
    *,
    clips: bool = True,
    windows: bool = True,
    window_hop_ms: float = DEFAULT_WINDOW_HOP_MS,
    streams: bool = True,
    hop_ms: float = DEFAULT_HOP_MS,
    decision: Decision | None = None,
    labels: Path | None = None,
    batch: int = 8,
    seed: int = 0,
    date: str | None = None,
    progress: bool = False,
) -> Evaluation:
    """Evaluate a network on one part of a data set, and on the recordings of that part.

    Recordings of a part are those whose names begin with its name and a hyphen.

    Args:
        classifier: The network; its card says window length, bins, size,
            representation and noise filter.
        dataset: Folder of the data set.
        part: Which part.
        clips: Whether to evaluate clip by clip, one window each; see `predict_clips`.
        windows: Whether to evaluate windows all over the clips; see `predict_windows`.
        window_hop_ms: From one of those windows to the next.
        streams: Whether to evaluate the continuous recordings.
        hop_ms: From one window to the next in these.
        decision: The rule that makes messages of probabilities; None: the most probable label.
        labels: Folder with a file NAME.csv for each recording, to be taken in place of its labels;
            see `intervals_of_csv`. It can say intensities, which label topics do not hold.
        batch: Windows of clips that the network sees at once.
        seed: Of the drawing of people for intervals, not negative.
        date: Day of the evaluation; None: today.
        progress: Whether to show progress bars on stderr.

    Raises:
        EvaluationError: Other classes than the network's, an empty part or one of a single class,
            labels that cannot be used, or nothing to evaluate.
        Cs3dError: The data cannot be read.
    """
    check_seed(seed)
    opened = open_dataset(dataset)
    entry = opened.part(part).entry
    label_columns(classifier.labels, opened.labels)
    recordings = _recordings(opened, part) if streams else {}
    if (clips or windows) and sum(count > 0 for count in entry.expressions.values()) < 2:
        shown = ", ".join(label for label, count in entry.expressions.items() if count)
        raise EvaluationError(
            f"{dataset}: the part {part!r} shows {shown or 'nothing'}: accuracy needs clips of two "
            "or more classes; choose another part, or leave out clips and windows"
        )
    if not (clips or windows or recordings):
        raise EvaluationError(
            f"{dataset}: nothing to evaluate in the part {part!r}: clips and windows are left out, "
            f"and no recording's name begins with {part}-"
        )
    # All labels before the network has its say, which takes long.
    truths = {
        name: _Truth.read(classifier.labels, path, labels / f"{name}.csv")
        if labels
        else _Truth.read(classifier.labels, path).with_intensities(info, name)
        for name, (path, info) in recordings.items()
    }
    of_clips = of_windows = None
    if clips:
        of_clips = predict_clips(classifier, opened.part(part), batch=batch, progress=progress)
    if windows:
        of_windows = predict_windows(
            classifier, opened.part(part), hop_ms=window_hop_ms, batch=batch, progress=progress
        )
    found = tuple(
        truths[name].judged(
            recognize(classifier, path, hop_ms=hop_ms, progress=progress),
            decision,
            name=name,
            light=_light(info),
            subject=str(info.get("subject", "")),
        )
        for name, (path, info) in recordings.items()
    )
    manifest = opened.manifest
    data = {
        "kind": "data set",
        "name": manifest.name,
        "part": part,
        "parts": list(opened.parts),
        "clips": entry.clips,
        "people": len(entry.subjects),
        "seed": manifest.seed,
        "plan": manifest.plan,
        "settings": dict(manifest.settings),
    }
    return Evaluation(
        date=date or datetime.date.today().isoformat(),
        model=describe_model(classifier),
        data=data,
        settings={
            "cs3d_ros": __version__,
            "hop_ms": hop_ms,
            "window_hop_ms": window_hop_ms if windows else None,
            "seed": seed,
            **(decision or Decision()).settings(),
        },
        clips=score(of_clips, seed) if of_clips else None,
        windows=score(of_windows, seed) if of_windows else None,
        streams=found,
        pooled=pool(found) if found else None,
        clip_predictions=of_clips,
        window_predictions=of_windows,
    )


def evaluate_recording(
    classifier: Classifier,
    path: Path,
    labels: Path | None = None,
    *,
    topic: str | None = None,
    label_topic: str = LABEL_TOPIC,
    hop_ms: float = DEFAULT_HOP_MS,
    decision: Decision | None = None,
    roi: Roi | ActivitySettings | None = None,
    light: str = "unknown",
    subject: str = "",
    progress: bool = False,
) -> StreamScores:
    """Evaluate a network on a continuous recording.

    Args:
        classifier: The network; its card says window length, bins, size,
            representation and noise filter.
        path: Whatever `open_recording` reads.
        labels: CSV file with the truth, see `intervals_of_csv`; None: the recording is a bag that
            has it as a topic.
        topic: Topic of the event packets, if there are several.
        label_topic: Topic of the labels.
        hop_ms: From one window to the next.
        decision: The rule that makes messages of probabilities; None: the most probable label.
        roi: As for `recognize`.
        light: Light condition of the recording, one of `LIGHTS`.
        subject: Who it shows.
        progress: Whether to show a progress bar on stderr.

    Raises:
        EvaluationError: No labels, overlapping ones, labels that the network does not know or that
            lie outside of the recording; or a recording too short.
        RecordingError: Recording or labels cannot be read.
    """
    path = expanded(path)
    truth = _Truth.read(classifier.labels, path, labels, label_topic)
    messages = recognize(classifier, path, topic=topic, hop_ms=hop_ms, roi=roi, progress=progress)
    return truth.judged(messages, decision, name=path.name, light=light, subject=subject)


@dataclass(frozen=True, slots=True)
class _Truth:
    """What a recording shows; times from its first event, or in the clock of its packets."""

    intervals: list[Interval]
    from_first_event: bool

    @staticmethod
    def read(
        known: Sequence[str], path: Path, labels: Path | None = None, topic: str = LABEL_TOPIC
    ) -> _Truth:
        if labels is not None:
            intervals = intervals_of_csv(labels)
        elif path.is_file() and path.suffix.lower() not in (".mcap", ".db3"):
            raise EvaluationError(
                f"{path}: a file of this kind has no labels with it; give them as a CSV file with "
                "the columns start_s,end_s,expression by --labels"
            )
        else:
            intervals = intervals_of_topic(path, topic)
        check_expressions(intervals, known, str(labels or path))
        return _Truth(intervals, labels is not None)

    def with_intensities(self, info: Mapping[str, Any], name: str) -> _Truth:
        """With those that a data set's manifest has for its expressions, if it has any."""
        if "intensities" not in info:
            return self
        given = info["intensities"]
        shown = [interval.expression != NEUTRAL for interval in self.intervals]
        is_list = isinstance(given, list) and all(one in INTENSITIES for one in given)
        if not is_list or len(given) != sum(shown):
            raise EvaluationError(
                f"{name}: its intensities in the manifest, {given!r:.80}, are not one of "
                f"{' or '.join(INTENSITIES)} for each of its {sum(shown)} expressions; make the "
                "data set again"
            )
        rest = iter(given)
        intervals = [
            replace(interval, intensity=next(rest)) if is_shown else interval
            for interval, is_shown in zip(self.intervals, shown, strict=True)
        ]
        return replace(self, intervals=intervals)

    def judged(
        self, messages: Messages, decision: Decision | None, *, name: str, light: str, subject: str
    ) -> StreamScores:
        by_ns = messages.begin_ns if self.from_first_event else 0
        truth = [interval.moved(by_ns) for interval in self.intervals]
        return judge(messages, truth, decision, name=name, light=light, subject=subject)


def evaluation_of_recording(
    classifier: Classifier,
    scores: StreamScores,
    *,
    hop_ms: float = DEFAULT_HOP_MS,
    decision: Decision | None = None,
    date: str | None = None,
) -> Evaluation:
    """The scores of one recording as an evaluation, for JSON and report.

    Args:
        classifier: The network that they are of.
        scores: From `evaluate_recording`.
        hop_ms: As given there.
        decision: As given there.
        date: Day of the evaluation; None: today.
    """
    return Evaluation(
        date=date or datetime.date.today().isoformat(),
        model=describe_model(classifier),
        data={"kind": "recording", "name": scores.name},
        settings={"cs3d_ros": __version__, "hop_ms": hop_ms, **(decision or Decision()).settings()},
        streams=(scores,),
        pooled=pool([scores]),
    )


def describe_model(classifier: Classifier) -> dict[str, Any]:
    """The network's card as JSON can hold it."""
    card = classifier.card
    return {
        "name": card.name,
        "network": card.network.name,
        "options": dict(card.network.options),
        "labels": list(card.labels),
        "representation": card.representation,
        "background_activity_us": card.background_activity_us,
        "window_ms": card.window_ms,
        "bins": card.bins,
        "size": card.size,
        "provenance": dict(card.provenance),
    }


def _recordings(dataset: Dataset, part: str) -> dict[str, tuple[Path, Mapping[str, Any]]]:
    """Path and info of each recording of a part, by name."""
    paths = dataset.recordings
    return {
        entry.name: (paths[entry.name], entry.info)
        for entry in dataset.manifest.recordings
        if entry.name.startswith(f"{part}-")
    }


def _light(info: Mapping[str, Any]) -> str:
    light = info.get("light")
    return light if light in LIGHTS else "unknown"
