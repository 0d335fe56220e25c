import dataclasses
import itertools
import math
import signal
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from event_camera_msgs.msg import EventPacket as EventPacketMsg
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.msg import ExpressionStamped
from cs3d_ros.network import checkpoint
from cs3d_ros.nodes.conversions import EVENTS_QOS, packet_to_msg
from cs3d_ros.recordings import open_recording
from graph import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, Graph, Process

EVENTS_TOPIC = "/fer_test/events"
REMAP = ("-r", f"events:={EVENTS_TOPIC}")


class Fer:
    """A fer process, something that feeds it, and all that it has published."""

    def __init__(self, graph: Graph, process: Process, packets: list[EventPacket]) -> None:
        self.graph = graph
        self.process = process
        self.packets = packets
        self.publisher = graph.node.create_publisher(EventPacketMsg, EVENTS_TOPIC, EVENTS_QOS)
        self.expressions: list[ExpressionStamped] = graph.collect(
            ExpressionStamped, "/fer/expression"
        )
        self.diagnostics: list[DiagnosticArray] = graph.collect(DiagnosticArray, "/diagnostics")

    def play(self, packets: Iterable[EventPacket], pace_s: float = 0.002) -> None:
        for packet in packets:
            self.publisher.publish(packet_to_msg(packet))
            time.sleep(pace_s)

    def count(self, key: str) -> int:
        """The newest value of a counter on /diagnostics."""
        for message in reversed(self.diagnostics):
            for status in message.status:
                if status.name == "/fer: recognition" and status.values:
                    return int({v.key: v.value for v in status.values}[key])
        return 0

    def waits_for_count(self, key: str, at_least: int) -> bool:
        return self.graph.spin_until(lambda: self.count(key) >= at_least, 20.0)

    def recognises(self) -> bool:
        """Whether good packets still lead to an expression."""
        before = len(self.expressions)
        for _ in range(5):
            self.play(self.packets[:250])
            if self.graph.spin_until(lambda: len(self.expressions) > before, 10.0):
                return True
        return False


@pytest.fixture(scope="module")
def packets(drawn_face: Path) -> list[EventPacket]:
    with open_recording(drawn_face) as recording:
        return [packet for _, packet in itertools.islice(recording, 400)]


@pytest.fixture(scope="module")
def unconfigured(graph: Graph) -> Process:
    return graph.run("fer_node", *REMAP)


@pytest.fixture(scope="module")
def fer(graph: Graph, unconfigured: Process, packets: list[EventPacket]) -> Fer:
    assert graph.set_parameter("fer", "roi", [0, 0, 0, 0])[0]
    assert graph.set_parameter("fer", "roi_mode", "fixed")[0]
    assert graph.set_parameter("fer", "device", "cpu")[0]
    assert graph.set_parameter("fer", "model", "untrained")[0]
    assert graph.change_state("fer", CONFIGURE)
    assert graph.change_state("fer", ACTIVATE)
    fer = Fer(graph, unconfigured, packets)
    assert graph.spin_until(lambda: fer.publisher.get_subscription_count() == 1)
    return fer


def damaged_checkpoint(folder: Path) -> str:
    path = folder / "damaged.safetensors"
    checkpoint.save(path, *checkpoint.untrained())
    path.write_bytes(path.read_bytes()[:1000])
    return str(path)


def foreign_checkpoint(folder: Path) -> str:
    """A checkpoint whose weights are of another architecture than its header says."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = folder / "foreign.safetensors"
    checkpoint.save(path, *checkpoint.untrained())
    with safe_open(path, "pt") as file:
        header = file.metadata()
        key = next(iter(file.keys()))
        weights = {"another." + key: file.get_tensor(key)}
    save_file(weights, path, metadata=header)
    return str(path)


class TestRefusesToConfigure:
    @pytest.mark.parametrize(
        ("parameters", "reason"),
        [
            ({"model": ""}, "no checkpoint given"),
            ({"model": "/no/such/file.safetensors"}, "/no/such/file.safetensors"),
            ({"model": damaged_checkpoint}, "damaged.safetensors"),
            ({"model": foreign_checkpoint}, "foreign.safetensors"),
            ({"model": "untrained", "device": "cuda:99"}, "cuda:99"),
            ({"model": "untrained", "device": "toaster"}, "toaster"),
            ({"model": "untrained", "device": "cpu", "roi": [1, 2, 3]}, "roi"),
            ({"model": "untrained", "device": "cpu", "roi": [0, 0, -5, 10]}, "-5x10"),
            (
                {
                    "roi_mode": "activity",
                    "model": "untrained",
                    "device": "cpu",
                    "roi": [1, 1, 9, 9],
                },
                "roi_mode 'activity'",
            ),
        ],
    )
    def test_with_a_reason(self, graph, unconfigured, tmp_path, parameters, reason):
        said = len(unconfigured.output)
        for name, value in parameters.items():
            value = value(tmp_path) if callable(value) else value
            assert graph.set_parameter("fer", name, value) == (True, "")
        assert not graph.change_state("fer", CONFIGURE)
        assert graph.state("fer") == "unconfigured"
        assert reason in unconfigured.output[said:]
        assert "cannot configure" in unconfigured.output[said:]
        assert "Traceback" not in unconfigured.output

    def test_a_value_out_of_range(self, graph, unconfigured):
        successful, reason = graph.set_parameter("fer", "window_ms", -1.0)
        assert not successful
        assert "window_ms" in reason

    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("hop_ms", "0.0", "expected 1.0 to 10000.0"),
            ("hop_ms", ".nan", "expected 1.0 to 10000.0"),
            ("threads", "-3", "expected 0 to 256"),
            ("hop_ms", "fast", "parameter hop_ms"),
        ],
    )
    def test_a_bad_value_at_the_start(self, graph, name, value, reason):
        node = graph.unused_name()
        process = graph.run("fer_node", "-r", f"__node:={node}", **{name: value})
        assert not graph.change_state(node, CONFIGURE)
        assert reason in process.output
        assert "Traceback" not in process.output
        process.end()


class TestActive:
    def test_recognises(self, fer: Fer):
        assert fer.recognises()
        message = fer.expressions[-1]
        assert message.header.frame_id == "drawn"
        assert "untrained" in message.model
        assert message.expression in message.labels
        assert len(message.labels) == len(message.probabilities) == 7
        assert math.isclose(sum(message.probabilities), 1.0, abs_tol=1e-5)
        reported = message.labels.index(message.expression)
        assert math.isclose(message.confidence, message.probabilities[reported], abs_tol=1e-6)
        assert math.isnan(message.valence)
        assert message.event_count > 0
        assert message.latency_ms >= message.inference_ms > 0.0
        roi = message.roi
        assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (40, 0, 240, 240)
        # The window lies within the recording, in the clock of its stamps.
        start = message.window_start.sec + message.window_start.nanosec * 1e-9
        end = message.header.stamp.sec + message.header.stamp.nanosec * 1e-9
        duration = message.window_duration.sec + message.window_duration.nanosec * 1e-9
        assert math.isclose(end - start, duration, abs_tol=1e-5)
        first, last = (fer.packets[i].stamp_ns * 1e-9 for i in (0, -1))
        assert first - 0.01 <= start
        assert end <= last + 0.01

    def test_parameters_wait_for_cleanup(self, fer: Fer):
        successful, reason = fer.graph.set_parameter("fer", "hop_ms", 50.0)
        assert not successful
        assert "clean it up first" in reason

    def test_an_impossible_transition_is_refused(self, fer: Fer):
        assert not fer.graph.change_state("fer", CONFIGURE)
        assert fer.graph.state("fer") == "active"

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"encoding": "evt99"}, "evt99"),
            ({"encoding": ""}, "unknown encoding"),
            ({"width": 0}, "0x240"),
            ({"height": 0}, "320x0"),
            ({"width": 2**32 - 1}, "4294967295x240"),
        ],
    )
    def test_undecodable_packets(self, fer: Fer, changes, reason):
        before = fer.count("bad_packets")
        bad = dataclasses.replace(fer.packets[0], **changes)
        fer.play([bad] * 10)
        assert fer.waits_for_count("bad_packets", before + 10)
        statuses = [s for m in fer.diagnostics for s in m.status if "skipped" in s.message]
        assert any(reason in s.message for s in statuses)
        assert fer.recognises()

    def test_truncated_odd_and_garbage_payloads(self, fer: Fer):
        rng = np.random.default_rng(1)
        bad = [
            dataclasses.replace(fer.packets[0], payload=payload)
            for payload in (
                b"",
                b"\x01",
                bytes(fer.packets[100].payload_bytes()[:-1]),
                b"\x99\x99" * 5000,
                rng.integers(0, 256, 100_001, np.uint8).tobytes(),
            )
        ]
        fer.play(bad)
        assert fer.recognises()
        assert fer.count("internal_errors") == 0

    def test_lost_packets_are_counted(self, fer: Fer):
        assert fer.recognises()
        before = fer.count("packets_lost")
        fer.play([*fer.packets[:100], *fer.packets[130:250]])
        assert fer.waits_for_count("packets_lost", before + 30)
        assert fer.recognises()

    def test_another_sensor_size(self, fer: Fer):
        before = fer.count("resets")
        fer.play(dataclasses.replace(p, width=640, height=480) for p in fer.packets[:200])
        assert fer.waits_for_count("resets", before + 1)
        assert fer.recognises()

    def test_time_going_back(self, fer: Fer):
        before = fer.count("resets")
        fer.play(fer.packets[100:200])
        fer.play(fer.packets[:100])
        assert fer.waits_for_count("resets", before + 1)
        assert "starts over" in fer.process.output
        assert fer.recognises()

    def test_draws_while_somebody_looks(self, fer: Fer):
        images = fer.graph.collect(Image, "/fer/debug_image", qos_profile_sensor_data)
        fer.graph.spin(1.0)
        assert fer.recognises()
        assert fer.graph.spin_until(lambda: bool(images), 10.0)
        image = images[-1]
        assert image.encoding == "bgr8"
        assert image.height == 240
        assert image.width > 320
        assert image.header.frame_id == "drawn"
        pixels = np.frombuffer(image.data, np.uint8).reshape(image.height, image.width, 3)
        assert len(np.unique(pixels[:, :320].reshape(-1, 3), axis=0)) >= 3

    def test_says_why_nothing_comes(self, fer: Fer):
        def messages() -> list[str]:
            return [
                s.message for m in fer.diagnostics for s in m.status if s.name.startswith("/fer:")
            ]

        assert fer.graph.spin_until(
            lambda: any("nothing has come for" in text for text in messages()), 10.0
        )

    def test_survives_it_all(self, fer: Fer):
        assert fer.process.running
        assert "Traceback" not in fer.process.output
        assert fer.count("internal_errors") == 0

    def test_can_be_taken_down_and_brought_up_again(self, fer: Fer):
        assert fer.graph.change_state("fer", DEACTIVATE)
        assert fer.graph.state("fer") == "inactive"
        assert fer.graph.change_state("fer", CLEANUP)
        assert fer.graph.set_parameter("fer", "hop_ms", 64.0) == (True, "")
        assert fer.graph.change_state("fer", CONFIGURE)
        assert fer.graph.change_state("fer", ACTIVATE)
        assert fer.graph.spin_until(lambda: fer.publisher.get_subscription_count() == 1)
        assert fer.recognises()


def test_a_failed_activation_leaves_nothing_running(graph: Graph):
    node = graph.unused_name()
    override = f"qos_overrides./{node}/events.subscription.reliability:=nonsense"
    process = graph.run(
        "fer_node",
        *("-r", f"__node:={node}", "-r", f"events:=/{node}/events", "-p", override),
        model="untrained",
    )
    assert graph.change_state(node, CONFIGURE)
    assert not graph.change_state(node, ACTIVATE)
    tasks = Path(f"/proc/{process.popen.pid}/task")
    threads = len(list(tasks.iterdir()))
    for _ in range(3):
        assert not graph.change_state(node, ACTIVATE)
    assert graph.state(node) == "inactive"
    assert len(list(tasks.iterdir())) == threads
    assert "cannot activate" in process.output
    assert process.end() < 2.0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
class TestSignals:
    """Every node ends within two seconds, without a traceback, whatever it is doing."""

    @pytest.mark.parametrize("after_s", [0.1, 0.5, 1.5])
    def test_while_starting(self, graph: Graph, number, after_s):
        process = graph.run("fer_node", "-r", f"__node:={graph.unused_name()}")
        time.sleep(after_s)
        assert process.end(number) < 2.0
        assert "Traceback" not in process.output

    def test_while_configuring(self, graph: Graph, number):
        from lifecycle_msgs.srv import ChangeState

        node = graph.unused_name()
        process = graph.run("fer_node", "-r", f"__node:={node}", model="untrained")
        client = graph.node.create_client(ChangeState, f"/{node}/change_state")
        assert client.wait_for_service(30.0)
        request = ChangeState.Request()
        request.transition.id = CONFIGURE
        client.call_async(request)
        graph.spin(1.0)
        assert process.end(number) < 2.0
        assert "Traceback" not in process.output

    def test_while_active(self, graph: Graph, packets, number):
        node = graph.unused_name()
        topic = f"/{node}/events"
        remaps = ("-r", f"__node:={node}", "-r", f"events:={topic}")
        process = graph.run("fer_node", *remaps, model="untrained")
        graph.bring_up(node)
        publisher = graph.node.create_publisher(EventPacketMsg, topic, EVENTS_QOS)
        assert graph.spin_until(lambda: publisher.get_subscription_count() == 1)
        for packet in packets:
            publisher.publish(packet_to_msg(packet))
        graph.spin(0.2)
        assert process.end(number) < 2.0
        assert "Traceback" not in process.output
