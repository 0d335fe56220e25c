"""The files of a training run: each is replaced as a whole, none is ever unpickled.

`settings.json` says what the run is, `state.safetensors` holds all that going on takes,
`checkpoint.safetensors` the best network so far, `metrics.csv` one row an epoch.
"""

from __future__ import annotations

import csv
import fcntl
import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize

from cs3d_ros.training.errors import TrainingError
from cs3d_ros.training.settings import MACHINE_FIELDS

SETTINGS = "settings.json"
STATE = "state.safetensors"
CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.csv"
FAILED = "failed-batch.safetensors"
LOGS = "logs"

_FORMAT = "cs3d_ros training state"
_VERSION = "1"
_SHOWN = 8

Tensors = dict[str, torch.Tensor]


class RunFolder:
    """The folder of one run; see `open_run`.

    Attributes:
        path: The folder.
        identity: What the run is: settings, data set, first weights.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any], resume: bool) -> None:
        self.path = path
        self.identity = identity
        present = {p.name for p in path.iterdir() if not p.name.startswith(".")}
        if SETTINGS in present:
            self._check_same_run(resume)
        elif present:
            names = ", ".join(sorted(present)[:_SHOWN])
            raise TrainingError(f"{path}: holds something else ({names}); choose a new folder")
        self.write_json(SETTINGS, identity)

    def _check_same_run(self, resume: bool) -> None:
        path = self.path / SETTINGS
        if not resume:
            raise TrainingError(
                f"{self.path}: holds a training run; go on with it, remove it, or choose another "
                "folder"
            )
        try:
            before = json.loads(path.read_bytes())
            if not isinstance(before, dict):
                raise ValueError("no JSON object")
        except (OSError, ValueError) as error:
            raise TrainingError(
                f"{path}: cannot be read ({error}); remove {self.path} to begin again"
            ) from None
        found = differences(before, self.identity)
        if found:
            more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            raise TrainingError(
                f"{self.path}: holds a run that was begun otherwise: "
                f"{'; '.join(found[:_SHOWN])}{more}. Choose another folder, or use what it was "
                "begun with"
            )

    def write(self, name: str, content: bytes) -> None:
        """Write a file so that it is there whole or not at all.

        Raises:
            TrainingError: It cannot be written.
        """
        _write(self.path / name, content)

    def write_json(self, name: str, content: object) -> None:
        """Write a file of JSON; see `write`."""
        self.write(name, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())

    def write_metrics(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Write the table of all epochs."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self.write(METRICS, text.getvalue().encode())

    def write_state(self, tensors: Tensors, progress: Mapping[str, Any]) -> None:
        """Write all that going on takes.

        Args:
            tensors: Weights and the optimizer's.
            progress: How far it is; anything that JSON holds.
        """
        header = {
            "format": _FORMAT,
            "version": _VERSION,
            "run": self._run(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "sha256": _checksum(tensors),
            "progress": json.dumps(progress, allow_nan=False),
        }
        self.write(STATE, serialize(tensors, header))

    def read_state(self, like: Mapping[str, torch.Tensor]) -> tuple[Tensors, dict[str, Any]] | None:
        """What `write_state` wrote; None before the end of the first epoch.

        Args:
            like: Tensors of the names, shapes and dtypes that have to be in it.

        Raises:
            TrainingError: The file is damaged or of another run.
        """
        path = self.path / STATE
        if not path.exists():
            return None
        again = f"remove {self.path} to begin again"
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118
            if (header.get("format"), header.get("version")) != (_FORMAT, _VERSION):
                raise TrainingError(f"{path}: is not a training state of this package; {again}")
            if header.get("run") != self._run():
                raise TrainingError(f"{path}: is of another run than {SETTINGS} there; {again}")
            if header.get("sha256") != _checksum(tensors):
                raise TrainingError(f"{path}: is damaged (its checksum is wrong); {again}")
            progress = json.loads(header["progress"])
            if not isinstance(progress, dict):
                raise ValueError("no progress")
        except (SafetensorError, OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{path}: is damaged ({error}); {again}") from None
        wrong = [
            key
            for key in sorted(like.keys() | tensors.keys())
            if key not in like
            or key not in tensors
            or (tensors[key].shape, tensors[key].dtype) != (like[key].shape, like[key].dtype)
        ]
        if wrong:
            raise TrainingError(
                f"{path}: does not fit the network ({len(wrong)} tensors, first {wrong[0]:.80}); "
                f"{again}"
            )
        return tensors, progress

    def _run(self) -> str:
        lasting = json.dumps(_lasting(self.identity), sort_keys=True)
        return hashlib.sha256(lasting.encode()).hexdigest()


@contextmanager
def open_run(path: Path, identity: Mapping[str, Any], resume: bool) -> Iterator[RunFolder]:
    """Take hold of the folder of a run; no other run can meanwhile.

    Args:
        path: New, empty, or of the same run.
        identity: What the run is, as JSON holds it.
        resume: Whether to go on with a run that is there; refuse it otherwise.

    Raises:
        TrainingError: The folder cannot be made or written, holds something else or another run,
            or a run is at work in it.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise TrainingError(
            f"{path}: cannot be used ({error.strerror}); give a folder that can be written"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise TrainingError(f"{path}: another training is at work in it") from None
        yield RunFolder(path, identity, resume)
    finally:
        os.close(handle)


def write_failed(out: Path, rank: int, tensors: Tensors, what: Mapping[str, Any]) -> Path:
    """Write a batch that broke the run, with what is known of it, and say where it is.

    Raises:
        TrainingError: It cannot be written.
    """
    path = out / (FAILED if rank == 0 else f"{Path(FAILED).stem}-{rank}.safetensors")
    _write(path, serialize(tensors, {"failure": json.dumps(what)}))
    return path


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].numpy().tobytes())
    return digest.hexdigest()


def differences(before: Any, now: Any, name: str = "") -> list[str]:
    """What is different in two pieces of JSON, each as a text; where it runs is none."""
    if isinstance(before, dict) and isinstance(now, dict):
        if not name:
            before, now = _lasting(before), _lasting(now)
        keys = sorted(before.keys() | now.keys())
        parts = [
            differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
            for key in keys
        ]
        return [text for part in parts for text in part]
    return [] if before == now else [f"{name} was {json.dumps(before)}, is {json.dumps(now)}"]


def _lasting(identity: Mapping[str, Any]) -> dict[str, Any]:
    settings = identity.get("settings")
    if not isinstance(settings, dict):
        return dict(identity)
    kept = {key: value for key, value in settings.items() if key not in MACHINE_FIELDS}
    return {**identity, "settings": kept}


def _write(target: Path, content: bytes) -> None:
    new = target.with_name(f".{target.name}.new")
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(target)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        raise TrainingError(
            f"{target}: cannot be written ({error.strerror}); make room or choose a folder that "
            "can be written, then go on with the same command"
        ) from error
