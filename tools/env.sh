# Source this file (bash) for the environment in which the package runs.
#
# With a sourced ROS 2 installation that environment is the ROS one plus .venv for what ROS does not
# bring (torch, numba, ...). Without one, ROS 2 itself comes as wheels in .venv. CS3D_ENV=ros or
# CS3D_ENV=wheels forces the choice. Sets CS3D_ENV and CS3D_ROOT.

if [ -z "${BASH_VERSION:-}" ]; then
  echo "tools/env.sh works in bash only; start one first: bash" >&2
  return 1
fi

CS3D_ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export CS3D_ROOT

if [ -z "${CS3D_ENV:-}" ]; then
  if [ -n "${ROS_DISTRO:-}" ] && [ -n "${AMENT_PREFIX_PATH:-}" ]; then
    CS3D_ENV=ros
  else
    CS3D_ENV=wheels
  fi
fi
export CS3D_ENV

case ":$PATH:" in
  *":$CS3D_ROOT/.venv/bin:"*) ;;
  *) PATH="$CS3D_ROOT/.venv/bin:$PATH" ;;
esac
export PATH VIRTUAL_ENV="$CS3D_ROOT/.venv"

if [ "$CS3D_ENV" = wheels ]; then
  export ROS_VERSION=2 ROS_PYTHON_VERSION=3 ROS_DISTRO=jazzy RMW_IMPLEMENTATION=rmw_fastrtps_cpp
  export AMENT_PREFIX_PATH="$VIRTUAL_ENV" CMAKE_PREFIX_PATH="$VIRTUAL_ENV"
fi

if [ -f "$CS3D_ROOT/install/local_setup.bash" ]; then
  # colcon's script reads variables that may be unset.
  case $- in *u*) set +u; . "$CS3D_ROOT/install/local_setup.bash"; set -u ;;
    *) . "$CS3D_ROOT/install/local_setup.bash" ;;
  esac
fi
