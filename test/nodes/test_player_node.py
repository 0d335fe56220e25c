import signal
import time

import pytest
from event_camera_msgs.msg import EventPacket as EventPacketMsg
from rosgraph_msgs.msg import Clock

from cs3d_ros.nodes.conversions import EVENTS_QOS, packet_from_msg, time_to_ns
from cs3d_ros.recordings import open_recording, write_recording
from graph import Graph
from recordings_data import recording_path


def remap(topic: str) -> tuple[str, ...]:
    return ("-r", f"events:={topic}")


def test_plays_every_packet_as_recorded(graph: Graph):
    path = recording_path("evt3")
    received = graph.collect(EventPacketMsg, "/plain/events", EVENTS_QOS)
    player = graph.run("player_node", *remap("/plain/events"), path=path)
    assert graph.spin_until(lambda: not player.running, 30.0)
    graph.spin(0.5)
    assert player.popen.returncode == 0
    with open_recording(path) as recording:
        recorded = [packet for _, packet in recording]
    assert len(received) == len(recorded) == 105
    for message, expected in zip(received, recorded, strict=True):
        packet = packet_from_msg(message)
        assert bytes(packet.payload_bytes()) == bytes(expected.payload_bytes())
        for name in ("stamp_ns", "frame_id", "width", "height", "seq", "time_base", "encoding"):
            assert getattr(packet, name) == getattr(expected, name), name


def test_keeps_the_pace(graph: Graph):
    """1.24 s of stamps at a rate of 0.5; the recorder logged the first half second at once."""
    arrivals: list[float] = []
    graph.node.create_subscription(
        EventPacketMsg, "/slow/events", lambda _: arrivals.append(time.monotonic()), EVENTS_QOS
    )
    player = graph.run("player_node", *remap("/slow/events"), path=recording_path("evt3"), rate=0.5)
    assert graph.spin_until(lambda: not player.running, 30.0)
    # At a rate of 1 it takes 1.24 s. A busy machine may deliver the first late, or the last.
    assert 1.8 < arrivals[-1] - arrivals[0] < 6.0


def test_loops_until_stopped(graph: Graph):
    received = graph.collect(EventPacketMsg, "/loop/events", EVENTS_QOS)
    player = graph.run(
        "player_node", *remap("/loop/events"), path=recording_path("evt3"), loop=True, rate=20.0
    )
    assert graph.spin_until(lambda: len(received) > 250, 30.0)
    assert player.end(signal.SIGINT) < 2.0
    assert player.popen.returncode == 0
    assert "Traceback" not in player.output


def test_starts_paused_and_goes_on(graph: Graph):
    received = graph.collect(EventPacketMsg, "/paused/events", EVENTS_QOS)
    player = graph.run(
        "player_node",
        *remap("/paused/events"),
        path=recording_path("evt3"),
        paused=True,
    )
    graph.spin(2.0)
    assert received == []
    assert graph.set_parameter("player", "paused", False) == (True, "")
    assert graph.spin_until(lambda: not player.running, 30.0)
    graph.spin(0.5)
    assert len(received) == 105


def test_publishes_the_clock_of_the_recording(graph: Graph):
    clock = graph.collect(Clock, "/clock")
    path = recording_path("evt3")
    player = graph.run("player_node", *remap("/timed/events"), path=path, clock=True)
    graph.collect(EventPacketMsg, "/timed/events", EVENTS_QOS)
    assert graph.spin_until(lambda: not player.running, 30.0)
    with open_recording(path) as recording:
        stamps = [packet.stamp_ns for _, packet in recording]
    times = [time_to_ns(message.clock) for message in clock]
    assert len(times) > 40
    assert times == sorted(times)
    assert stamps[0] <= times[0]
    assert stamps[-1] - 50_000_000 <= times[-1] <= stamps[-1]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "no recording given"),
        ({"path": "/no/such/bag"}, "/no/such/bag"),
        ({"path": "/tmp", "rate": 0.0}, "rate"),
        ({"path": __file__}, "unknown kind of recording"),
    ],
)
def test_says_what_it_cannot_play(graph: Graph, parameters, reason):
    player = graph.run("player_node", **parameters)
    assert player.popen.wait(timeout=30.0) == 1
    assert reason in player.output
    assert "Traceback" not in player.output


def test_an_empty_recording_ends_even_in_a_loop(graph: Graph, tmp_path):
    path = tmp_path / "empty.raw"
    path.write_bytes(b"% format EVT3;height=720;width=1280\n% end\n")
    player = graph.run("player_node", path=path, loop=True, wait_for_subscriber_s=0.0)
    assert player.popen.wait(timeout=30.0) == 1
    assert "has no packets" in player.output
    assert "nobody has subscribed" in player.output


def test_a_short_recording_loops_until_stopped(graph: Graph, drawn_face, tmp_path):
    with open_recording(drawn_face) as recording:
        first = next(iter(recording))
    write_recording(tmp_path / "one", [first])
    player = graph.run("player_node", path=tmp_path / "one", loop=True, wait_for_subscriber_s=0.0)
    graph.spin_until(lambda: player.output.count("played 1 packets") > 3, 20.0)
    assert player.end(signal.SIGTERM) < 2.0
    assert player.popen.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ends_quickly_on_a_signal(graph: Graph, number):
    player = graph.run(
        "player_node", path=recording_path("evt3"), loop=True, wait_for_subscriber_s=100.0
    )
    graph.spin_until(lambda: "playing" in player.output, 20.0)
    assert player.end(number) < 2.0
    assert "Traceback" not in player.output
