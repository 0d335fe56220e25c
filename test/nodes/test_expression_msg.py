"""How a result becomes a message, and how it is counted."""

from cs3d_ros.events.roi import Roi
from cs3d_ros.nodes.conversions import expression_msg, time_to_ns
from cs3d_ros.nodes.fer_report import FerReport
from cs3d_ros.recognizer import Recognition

MS = 1_000_000
STAMP_NS = 1_700_000_000_123_456_789


def recognition(**fields) -> Recognition:
    values = {
        "stamp_ns": STAMP_NS,
        "window_duration_ns": 500 * MS,
        "frame_id": "cam",
        "labels": ("neutral", "happy"),
        "probabilities": (0.25, 0.75),
        "expression": "happy",
        "event_count": 7,
        "packets_lost": 0,
        "inference_ms": 12.5,
        "roi": Roi(1, 2, 30, 40),
        "model": "cs3d-test",
    }
    return Recognition(**{**values, **fields})


def age_ns(message) -> int:
    duration = message.window_duration
    seen_ns = time_to_ns(message.window_start) + duration.sec * 1000 * MS + duration.nanosec
    return time_to_ns(message.header.stamp) - seen_ns


def test_the_window_of_a_new_result_ends_at_its_stamp():
    message = expression_msg(recognition(), 20.0)
    assert time_to_ns(message.header.stamp) == STAMP_NS
    assert age_ns(message) == 0
    assert message.inference_ms == 12.5


def test_a_message_tells_how_old_a_result_is_that_is_said_again():
    message = expression_msg(recognition(age_ns=2_250 * MS, inference_ms=0.0), 20.0)
    assert time_to_ns(message.header.stamp) == STAMP_NS
    assert age_ns(message) == 2_250 * MS
    assert message.inference_ms == 0.0
    assert message.expression == "happy"


def test_a_result_said_again_is_counted_and_is_no_inference():
    report = FerReport()
    report.recognised(recognition(), 20.0)
    report.recognised(recognition(age_ns=MS, inference_ms=0.0), 4.0)
    report.recognised(recognition(age_ns=2 * MS, inference_ms=0.0), 4.0)
    assert (report.recognitions, report.windows_gated) == (3, 2)
    assert list(report._inference_ms) == [12.5]
