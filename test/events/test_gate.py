"""When the activity gate is open: always where something moves, soon no more where nothing does."""

import itertools

import numpy as np
import pytest

from cs3d_ros.events.gate import CALM_WINDOWS, TILE, ActivityGate
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.windows import Window

SIDE = 64
WHOLE = Roi(0, 0, SIDE, SIDE)
SECOND = 1_000_000_000
WINDOW, HOP = SECOND // 2, SECOND // 8
# Nothing is learned before four lengths of a window, and the gate closes one after that.
SOONEST = CALM_WINDOWS * WINDOW + WINDOW


def sprinkled(rng, n, begin_s, end_s, box=(0, 0, SIDE, SIDE)):
    """n events at random times and places."""
    left, top, right, bottom = box
    return Events(
        np.sort(rng.integers(round(begin_s * SECOND), round(end_s * SECOND), n)),
        rng.integers(left, right, n).astype(np.uint16),
        rng.integers(top, bottom, n).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )


def noise(rng, hz, begin_s, end_s, box=(0, 0, SIDE, SIDE)):
    """Poisson noise of so many events per pixel and second."""
    pixels = (box[2] - box[0]) * (box[3] - box[1])
    return sprinkled(rng, rng.poisson(hz * pixels * (end_s - begin_s)), begin_s, end_s, box)


def together(*parts):
    columns = [
        np.concatenate([getattr(part, c) for part in parts]) for c in ("t_ns", "x", "y", "p")
    ]
    order = np.argsort(columns[0], kind="stable")
    return Events(*(column[order] for column in columns))


def windows(events, end_s, begin_s=0.0, hop=HOP):
    for start in range(round(begin_s * SECOND), round(end_s * SECOND) - WINDOW + 1, hop):
        part = slice(*np.searchsorted(events.t_ns, (start, start + WINDOW)))
        chunk = Events(events.t_ns[part], events.x[part], events.y[part], events.p[part])
        yield Window(start, start + WINDOW, (chunk,), len(chunk))


def open_at(gate, cuts, roi=WHOLE):
    """Ends of the windows in s, and whether each was admitted."""
    rows = [(window.end_ns / SECOND, gate.admits(window, roi)) for window in cuts]
    return np.array([end for end, _ in rows]), np.array([admitted for _, admitted in rows])


def run(events, end_s, roi=WHOLE):
    return open_at(ActivityGate(SIDE, SIDE), windows(events, end_s), roi)


# 4.8 Hz for each of 112x112 pixels are 60,000 events a second.
@pytest.mark.parametrize("hz", [0.0, 0.0003, 0.05, 4.8])
def test_noise_alone_closes_it_once_it_is_known(hz):
    ends, admitted = run(noise(np.random.default_rng(1), hz, 0, 30), 30)
    assert admitted[ends < SOONEST / SECOND].all()
    assert admitted[ends > SOONEST / SECOND + 0.5].mean() < 0.1


def test_a_silent_sensor_is_learned_too():
    gate = ActivityGate(SIDE, SIDE)
    assert not open_at(gate, windows(Events.empty(), 6))[1][-1]


@pytest.mark.parametrize("hz", [0.0, 0.05, 1.0])
def test_a_small_movement_opens_it_at_once(hz):
    rng = np.random.default_rng(2)
    # The corner of a mouth: 100 events on 8x8 pixels within 50 ms.
    mouth = sprinkled(rng, 100, 20.01, 20.06, (28, 40, 36, 48))
    ends, admitted = run(together(noise(rng, hz, 0, 30), mouth), 30)
    assert not admitted[(ends > 15) & (ends <= 20)].all()
    assert admitted[(ends > 20.06) & (ends <= 20.51)].all()


def test_a_face_is_seen_through_more_noise_than_it_has_events():
    rng = np.random.default_rng(3)
    dark = noise(rng, 60_000 / SIDE**2 / 3, 0, 26)
    # A third of the pixels of 112x112, and a third of the noise: 20,000 a second.
    face = sprinkled(rng, 5_000, 15, 18, (16, 12, 48, 56))
    ends, admitted = run(together(dark, face), 26)
    assert admitted[(ends > 8) & (ends <= 15)].mean() < 0.25
    assert admitted[(ends > 15.4) & (ends <= 18.1)].all()
    assert admitted[ends > 19.5].mean() < 0.25


def test_what_moves_elsewhere_does_not_open_it():
    rng = np.random.default_rng(4)
    aside = sprinkled(rng, 200_000, 0, 20, (0, 0, SIDE, 16))
    stream = together(noise(rng, 0.1, 0, 20), aside)
    ends, admitted = run(stream, 20, Roi(0, 32, SIDE, 32))
    assert not admitted[ends > 4].any()


def bar(rng, end_s, rate):
    """An edge that sweeps over the sensor every 4 s, with so many events per second."""
    t_s = np.sort(rng.uniform(0, end_s, round(end_s * rate)))
    x = np.abs((t_s / 2) % 2 - 1) * (SIDE - 1)
    y = rng.integers(0, SIDE, t_s.size)
    p = rng.integers(0, 2, t_s.size)
    t_ns = (t_s * SECOND).astype(np.int64)
    return Events(t_ns, x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8))


@pytest.mark.parametrize("rate", [1_000, 20_000])
def test_a_camera_that_always_moves_is_never_quiet(rate):
    assert run(bar(np.random.default_rng(5), 60, rate), 60)[1].all()


def test_a_person_who_moves_now_and_then_and_sits_still_for_minutes():
    rng = np.random.default_rng(6)
    parts = [noise(rng, 0.3, 0, 180)]
    nods = [1, 2, 4, 5, 7, 9, 10, 60, 90, 150]
    parts += [sprinkled(rng, 3_000, t, t + 0.8, (10, 10, 50, 60)) for t in nods]
    ends, admitted = run(together(*parts), 180)
    assert admitted[ends <= 10].all()
    for t in nods:
        assert admitted[(t + 0.1 < ends) & (ends < t + 1.3)].all()
    assert admitted[ends > 12].mean() < 0.15


def test_a_blink_opens_it_for_as_long_as_it_is_in_the_window_and_a_little_longer():
    rng = np.random.default_rng(7)
    blink = sprinkled(rng, 400, 12.0, 12.15, (12, 16, 28, 24))
    ends, admitted = run(together(noise(rng, 0.02, 0, 20), blink), 20)
    around = ends[admitted & (ends > 5)]
    assert (around.min(), around.max()) == (12.125, 12.625 + 0.5)


def test_an_expression_that_grows_slowly_does_not_become_noise():
    rng = np.random.default_rng(8)
    stream = [noise(rng, 0.1, 0, 30)]
    # In one tile, from 13 to 260 events a window within 8 s.
    stream += [noise(rng, 0.3 * k, 15 + k / 4, 15.25 + k / 4, (16, 16, 32, 32)) for k in range(32)]
    ends, admitted = run(together(*stream), 30)
    assert admitted[(ends > 5) & (ends <= 15)].mean() < 0.25
    assert admitted[(ends > 17) & (ends <= 23)].all()
    assert admitted[ends > 25].mean() < 0.25


def test_hot_pixels_belong_to_the_noise():
    rng = np.random.default_rng(9)
    hot = sprinkled(rng, 20_000, 0, 20, (30, 30, 31, 31))
    ends, admitted = run(together(noise(rng, 0.1, 0, 20), hot), 20)
    assert admitted[ends > 4].mean() < 0.1


def test_more_noise_is_learned_within_minutes_and_not_at_once():
    rng = np.random.default_rng(10)
    stream = together(noise(rng, 0.3, 0, 20), noise(rng, 0.9, 20, 240))
    ends, admitted = run(stream, 240)
    assert not admitted[(ends > 5) & (ends <= 20)].any()
    assert admitted[(ends > 20.5) & (ends < 30)].all()
    assert admitted[ends > 180].mean() < 0.5


def test_another_region_is_looked_at_for_a_window_before_it_closes_again():
    rng = np.random.default_rng(11)
    cuts = list(windows(noise(rng, 0.1, 0, 10), 10))
    gate = ActivityGate(SIDE, SIDE)
    left, part_of_it = Roi(0, 0, 48, 48), Roi(0, 0, 32, 32)
    assert not open_at(gate, cuts[:40], left)[1][-1]
    assert open_at(gate, cuts[40:50], part_of_it)[1].tolist() == [True] * 4 + [False] * 6


def test_noise_of_tiles_that_no_region_had_is_learned_first():
    cuts = list(windows(noise(np.random.default_rng(12), 0.1, 0, 12), 12))
    gate = ActivityGate(SIDE, SIDE)
    assert not open_at(gate, cuts[:40], Roi(0, 0, 32, 32))[1][-1]
    assert not gate.admits(cuts[40], Roi(0, 0, 32, 32))
    # Its counts are known, as they are those of the whole sensor; so is the noise at once.
    assert open_at(gate, cuts[41:50], Roi(32, 32, 32, 32))[1].tolist() == [True] * 4 + [False] * 5


@pytest.mark.parametrize("gap_s", [2.0, -6.0])
def test_after_a_gap_it_looks_again(gap_s):
    rng = np.random.default_rng(13)
    gate = ActivityGate(SIDE, SIDE)
    assert not open_at(gate, windows(noise(rng, 0.1, 0, 8), 8))[1][-1]
    again = windows(noise(rng, 0.1, 8 + gap_s, 11 + gap_s), 11 + gap_s, 8 + gap_s)
    assert open_at(gate, again)[1].tolist() == [True] * 4 + [False] * 17


def test_windows_that_a_slow_network_leaves_out_do_not_keep_it_open():
    cuts = list(windows(noise(np.random.default_rng(14), 0.1, 0, 20), 20))[::7]
    assert not open_at(ActivityGate(SIDE, SIDE), cuts)[1][8:].any()


def test_events_outside_of_the_window_do_not_count():
    rng = np.random.default_rng(15)
    stream = noise(rng, 0.1, 0, 10)
    gate = ActivityGate(SIDE, SIDE)
    assert not open_at(gate, windows(stream, 10))[1][-1]
    burst = sprinkled(rng, 5_000, 10.2, 10.3)
    quiet = next(windows(stream, 10.1, 9.6))
    both = Window(quiet.start_ns, quiet.end_ns, (*quiet.chunks, burst), quiet.event_count)
    assert not gate.admits(both, WHOLE)
    later = Window(quiet.start_ns + 250_000_000, quiet.end_ns + 250_000_000, both.chunks, 0)
    assert gate.admits(later, WHOLE)


def test_a_short_hop_fills_no_memory():
    gate = ActivityGate(SIDE, SIDE)
    for window in itertools.islice(windows(Events.empty(), 9, hop=1_000_000), 4_000):
        gate.admits(window, WHOLE)
    assert len(gate._kept) <= 8 * CALM_WINDOWS + 1
    assert not gate.admits(Window(4 * SECOND, 4 * SECOND + WINDOW, (), 0), WHOLE)


@pytest.mark.parametrize(("width", "height"), [(8, 8), (TILE + 1, 3 * TILE - 1), (346, 260)])
def test_sensors_that_are_no_whole_number_of_tiles(width, height):
    rng = np.random.default_rng(16)
    stream = noise(rng, 0.2, 0, 8, (0, 0, width, height))
    gate = ActivityGate(width, height)
    roi = Roi(0, 0, width, height)
    assert not open_at(gate, windows(stream, 8), roi)[1][20:].all()
    corner = sprinkled(rng, 200, 8.0, 8.1, (width - 2, height - 2, width, height))
    assert open_at(gate, windows(corner, 8.125, 7.625), roi)[1].all()
