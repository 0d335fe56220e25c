import shutil
import sqlite3

import numpy as np
import pytest

from cs3d_ros.events.packets import MAX_SENSOR_SIDE
from cs3d_ros.recordings.preview import PreviewError, make_preview
from recording_helpers import STAMP_NS, evt3_packet, some_events, write_bag
from recordings_data import DRAWN_FACE, recording_path

MS = 1_000_000


@pytest.fixture
def bag(tmp_path):
    """Events at 100, 110, … 900 ms, ON in column x = 0…8 and row 3; OFF every other."""
    packets = []
    for i in range(81):
        x = i // 9
        packets.append(evt3_packet(some_events([100_000 + 10_000 * i], x=x, p=i % 2), i))
    return write_bag(tmp_path / "bag", *packets)


def test_frames_are_spread_evenly(bag):
    preview = make_preview(bag, frames=4, window_ns=100 * MS)
    assert (preview.start_ns, preview.end_ns) == (0, 800 * MS + 1)
    assert preview.frame_times_ns.tolist() == [100 * MS, 300 * MS, 500 * MS, 700 * MS]
    assert preview.window_ns == 100 * MS
    assert preview.frames.shape == (4, 2, 48, 64)
    assert preview.frames.sum(axis=(1, 2, 3)).tolist() == [10, 10, 10, 10]
    # From 50 to 149 ms: events 5 to 14, the even ones OFF.
    assert preview.frames[0, 1, 3, :3].tolist() == [2, 3, 0]
    assert preview.frames[0, 0, 3, :3].tolist() == [2, 3, 0]


def test_rates_integrate_to_the_events(bag):
    preview = make_preview(bag)
    assert preview.events == 81
    seconds = (preview.end_ns - preview.start_ns) * 1e-9 / preview.rates.shape[1]
    assert (preview.rates.sum(axis=1) * seconds).tolist() == pytest.approx([41, 40])


def test_a_stretch_is_cut_out(bag):
    preview = make_preview(bag, frames=2, start_ns=200 * MS, duration_ns=100 * MS)
    assert (preview.start_ns, preview.end_ns) == (200 * MS, 300 * MS)
    assert preview.events == 10
    assert preview.frame_times_ns.tolist() == [225 * MS, 275 * MS]
    assert preview.window_ns == 33 * MS
    assert preview.summary.events == 81, "the summary is of the whole"


def test_a_stretch_ends_with_the_recording(bag):
    preview = make_preview(bag, start_ns=700 * MS, duration_ns=10**15)
    assert preview.end_ns == 800 * MS + 1
    assert preview.events == 11


def test_in_a_silent_stretch_there_is_nothing(bag):
    preview = make_preview(bag, start_ns=101 * MS, duration_ns=8 * MS)
    assert preview.events == 0
    assert not preview.frames.any()
    assert not preview.rates.any()


def test_default_windows_do_not_overlap(bag):
    preview = make_preview(bag, frames=64)
    assert preview.window_ns == 800 * MS // 64
    begins = preview.frame_times_ns - preview.window_ns // 2
    assert np.all(np.diff(begins) >= preview.window_ns)


def test_a_single_event_is_in_one_frame(tmp_path):
    preview = make_preview(write_bag(tmp_path / "bag", evt3_packet(some_events([77]))))
    assert preview.frames.sum(axis=(1, 2, 3)).tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert preview.end_ns == 8000


def test_large_sensors_are_shown_in_cells_of_whole_pixels(tmp_path):
    events = some_events([1, 2, 3], x=[0, 1279, 3], y=[0, 719, 3])
    bag = write_bag(tmp_path / "bag", evt3_packet(events, width=1280, height=720))
    preview = make_preview(bag, frames=1)
    assert preview.pixels_per_cell == 4
    assert preview.frames.shape == (1, 2, 180, 320)
    assert np.argwhere(preview.frames[0, 1]).tolist() == [[0, 0], [179, 319]]
    assert make_preview(bag, frames=30).pixels_per_cell == 7


def test_the_largest_sensor_takes_little_memory(tmp_path):
    packet = evt3_packet(some_events([1]), width=MAX_SENSOR_SIDE, height=MAX_SENSOR_SIDE)
    preview = make_preview(write_bag(tmp_path / "bag", packet), frames=64)
    assert preview.frames.nbytes < 64 * 2 * 4 * 192**2 + 1


def test_restarts_are_marked_and_their_stretches_joined(tmp_path):
    stretch = [some_events([5000, 6000]), some_events([7000, 9000])]
    packets = [evt3_packet(stretch[i % 2], i % 2, stamp_ns=STAMP_NS + i) for i in range(4)]
    preview = make_preview(write_bag(tmp_path / "bag", *packets))
    assert preview.end_ns == 8 * MS + 1
    assert preview.restarts_ns == (4 * MS,)
    assert preview.events == 8


def test_a_sensor_that_grows_does_not_break_the_frames(tmp_path):
    packets = [
        evt3_packet(some_events([1]), 0),
        evt3_packet(some_events([2000], x=500, y=300), 1, width=640, height=480),
    ]
    preview = make_preview(write_bag(tmp_path / "bag", *packets), frames=1, window_ns=10 * MS)
    assert preview.frames.sum() == 1
    assert preview.events == 2


def test_the_drawn_face_is_read_whole():
    preview = make_preview(DRAWN_FACE, window_ns=10**12)
    assert preview.events == 86_410
    assert preview.frames.sum(axis=(1, 2, 3)).tolist() == [86_410] * 8


def test_a_damaged_recording_is_shown_as_far_as_it_goes(tmp_path):
    path = tmp_path / "damaged.db3"
    shutil.copyfile(recording_path("evt3/test_data_evt3_trigger_0.db3"), path)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE messages SET data = x'00010000ff' WHERE id = 51")
    database.close()
    preview = make_preview(path)
    assert "damaged" in preview.summary.damage
    assert preview.events == preview.summary.events > 0


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"frames": 0}, "0 frames, expected 1 to 64"),
        ({"frames": 65}, "65 frames"),
        ({"window_ns": 0}, "a window of 0 ms"),
        ({"duration_ns": -MS}, "a duration of -1 ms"),
        ({"start_ns": -1}, "a start at -1e-09 s, expected 0 to 0.8 s"),
        ({"start_ns": 900 * MS}, "a start at 0.9 s, expected 0 to 0.8 s"),
    ],
)
def test_impossible_choices_are_refused(bag, choices, message):
    with pytest.raises(PreviewError, match=message):
        make_preview(bag, **choices)


def test_a_recording_without_events_is_refused(tmp_path):
    packets = [evt3_packet(b""), evt3_packet(b"", 1, encoding="evt99")]
    with pytest.raises(PreviewError, match=r"no events.*2 packets read, 1 could not.*evt99"):
        make_preview(write_bag(tmp_path / "bag", *packets))


def test_a_recording_of_triggers_alone_says_so(tmp_path):
    words = np.array([0x8000, 0x6001, 0xA001, 0x6002, 0xA000], "<u2")
    bag = write_bag(tmp_path / "bag", evt3_packet(words.tobytes()))
    with pytest.raises(PreviewError, match="no events that could be drawn: only 2 triggers"):
        make_preview(bag)
