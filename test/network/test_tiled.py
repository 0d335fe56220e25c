"""Networks tile by tile answer as their modules do: any option, any size, any number of threads."""

import threading

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.network import build, cpu_kernels, stages
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.specification import Network
from cs3d_ros.network.tiled import TiledNetwork, is_tileable
from network_helpers import OPTIONS, Stream, assert_alike, trained

SHIFTS = [None, 2, 4, 4, 15, 0, 3, 16, 2, 40, 5, None, 1, 1, 14, 13, -1, 2, 12, 11]


@pytest.fixture(scope="module")
def cs3d() -> Network:
    return trained("cs3d")


def tiled(network: Network, stream: Stream, threads: int = 2) -> TiledNetwork:
    return TiledNetwork(network, tuple(stream.window.shape[1:]), threads)


def assert_stream_alike(
    network: Network, stream: Stream, shifts: list[int | None], threads: int = 2
) -> None:
    form = tiled(network, stream, threads)
    with torch.inference_mode():
        for shift in shifts:
            window = stream.later(shift)
            found = form(window.numpy()[0], shift)
            assert_alike(torch.from_numpy(found)[None], network(window))
    form.close()


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_answers_alike_hop_after_hop(
    options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "HIDDEN", 32)
    network = trained("cs3d", **options)
    stream = Stream(int(options.get("in_channels", 3)), 33)
    assert_stream_alike(network, stream, [None, 4, 1, 2])


def test_c3d_of_factorized_blocks_answers_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "HIDDEN", 32)
    assert_stream_alike(trained("c3d+factorized"), Stream(), [None, 2])


@pytest.mark.parametrize("size", [32, 34, 40, 47, 56, 63, 112])
@pytest.mark.parametrize("threads", [1, 3])
def test_every_size_answers_alike(cs3d: Network, size: int, threads: int) -> None:
    assert_stream_alike(cs3d, Stream(size=size), [None, 2], threads)


@pytest.mark.parametrize("threads", [1, 2, 5, 40])
def test_the_number_of_threads_changes_no_bit(cs3d: Network, threads: int) -> None:
    stream = Stream(size=40)
    window = stream.window.numpy()[0]
    expected = tiled(cs3d, stream, 1)(window)
    np.testing.assert_array_equal(tiled(cs3d, stream, threads)(window), expected)


def test_any_shift_may_follow_any_other(cs3d: Network) -> None:
    assert_stream_alike(cs3d, Stream(), SHIFTS)


@given(shifts=st.lists(st.none() | st.integers(0, 17), min_size=2, max_size=4))
@settings(max_examples=10, deadline=None)
def test_any_sequence_of_shifts_answers_alike(shifts: list[int | None]) -> None:
    assert_stream_alike(CS3D, Stream(), shifts)


CS3D = trained("cs3d")


def test_frames_are_kept_to_the_bit_however_many_hops_go_by(cs3d: Network) -> None:
    stream = Stream()
    form, anew = tiled(cs3d, stream), tiled(cs3d, stream)
    for _ in range(300):
        window = stream.later(2).numpy()[0]
        np.testing.assert_array_equal(form(window, 2), anew(window))


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (0, [2, 4]),
        (1, [3, 5]),
        (2, [4, 6]),
        (11, [13, 15]),
        (12, [14, 16]),
        (15, [16, 16]),
        (16, [16, 16]),
        (None, [16, 16]),
    ],
)
def test_only_new_frames_and_those_at_the_ends_are_computed(
    cs3d: Network, shift: int | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream()
    form = tiled(cs3d, stream, 1)
    form(stream.window.numpy()[0])
    plans, work = [], cpu_kernels.work

    def watched(plan, *arguments):
        plans.append(plan.copy())
        work(plan, *arguments)

    monkeypatch.setattr(cpu_kernels, "work", watched)
    form(stream.later(shift).numpy()[0], shift)
    (plan,) = plans
    blocks = plan[plan[:, 0] == cpu_kernels.CONVOLVE]
    assert (blocks[:, 2] - blocks[:, 1]).tolist() == [*expected, 8, 4, 2]


def test_a_shift_is_believed(cs3d: Network) -> None:
    stream = Stream()
    form = tiled(cs3d, stream)
    form(stream.window.numpy()[0])
    window = stream.later(None).numpy()[0]
    expected = tiled(cs3d, stream)(window)
    assert np.abs(form(window, 2) - expected).max() > 1e-3 * np.abs(expected).max()


def test_attention_over_all_frames_is_computed_anew_in_the_first_stage() -> None:
    network, stream = trained("cs3d", temporal_attention="per_frame"), Stream()
    form = tiled(network, stream)
    form(stream.window.numpy()[0])
    window = stream.later(None)
    # No reuse, so that a wrong shift does no harm.
    with torch.inference_mode():
        found = torch.from_numpy(form(window.numpy()[0], 2))[None]
        assert_alike(found, network(window))


def test_nothing_builds_upon_a_call_that_failed(
    cs3d: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream()
    form = tiled(cs3d, stream)
    form(stream.window.numpy()[0])

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as context:
        context.setattr(cpu_kernels, "work", fail)
        with pytest.raises(MemoryError):
            form(stream.later(2).numpy()[0], 2)
    window = stream.later(2).numpy()[0]
    np.testing.assert_array_equal(form(window, 2), tiled(cs3d, stream)(window))


def test_the_weights_are_copies(cs3d: Network) -> None:
    network, stream = trained("cs3d"), Stream()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    form, window = tiled(network, stream), stream.window.numpy()[0]
    first = form(window)
    assert all(value.equal(before[key]) for key, value in network.state_dict().items())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(form(window), first)


def test_numbers_that_are_none_come_out_as_such(cs3d: Network) -> None:
    stream = Stream()
    form, window = tiled(cs3d, stream), stream.window.numpy()[0]
    expected = form(window)
    assert np.isnan(form(np.full_like(window, np.nan))).all()
    # And nothing of them stays.
    np.testing.assert_array_equal(form(window), expected)


def test_closing_ends_the_threads(cs3d: Network) -> None:
    before = threading.active_count()
    form = tiled(cs3d, Stream(), 4)
    form(Stream().window.numpy()[0])
    assert threading.active_count() > before
    form.close()
    form.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("name", ["c3d", "rnn", "lstm", "transformer"])
def test_other_networks_are_refused(name: str) -> None:
    network = trained(name, narrow=True)
    assert not is_tileable(network)
    with pytest.raises(NetworkError, match="not made of five stages of factorized blocks"):
        TiledNetwork(network, (3, 16, 32, 32), 1)


def test_channels_that_fill_no_tile_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "CHANNELS", (4, 4, 4, 4, 4))
    assert not is_tileable(build("cs3d", reduction=1))


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"training mode cannot be tiled; call eval\(\)"):
        TiledNetwork(build("cs3d"), (3, 16, 32, 32), 1)
