"""The commands `cs3d dataset …`: make data sets of labelled clips, look into them, check them."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from cs3d_ros.argument_types import path
from cs3d_ros.faces.acting.venues import LAB, VENUES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cs3d_ros.datasets.manifest import Manifest, PartEntry
    from cs3d_ros.datasets.plan import Plan

# Each command imports what it needs, so that `cs3d --help` does not wait for it.

LICENSED = ("adfes", "casme2", "szu-emodage")

_SHOWN = 10


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `dataset` with its commands to the commands of `cs3d`."""
    dataset = commands.add_parser(
        "dataset",
        help="make data sets of labelled event clips, look into them, check them",
        description="Data sets of labelled event clips to train and to evaluate on. No ROS needed; "
        'needs pyarrow and tqdm: pip install "cs3d_ros[train]"',
    )
    of_dataset = dataset.add_subparsers(required=True, metavar="COMMAND")
    _add_make(of_dataset)

    summary = of_dataset.add_parser("summary", help="what is in a data set")
    summary.add_argument("folder", type=path, metavar="FOLDER", help="the data set")
    summary.add_argument("--json", action="store_true", help="print one JSON object")
    summary.set_defaults(run=_summary)

    check = of_dataset.add_parser(
        "check", help="compare all files of a data set with their checksums"
    )
    check.add_argument("folder", type=path, metavar="FOLDER", help="the data set")
    check.set_defaults(run=_check)


def _add_make(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    make = commands.add_parser(
        "make",
        help="make a data set",
        description="Make a data set, or go on with one that was interrupted: the same command "
        "again. The same arguments give the same bytes, whoever does the work.",
    )
    which = make.add_subparsers(required=True, metavar="SET")

    facekit7 = which.add_parser(
        "facekit-7",
        help="the benchmark of rendered faces: seven classes, two light conditions, streams",
        description="Render people who show seven expressions, and see them by an event camera. "
        "Train, validation and test have different people.",
    )
    _add_output(facekit7)
    _add_faces(facekit7, clips=3500)
    facekit7.add_argument(
        "--more-clips",
        type=int,
        default=0,
        metavar="N",
        help="further clips to train on; validation and test stay the same",
    )
    facekit7.add_argument(
        "--more-people",
        type=int,
        default=0,
        metavar="N",
        help="further random people to train on",
    )
    facekit7.add_argument(
        "--stream-s",
        type=float,
        default=180.0,
        metavar="S",
        help="length of the continuous streams; 0 for none (default: 180)",
    )
    facekit7.add_argument(
        "--streams",
        type=int,
        default=2,
        metavar="N",
        help="streams of the test part in each light condition; the validation part has half as "
        "many (default: 2)",
    )
    facekit7.add_argument(
        "--venue",
        choices=tuple(VENUES),
        default=LAB,
        help="lab: people hold still before a fixed camera, as in databases of posed expressions; "
        "robot: they talk, turn and are shaken with the robot's camera (default: %(default)s)",
    )
    facekit7.set_defaults(run=_make_facekit7)

    beyond = which.add_parser(
        "facekit-7-beyond",
        help="to test what facekit-7 does not train: another style, other recipes, another camera",
        description="Render the test people of the facekit-7 of the same seed in ways that it "
        "never uses. Parts: style (drawn as a cartoon), recipe (other action units for each "
        "expression), camera (another event camera) and all (the three together).",
    )
    _add_output(beyond)
    _add_faces(beyond, clips=560)
    beyond.set_defaults(run=_make_beyond)

    for name in LICENSED:
        licensed = which.add_parser(
            name,
            help="from the folder that its owners hand out under a licence",
            description="Turn a licensed set into event clips: aligned faces, seen by an event "
            "camera. docs/datasets.md tells the layout of the folder, and which of its labels are "
            "taken. Needs MediaPipe, docs/alignment.md tells how to install it.",
        )
        licensed.add_argument("source", metavar="SOURCE", type=path, help="the set's folder")
        _add_output(licensed)
        licensed.add_argument("--seed", type=int, default=0, help="default: %(default)s")
        licensed.add_argument(
            "--light",
            default="sufficient",
            choices=("sufficient", "insufficient", "clean"),
            help="the event camera's preset (default: %(default)s)",
        )
        licensed.add_argument(
            "--every-label",
            action="store_true",
            help="take clips with labels beside the seven expressions as well, as the paper does",
        )
        licensed.set_defaults(run=_make_licensed, name=name)


def _add_faces(parser: argparse.ArgumentParser, clips: int) -> None:
    parser.add_argument(
        "--facekit", required=True, type=path, metavar="NPZ", help="morphable face; docs/faces.md"
    )
    parser.add_argument(
        "--photographs",
        type=path,
        metavar="DIR",
        help="photographs with landmarks (docs/faces.md); without them all people are random",
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--clips",
        type=int,
        default=clips,
        metavar="N",
        help="number of clips (default: %(default)s)",
    )
    parser.add_argument(
        "--clip-s", type=float, default=2.0, metavar="S", help="length of a clip (default: 2)"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", type=path, help="folder for the data set")
    parser.add_argument(
        "--workers",
        type=int,
        default=0,
        metavar="N",
        help="processes on this machine (default: one a core)",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="let the workers of a running Dask scheduler do it, such as tcp://host:8786; the "
        "inputs have to lie at the same paths on their machines; needs "
        'pip install "cs3d_ros[cluster]"',
    )


def _make_facekit7(arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.facekit7 import Facekit7, make_plan

    plan = make_plan(
        Facekit7(
            facekit=arguments.facekit.absolute(),
            photographs=arguments.photographs.absolute() if arguments.photographs else None,
            seed=arguments.seed,
            clips=arguments.clips,
            more_clips=arguments.more_clips,
            more_people=arguments.more_people,
            clip_s=arguments.clip_s,
            stream_s=arguments.stream_s,
            streams=arguments.streams,
            venue=arguments.venue,
        )
    )
    return _build(plan, arguments)


def _make_beyond(arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.beyond import Beyond, make_plan

    plan = make_plan(
        Beyond(
            facekit=arguments.facekit.absolute(),
            photographs=arguments.photographs.absolute() if arguments.photographs else None,
            seed=arguments.seed,
            clips=arguments.clips,
            clip_s=arguments.clip_s,
        )
    )
    return _build(plan, arguments)


def _make_licensed(arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.licensed import list_sources
    from cs3d_ros.datasets.licensed_set import make_plan

    folder = arguments.source.absolute()
    sources = list_sources(arguments.name, folder, every_label=arguments.every_label)
    for reason, count in sources.left_out.items():
        print(f"cs3d: left out {count} clips: {reason}", file=sys.stderr)
    _tell("cannot use", [f"{path}: {reason}" for path, reason in sources.skipped])
    plan = make_plan(arguments.name, folder, sources, seed=arguments.seed, light=arguments.light)
    return _build(plan, arguments)


def _tell(what: str, items: Sequence[str]) -> None:
    """Say on stderr what happened to the first items, and to how many more."""
    for item in items[:_SHOWN]:
        print(f"cs3d: {what} {item}", file=sys.stderr)
    if len(items) > _SHOWN:
        print(f"cs3d: {what} {len(items) - _SHOWN} more", file=sys.stderr)


def _build(plan: Plan, arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.build import build
    from cs3d_ros.datasets.engines import GO_ON, choose_engine

    engine = choose_engine(arguments.workers, arguments.cluster)
    try:
        manifest = build(plan, arguments.out, engine)
    except KeyboardInterrupt:
        print(f"cs3d: {arguments.out}: interrupted; {GO_ON}", file=sys.stderr)
        raise
    print(arguments.out)
    print(_as_text(manifest))
    _tell("skipped", [f"a clip of {skip.part}: {skip.reason}" for skip in manifest.skipped])
    return 0


def _summary(arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.dataset import open_dataset

    manifest = open_dataset(arguments.folder).manifest
    if arguments.json:
        print(manifest.to_json(), end="")
    else:
        print(arguments.folder)
        print(_as_text(manifest))
    return 0


def _as_text(manifest: Manifest) -> str:
    totals = manifest.totals
    lines = [
        f"{manifest.name}, seed {manifest.seed}: {totals['clips']:,} clips, "
        f"{totals['duration_ns'] * 1e-9:,.0f} s, {totals['events']:,} events, "
        f"{totals['bytes'] * 1e-6:,.1f} MB; {totals['recordings']} recordings, "
        f"{totals['skipped']} clips skipped",
        f"{'part':<12}{'clips':>7}{'people':>8}{'events':>15}  classes",
    ]
    lines += [_part_as_text(*part, manifest.labels) for part in manifest.parts.items()]
    lines += [f"recordings/{recording.name}" for recording in manifest.recordings]
    return "\n".join(lines)


def _part_as_text(name: str, part: PartEntry, labels: Sequence[str]) -> str:
    shown = {label: part.expressions.get(label, 0) for label in labels}
    classes = ", ".join(f"{label} {count}" for label, count in shown.items() if count)
    return f"{name:<12}{part.clips:>7,}{len(part.subjects):>8}{part.events:>15,}  {classes}"


def _check(arguments: argparse.Namespace) -> int:
    from cs3d_ros.datasets.dataset import open_dataset

    dataset = open_dataset(arguments.folder)
    dataset.verify()
    print(f"{arguments.folder}: all {len(dataset.manifest.files)} files are as they were made")
    return 0
