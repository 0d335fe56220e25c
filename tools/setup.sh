#!/usr/bin/env bash
# Make everything that the package needs in order to run from this checkout: .venv, the pinned
# Python packages and, with colcon, the messages. What is in place already is left alone.
# `setup.sh bench` adds the packages that the benchmarks compare with.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}"

say() { printf '\033[1m== %s\033[0m\n' "$*"; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# --- what only the system can give -------------------------------------------------------------
need() {  # need COMMAND PACKAGE: fail with the command that installs it
  command -v "$1" >/dev/null 2>&1 ||
    fail "'$1' was not found. Install it and run make again: sudo apt-get install -y $2"
}
need "$python" "python3 python3-venv python3-dev"
"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' ||
  fail "$("$python" --version) was found, Python 3.10 to 3.14 is needed. Name another one: make PYTHON=python3.12"
version="$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"
"$python" -c 'import ensurepip, venv' 2>/dev/null ||
  fail "this Python cannot make virtual environments: sudo apt-get install -y $version-venv"
"$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' ||
  fail "Python's headers were not found (Python.h of $("$python" --version)): sudo apt-get install -y $version-dev"
need c++ build-essential
need cmake cmake
need make make

# --- .venv --------------------------------------------------------------------------------------
. tools/env.sh
hash -r

stamp() { cat "$@" | cksum | cut -d' ' -f1; }
inputs=(requirements/base.txt requirements/constraints.txt)
[ "$CS3D_ENV" = ros ] || inputs+=(requirements/extras.txt requirements/no-deps.txt requirements/ros-wheels.txt)
# Everything that .venv and the built messages depend on; paths are written into both.
wanted="$CS3D_ENV ${ROS_DISTRO:-} $PWD $("$python" -c 'import sys; print(sys.version, sys.base_prefix)' | tr '\n' ' ') $(stamp "${inputs[@]}" tools/mend_cmake.py)"

if [ "$(cat .venv/cs3d-stamp 2>/dev/null)" != "$wanted" ]; then
  say "making .venv ($CS3D_ENV); the first time this takes some minutes"
  rm -rf .venv build install log
  if [ "$CS3D_ENV" = wheels ] && [ "$(uname -m)" != x86_64 ]; then
    fail "ROS 2 as wheels exists for x86_64 only, this is $(uname -m). Install ROS 2 (on Ubuntu for arm64 by apt) and source its setup.bash first"
  fi
  if [ "$CS3D_ENV" = ros ]; then
    # rclpy and cv_bridge of the ROS installation were built against its NumPy: keep that one.
    "$python" -m venv --system-site-packages .venv
    grep -vE '^(numpy|numba|llvmlite|opencv-python-headless|PyYAML)==' requirements/constraints.txt > .venv/constraints.txt
    grep -vE '^(opencv-python-headless|PyYAML)$' requirements/base.txt > .venv/requirements.txt
    "$python" -c 'import numpy; print(f"numpy=={numpy.__version__}")' >> .venv/constraints.txt
    # A torch that is there already, such as NVIDIA's on a Jetson, is the one for this machine.
    if "$python" -c 'import torch' 2>/dev/null; then
      sed -i '/^torch==/d' .venv/constraints.txt
    fi
    .venv/bin/python -m pip install -q --disable-pip-version-check \
      -c .venv/constraints.txt -r .venv/requirements.txt
  else
    "$python" -m venv .venv
    .venv/bin/python -m pip install -q --disable-pip-version-check \
      -c requirements/constraints.txt -r requirements/base.txt -r requirements/extras.txt \
      -r requirements/ros-wheels.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps \
      -r requirements/no-deps.txt
    .venv/bin/python tools/mend_cmake.py
  fi
  printf '%s' "$wanted" > .venv/cs3d-stamp
fi
if [ "${1:-}" = bench ]; then
  wanted="$(stamp requirements/bench.txt requirements/constraints.txt)"
  if [ "$(cat .venv/cs3d-bench-stamp 2>/dev/null)" != "$wanted" ]; then
    say "adding packages to compare with"
    constraints=requirements/constraints.txt
    [ "$CS3D_ENV" = ros ] && constraints=.venv/constraints.txt
    .venv/bin/python -m pip install -q --disable-pip-version-check \
      -c "$constraints" -r requirements/bench.txt
    printf '%s' "$wanted" > .venv/cs3d-bench-stamp
  fi
fi
# On PATH wherever tools/env.sh is sourced.
ln -sf ../../scripts/cs3d .venv/bin/cs3d
need colcon python3-colcon-common-extensions

# --- messages and package -----------------------------------------------------------------------
build() {  # build NAME PATH: colcon build of one package
  local log
  say "building $1"
  log="$(mktemp)"
  if ! colcon build --merge-install --symlink-install --base-paths "$2" --packages-select "$1" \
      --event-handlers console_direct+ --cmake-args -DPython3_EXECUTABLE="$VIRTUAL_ENV/bin/python3" \
      -DBUILD_TESTING=OFF > "$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    fail "colcon build of $1 failed; its output is above"
  fi
  rm -f "$log"
  . tools/env.sh
}

# Ours, once begun, has to be finished; one that is installed elsewhere is left alone.
if [ ! -f install/event_camera_msgs-stamp ] && { [ -d build/event_camera_msgs ] ||
    ! .venv/bin/python -c 'import event_camera_msgs.msg' 2>/dev/null; }; then
  build event_camera_msgs interfaces/event_camera_msgs
  touch install/event_camera_msgs-stamp
fi

# Symlinked: edited Python needs no build. Changed interfaces and new or removed files do.
wanted="$( { cat msg/*.msg CMakeLists.txt package.xml; find cs3d_ros config launch scripts -type f -not -path '*/__pycache__/*' | sort; } | cksum)"
if [ "$(cat install/cs3d-stamp 2>/dev/null)" != "$wanted" ]; then
  build cs3d_ros .
  printf '%s' "$wanted" > install/cs3d-stamp
fi
