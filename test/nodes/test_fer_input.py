"""What the node `fer` makes of its input before the network: region of interest, noise, clock."""

import itertools
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray
from event_camera_msgs.msg import EventPacket as EventPacketMsg
from sensor_msgs.msg import RegionOfInterest

from cs3d_ros.events.packets import EventPacket
from cs3d_ros.msg import ExpressionStamped
from cs3d_ros.nodes.conversions import EVENTS_QOS, packet_to_msg
from cs3d_ros.recordings import open_recording
from graph import ACTIVATE, CLEANUP, CONFIGURE, DEACTIVATE, Graph

WAIT_S = 30.0


class Fer:
    """A fer process that is fed with the beginning of a recording, over and over."""

    def __init__(self, graph: Graph, packets: list[EventPacket], **parameters) -> None:
        self.graph = graph
        self.name = graph.unused_name()
        self.packets = packets
        self.process = graph.run(
            "fer_node",
            *("-r", f"__node:={self.name}", "-r", f"events:=/{self.name}/events"),
            model="untrained",
            device="cpu",
            hop_ms=250.0,
            **parameters,
        )
        self.publisher = graph.node.create_publisher(
            EventPacketMsg, f"/{self.name}/events", EVENTS_QOS
        )
        self.regions = graph.node.create_publisher(RegionOfInterest, f"/{self.name}/roi", 1)
        self.expressions = graph.collect(ExpressionStamped, f"/{self.name}/expression")
        self.diagnostics = graph.collect(DiagnosticArray, "/diagnostics")
        self.bring_up()

    def bring_up(self) -> None:
        assert self.graph.change_state(self.name, CONFIGURE)
        assert self.graph.change_state(self.name, ACTIVATE)
        assert self.graph.spin_until(lambda: self.publisher.get_subscription_count() == 1)

    def play_until(self, condition: Callable[[], bool]) -> bool:
        """Play until the condition holds; False if it does not for half a minute."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            for packet in self.packets:
                self.publisher.publish(packet_to_msg(packet))
                time.sleep(0.002)
            if self.graph.spin_until(condition, 1.0):
                return True
        return False

    def value(self, key: str) -> str:
        """The newest value on /diagnostics."""
        for message in reversed(self.diagnostics):
            for status in message.status:
                if status.name == f"/{self.name}: recognition" and status.values:
                    return {v.key: v.value for v in status.values}.get(key, "")
        return ""

    def roi(self) -> tuple[int, int, int, int] | None:
        """The region of the newest expression."""
        if not self.expressions:
            return None
        roi = self.expressions[-1].roi
        return roi.x_offset, roi.y_offset, roi.width, roi.height


@pytest.fixture(scope="module")
def packets(drawn_face: Path) -> list[EventPacket]:
    with open_recording(drawn_face) as recording:
        return [packet for _, packet in itertools.islice(recording, 400)]


@pytest.fixture(scope="module")
def fer(graph: Graph, packets: list[EventPacket]) -> Fer:
    return Fer(
        graph,
        packets,
        roi_mode="topic",
        roi=[10, 20, 200, 200],
        hot_pixel_learning_s=0.2,
        refractory_us=1000,
        background_activity_us=5000,
    )


def test_before_the_first_region_comes_the_parameter_holds(fer: Fer):
    assert fer.play_until(lambda: fer.roi() == (10, 20, 200, 200))


def test_the_region_comes_from_the_topic(fer: Fer):
    assert fer.graph.spin_until(lambda: fer.regions.get_subscription_count() == 1)
    fer.regions.publish(RegionOfInterest(x_offset=60, y_offset=30, width=180, height=190))
    assert fer.play_until(lambda: fer.roi() == (60, 30, 180, 190))


def test_a_region_beyond_the_sensor_is_cut(fer: Fer):
    fer.regions.publish(RegionOfInterest(x_offset=200, y_offset=100, width=400, height=4000))
    assert fer.play_until(lambda: fer.roi() == (200, 100, 120, 140))


def test_a_region_off_the_sensor_is_refused_and_counted(fer: Fer):
    fer.regions.publish(RegionOfInterest(x_offset=4_000_000_000, width=100, height=100))
    assert fer.play_until(lambda: fer.value("rois_refused") == "1")
    assert "region refused" in fer.process.output
    assert fer.roi() == (200, 100, 120, 140)


def test_a_region_of_zeros_is_no_choice(fer: Fer):
    fer.regions.publish(RegionOfInterest())
    assert fer.play_until(lambda: fer.roi() == (10, 20, 200, 200))


def test_the_noise_filters_report_what_they_removed(fer: Fer):
    assert fer.play_until(lambda: int(fer.value("noise_background_activity") or 0) > 0)
    assert int(fer.value("noise_refractory")) > 0
    assert fer.value("noise_hot_pixels") == "0"


def test_the_clock_is_reported(fer: Fer):
    offset_s = float(fer.value("clock_offset_s"))
    # Recorded in 2023 or later; the sensor's time began with the recording.
    assert offset_s > 1.6e9
    assert math.isnan(float(fer.value("clock_drift_ppm")))


def test_the_region_follows_the_activity(fer: Fer):
    assert fer.graph.change_state(fer.name, DEACTIVATE)
    assert fer.graph.change_state(fer.name, CLEANUP)
    assert fer.graph.set_parameter(fer.name, "roi_mode", "elsewhere")[0] is False
    assert fer.graph.set_parameter(fer.name, "roi_mode", "activity") == (True, "")
    assert fer.graph.set_parameter(fer.name, "roi", [0, 0, 0, 0]) == (True, "")
    # The drawn face is so sparse that the filter takes most of it.
    assert fer.graph.set_parameter(fer.name, "background_activity_us", 0) == (True, "")
    fer.expressions.clear()
    fer.bring_up()
    # The drawn face fills most of the sensor, so that its region is not far from the default.
    assert fer.play_until(lambda: fer.roi() not in (None, (40, 0, 240, 240)))
    x, y, width, height = fer.roi()
    assert width == height <= 240
    assert x < 100
    assert y < 60
    assert x + width > 200
    assert y + height > 160
    assert fer.process.running
    assert "Traceback" not in fer.process.output
