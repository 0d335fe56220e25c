"""Point the CMake targets of ROS 2 wheels at this interpreter's headers.

The wheels export targets whose include folders are those of the machine that built them
(`/opt/python/cpXY-…/include/pythonX.Y` and `…/numpy/_core/include`). CMake stops at include
folders that do not exist, so each is replaced by the folder of this interpreter. Run with the
virtual environment's Python; running it again changes nothing.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from pathlib import Path

import numpy

BUILDER_PYTHON = re.compile(r"/opt/[^;\"\s]*/include/python3\.\d+")
BUILDER_NUMPY = re.compile(r"/opt/[^;\"\s]*/numpy/(?:_core|core)/include")


def mend(share: Path) -> int:
    """Rewrite the `.cmake` files below `share`; return how many changed."""
    python_include = sysconfig.get_paths()["include"]
    changed = 0
    for path in share.rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        mended = BUILDER_PYTHON.sub(python_include, text)
        mended = BUILDER_NUMPY.sub(numpy.get_include(), mended)
        if mended != text:
            path.write_text(mended, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    print(f"mended {mend(Path(sys.prefix) / 'share')} CMake files of the ROS wheels")
