"""The command `cs3d faces convert-facekit`: the file of the morphable face, made of public ones."""

from __future__ import annotations

import argparse
from typing import Any

from cs3d_ros.errors import Cs3dError

# The command imports what it needs, so that `cs3d --help` does not wait for it.


def add_convert_facekit(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `convert-facekit` to the commands of `cs3d faces`."""
    convert = commands.add_parser(
        "convert-facekit",
        help="make facekit.npz, which rendering needs, of the public ICT-FaceKit",
        description="Make the file of the morphable face that rendered faces come from. Its source "
        "is the public repository ICT-VGL/ICT-FaceKit (MIT licence); clone it first. The same "
        "files make the same bytes.",
    )
    convert.add_argument(
        "folder", metavar="FOLDER", help="clone of the repository, or its folder FaceXModel"
    )
    convert.add_argument("target", metavar="OUT.npz", help="the file to write")
    convert.add_argument(
        "--overwrite", action="store_true", help="replace OUT.npz if it is there already"
    )
    convert.set_defaults(run=_convert)


def _convert(arguments: argparse.Namespace) -> int:
    import numpy as np

    from cs3d_ros.faces.rendering.facekit_import import convert_facekit
    from cs3d_ros.recordings.output import check_target, replaced
    from cs3d_ros.recordings.recording import expanded

    folder, target = expanded(arguments.folder), expanded(arguments.target)
    if target.suffix.lower() != ".npz":
        raise Cs3dError(f"{target}: expected a name that ends in .npz")
    check_target(folder, target, ".npz", arguments.overwrite)
    with replaced(target, arguments.overwrite) as new:
        arrays: dict[str, Any] = convert_facekit(folder)
        try:
            with new.open("xb") as file:
                # The stamps of the entries are those of no clock: same arrays, same bytes.
                np.savez_compressed(file, **arrays)
            size = new.stat().st_size
        except OSError as error:
            raise Cs3dError(f"{target}: cannot be written ({error})") from error
    print(
        f"{target}: {len(arrays['vertices']):,} vertices, {len(arrays['triangles']):,} triangles, "
        f"{len(arrays['expression_names'])} blendshapes, {len(arrays['identity_scale'])} "
        f"components of identity, {size / 1e6:.1f} MB"
    )
    return 0
