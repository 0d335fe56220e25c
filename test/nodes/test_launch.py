"""The launch files, for real, wherever there is a launch system to run them."""

import importlib.util
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from cs3d_ros.msg import EnergyStamped, ExpressionStamped
from graph import DEACTIVATE, Graph

pytest.importorskip("launch_ros", reason="launch_ros comes with a ROS 2 installation only")
if shutil.which("ros2") is None:
    pytest.skip("no ros2 command", allow_module_level=True)

LAUNCH = Path(__file__).parents[2] / "launch"


def ros2_launch(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["ros2", "launch", "cs3d_ros", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@pytest.mark.parametrize("name", ["fer", "replay"])
def test_every_argument_is_described(name):
    from launch import LaunchContext

    specification = importlib.util.spec_from_file_location(name, LAUNCH / f"{name}.launch.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    arguments = module.generate_launch_description().get_launch_arguments()
    assert LaunchContext()
    assert arguments
    for argument in arguments:
        assert argument.description
        assert argument.description != "no description given", argument.name


def test_replay_recognises_in_a_namespace_and_ends(graph: Graph, drawn_face: Path):
    expressions = graph.collect(ExpressionStamped, "/robot/fer/expression")
    energy = graph.collect(EnergyStamped, "/robot/fer/energy")
    launch = ros2_launch(
        "replay.launch.py",
        f"bag:={drawn_face}",
        "device:=cpu",
        "namespace:=robot",
    )
    assert graph.spin_until(lambda: launch.poll() is not None)
    output = launch.stdout.read()
    assert launch.returncode == 0, output
    assert expressions, output
    assert energy, output
    assert "Traceback" not in output


def test_replay_ends_when_there_is_no_model(graph: Graph, drawn_face: Path):
    launch = ros2_launch("replay.launch.py", f"bag:={drawn_face}", "model:=/no/such/model")
    output, _ = launch.communicate(timeout=60)
    assert "/no/such/model" in output
    assert "Traceback" not in output


def test_fer_becomes_active_and_stays_as_it_is_put(graph: Graph):
    launch = ros2_launch("fer.launch.py", "model:=untrained", "energy:=false")
    try:
        assert graph.spin_until(lambda: graph.state("fer") == "active")
        assert graph.change_state("fer", DEACTIVATE)
        graph.spin(2.0)
        assert graph.state("fer") == "inactive"
    finally:
        launch.send_signal(signal.SIGINT)
        output, _ = launch.communicate(timeout=20)
    assert launch.returncode == 0, output
    assert "Traceback" not in output


def test_without_autostart_nothing_is_configured(graph: Graph):
    launch = ros2_launch("fer.launch.py", "autostart:=false", "energy:=false")
    try:
        graph.spin(3.0)
        assert graph.state("fer") == "unconfigured"
    finally:
        launch.send_signal(signal.SIGINT)
        launch.communicate(timeout=20)


def test_a_model_that_is_missing_is_named(graph: Graph):
    launch = ros2_launch("fer.launch.py", "model:=/no/such/model", "energy:=false")
    graph.spin(8.0)
    launch.send_signal(signal.SIGINT)
    output, _ = launch.communicate(timeout=20)
    assert "/no/such/model" in output
    assert "did not configure" in output
