import dataclasses
import shutil
import sqlite3

import numpy as np
import pytest

from cs3d_ros.recordings import RecordingError
from cs3d_ros.recordings import summary as summary_module
from cs3d_ros.recordings.summary import Summary, as_text, rate_text, summarize
from recording_helpers import STAMP_NS, evt3_packet, some_events, write_bag
from recordings_data import DRAWN_FACE, recording_path

GOLDEN = {
    "evt3": {
        "encoding": "evt3", "width": 1280, "height": 720, "messages": 105,
        "payload_bytes": 758_296, "events": 82_469, "on": 41_439, "off": 41_030, "triggers": 2,
        "sum_x": 42_078_718, "sum_y": 31_656_267, "sum_t_ns": 1_222_326_831_810_000,
        "t_first_ns": 14_224_870_000, "t_last_ns": 15_476_187_000, "packets_lost": 0,
        "duration_ns": 1_251_317_000, "bad_packets": 0, "resets": 0, "frame_id": "0109",
    },
    "mono": {
        "encoding": "mono", "width": 640, "height": 480, "messages": 2, "payload_bytes": 800,
        "events": 100, "on": 50, "off": 50, "triggers": 0, "sum_x": 34_450, "sum_y": 26_450,
        "sum_t_ns": 4_950_000, "packets_lost": 0, "skipped_words": 0,
    },
    "libcaer_cmp": {
        "encoding": "libcaer_cmp", "width": 346, "height": 260, "messages": 100,
        "events": 571_266, "on": 211_043, "off": 360_223, "triggers": 0, "packets_lost": 0,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_real_recordings_have_their_golden_values(name):
    found = dataclasses.asdict(summarize(recording_path(name)))
    assert {key: found[key] for key in GOLDEN[name]} == GOLDEN[name]


def test_sums_of_times_since_1970_are_exact():
    """571k events at 1.7e18 ns overflow 64 bits a hundred thousand times."""
    summary = summarize(recording_path("libcaer_cmp"))
    first_us = 1_744_227_144_732_712
    assert summary.t_first_ns == first_us * 1000
    assert summary.sum_t_ns == (summary.events * first_us + 335_555_680_277) * 1000


def test_a_short_recording_has_no_peak():
    assert summarize(recording_path("mono")).peak_events_per_s is None


@pytest.mark.parametrize("value", [2**62, -(2**62), 2**32 - 1, -1, 1_744_227_144_732_712_345])
def test_sums_do_not_overflow(value):
    assert summary_module._exact_sum(np.full(1000, value)) == 1000 * value


def test_the_drawn_face():
    summary = summarize(DRAWN_FACE)
    assert (summary.messages, summary.width, summary.height) == (1499, 320, 240)
    assert summary.events == summary.on + summary.off == 86_410
    assert summary.mean_events_per_s == pytest.approx(14_412.95, rel=1e-4)
    assert summary.peak_events_per_s == pytest.approx(56_800)


def test_counts_rates_and_stamps(tmp_path):
    times_us = [1000, 4000, 4001, 4002, 21_000]
    bag = write_bag(
        tmp_path / "bag",
        evt3_packet(some_events(times_us[:4], x=[1, 2, 3, 4], p=[1, 0, 0, 0]), 7),
        evt3_packet(some_events(times_us[4:], x=9), 9),
    )
    summary = summarize(bag)
    assert (summary.events, summary.on, summary.off) == (5, 2, 3)
    assert (summary.sum_x, summary.sum_y, summary.sum_t_ns) == (19, 15, 34_003_000)
    assert (summary.t_first_ns, summary.t_last_ns) == (1_000_000, 21_000_000)
    assert summary.duration_ns == 20_000_000
    assert summary.mean_events_per_s == pytest.approx(250)
    assert summary.peak_events_per_s == pytest.approx(400)
    assert summary.packets_lost == 1
    assert summary.stamp_first_ns == STAMP_NS + 28_000_000
    assert summary.stamp_last_ns == STAMP_NS + 36_000_000


def test_the_peak_is_found_across_packets_and_steps_back(tmp_path):
    times_us = [[0, 9990], [10_000, 10_001], [9995, 10_002], [30_000]]
    packets = [evt3_packet(some_events(sorted(t)), i) for i, t in enumerate(times_us)]
    assert summarize(write_bag(tmp_path / "bag", *packets)).peak_events_per_s == 300


def test_a_recording_that_starts_over_adds_up_its_stretches(tmp_path):
    stretch = [some_events([5000, 6000]), some_events([7000, 9000])]
    packets = [evt3_packet(stretch[i % 2], i % 2, stamp_ns=STAMP_NS + i) for i in range(4)]
    summary = summarize(write_bag(tmp_path / "bag", *packets))
    assert (summary.resets, summary.sensor_changes, summary.packets_lost) == (1, 0, 0)
    assert summary.events == 8
    assert (summary.t_first_ns, summary.t_last_ns) == (5_000_000, 9_000_000)
    assert summary.duration_ns == 8_000_000


def test_packets_without_events_are_no_error(tmp_path):
    summary = summarize(write_bag(tmp_path / "bag", evt3_packet(b"", stamp_ns=0)))
    assert (summary.messages, summary.events, summary.encoding) == (1, 0, "evt3")
    for missing in (
        summary.t_first_ns, summary.t_last_ns, summary.duration_ns, summary.mean_events_per_s,
        summary.peak_events_per_s, summary.stamp_first_ns, summary.last_error, summary.damage,
    ):  # fmt: skip
        assert missing is None
    assert "0, 0 triggers" in as_text(summary)


def test_no_packets_are_no_error(tmp_path):
    path = tmp_path / "empty.raw"
    path.write_bytes(b"% format EVT3;height=48;width=64\n% end\n")
    summary = summarize(path)
    assert (summary.messages, summary.encoding, summary.width) == (0, None, None)
    assert "sensor       -" in as_text(summary)


def test_a_single_event_has_no_rate(tmp_path):
    summary = summarize(write_bag(tmp_path / "bag", evt3_packet(some_events([77]))))
    assert (summary.duration_ns, summary.mean_events_per_s) == (0, None)
    assert "rate         -" in as_text(summary)


def test_what_was_skipped_is_counted(tmp_path):
    words = np.array([0x2001, 0x8000, 0x6001, 0x0003, 0x2005, 0x27FF, 0xE014, 0x9999], "<u2")
    summary = summarize(
        write_bag(
            tmp_path / "bag",
            evt3_packet(words.tobytes() + b"\x00", 5),
            evt3_packet(b"", 4),
            evt3_packet(b"", 6, encoding="evt99"),
        )
    )
    assert (summary.messages, summary.events) == (3, 1)
    assert (summary.packets_late, summary.bad_packets) == (1, 1)
    assert "evt99" in summary.last_error
    assert (summary.skipped_words, summary.reserved_words) == (1, 1)
    assert (summary.events_out_of_bounds, summary.dropped_unsynced) == (1, 1)
    assert summary.truncated_bytes == 1
    text = as_text(summary)
    for part in ("1 bad packets", "1 late packets", "1 events off the sensor", "1 stray bytes"):
        assert part in text


def test_a_damaged_recording_is_summed_up_as_far_as_it_goes(tmp_path):
    path = tmp_path / "damaged.db3"
    shutil.copyfile(recording_path("evt3/test_data_evt3_trigger_0.db3"), path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET data = x'00010000ff' WHERE id = 51")
    database.close()
    summary = summarize(path)
    assert summary.messages == 50
    assert 0 < summary.events < 82_469
    assert summary.t_first_ns == 14_224_870_000
    assert "damaged" in summary.damage


def test_a_missing_recording_is_an_error(tmp_path):
    with pytest.raises(RecordingError, match="no such file"):
        summarize(tmp_path / "nothing")


def test_the_text_names_what_a_person_looks_for():
    lines = as_text(summarize(recording_path("evt3"))).splitlines()
    for line in (
        "topic        /event_camera/events",
        "encoding     evt3",
        "sensor       1280x720, frame '0109'",
        "recorded     2022-10-14 21:24:25 UTC, 1.236 s by stamps",
        "packets      105 with 758,296 bytes",
        "events       82,469 (50.2% ON), 2 triggers",
        "sensor time  14.224870 to 15.476187 s, duration 1.251317 s",
        "rate         mean 65.9 kev/s, peak 84.8 kev/s over 10 ms",
        "lost         nothing",
        "skipped      nothing",
    ):
        assert line in lines


def test_the_text_tells_restarts_and_stamps_without_a_date():
    text = as_text(
        Summary(resets=3, sensor_changes=1, stamp_first_ns=10**9, stamp_last_ns=3 * 10**9)
    )
    assert "restarts     3, of these 1 with another sensor" in text
    assert "recorded     2.000 s by stamps without a date" in text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0 ev/s"), (999.4, "999 ev/s"), (999.9, "1 kev/s"), (65_905, "65.9 kev/s"),
     (12_345_678, "12.3 Mev/s"), (2e9, "2 Gev/s")],
)  # fmt: skip
def test_rates_have_three_digits_and_a_unit(rate, text):
    assert rate_text(rate) == text
