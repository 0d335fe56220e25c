"""The commands `cs3d faces …`: render faces, look at them, cut real ones out of videos."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from cs3d_ros.align_cli import add_align
from cs3d_ros.argument_types import path, positive
from cs3d_ros.errors import Cs3dError
from cs3d_ros.expressions import EXPRESSIONS
from cs3d_ros.facekit_cli import add_convert_facekit
from cs3d_ros.faces.acting.venues import ROBOT, VENUES

if TYPE_CHECKING:
    import numpy as np

    from cs3d_ros.faces.cast import Cast
    from cs3d_ros.faces.sheet import Cell
    from cs3d_ros.faces.take import Take

# Each command imports what it needs, so that `cs3d --help` does not wait for it.

_LIGHTS = ("sufficient", "insufficient")


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `faces` with its commands to the commands of `cs3d`."""
    faces = commands.add_parser(
        "faces",
        help="render faces that show expressions, cut faces out of videos",
        description="Faces for training and trying: rendered ones that show expressions, and real "
        "ones cut out of videos. No ROS needed.",
    )
    of_faces = faces.add_subparsers(required=True, metavar="COMMAND")
    _add_render(of_faces)
    _add_sheet(of_faces)
    add_align(of_faces)
    add_convert_facekit(of_faces)


def _add_render(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    render = commands.add_parser(
        "render",
        help="render a face that shows an expression, as a video or as events",
        description="Render somebody who shows an expression, and all that moves beside it: "
        "blinks, gaze, head, camera, light. The same arguments make the same bytes.",
    )
    render.add_argument(
        "target",
        metavar="OUT",
        help="what to write, by its suffix: .mov is a video (gray, lossless); .raw, .csv, .npz are "
        "events; without one (or with a slash at the end) a rosbag2 folder of events and labels",
    )
    _add_inputs(render)
    render.add_argument(
        "--subject",
        default="random-0",
        metavar="S",
        help="random-N with a number N, or photo-NAME with the name of a photograph (default: "
        "%(default)s)",
    )
    render.add_argument(
        "--expression",
        choices=(*EXPRESSIONS, "all"),
        default="all",
        help="which one; all: one after the other, with pauses (default: %(default)s)",
    )
    render.add_argument(
        "--intensity", choices=("full", "micro"), help="of a single expression (default: drawn)"
    )
    _add_light(render)
    _add_venue(render)
    render.add_argument(
        "--duration",
        type=positive,
        metavar="S",
        help="seconds (default: 2 for a single expression, 30 for all)",
    )
    render.add_argument(
        "--frame-rate",
        type=positive,
        default=100.0,
        metavar="R",
        help="frames rendered in a second (default: 100)",
    )
    render.add_argument(
        "--size", type=int, default=112, metavar="N", help="sides in pixels (default: 112)"
    )
    render.add_argument("--overwrite", action="store_true", help="replace OUT if it is there")
    render.set_defaults(run=_render)


def _add_sheet(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    sheet = commands.add_parser(
        "sheet",
        help="a contact sheet of rendered faces, one row for each expression",
        description="Render several people at the apex of each expression onto one picture, so "
        "that you can judge them. Below each: the events of the 100 ms around the middle of the "
        "onset, ON white and OFF black. These take a minute or two; --no-events is quick.",
    )
    sheet.add_argument("target", metavar="OUT.png", help="picture to write")
    _add_inputs(sheet)
    sheet.add_argument(
        "--people", type=int, default=8, metavar="N", help="faces in a row (default: 8)"
    )
    sheet.add_argument(
        "--expression", choices=EXPRESSIONS, help="one sheet of this expression only, in five rows"
    )
    _add_light(sheet)
    _add_venue(sheet)
    sheet.add_argument("--no-events", action="store_true", help="leave the events out")
    sheet.add_argument("--overwrite", action="store_true", help="replace OUT.png if it is there")
    sheet.set_defaults(run=_sheet)


def _add_inputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--facekit",
        required=True,
        type=path,
        metavar="NPZ",
        help="the morphable face; docs/faces.md tells how to get it",
    )
    parser.add_argument(
        "--photographs",
        type=path,
        metavar="DIR",
        help="folder of photographs with landmarks, for subjects photo-NAME; see docs/faces.md",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")


def _add_venue(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--venue",
        choices=tuple(VENUES),
        default=ROBOT,
        help="robot: people talk, turn and are shaken with the robot's camera; lab: they hold "
        "still before a fixed one (default: %(default)s)",
    )


def _add_light(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--light", choices=_LIGHTS, default="sufficient", help="default: %(default)s"
    )


def _cast(arguments: argparse.Namespace) -> Cast:
    from cs3d_ros.faces.cast import Cast

    if arguments.seed < 0:
        raise Cs3dError(f"a seed of {arguments.seed}, expected a whole number from 0 on")
    return Cast(arguments.facekit, arguments.photographs, arguments.seed)


def _render(arguments: argparse.Namespace) -> int:
    import numpy as np

    from cs3d_ros.extras import load_extra

    load_extra("cv2", "train")
    from cs3d_ros.faces.alignment.face_file import write_faces
    from cs3d_ros.faces.recording import record_take
    from cs3d_ros.faces.take import draw_stream_take, draw_take
    from cs3d_ros.recordings import RecordingError
    from cs3d_ros.recordings.output import check_target, kind_of, replaced
    from cs3d_ros.recordings.recording import expanded

    target = expanded(arguments.target)
    is_video = target.suffix.lower() == ".mov"
    try:
        kind = ".mov" if is_video else kind_of(arguments.target)
    except RecordingError as error:
        raise Cs3dError(f"{error}; a video is written as .mov") from error
    check_target(arguments.facekit, target, kind, arguments.overwrite)
    cast = _cast(arguments)
    rng = np.random.default_rng(arguments.seed)
    how = {
        "frames_per_s": arguments.frame_rate,
        "size": arguments.size,
        "venue": arguments.venue,
    }
    take: Take
    if arguments.expression == "all":
        if arguments.intensity:
            raise Cs3dError("--intensity is for a single --expression")
        take = draw_stream_take(
            cast,
            arguments.subject,
            arguments.light,
            rng,
            duration_s=arguments.duration or 30.0,
            **how,
        )
    else:
        take = draw_take(
            cast,
            arguments.subject,
            arguments.expression,
            arguments.light,
            rng,
            duration_s=arguments.duration or 2.0,
            intensity=arguments.intensity,
            **how,
        )
    with replaced(target, arguments.overwrite) as new:
        if is_video:
            pictures = (np.rint(picture).astype(np.uint8) for _, picture in take.frames())
            write_faces(new, take.motion.time_s, pictures, arguments.frame_rate)
            made = f"{len(take.motion):,} frames"
        else:
            seed = int(rng.integers(2**63))
            made = f"{record_take(take, new, kind, arguments.light, seed):,} events"
    print(f"{target}: {arguments.subject}, {take.motion.time_s[-1]:.2f} s, {made}")
    for expression, course in take.expressions:
        print(
            f"{expression:<10} onset {course.onset_ns * 1e-9:7.3f} s, apex "
            f"{course.apex_ns * 1e-9:7.3f} s, offset {course.offset_ns * 1e-9:7.3f} s"
        )
    return 0


def _sheet(arguments: argparse.Namespace) -> int:
    from cs3d_ros.extras import load_extra

    cv2 = load_extra("cv2", "train")
    from cs3d_ros.faces.sheet import contact_sheet
    from cs3d_ros.recordings.output import check_target, replaced
    from cs3d_ros.recordings.recording import expanded

    target = expanded(arguments.target)
    if target.suffix.lower() != ".png":
        raise Cs3dError(f"{target}: expected a name that ends in .png")
    if not 1 <= arguments.people <= 50:
        raise Cs3dError(f"{arguments.people} people in a row, expected 1 to 50")
    check_target(arguments.facekit, target, ".png", arguments.overwrite)
    cast = _cast(arguments)
    subjects = _mixed(cast, arguments.people)
    captions = [arguments.expression] * 5 if arguments.expression else EXPRESSIONS
    with replaced(target, arguments.overwrite) as new:
        rows = [
            (caption, [_cell(cast, s, caption, arguments, row, i) for i, s in enumerate(subjects)])
            for row, caption in enumerate(captions)
        ]
        encoded: tuple[bool, np.ndarray] = cv2.imencode(".png", contact_sheet(rows))
        try:
            new.write_bytes(encoded[1].tobytes())
        except OSError as error:
            raise Cs3dError(f"{target}: cannot be written ({error})") from error
    print(f"{target}: {len(rows)} rows of {len(subjects)} faces")
    return 0


def _mixed(cast: Cast, count: int) -> list[str]:
    """Photographed people and random ones in turns, as far as there are photographs."""
    photographed = cast.photographed
    some = photographed[:: max(1, len(photographed) // max(1, (count + 1) // 2))]
    some = some[: (count + 1) // 2]
    random = [f"random-{n}" for n in range(count - len(some))]
    mixed = [s for pair in zip(some, random, strict=False) for s in pair]
    return mixed + some[len(random) :] + random[len(some) :]


def _cell(
    cast: Cast, subject: str, expression: str, arguments: argparse.Namespace, row: int, column: int
) -> Cell:
    """The apex of a performance, or the middle of one that has none, and its events."""
    import numpy as np

    from cs3d_ros.faces.sheet import Cell, event_picture, middle_of_onset
    from cs3d_ros.faces.take import draw_take
    from cs3d_ros.simulation.emulator import simulate_frames
    from cs3d_ros.simulation.settings import PRESETS

    rng = np.random.default_rng([arguments.seed, row, column])
    take = draw_take(
        cast,
        subject,
        expression,
        arguments.light,
        rng,
        duration_s=2.0,
        intensity="full",
        venue=arguments.venue,
    )
    course = take.expressions[0][1] if take.expressions else None
    times = take.motion.time_s
    apex = len(times) // 2 if course is None else int(np.searchsorted(times, course.apex_ns * 1e-9))
    picture = take.renderer.frame(take.motion, min(apex, len(times) - 1))
    if arguments.no_events:
        return Cell(picture)
    events = simulate_frames(take.frames(), PRESETS[arguments.light], row)
    at_ns = middle_of_onset(course, round(times[-1] * 1e9))
    height, width = picture.shape
    return Cell(picture, event_picture(events, width, height, at_ns))
