from lifecycle_msgs.srv import ChangeState, GetState

from cs3d_ros.nodes import local_graph
from graph import ACTIVATE, CLEANUP, CONFIGURE, Graph


def test_a_transition_without_an_answer_is_known_by_the_state(graph: Graph, monkeypatch):
    """A busy machine loses answers; here none is waited for long enough."""
    asked = []
    call = graph.call

    def watched(kind, *args, **options):
        asked.append(kind)
        return call(kind, *args, **options)

    monkeypatch.setattr(graph, "call", watched)
    monkeypatch.setattr(local_graph, "_TRANSITION_S", 0.05)
    name = f"{graph.unused_name()}/fer_energy"
    # All sources but `auto` refuse where they are missing, and say so after a while.
    ns = name.split("/", maxsplit=1)[0]
    process = graph.run("energy_node", "-r", f"__ns:=/{ns}", source="jtop", rate_hz=1.0)
    assert not graph.change_state(name, CONFIGURE, process.popen)
    assert asked == [ChangeState, GetState]
    assert graph.set_parameter(name, "source", "auto") == (True, "")
    assert graph.change_state(name, CONFIGURE, process.popen)
    assert asked[-1] is GetState
    assert graph.state(name) == "inactive"
    assert graph.change_state(name, ACTIVATE, process.popen)
    assert graph.state(name) == "active"
    assert not graph.change_state(name, CLEANUP, process.popen)
