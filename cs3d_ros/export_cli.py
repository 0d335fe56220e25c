"""The command `cs3d export`: a checkpoint as an ONNX file."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

from cs3d_ros.argument_types import path

# The command imports what it needs, so that `cs3d --help` does not wait for torch.

_DESCRIPTION = """\
Write the network of a checkpoint as an ONNX file: one window of float32 numbers to its logits. It
is written only after ONNX Runtime gave the network's logits of a test window from it. The file's
metadata hold the model card and the checkpoint's SHA-256; docs/deployment.md tells more.

`cs3d recognize` and the node need no such file: their engines convert checkpoints themselves."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `export` to the commands of `cs3d`."""
    export = commands.add_parser(
        "export",
        help="write the network of a checkpoint as an ONNX file",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="weights (.safetensors); 'shipped' for those of this package",
    )
    export.add_argument("out", type=path, metavar="OUT.onnx", help="the file to write")
    export.add_argument("--overwrite", action="store_true", help="replace OUT.onnx")
    export.add_argument(
        "--json", action="store_true", help="print the result as one JSON object on stdout"
    )
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    from cs3d_ros.network import checkpoint
    from cs3d_ros.network.classifier import SHIPPED, SHIPPED_WEIGHTS
    from cs3d_ros.network.onnx_file import write_onnx

    file = SHIPPED_WEIGHTS if arguments.checkpoint == SHIPPED else path(arguments.checkpoint)
    network, card = checkpoint.load(file)
    exported = write_onnx(arguments.out, network, card, _sha256(file), arguments.overwrite)
    if arguments.json:
        print(
            json.dumps(
                {
                    "file": str(arguments.out),
                    "bytes": exported.bytes,
                    "opset": exported.opset,
                    "off": exported.off,
                    "checked_by": exported.checked_by,
                }
            )
        )
    else:
        print(
            f"{arguments.out}: {exported.bytes / 1e6:.1f} MB, opset {exported.opset}, off by "
            f"{exported.off:.1g} of the largest logit ({exported.checked_by})"
        )
    return 0


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
