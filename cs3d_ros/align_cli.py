"""The command `cs3d faces align`: the face of a video, cut out, upright and calm."""

from __future__ import annotations

import argparse
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cs3d_ros.errors import Cs3dError

if TYPE_CHECKING:
    from cs3d_ros.faces.alignment.aligned_video import AlignedVideo

# The command imports what it needs, so that `cs3d --help` does not wait for it.


def add_align(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `align` to the commands of `cs3d faces`."""
    align = commands.add_parser(
        "align",
        help="cut the face out of a real video, upright, gray and smoothed over time",
        description="Find the face in every frame of a video, and cut it out upright, in gray and "
        "at the same size. Place, size and tilt of the cut are smoothed over time: aligning each "
        "frame on its own makes contours shake, which an event camera would report. Of several "
        "people the one who is largest for the longest is taken. Needs MediaPipe for landmarks, or "
        "OpenCV below 5 for a box; see the documentation.",
    )
    align.add_argument(
        "video", metavar="VIDEO", help="video file, or folder of numbered pictures of one video"
    )
    align.add_argument(
        "output",
        metavar="OUT.mov",
        help="video of the face: QuickTime with PNG pictures, which keeps every pixel and time",
    )
    align.add_argument(
        "--preview", metavar="P.png", help="also write a sheet of frames and what was cut out"
    )
    align.add_argument(
        "--size", type=int, default=112, metavar="N", help="sides in pixels (default: 112)"
    )
    align.add_argument(
        "--face",
        type=_number,
        default=0.7,
        metavar="F",
        help="width of the face as a share of the picture's (default: 0.7)",
    )
    align.add_argument(
        "--smoothing",
        type=_number,
        default=0.06,
        metavar="S",
        help="seconds over which the cut is smoothed; 0 aligns each frame on its own, inf cuts the "
        "same place out of all (default: 0.06)",
    )
    align.add_argument(
        "--max-gap",
        type=_number,
        default=0.5,
        metavar="S",
        help="seconds without a face that are interpolated (default: 0.5)",
    )
    align.add_argument(
        "--cut",
        action="store_true",
        help="where the face is lost for longer, take the longest stretch with it",
    )
    align.add_argument(
        "--video-rate",
        type=_number,
        metavar="R",
        help="frames per second of VIDEO; needed for a folder, replaces the time stamps of a file",
    )
    align.add_argument(
        "--finder",
        choices=("auto", "mediapipe", "haar"),
        default="auto",
        help="what finds the face: landmarks by MediaPipe, a box by OpenCV below 5 (default: the "
        "first that is installed)",
    )
    align.add_argument("--overwrite", action="store_true", help="replace the outputs if they exist")
    align.set_defaults(run=_align)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, expected one such as 0.5")
    return value


def _align(arguments: argparse.Namespace) -> int:
    from cs3d_ros.extras import load_extra

    load_extra("cv2", "train")
    from cs3d_ros.faces.alignment.align_preview import preview_bytes
    from cs3d_ros.faces.alignment.aligned_video import align
    from cs3d_ros.faces.alignment.alignment import AlignSettings
    from cs3d_ros.faces.alignment.face_file import check_face_file, write_faces
    from cs3d_ros.faces.alignment.landmarks import open_finder
    from cs3d_ros.faces.errors import FaceError
    from cs3d_ros.recordings.output import replaced
    from cs3d_ros.recordings.recording import expanded

    settings = AlignSettings(
        size=arguments.size,
        face_share=arguments.face,
        smoothing_s=arguments.smoothing,
        max_gap_s=arguments.max_gap,
    )
    source, target = expanded(arguments.video), expanded(arguments.output)
    preview = expanded(arguments.preview) if arguments.preview else None
    check_face_file(target)
    if preview is not None and preview.suffix.lower() != ".png":
        raise Cs3dError(f"{preview}: expected a name that ends in .png")
    for path in (target, preview):
        if path is not None:
            _check_free(source, path, arguments.overwrite)
    if preview is not None and preview.resolve().parent == source.resolve():
        raise Cs3dError(f"{preview}: lies among the pictures to be read; choose another folder")
    finder = open_finder(arguments.finder)
    try:
        faces = align(
            source,
            finder,
            settings,
            frame_rate=arguments.video_rate,
            cut=arguments.cut,
        )
    finally:
        finder.close()
    with replaced(target, arguments.overwrite) as new:
        pictures = (picture for _, picture in faces)
        try:
            write_faces(new, faces.alignment.time_s, pictures, faces.frames_per_s)
        except FaceError as error:
            raise FaceError(str(error).replace(str(new), str(target))) from error
    if preview is not None:
        with replaced(preview, arguments.overwrite) as new:
            try:
                new.write_bytes(preview_bytes(faces))
            except OSError as error:
                raise Cs3dError(f"{preview}: cannot be written ({error})") from error
    _tell(faces, finder.name, target)
    if faces.damage is not None:
        raise Cs3dError(f"{faces.damage}; aligned is what could be decoded")
    return 0


def _check_free(source: Path, target: Path, overwrite: bool) -> None:
    """Refuse an output before the video is read for nothing."""
    if not os.path.lexists(target):
        return
    if target.resolve() == source.resolve():
        raise Cs3dError(f"{target}: is the video to be read; choose another name")
    if not target.is_file():
        raise Cs3dError(f"{target}: is not a file and is not replaced; choose another name")
    if not overwrite:
        raise Cs3dError(
            f"{target}: exists already; choose another name, or replace it with --overwrite"
        )


def _tell(faces: AlignedVideo, finder: str, target: Path) -> None:
    from numpy import median

    alignment = faces.alignment
    n = len(alignment)
    duration_s = float(alignment.time_s[-1] - alignment.time_s[0])
    print(f"{faces.path} -> {target}")
    print(
        f"{n} frames, {duration_s:.2f} s, {faces.width}x{faces.height} -> "
        f"{alignment.settings.size}x{alignment.settings.size} pixels"
    )
    print(
        f"face found by {finder} in {alignment.found / n:.1%}, longest gap "
        f"{alignment.longest_gap_s:.2f} s, {alignment.rejected} rejected, median width "
        f"{median(alignment.place[:, 2]):.0f} pixels"
    )
    for remark in faces.remarks:
        print(f"cs3d: {remark}", file=sys.stderr)
