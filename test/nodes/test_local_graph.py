import pytest
from lifecycle_msgs.srv import ChangeState, GetState

from cs3d_ros.nodes.local_graph import NoAnswerError
from graph import ACTIVATE, CLEANUP, CONFIGURE, Graph


class Lossy:
    """Calls services of a graph; what is asked of `change_state` or answered is lost on the way."""

    def __init__(self, graph: Graph, loses: str) -> None:
        self._call, self._loses = graph.call, loses
        self.asked = []

    def __call__(self, kind, *arguments, **options):
        self.asked.append(kind)
        # Of requests each second one arrives.
        is_lost = kind is ChangeState and self.asked.count(kind) % 2
        if is_lost and self._loses == "request":
            raise NoAnswerError("lost")
        answer = self._call(kind, *arguments, **options)
        if kind is ChangeState and self._loses == "answer":
            raise NoAnswerError("lost")
        return answer


@pytest.mark.parametrize("loses", ["request", "answer"])
def test_a_transition_without_an_answer_is_known_by_the_state(graph: Graph, monkeypatch, loses):
    name = f"{graph.unused_name()}/fer_energy"
    ns = name.split("/", maxsplit=1)[0]
    # All sources but `auto` refuse where they are missing.
    process = graph.run("energy_node", "-r", f"__ns:=/{ns}", source="tegrastats", rate_hz=1.0)
    lossy = Lossy(graph, loses)
    monkeypatch.setattr(graph, "call", lossy)
    assert not graph.change_state(name, CONFIGURE, process.popen)
    assert lossy.asked[:3] == [ChangeState, GetState, ChangeState]
    assert graph.set_parameter(name, "source", "auto") == (True, "")
    for transition, state in ((CONFIGURE, "inactive"), (ACTIVATE, "active")):
        assert graph.change_state(name, transition, process.popen)
        assert graph.state(name) == state
    assert not graph.change_state(name, CLEANUP, process.popen)
    assert graph.state(name) == "active"
