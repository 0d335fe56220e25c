"""The torch path against the NumPy path, on hand-made, random and recorded windows."""

import numpy as np
import pytest
import torch

from cs3d_ros.events import warm_up
from cs3d_ros.events.packets import Events
from cs3d_ros.events.roi import Roi
from cs3d_ros.events.stream import EventStream
from cs3d_ros.events.tensors import TensorError, bin_window, channels, representations
from cs3d_ros.events.windows import SlidingWindows, Window
from cs3d_ros.recordings import open_recording
from cs3d_ros.torch_tensors import bin_window_torch
from recordings_data import recording_path

ALL = representations()
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
INT64 = np.iinfo(np.int64)


@pytest.fixture(scope="module", autouse=True)
def _compiled():
    warm_up()


@pytest.fixture(params=DEVICES)
def device(request):
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    return request.param


def random_events(n, width, height, duration_ns, seed):
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(-duration_ns // 20, duration_ns + duration_ns // 20, n),
        rng.integers(0, width, n).astype(np.uint16),
        rng.integers(0, height, n).astype(np.uint16),
        rng.integers(0, 2, n).astype(np.uint8),
    )


def assert_same(window, roi, bins, size, name, device):
    expected = bin_window(window, roi, bins, size, name)
    result = bin_window_torch(window, roi, bins, size, name, device)
    assert result.dtype == torch.float32
    assert result.device.type == device
    assert result.is_contiguous()
    found = result.cpu().numpy()
    if name in ("polarity_counts", "binary"):
        np.testing.assert_array_equal(found, expected)
    else:
        # Shares of many events that cancel leave an error that is small beside the events.
        atol = 1e-4 if name == "voxel_grid" else 0
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=atol)
    return expected


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("roi", "bins", "size"),
    [
        (Roi(0, 0, 240, 180), 16, 112),
        (Roi(7, 3, 120, 120), 5, 112),
        (Roi(20, 30, 50, 60), 3, 112),
        (Roi(20, 30, 50, 160), 16, 64),
        (Roi(100, 100, 8, 8), 1, 3),
    ],
)
def test_random_windows_give_the_same_tensor(name, roi, bins, size, device):
    chunks = tuple(random_events(n, 240, 180, 500_000_000, n) for n in (1, 900, 20_000))
    window = Window(0, 500_000_000, chunks, 0)
    assert assert_same(window, roi, bins, size, name, device).any()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("duration_ns", [1, 7, 80, 999_999_999])
def test_bins_meet_at_the_same_nanosecond(name, duration_ns, device):
    times = {k * duration_ns // 9 + d for k in range(10) for d in (-1, 0, 1)}
    n = len(times)
    x, y, p = (np.arange(n) % m for m in (11, 3, 2))
    chunk = Events(
        np.array(sorted(times)), x.astype(np.uint16), y.astype(np.uint16), p.astype(np.uint8)
    )
    start_ns = 10**15
    window = Window(start_ns, start_ns + duration_ns, (shifted(chunk, start_ns),), n)
    assert_same(window, Roi(0, 0, 11, 3), 9, 8, name, device)


def shifted(chunk, by_ns):
    return Events(chunk.t_ns + by_ns, chunk.x, chunk.y, chunk.p)


@pytest.mark.parametrize("name", ALL)
def test_events_beyond_all_bounds_are_left_out(name, device):
    t_ns = np.array([INT64.min, INT64.max, 5, 5, 5, -1, 10])
    x = np.array([1, 1, 65535, 40_000, 1, 1, 1], np.uint16)
    y = np.array([1, 1, 1, 40_000, 65535, 1, 1], np.uint16)
    window = Window(0, 10, (Events(t_ns, x, y, np.ones(7, np.uint8)),), 0)
    assert not assert_same(window, Roi(0, 0, 8, 8), 3, 8, name, device).any()


@pytest.mark.parametrize("name", ALL)
def test_columns_beyond_32767_are_found(name, device):
    chunk = Events(
        np.array([5]), np.array([40_003], np.uint16), np.array([2], np.uint16), np.ones(1, np.uint8)
    )
    window = Window(0, 10, (chunk,), 1)
    assert assert_same(window, Roi(40_000, 0, 8, 8), 1, 8, name, device)[..., 2, 3].any()


@pytest.mark.parametrize("name", ALL)
def test_a_window_without_events_gives_zeros(name, device):
    for chunks in ((), (Events.empty(),)):
        window = Window(0, 10, chunks, 0)
        assert not assert_same(window, Roi(0, 0, 8, 8), 3, 20, name, device).any()


@pytest.mark.filterwarnings("error")
def test_read_only_events_are_taken_without_a_warning(device):
    chunk = random_events(100, 8, 8, 1000, 0)
    for column in (chunk.t_ns, chunk.x, chunk.y, chunk.p):
        column.flags.writeable = False
    assert_same(Window(0, 1000, (chunk,), 0), Roi(0, 0, 8, 8), 2, 8, "polarity_counts", device)


def test_the_result_is_not_tied_to_the_events(device):
    chunk = random_events(100, 8, 8, 1000, 0)
    window = Window(0, 1000, (chunk,), 0)
    first = bin_window_torch(window, Roi(0, 0, 8, 8), 2, 8, device=device)
    kept = first.clone()
    chunk.x[:] = 0
    bin_window_torch(window, Roi(0, 0, 8, 8), 2, 8, device=device)
    assert torch.equal(first, kept)


def test_counts_are_repeatable(device):
    window = Window(0, 1000, (random_events(50_000, 4, 4, 1000, 0),), 0)
    first, *others = (bin_window_torch(window, Roi(0, 0, 8, 8), device=device) for _ in range(3))
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("recording", ["drawn_face", "evt3"])
def test_recorded_windows_give_the_same_tensor(name, recording, device, drawn_face):
    path = drawn_face if recording == "drawn_face" else recording_path(recording)
    stream, cutter = EventStream(), SlidingWindows(50_000_000, 25_000_000, 10**9)
    found = 0
    with open_recording(path) as packets:
        for _, packet in packets:
            decoded = stream.feed(packet)
            roi = Roi.centred_square(packet.width, packet.height)
            for window in cutter.push(decoded, stream.now_ns) if stream.now_ns is not None else ():
                found += int(assert_same(window, roi, 16, 112, name, device).any())
            if found == 3:
                break
    assert found


def test_bad_arguments_are_refused_as_by_bin_window(device):
    window, roi = Window(0, 10, (), 0), Roi(0, 0, 8, 8)
    with pytest.raises(TensorError, match="voxels"):
        bin_window_torch(window, roi, representation="voxels", device=device)
    with pytest.raises(TensorError, match="at least one"):
        bin_window_torch(window, roi, bins=0, device=device)


def test_the_default_is_that_of_bin_window(device):
    tensor = bin_window_torch(Window(0, 10, (), 0), Roi(0, 0, 8, 8), device=device)
    assert tensor.shape == (channels("on_off_recency"), 16, 112, 112)
