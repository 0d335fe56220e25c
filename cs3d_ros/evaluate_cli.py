"""The command `cs3d evaluate`: how well a network recognises."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cs3d_ros.argument_types import (
    add_decision,
    add_execution,
    decision_of,
    execution_of,
    path,
    positive,
)
from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from pathlib import Path

    from cs3d_ros.evaluation.evaluate import Evaluation
    from cs3d_ros.network.classifier import Classifier

# The command imports what it needs, so that `cs3d --help` does not wait for torch.


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate` to the commands of `cs3d`."""
    evaluate = commands.add_parser(
        "evaluate",
        help="how well a network recognises: on a data set, or on a labelled recording",
        description="Evaluate a network on a part of a data set (its clips and its continuous "
        "recordings), or on one recording with labels. docs/evaluation.md defines every number. "
        'Needs pyarrow, tqdm and, for a report, matplotlib: pip install "cs3d_ros[train,plot]"',
    )
    evaluate.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="weights (.safetensors); 'shipped' for those of this package, 'untrained' for random "
        "ones",
    )
    evaluate.add_argument(
        "data",
        type=path,
        metavar="DATA",
        help="folder of a data set; or a recording: a rosbag2 folder, .mcap, .db3, .raw, .dat, "
        ".aedat4, .csv, .txt or .npz",
    )
    evaluate.add_argument(
        "--labels",
        type=path,
        metavar="CSV",
        help="what the recording shows, with the columns start_s,end_s,expression, in seconds from "
        "its first event (default: the bag's topic /fer/label); for a data set, a folder with a "
        "NAME.csv for each of its recordings",
    )
    _add_what(evaluate)
    _add_rule(evaluate)
    outputs = evaluate.add_argument_group("results")
    outputs.add_argument("--json", type=path, metavar="OUT", help="write all numbers as JSON")
    outputs.add_argument(
        "--report", type=path, metavar="OUT.html", help="write a report that stands alone"
    )
    outputs.add_argument(
        "--predictions", type=path, metavar="OUT.npz", help="write all probabilities"
    )
    add_execution(evaluate, "torch")
    evaluate.add_argument(
        "--batch", type=int, default=8, metavar="N", help="windows at once (default: 8)"
    )
    evaluate.add_argument(
        "--seed", type=int, default=0, help="of the intervals of accuracy (default: 0)"
    )
    evaluate.set_defaults(run=_evaluate)


def _add_what(evaluate: argparse.ArgumentParser) -> None:
    of_dataset = evaluate.add_argument_group("what to evaluate of a data set")
    of_dataset.add_argument("--part", default="test", help="default: test")
    yes_or_no = argparse.BooleanOptionalAction
    of_dataset.add_argument(
        "--clips", action=yes_or_no, default=True, help="one window a clip, where its face moves"
    )
    of_dataset.add_argument(
        "--windows", action=yes_or_no, default=True, help="windows all over the clips"
    )
    of_dataset.add_argument(
        "--window-hop-ms",
        type=positive,
        default=500.0,
        metavar="H",
        help="from one of these windows to the next (default: 500)",
    )
    of_dataset.add_argument(
        "--streams", action=yes_or_no, default=True, help="the part's continuous recordings"
    )


def _add_rule(evaluate: argparse.ArgumentParser) -> None:
    of_stream = evaluate.add_argument_group("continuous recordings")
    of_stream.add_argument("--topic", metavar="T", help="which topic, if several have events")
    of_stream.add_argument(
        "--hop-ms",
        type=positive,
        default=100.0,
        metavar="H",
        help="from one window to the next (default: 100)",
    )
    add_decision(of_stream)


def _evaluate(arguments: argparse.Namespace) -> int:
    _check_outputs(arguments)
    from cs3d_ros.evaluation.saved import Saved, SavedStream, save
    from cs3d_ros.evaluation.summary import as_text, write_json
    from cs3d_ros.network.classifier import Classifier

    classifier = Classifier.from_checkpoint(arguments.checkpoint, **execution_of(arguments))
    evaluation = _evaluated(classifier, arguments)
    print(as_text(evaluation))
    if arguments.json is not None:
        write_json(evaluation, arguments.json)
    if arguments.predictions is not None:
        streams = {
            stream.name: SavedStream(
                stream.messages, stream.intervals, stream.light, stream.subject
            )
            for stream in evaluation.streams
        }
        saved = Saved(evaluation.clip_predictions, evaluation.window_predictions, streams)
        save(arguments.predictions, saved)
    if arguments.report is not None:
        from cs3d_ros.evaluation.report import write_report

        write_report(evaluation, arguments.report)
    return 0


def _evaluated(classifier: Classifier, arguments: argparse.Namespace) -> Evaluation:
    from cs3d_ros.evaluation.evaluate import (
        evaluate_dataset,
        evaluate_recording,
        evaluation_of_recording,
        is_dataset,
    )

    decision = decision_of(arguments)
    if is_dataset(arguments.data):
        return evaluate_dataset(
            classifier,
            arguments.data,
            arguments.part,
            clips=arguments.clips,
            windows=arguments.windows,
            window_hop_ms=arguments.window_hop_ms,
            streams=arguments.streams,
            hop_ms=arguments.hop_ms,
            decision=decision,
            labels=arguments.labels,
            batch=arguments.batch,
            seed=arguments.seed,
            progress=True,
        )
    scores = evaluate_recording(
        classifier,
        arguments.data,
        arguments.labels,
        topic=arguments.topic,
        hop_ms=arguments.hop_ms,
        decision=decision,
        progress=True,
    )
    return evaluation_of_recording(classifier, scores, hop_ms=arguments.hop_ms, decision=decision)


def _check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse what could not be written, before the network runs for minutes.

    Raises:
        Cs3dError: There is no such folder, two results have one name, or matplotlib is missing.
    """
    results: list[Path] = [
        result
        for result in (arguments.json, arguments.report, arguments.predictions)
        if result is not None
    ]
    for result in results:
        if result.is_dir() or not result.absolute().parent.is_dir():
            raise Cs3dError(f"{result}: not a file in an existing folder; make the folder first")
    if len({result.absolute() for result in results}) < len(results):
        raise Cs3dError("two results of one name; give each a name of its own")
    if arguments.report is not None:
        from cs3d_ros.extras import load_extra

        load_extra("matplotlib.figure", "plot")
