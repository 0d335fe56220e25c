import math
import os
import signal
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState

from cs3d_ros.msg import EnergyStamped, ExpressionStamped
from fake_tools import FakeTools, own_source
from graph import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, Graph

STEADY = """
while True:
    say("RAM 1/2MB (lfb 1x1MB) CPU [1%@729] VDD_IN 4000mW/1mW VDD_SOC 1500mW/1mW")
    time.sleep(interval_s)
"""
BUSY_AFTER_A_SECOND = """
started = time.monotonic()
while True:
    watts = 4 if time.monotonic() - started < 2.5 else 6
    say(f"RAM 1/2MB (lfb 1x1MB) CPU [1%@729] VDD_IN {watts}000mW/1mW")
    time.sleep(interval_s)
"""
ENDS = STEADY.replace("while True:", "for _ in range(15):")


@pytest.fixture
def tools(tmp_path: Path) -> FakeTools:
    folder = tmp_path / "bin"
    folder.mkdir()
    return FakeTools(folder)


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment without any vendor tool, but with those of `tools` if there are."""
    here = Path(os.environ["VIRTUAL_ENV"]) / "bin"
    return {**os.environ, "PATH": f"{tmp_path / 'bin'}:{here}:/usr/bin:/bin"}


@pytest.mark.skipif(bool(own_source()), reason="this machine has a power source")
def test_without_a_source_it_says_so(graph: Graph, tools, bare):
    energy = graph.collect(EnergyStamped, "/none/fer/energy")
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    process = graph.run("energy_node", "-r", "__ns:=/none", env=bare, rate_hz=10.0)
    assert graph.change_state("none/fer_energy", CONFIGURE)
    assert graph.change_state("none/fer_energy", ACTIVATE)
    assert graph.spin_until(lambda: len(energy) > 2 and diagnostics, 10.0)
    message = energy[-1]
    assert message.source == message.scope == ""
    assert math.isnan(message.power_w)
    assert math.isnan(message.energy_j)
    status = diagnostics[-1].status[0]
    assert status.level == b"\x01"
    assert "no power source" in status.message
    assert "energy is not measured" in process.output
    assert process.end() < 2.0
    assert "Traceback" not in process.output


def test_integrates_power(graph: Graph, tools, bare):
    tools.install("tegrastats", STEADY)
    energy = graph.collect(EnergyStamped, "/steady/fer/energy")
    process = graph.run(
        "energy_node", "-r", "__ns:=/steady", env=bare, rate_hz=20.0, interval_ms=20
    )
    assert graph.change_state("steady/fer_energy", CONFIGURE)
    assert not tools.living(), "it runs while nothing is measured"
    assert graph.change_state("steady/fer_energy", ACTIVATE)
    assert graph.spin_until(lambda: len(energy) > 40, 20.0)
    first, last = energy[10], energy[-1]
    assert (last.source, last.scope) == ("tegrastats", "module")
    assert list(last.rails) == ["VDD_IN", "VDD_SOC"]
    assert list(last.rail_power_w) == [4.0, 1.5]
    assert last.power_w == 4.0
    assert not last.power_is_sum
    seconds = (last.header.stamp.sec - first.header.stamp.sec) + (
        last.header.stamp.nanosec - first.header.stamp.nanosec
    ) * 1e-9
    # Two snapshots are each up to a sample (and a slow machine's moment) behind.
    assert last.energy_j - first.energy_j == pytest.approx(4.0 * seconds, abs=1.0)
    assert math.isnan(last.energy_per_inference_j)
    assert math.isnan(last.energy_per_inference_uncertainty_j)
    # Deactivated, the tool is gone; activated again, all counts start at zero.
    assert graph.change_state("steady/fer_energy", DEACTIVATE)
    assert graph.spin_until(lambda: not tools.living(), 5.0)
    count = len(energy)
    assert graph.change_state("steady/fer_energy", ACTIVATE)
    assert graph.spin_until(lambda: len(energy) > count + 5, 20.0)
    assert energy[count].energy_j < last.energy_j
    assert graph.change_state("steady/fer_energy", DEACTIVATE)
    assert graph.change_state("steady/fer_energy", CLEANUP)
    assert process.end() < 2.0
    assert "Traceback" not in process.output


def test_energy_of_an_inference(graph: Graph, tools, bare):
    """4 W idle, then 6 W for two seconds of 20 inferences: 0.2 J each above idle."""
    tools.install("tegrastats", BUSY_AFTER_A_SECOND)
    energy = graph.collect(EnergyStamped, "/busy/fer/energy")
    graph.run("energy_node", "-r", "__ns:=/busy", env=bare, rate_hz=20.0, interval_ms=20)
    expressions = graph.node.create_publisher(ExpressionStamped, "/busy/fer/expression", 10)
    assert graph.change_state("busy/fer_energy", CONFIGURE)
    assert graph.change_state("busy/fer_energy", ACTIVATE)
    assert graph.spin_until(lambda: expressions.get_subscription_count() == 1, 10.0)
    assert graph.spin_until(lambda: bool(energy) and energy[-1].power_w == 6.0, 20.0)
    for _ in range(20):
        expressions.publish(ExpressionStamped(inference_ms=20.0))
        # The result said again is no inference.
        expressions.publish(ExpressionStamped(inference_ms=0.0))
        graph.spin(0.1)
    assert graph.spin_until(lambda: energy[-1].inferences == 20, 10.0)
    last = energy[-1]
    assert last.idle_power_w == pytest.approx(4.0, abs=0.5)
    above_idle_j = last.energy_per_inference_j * 20
    assert 2.0 < above_idle_j < 8.0
    # One step of 2 W between two samples of about 20 ms, and what that does to the idle power.
    assert 0.0 < last.energy_per_inference_uncertainty_j < 0.2 * last.energy_per_inference_j


def test_an_inference_without_power_readings_does_not_share_the_energy(graph: Graph, tools, bare):
    """One inference while the source runs, and ten after it was lost for good."""
    once = "if len(open(os.path.dirname(sys.argv[0]) + '/pids').readlines()) > 2: sys.exit()\n"
    tools.install("tegrastats", once + ENDS.replace("15", "100"))
    name = graph.unused_name()
    energy = graph.collect(EnergyStamped, f"/{name}/fer/energy")
    graph.run(
        "energy_node", "-r", f"__ns:=/{name}", env=bare, rate_hz=20.0, interval_ms=20,
        idle_power_w=1.0,
    )  # fmt: skip
    expressions = graph.node.create_publisher(ExpressionStamped, f"/{name}/fer/expression", 100)
    assert graph.change_state(f"{name}/fer_energy", CONFIGURE)
    assert graph.change_state(f"{name}/fer_energy", ACTIVATE)
    assert graph.spin_until(lambda: expressions.get_subscription_count() == 1, 10.0)
    assert graph.spin_until(lambda: energy and energy[-1].energy_j > 0, 20.0)
    expressions.publish(ExpressionStamped(inference_ms=20.0))
    assert graph.spin_until(
        lambda: energy and not math.isnan(energy[-1].energy_per_inference_j), 20
    )
    assert graph.spin_until(lambda: math.isnan(energy[-1].power_w), 20.0)
    assert energy[-1].source == "tegrastats"
    assert not energy[-1].rails
    for _ in range(10):
        expressions.publish(ExpressionStamped(inference_ms=20.0))
        graph.spin(0.05)
    assert graph.spin_until(lambda: energy[-1].inferences == 11, 20.0)
    # 4 W, of which 1 W is drawn anyway.
    assert energy[-1].energy_per_inference_j == pytest.approx(0.75 * energy[-1].energy_j, rel=1e-3)


def test_warns_above_the_power_budget(graph: Graph, tools, bare):
    tools.install("tegrastats", STEADY)
    name = graph.unused_name()
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    process = graph.run(
        "energy_node", "-r", f"__ns:=/{name}", env=bare, rate_hz=20.0, power_budget_w=3.5
    )
    assert graph.change_state(f"{name}/fer_energy", CONFIGURE)
    assert graph.change_state(f"{name}/fer_energy", ACTIVATE)

    def own():
        # Nodes of other tests, which have not ended yet, may speak on the topic as well.
        return [s for d in diagnostics for s in d.status if name in s.name]

    def newest():
        return own()[-1] if own() else None

    assert graph.spin_until(lambda: newest() and newest().level == b"\x01", 20.0)
    assert newest().message == "4.0 W are above the budget of 3.5 W"
    assert newest().message in process.output
    values = {v.key: v.value for v in newest().values}
    assert float(values["mean_power_w"]) == pytest.approx(4.0)
    assert values["method"] == "trapezoid"
    # Every other message comes without a new reading, and is no reason to take it back.
    count = len(own())
    assert graph.spin_until(lambda: len(own()) > count + 10, 20.0)
    assert {s.level for s in own()[count:]} == {b"\x01"}
    assert graph.set_parameter(f"{name}/fer_energy", "power_budget_w", 4.5) == (True, "")
    assert graph.spin_until(lambda: newest().level == b"\x00", 10.0)


def test_a_given_idle_power_goes_before_the_observed_one(graph: Graph, tools, bare):
    """Inferences from the first moment on, so that none could be observed: 4 W, of which 3 idle."""
    tools.install("tegrastats", STEADY)
    name = graph.unused_name()
    energy = graph.collect(EnergyStamped, f"/{name}/fer/energy")
    # Simulated time, which stands still here, is no reason to be silent.
    graph.run(
        "energy_node", "-r", f"__ns:=/{name}", env=bare, rate_hz=20.0, idle_power_w=3.0,
        use_sim_time=True,
    )  # fmt: skip
    expressions = graph.node.create_publisher(ExpressionStamped, f"/{name}/fer/expression", 10)
    assert graph.change_state(f"{name}/fer_energy", CONFIGURE)
    assert graph.change_state(f"{name}/fer_energy", ACTIVATE)
    assert graph.spin_until(lambda: expressions.get_subscription_count() == 1, 10.0)
    assert graph.spin_until(lambda: energy and energy[-1].energy_j > 0, 20.0)
    expressions.publish(ExpressionStamped(inference_ms=20.0))
    assert graph.spin_until(lambda: energy and energy[-1].energy_j > 8, 20.0)
    last = energy[-1]
    assert (last.inferences, last.idle_power_w) == (1, 3.0)
    assert last.energy_per_inference_j == pytest.approx(last.energy_j / 4, rel=1e-3)
    assert last.energy_per_inference_uncertainty_j == 0.0


def test_a_source_that_dies_is_reported(graph: Graph, tools, bare):
    tools.install("tegrastats", ENDS)
    diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
    process = graph.run("energy_node", "-r", "__ns:=/dying", env=bare, rate_hz=20.0, interval_ms=20)
    assert graph.change_state("dying/fer_energy", CONFIGURE)
    assert graph.change_state("dying/fer_energy", ACTIVATE)
    assert graph.spin_until(
        lambda: any(
            "power source lost" in s.message and "dying" in s.name
            for d in diagnostics
            for s in d.status
        ),
        20.0,
    )
    assert process.running
    assert "power source lost: tegrastats: ended with exit status 0" in process.output
    assert process.end() < 2.0
    assert tools.living() == []


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("source", "nvidia-smi", "not found on PATH"),
        ("source", "abacus", "tegrastats"),
        ("interval_ms", 0, "interval_ms"),
    ],
)
def test_refuses_to_configure(graph: Graph, tools, bare, name, value, reason):
    name_space = graph.unused_name()
    process = graph.run("energy_node", "-r", f"__ns:=/{name_space}", env=bare, **{name: value})
    assert not graph.change_state(f"{name_space}/fer_energy", CONFIGURE)
    assert graph.state(f"{name_space}/fer_energy") == "unconfigured"
    assert reason in process.output
    assert "Traceback" not in process.output
    process.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaves_no_child_behind_while_it_probes(graph: Graph, tools, bare, number):
    tools.install("tegrastats", "time.sleep(600)")
    name_space = graph.unused_name()
    process = graph.run("energy_node", "-r", f"__ns:=/{name_space}", env=bare)
    client = graph.node.create_client(ChangeState, f"/{name_space}/fer_energy/change_state")
    assert client.wait_for_service(30.0)
    request = ChangeState.Request()
    request.transition.id = CONFIGURE
    client.call_async(request)
    assert graph.spin_until(lambda: len(tools.living()) == 1, 20.0)
    assert process.end(number) < 2.0
    assert tools.living() == []
    assert "Traceback" not in process.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_leaves_no_child_behind(graph: Graph, tools, bare, number):
    tools.install("tegrastats", STEADY)
    name_space = graph.unused_name()
    process = graph.run("energy_node", "-r", f"__ns:=/{name_space}", env=bare)
    assert graph.change_state(f"{name_space}/fer_energy", CONFIGURE)
    assert graph.change_state(f"{name_space}/fer_energy", ACTIVATE)
    assert graph.spin_until(lambda: len(tools.living()) == 1, 10.0)
    assert process.end(number) < 2.0
    assert tools.living() == []
    assert "Traceback" not in process.output
