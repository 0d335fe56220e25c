"""Converted networks in files, so that the next start does not wait for the conversion.

A file is the SHA-256 of its content, then the content. Its name says what it was made of. Whatever
is wrong with the folder or a file, the conversion is done again: a cache is never a reason to fail.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import numpy as np

from cs3d_ros.network.engines.engine import EngineRequest

KEPT_FILES = 16
KEPT_BYTES = 2 << 30
"""How many files are kept, of how many bytes: those that were used last."""

_SUFFIX = ".cs3dcache"
_TEMPORARY = ".tmp"
# Nobody writes for so long.
_ABANDONED_S = 3600.0
_CHECKSUM_BYTES = 32

_Opened = TypeVar("_Opened")


def cache_folder() -> Path | None:
    """Return the folder: `$CS3D_CACHE`, or `cs3d_ros` in the user's cache; None without a home."""
    chosen = os.environ.get("CS3D_CACHE")
    base = os.environ.get("XDG_CACHE_HOME", "")
    try:
        if chosen:
            return Path(chosen).expanduser()
        # By its specification, a relative path does not count.
        return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "cs3d_ros"
    except RuntimeError:
        return None


def entry_name(kind: str, request: EngineRequest, *versions: str) -> str:
    """Return the name of the file for what a request is converted to.

    Args:
        kind: What it is, such as `onnx`; the beginning of the name.
        request: Whose network, specification and input shape count.
        *versions: All else that decides what the conversion comes to.
    """
    specification = request.network.specification
    head = {
        "kind": kind,
        "versions": versions,
        "network": specification.name,
        "classes": specification.num_classes,
        "options": dict(specification.options),
        "input": request.input_shape,
    }
    digest = hashlib.sha256(json.dumps(head, sort_keys=True).encode())
    for key, tensor in sorted(request.network.state_dict().items()):
        values = np.ascontiguousarray(tensor.detach().cpu().numpy())
        digest.update(f"\n{key} {values.dtype} {values.shape} ".encode())
        digest.update(values.reshape(-1).view(np.uint8).data)
    return f"{kind}-{digest.hexdigest()}{_SUFFIX}"


def opened(name: str, make: Callable[[], bytes], open_: Callable[[bytes], _Opened]) -> _Opened:
    """Return what the content of an entry opens to; it is made where there is none that opens.

    Args:
        name: From `entry_name`.
        make: Returns the content; its errors are the caller's.
        open_: Opens it. What it raises on content from the cache means that this is of no use; on
            content that was just made, it is the caller's.
    """
    content = _read(name)
    if content is not None:
        with suppress(Exception):
            return open_(content)
    content = make()
    result = open_(content)
    _write(name, content)
    return result


def _read(name: str) -> bytes | None:
    folder = cache_folder()
    if folder is None:
        return None
    path = folder / name
    try:
        status = path.stat()
        # Nothing that waits for a writer, and nothing that somebody else has put there.
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        with path.open("rb") as file:
            checksum, content = file.read(_CHECKSUM_BYTES), file.read()
        if not content or hashlib.sha256(content).digest() != checksum:
            return None
        with suppress(OSError):
            # So that it counts as used.
            os.utime(path)
        return content
    except (OSError, MemoryError):
        return None


def _write(name: str, content: bytes) -> None:
    folder = cache_folder()
    if folder is None:
        return
    temporary: Path | None = None
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, text = tempfile.mkstemp(_TEMPORARY, f".{name}.", folder)
        temporary = Path(text)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        temporary.replace(folder / name)
        temporary = None
        _tidy(folder, name)
    except OSError:
        # No cache, then.
        pass
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _tidy(folder: Path, newest: str) -> None:
    """Remove what was not used for longest, and what others left half written."""
    now = time.time()
    entries = []
    for path in folder.iterdir():
        with suppress(OSError):
            status = path.lstat()
            if path.name.endswith(_SUFFIX) and stat.S_ISREG(status.st_mode):
                entries.append((path.name == newest, status.st_mtime, status.st_size, path))
                continue
            half_written = _SUFFIX in path.name and path.name.endswith(_TEMPORARY)
            if half_written and now - status.st_mtime > _ABANDONED_S:
                path.unlink()
    total = 0
    for place, (is_newest, _, size, path) in enumerate(sorted(entries, reverse=True)):
        total += size
        if not is_newest and (place >= KEPT_FILES or total > KEPT_BYTES):
            with suppress(OSError):
                path.unlink()
