"""The region of interest on moving faces with known places, on noise, and on nasty streams."""

import numpy as np
import pytest

from cs3d_ros.events.activity import TICK_NS, ActivityError, ActivitySettings, ActivityTracker
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi, RoiError
from cs3d_ros.events.stream import EventStream
from cs3d_ros.recordings import open_recording
from event_helpers import events
from moving_source import Scene, area, face, overlap, packets, panorama

MS, S = 1_000_000, 1_000_000_000
WIDTH, HEIGHT = 320, 240
CENTRE = Roi(40, 0, 240, 240)


def watch(scene: Scene, every_s=0.125, settle_s=0.5):
    """Time, region and lost, as a window each 125 ms asks for them."""
    tracker, due_s, seen = ActivityTracker(scene.width, scene.height), settle_s, []
    stream, _ = scene.events()
    for chunk, now_ns in packets(stream, scene.seconds):
        tracker.observe(chunk, now_ns)
        if now_ns * 1e-9 >= due_s - 1e-6:
            tracker.roi.check(scene.width, scene.height)
            seen.append((now_ns * 1e-9, tracker.roi, tracker.lost))
            due_s += every_s
    return seen


def share(scene: Scene, t_s: float, roi: Roi) -> float:
    """How much of the face the region shows."""
    truth = scene.truth(t_s)
    return overlap(truth, roi) / area(truth)


def covered(scene: Scene, seen) -> float:
    """How often the region shows at least 90 % of the face."""
    return float(np.mean([share(scene, t_s, roi) >= 0.9 for t_s, roi, _ in seen]))


def spot(now_ns, x, y, width=60, height=60, n=3000, seed=0):
    """Some ms of activity in a rectangle around a place, all of it at one time."""
    rng = np.random.default_rng(seed)
    columns = (
        np.full(n, now_ns),
        (x + rng.integers(-width // 2, width // 2, n)).astype(np.uint16),
        (y + rng.integers(-height // 2, height // 2, n)).astype(np.uint16),
        np.zeros(n, np.uint8),
    )
    return Events(*columns)


def run(tracker, start_ns, seconds, *spots):
    """Show spots (x, y, width, height) each 10 ms; returns the time reached."""
    for now_ns in range(start_ns, start_ns + round(seconds * S), 10 * MS):
        shown = [spot(now_ns, *place, seed=now_ns) for place in spots]
        tracker.observe(joined(*shown), now_ns)
    return start_ns + round(seconds * S)


def joined(*chunks):
    if not chunks:
        return Events.empty()
    columns = ([getattr(chunk, name) for chunk in chunks] for name in ("t_ns", "x", "y", "p"))
    return Events(*(np.concatenate(column) for column in columns))


def even_noise(now_ns, n, width=WIDTH, height=HEIGHT):
    rng = np.random.default_rng(now_ns)
    x = rng.integers(0, width, n).astype(np.uint16)
    y = rng.integers(0, height, n).astype(np.uint16)
    return Events(np.full(n, now_ns), x, y, np.zeros(n, np.uint8))


# --- moving faces ------------------------------------------------------------------------------


@pytest.mark.parametrize("heights_per_s", [0.05, 0.2, 0.6, 1.5])
def test_a_face_that_moves_is_covered(heights_per_s):
    leg_s = 200 / (heights_per_s * HEIGHT)
    path = [(i * leg_s, (60, 260)[i % 2], 120, 130, 0.3) for i in range(2 + int(3 / leg_s))]
    scene = Scene(WIDTH, HEIGHT, 3.0, [face(path)])
    seen = watch(scene)
    assert covered(scene, seen) >= 0.95
    assert not any(lost for _, _, lost in seen)
    # The centred square is far larger: a third of the sensor at most is shown here.
    assert np.mean([roi.width**2 for _, roi, _ in seen]) < WIDTH * HEIGHT / 2.2


def test_the_size_follows_a_face_that_comes_closer():
    path = [(0, 200, 100, 70, 0), (2.5, 160, 120, 190, 0.5)]
    scene = Scene(WIDTH, HEIGHT, 2.5, [face(path)])
    seen = watch(scene)
    assert covered(scene, seen) >= 0.95
    sides = [roi.width for _, roi, _ in seen]
    assert sides[0] < 120 < 200 < sides[-1]


def test_a_face_that_stops_stays_in_the_region_without_any_event():
    scene = Scene(WIDTH, HEIGHT, 4.0, [face([(0, 70, 120, 130, 0), (1, 230, 110, 130, 0)])])
    seen = watch(scene)
    assert covered(scene, seen) >= 0.95
    assert not any(lost for _, _, lost in seen)


def test_a_mouth_that_speaks_does_not_draw_the_region_away():
    path = [(0, 70, 120, 130, 0), (1, 230, 120, 130, 0)]
    path += [(1.5 + 0.2 * i, 230, 120, 130, i % 2) for i in range(16)]
    scene = Scene(WIDTH, HEIGHT, 4.5, [face(path)])
    assert covered(scene, watch(scene)) >= 0.95


def test_noise_and_hot_pixels_do_not_matter():
    path = [(0, 80, 120, 130, 0), (1.5, 240, 110, 130, 1), (3, 90, 130, 130, 0)]
    for noise in ({"noise_hz": 1.0}, {"noise_hz": 5.0}, {"hot": 30}):
        scene = Scene(WIDTH, HEIGHT, 3.0, [face(path)], **noise)
        seen = watch(scene)
        assert covered(scene, seen) >= 0.95, noise
        assert np.mean([roi.width for _, roi, _ in seen]) < 200, noise


def test_the_larger_of_two_is_followed():
    large = face([(0, 70, 120, 130, 0), (3, 170, 120, 130, 0)])
    small = face([(0, 280, 40, 45, 0), (1.5, 280, 200, 45, 0), (3, 280, 40, 45, 0)])
    scene = Scene(WIDTH, HEIGHT, 3.0, [large, small])
    assert covered(scene, watch(scene, settle_s=1.0)) >= 0.95


def test_the_drawn_face_is_covered_in_any_corner_of_a_larger_sensor(drawn_face):
    stream = EventStream()
    with open_recording(drawn_face) as recording:
        parts = [stream.feed(packet) for _, packet in recording]
    whole = joined(*parts)
    tracker = ActivityTracker(640, 480)
    x = (whole.x + np.uint16(320)).astype(np.uint16)
    moved = Events(whole.t_ns - whole.t_ns.min(), x, whole.y + np.uint16(240), whole.p)
    shares = []
    for chunk, now_ns in packets(moved, 6.0, step_ms=125.0):
        tracker.observe(chunk, now_ns)
        if now_ns > S:
            shares.append(overlap((402, 260, 558, 460), tracker.roi) / (156 * 200))
    # Its face sways by 4 pixels around that place.
    assert min(shares) > 0.9
    assert Roi.centred_square(640, 480) == Roi(80, 0, 480, 480)
    assert tracker.roi.width < 300


def test_a_shaken_camera_leaves_the_region_where_it_was():
    path = [(0, 100, 120, 130, 0), (1.5, 150, 120, 130, 0), (2, 150, 120, 130, 0)]
    shake = panorama([(1.5, 160, 120, 280, 0), (1.75, 175, 125, 280, 0), (2, 160, 120, 280, 0)],
                     280, 380)  # fmt: skip
    scene = Scene(WIDTH, HEIGHT, 2.0, [face(path), shake])
    seen = watch(scene)
    assert covered(scene, seen) >= 0.95
    assert not any(lost for _, _, lost in seen)
    assert seen[-1][1].width < 1.3 * 130 * 1.2


# --- lost and found ----------------------------------------------------------------------------


def test_at_first_it_is_lost_and_the_region_is_the_centred_square():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    assert (tracker.lost, tracker.roi) == (True, CENTRE)


def test_without_activity_it_holds_and_is_lost_after_the_hold_time():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 1.0, (230, 120))
    region = tracker.roi
    assert not tracker.lost
    tracker.observe(Events.empty(), now_ns + round(2.9 * S))
    assert (tracker.lost, tracker.roi) == (False, region)
    # What happened last fades for some tenths of a second before the hold begins.
    tracker.observe(Events.empty(), now_ns + round(3.6 * S))
    assert (tracker.lost, tracker.roi) == (True, CENTRE)


def test_it_goes_to_what_moves_elsewhere_once_its_own_place_is_quiet():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 1.0, (60, 60))
    now_ns = run(tracker, now_ns, 0.3, (260, 180))
    assert tracker.roi.x < 60
    run(tracker, now_ns, 1.0, (260, 180))
    assert tracker.roi.x > 180
    assert not tracker.lost


def test_it_does_not_go_to_something_small_while_the_face_rests():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 1.0, (100, 120, 120, 150))
    region = tracker.roi
    run(tracker, now_ns, 2.5, (280, 40, 30, 30))
    assert tracker.roi == region


def test_all_that_moves_within_the_region_is_followed():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 0.5, (160, 95, 100, 150))
    for down in range(0, 62, 2):
        now_ns = run(tracker, now_ns, 0.04, (160, 50 + down, 80, 40), (160, 145 + down, 50, 24))
    roi = tracker.roi
    assert not tracker.lost
    # Not only the larger of the two, at 110, but also the other at 205, up to its lower edge.
    assert roi.y <= 90
    assert roi.y + roi.height >= 217


def test_it_leaves_something_small_for_something_larger():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 1.0, (280, 40, 30, 30))
    run(tracker, now_ns, 1.0, (280, 40, 30, 30), (100, 120, 120, 150))
    assert tracker.roi.x + tracker.roi.width < 240


@pytest.mark.parametrize("noise_hz", [0.1, 1.0, 20.0])
def test_even_noise_with_hot_pixels_is_nothing_to_follow(noise_hz):
    seen = watch(Scene(WIDTH, HEIGHT, 1.0, noise_hz=noise_hz, hot=20), every_s=0.02, settle_s=0.02)
    assert all(lost and roi == CENTRE for _, roi, lost in seen)


@pytest.mark.parametrize("blocks", [8, 24])
def test_a_camera_that_moves_has_nothing_to_follow(blocks):
    room = panorama([(0, 130, 120, 300, 0), (2, 190, 130, 300, 0)], 300, 420, blocks)
    seen = watch(Scene(WIDTH, HEIGHT, 2.0, [room]))
    assert all(lost and roi == CENTRE for _, roi, lost in seen)


def test_activity_all_over_the_sensor_ends_in_lost():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 1.0, (230, 120))
    for later_ns in range(now_ns, now_ns + 4 * S, 10 * MS):
        tracker.observe(even_noise(later_ns, 20_000), later_ns)
    assert (tracker.lost, tracker.roi) == (True, CENTRE)


def test_a_short_burst_everywhere_changes_nothing():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 1.0, (230, 120))
    region = tracker.roi
    # 50 million events a second for 20 ms.
    for later_ns in range(now_ns, now_ns + 20 * MS, MS):
        tracker.observe(even_noise(later_ns, 50_000), later_ns)
    tracker.observe(Events.empty(), now_ns + S)
    assert (tracker.lost, tracker.roi) == (False, region)


# --- nasty streams -----------------------------------------------------------------------------


def test_the_result_does_not_depend_on_how_the_stream_is_cut():
    path = [(0, 80, 120, 130, 0), (1.5, 240, 110, 130, 1)]
    stream, _ = Scene(WIDTH, HEIGHT, 1.5, [face(path)], noise_hz=1.0).events()
    regions = []
    for step_ms in (0.5, 4.0, 20.0, 125.0, 1500.0):
        tracker = ActivityTracker(WIDTH, HEIGHT)
        for chunk, now_ns in packets(stream, 1.5, step_ms):
            tracker.observe(chunk, now_ns)
        regions.append(tracker.roi)
    assert set(regions) == {regions[0]}
    assert regions[0] != CENTRE


@pytest.mark.parametrize(("x", "y"), [(0, 0), (319, 0), (0, 239), (319, 239), (160, 0), (0, 120)])
def test_activity_at_the_border_keeps_the_region_on_the_sensor(x, y):
    tracker = ActivityTracker(WIDTH, HEIGHT)
    for now_ns in range(0, S, 10 * MS):
        shown = spot(now_ns, 400, 400, seed=now_ns)
        at_x = np.clip(shown.x.astype(int) - 400 + x, 0, WIDTH - 1).astype(np.uint16)
        at_y = np.clip(shown.y.astype(int) - 400 + y, 0, HEIGHT - 1).astype(np.uint16)
        tracker.observe(Events(shown.t_ns, at_x, at_y, shown.p), now_ns)
    roi = tracker.roi
    roi.check(WIDTH, HEIGHT)
    assert not tracker.lost
    assert roi.x <= x < roi.x + roi.width
    assert roi.y <= y < roi.y + roi.height


def test_a_pixel_and_a_spot_of_few_cells_are_never_followed():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    for now_ns in range(0, S, 10 * MS):
        one = events([(now_ns, 200, 100, 1)] * 500)
        few = spot(now_ns, 104, 104, 16, 16, n=500)
        tracker.observe(joined(one, few), now_ns)
        assert tracker.lost


@pytest.mark.parametrize("size", [(8, 8), (16, 8), (8, 16), (9, 11), (33, 8192), (2000, 40)])
def test_tiny_and_odd_sensors_have_a_region_at_all_times(size):
    tracker = ActivityTracker(*size)
    for now_ns in range(0, S, 20 * MS):
        tracker.observe(even_noise(now_ns, 2_000, size[0] // 2, size[1]), now_ns)
        tracker.roi.check(*size)


def test_times_that_go_back_count_as_they_come():
    tracker, orderly = ActivityTracker(WIDTH, HEIGHT), ActivityTracker(WIDTH, HEIGHT)
    rng = np.random.default_rng(0)
    for now_ns in range(10 * S, 11 * S, 10 * MS):
        shown = spot(now_ns, 230, 120, seed=now_ns)
        orderly.observe(shown, now_ns)
        wild = now_ns + rng.integers(-50 * MS, 50 * MS, len(shown))
        tracker.observe(Events(wild, shown.x, shown.y, shown.p), now_ns)
    assert not tracker.lost
    assert abs(tracker.roi.x - orderly.roi.x) <= 2
    tracker.observe(spot(0, 230, 120), 5)
    tracker.observe(Events.empty(), 0)
    assert not tracker.lost


def test_a_pause_or_a_far_jump_of_the_clock_starts_over_at_once():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    now_ns = run(tracker, 0, 1.0, (230, 120))
    far_ns = now_ns + 10**9 * S
    tracker.observe(Events.empty(), far_ns)
    assert tracker.lost
    run(tracker, far_ns, 1.0, (60, 60))
    assert not tracker.lost
    assert tracker.roi.x < 60


def test_of_a_very_long_call_only_the_end_counts():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    early = joined(*(spot(i * 10 * MS, 60, 60, seed=i) for i in range(100)))
    late = joined(*(spot(100 * S + i * 10 * MS, 260, 180, seed=i) for i in range(100)))
    tracker.observe(joined(early, late), 101 * S)
    assert tracker.roi.x > 180


def test_reset_forgets_everything():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    run(tracker, 5 * S, 1.0, (230, 120))
    tracker.reset()
    assert (tracker.lost, tracker.roi) == (True, CENTRE)
    run(tracker, 0, 1.0, (60, 60))
    assert not tracker.lost
    assert tracker.roi.x < 60


def test_events_off_the_sensor_and_no_events_do_no_harm():
    tracker = ActivityTracker(WIDTH, HEIGHT)
    tracker.observe(Events.empty(), 0)
    for now_ns in range(TICK_NS, S, TICK_NS):
        tracker.observe(spot(now_ns, 60_000, 60_000), now_ns)
        tracker.observe(Events.empty(), now_ns)
    assert tracker.lost


# --- settings ----------------------------------------------------------------------------------


def test_the_region_is_a_square_between_the_smallest_side_and_the_sensor():
    for min_side, margin, expected in ((0.5, 1.0, 120), (0.0, 4.0, 240)):
        settings = ActivitySettings(min_side=min_side, margin=margin)
        tracker = ActivityTracker(WIDTH, HEIGHT, settings)
        run(tracker, 0, 1.0, (200, 120, 60, 60))
        assert tracker.roi.width == tracker.roi.height == pytest.approx(expected, abs=1)


def test_it_shrinks_to_what_was_largest_of_late():
    tracker = ActivityTracker(WIDTH, HEIGHT, ActivitySettings(shrink_s=1.0))
    now_ns = run(tracker, 0, 0.5, (160, 120, 160, 160))
    large = tracker.roi.width
    now_ns = run(tracker, now_ns, 0.8, (160, 120, 60, 60))
    assert tracker.roi.width == large
    run(tracker, now_ns, 0.7, (160, 120, 60, 60))
    assert tracker.roi.width < 0.6 * large


@pytest.mark.parametrize(
    "values",
    [
        {"min_side": 1.1},
        {"min_side": -0.1},
        {"margin": 0.9},
        {"memory_s": 0.0},
        {"hold_s": float("nan")},
        {"follow_s": 61.0},
        {"switch_s": -1.0},
        {"shrink_s": float("inf")},
    ],
)
def test_settings_out_of_range_are_refused(values):
    with pytest.raises(ActivityError, match=next(iter(values))):
        ActivitySettings(**values)


def test_a_sensor_too_small_for_a_region_is_refused():
    with pytest.raises(RoiError):
        ActivityTracker(7, 100)
