"""The scripts that make the environment."""

import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy
import pytest

ROOT = Path(__file__).parents[1]
NEEDED = ("bash", "dirname", "python3", "c++", "cmake", "make")


def setup_without(tmp_path: Path, missing: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run tools/setup.sh where one command cannot be found."""
    for name in set(NEEDED) - {missing}:
        (tmp_path / name).symlink_to(shutil.which(name) or pytest.skip(f"no {name} here"))
    return subprocess.run(
        ["bash", str(ROOT / "tools" / "setup.sh")],
        env={"HOME": os.environ.get("HOME", "/"), "PATH": str(tmp_path), **env},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("missing", "package"), [("c++", "build-essential"), ("cmake", "cmake"), ("make", "make")]
)
def test_what_is_missing_is_named_with_the_command_that_installs_it(tmp_path, missing, package):
    result = setup_without(tmp_path, missing)
    assert result.returncode == 1
    assert f"'{missing}' was not found" in result.stderr
    assert f"sudo apt-get install -y {package}" in result.stderr


def test_missing_headers_are_named(tmp_path):
    """An interpreter whose include folder has no Python.h."""
    fake = tmp_path / "headless"
    fake.write_text(
        f'#!/bin/sh\n[ "$2" = "${{2#*Python.h}}" ] || exit 1\nexec {sys.executable} "$@"\n'
    )
    fake.chmod(0o755)
    (tmp_path / "bin").mkdir()
    result = setup_without(tmp_path / "bin", "", PYTHON=str(fake))
    assert result.returncode == 1
    assert "Python.h" in result.stderr
    assert f"sudo apt-get install -y python3.{sys.version_info.minor}-dev" in result.stderr


def test_include_folders_of_the_wheels_are_mended_once(tmp_path):
    cmake = tmp_path / "share" / "msgs" / "cmake" / "export.cmake"
    cmake.parent.mkdir(parents=True)
    cmake.write_text(
        'set(x "/opt/python/cp311-cp311/include/python3.11;'
        '/opt/python/cp311-cp311/lib/python3.11/site-packages/numpy/_core/include;${_PREFIX}/y")\n'
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; "
        "from mend_cmake import mend; print(mend(Path(sys.argv[2])), mend(Path(sys.argv[2])))"
    )
    command = [sys.executable, "-c", code, str(ROOT / "tools"), str(tmp_path / "share")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["1", "0"]
    include = sysconfig.get_paths()["include"]
    assert cmake.read_text() == f'set(x "{include};{numpy.get_include()};${{_PREFIX}}/y")\n'


def test_the_command_can_be_imported_by_its_own_worker_processes():
    """Workers that are started anew import the program they belong to, under another name."""
    runpy.run_path(str(ROOT / "scripts" / "cs3d"), run_name="__mp_main__")
