"""Predictions in files: .npz of plain arrays, without pickle.

With them, measures and rules of decision can be changed without running the network again.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cs3d_ros.evaluation.errors import EvaluationError
from cs3d_ros.evaluation.intervals import Interval
from cs3d_ros.evaluation.messages import Messages
from cs3d_ros.evaluation.predictions import Predictions
from cs3d_ros.recordings.output import replaced

SUFFIX = ".npz"
_VERSION = 1


@dataclass(frozen=True, slots=True, eq=False)
class SavedStream:
    """What a network said about a recording, and what was true.

    Attributes:
        messages: What it said.
        intervals: The truth, in the clock of the messages.
        light: Light condition.
        subject: Who it shows.
    """

    messages: Messages
    intervals: tuple[Interval, ...]
    light: str = "unknown"
    subject: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Saved:
    """What one file holds.

    Attributes:
        clips: One window a clip; None where it was not evaluated.
        windows: Windows all over the clips; likewise.
        streams: Recordings by name.
    """

    clips: Predictions | None
    windows: Predictions | None
    streams: Mapping[str, SavedStream]


def save(path: Path, saved: Saved) -> None:
    """Write a file, replacing one that is there.

    Raises:
        RecordingError: It cannot be written.
    """
    arrays: dict[str, np.ndarray] = {"version": np.array(_VERSION)}
    for name, predictions in (("clips", saved.clips), ("windows", saved.windows)):
        if predictions is not None:
            arrays |= _prefixed(name, _of_predictions(predictions))
    arrays["streams"] = _texts(list(saved.streams))
    for position, stream in enumerate(saved.streams.values()):
        arrays |= _prefixed(f"stream{position}", _of_stream(stream))
    with replaced(path, overwrite=True) as new, new.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Saved:
    """Read what `save` wrote. No code is run by it.

    Raises:
        EvaluationError: It cannot be read, or is something else.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            if int(file["version"]) != _VERSION:
                raise EvaluationError(f"{path}: version {file['version']}, expected {_VERSION}")
            of_items = {
                name: _predictions(file, name) if f"{name}/truth" in file else None
                for name in ("clips", "windows")
            }
            names = file["streams"].tolist()
            streams = {name: _stream(file, f"stream{i}") for i, name in enumerate(names)}
    except EvaluationError:
        raise
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error})") from error
    except (KeyError, TypeError, ValueError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise EvaluationError(
            f"{path}: does not hold predictions, or is damaged ({error})"
        ) from error
    return Saved(of_items["clips"], of_items["windows"], streams)


def _prefixed(prefix: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def _texts(texts: Sequence[str]) -> np.ndarray:
    # An empty list would be of floats.
    return np.array(texts, np.str_)


def _of_predictions(predictions: Predictions) -> dict[str, np.ndarray]:
    return {
        "labels": _texts(predictions.labels),
        "truth": predictions.truth,
        "probabilities": predictions.probabilities,
        "subjects": _texts(predictions.subjects),
        "lights": _texts(predictions.lights),
        "names": _texts(predictions.names),
        "groups": _texts(list(predictions.groups)),
        **{f"group/{kind}": _texts(names) for kind, names in predictions.groups.items()},
    }


def _predictions(file: Any, prefix: str) -> Predictions:
    kinds = file[f"{prefix}/groups"].tolist()
    return Predictions(
        labels=tuple(file[f"{prefix}/labels"].tolist()),
        truth=file[f"{prefix}/truth"],
        probabilities=file[f"{prefix}/probabilities"],
        subjects=file[f"{prefix}/subjects"].tolist(),
        lights=file[f"{prefix}/lights"].tolist(),
        names=file[f"{prefix}/names"].tolist(),
        groups={kind: file[f"{prefix}/group/{kind}"].tolist() for kind in kinds},
    )


def _of_stream(stream: SavedStream) -> dict[str, np.ndarray]:
    messages, intervals = stream.messages, stream.intervals
    return {
        "labels": _texts(messages.labels),
        "stamps_ns": messages.stamps_ns,
        "probabilities": messages.probabilities,
        "counts": np.array(
            [messages.window_ns, messages.packets_skipped, messages.packets_lost], np.int64
        ),
        "spans_ns": np.array([(i.start_ns, i.end_ns) for i in intervals], np.int64).reshape(-1, 2),
        "expressions": _texts([i.expression for i in intervals]),
        "intensities": _texts([i.intensity for i in intervals]),
        "about": _texts([stream.light, stream.subject]),
    }


def _stream(file: Any, prefix: str) -> SavedStream:
    window_ns, skipped, lost = file[f"{prefix}/counts"].tolist()
    light, subject = file[f"{prefix}/about"].tolist()
    messages = Messages(
        labels=tuple(file[f"{prefix}/labels"].tolist()),
        stamps_ns=file[f"{prefix}/stamps_ns"],
        probabilities=file[f"{prefix}/probabilities"],
        window_ns=window_ns,
        packets_skipped=skipped,
        packets_lost=lost,
    )
    spans = file[f"{prefix}/spans_ns"].tolist()
    expressions = file[f"{prefix}/expressions"].tolist()
    intensities = file[f"{prefix}/intensities"].tolist()
    intervals = tuple(
        Interval(start, end, expression, intensity)
        for (start, end), expression, intensity in zip(spans, expressions, intensities, strict=True)
    )
    return SavedStream(messages, intervals, light, subject)
