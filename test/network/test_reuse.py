"""Windows that overlap are answered as each would be alone, and with less work."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cs3d_ros.network import build
from cs3d_ros.network.errors import NetworkError
from cs3d_ros.network.frame_parts import FramePart, frame_parts
from cs3d_ros.network.reuse import WindowReuse
from cs3d_ros.network.specification import Network
from network_helpers import FIVE_STAGES, OPTIONS, Stream, assert_alike, trained

SHIFTS = [None, 2, 4, 4, 15, 0, 3, 16, 2, 40, 5, None, 1, 1, 14, 13, -1, 2, 12, 11]


def reusing(network: Network) -> WindowReuse:
    parts = frame_parts(network, fused=True)
    assert parts is not None
    return WindowReuse(parts)


def assert_stream_alike(network: Network, stream: Stream, shifts: list[int | None]) -> None:
    reuse = reusing(network)
    with torch.inference_mode():
        for shift in shifts:
            window = stream.later(shift)
            assert_alike(reuse(window, shift), network(window))


@pytest.mark.parametrize("name", FIVE_STAGES)
def test_every_network_answers_alike_hop_after_hop(name: str) -> None:
    assert_stream_alike(trained(name, narrow=True), Stream(), [None, 2, 4, 1, 3])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_every_option_answers_alike_hop_after_hop(options: dict[str, object]) -> None:
    network = trained("cs3d", narrow=True, **options)
    if frame_parts(network) is None:
        assert options == {"temporal_attention": "per_frame"}
        return
    stream = Stream(int(options.get("in_channels", 3)), 33)
    assert_stream_alike(network, stream, [None, 4, 1, 2])


def test_any_shift_may_follow_any_other() -> None:
    assert_stream_alike(trained("cs3d", narrow=True), Stream(), SHIFTS)


def test_the_network_in_full_answers_alike_hop_after_hop() -> None:
    assert_stream_alike(trained("cs3d"), Stream(), [None, 2, 4])


@given(shifts=st.lists(st.none() | st.integers(0, 17), min_size=2, max_size=4))
@settings(max_examples=6, deadline=None)
def test_any_sequence_of_shifts_answers_alike(shifts: list[int | None]) -> None:
    assert_stream_alike(CS3D, Stream(), shifts)


CS3D = trained("cs3d", narrow=True)


def test_errors_do_not_add_up_hop_after_hop() -> None:
    reuse, stream = reusing(CS3D), Stream()
    with torch.inference_mode():
        for hop in range(300):
            found = reuse(stream.later(2), 2)
            if hop % 50 == 49:
                assert_alike(found, CS3D(stream.window))


def frames_computed(reuse: WindowReuse, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    counts: list[int] = []
    forward, whole = FramePart.forward, FramePart.whole

    def counting(self, before, frames, following):
        counts.append(len(frames))
        return forward(self, before, frames, following)

    def counting_whole(self, x):
        counts.append(x.shape[1])
        return whole(self, x)

    monkeypatch.setattr(FramePart, "forward", counting)
    monkeypatch.setattr(FramePart, "whole", counting_whole)
    return counts


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (0, []),
        (1, [3, 5]),
        (2, [4, 6]),
        (4, [6, 8]),
        (11, [13, 15]),
        (12, [14, 16]),
        (14, [16, 16]),
        (15, [16, 16]),
        (16, [16, 16]),
        (None, [16, 16]),
    ],
)
def test_only_new_frames_and_those_at_the_ends_are_computed(
    shift: int | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reuse, stream = reusing(CS3D), Stream()
    with torch.inference_mode():
        reuse(stream.later(None))
        counts = frames_computed(reuse, monkeypatch)
        reuse(stream.later(shift), shift)
    assert counts == expected


def test_a_shift_is_believed() -> None:
    reuse, stream = reusing(CS3D), Stream()
    with torch.inference_mode():
        reuse(stream.later(None), None)
        window = stream.later(None)
        expected = CS3D(window)
        assert (reuse(window, 2) - expected).abs().max() > 1e-3 * expected.abs().max()


@pytest.mark.parametrize("n", [0, 2, 3])
def test_a_batch_is_answered_in_full_and_nothing_builds_upon_it(n: int) -> None:
    reuse, stream = reusing(CS3D), Stream()
    with torch.inference_mode():
        reuse(stream.later(None))
        batch = torch.cat([stream.later(None) for _ in range(n)] or [stream.window[:0]])
        found = reuse(batch, 2)
        assert found.shape == (n, 7)
        if n:
            assert_alike(found, CS3D(batch))
        window = stream.later(2)
        assert_alike(reuse(window, 2), CS3D(window))


def test_the_first_call_computes_in_full_whatever_the_shift() -> None:
    stream = Stream()
    with torch.inference_mode():
        assert_alike(reusing(CS3D)(stream.window, 0), CS3D(stream.window))
        assert_alike(reusing(CS3D)(stream.window, 4), CS3D(stream.window))


@pytest.mark.parametrize("part", ["_first", "_second", "_rest"])
def test_nothing_builds_upon_a_call_that_failed(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    reuse, stream = reusing(CS3D), Stream()

    def fail(*_: object) -> None:
        raise MemoryError

    with torch.inference_mode():
        reuse(stream.later(None))
        window = stream.later(2)
        with monkeypatch.context() as context:
            context.setattr(getattr(reuse, part), "forward", fail)
            with pytest.raises(MemoryError):
                reuse(window, 2)
        window = stream.later(2)
        assert_alike(reuse(window, 2), CS3D(window))


def test_it_does_not_build_upon_a_buffer_that_the_caller_writes_again() -> None:
    reuse, stream = reusing(CS3D), Stream()
    buffer = torch.empty_like(stream.window)
    with torch.inference_mode():
        for shift in (None, 2, 0, 3):
            buffer.copy_(stream.later(shift))
            found = reuse(buffer, shift)
            assert buffer.equal(stream.window)
            buffer.zero_()
            assert_alike(found, CS3D(stream.window))


def held_bytes(reuse: WindowReuse) -> int:
    storages = [m.untyped_storage() for part in reuse._known for maps in part for m in maps]
    return sum({s.data_ptr(): s.nbytes() for s in storages}.values())


@pytest.mark.parametrize("shifts", [(1,), (2,), (13,), (1, 7, 3)])
def test_what_it_holds_does_not_grow(shifts: tuple[int, ...]) -> None:
    reuse, stream = reusing(CS3D), Stream()
    with torch.inference_mode():
        reuse(stream.later(None))
        # The frames of a whole window are held together until the last of them has gone.
        limit = 2 * held_bytes(reuse)
        for shift in shifts * (24 // len(shifts)):
            reuse(stream.later(shift), shift)
            assert held_bytes(reuse) <= limit
        reuse.forget()
    assert held_bytes(reuse) == 0


def test_parts_are_copies_and_leave_the_network_alone() -> None:
    network = trained("cs3d", narrow=True)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    reuse, stream = reusing(network), Stream()
    with torch.inference_mode():
        first = reuse(stream.window)
        assert all(value.equal(before[key]) for key, value in network.state_dict().items())
        network.stages[0][0].temporal_pointwise.weight.zero_()
        assert reuse(stream.window).equal(first)


def test_frames_are_computed_each_for_itself() -> None:
    parts = frame_parts(CS3D)
    assert parts is not None
    x = Stream().window.permute(0, 2, 3, 4, 1)[0]
    order = [9, 3, 12]
    with torch.inference_mode():
        (whole,) = parts.first.whole(x[None].contiguous())
        (some,) = parts.first(
            *(torch.stack([x[i + offset] for i in order]) for offset in (-1, 0, 1))
        )
    np.testing.assert_allclose(some.numpy(), whole[0, order].numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["rnn", "lstm", "transformer"])
def test_other_networks_have_no_parts(name: str) -> None:
    assert frame_parts(build(name).eval()) is None


def test_attention_over_several_frames_of_the_first_stage_leaves_no_parts() -> None:
    assert frame_parts(build("cs3d", temporal_attention="per_frame").eval()) is None
    last = build("cs3d", temporal_attention="per_frame", attention_place="last").eval()
    assert frame_parts(last) is not None


def test_a_network_in_training_is_refused() -> None:
    with pytest.raises(NetworkError, match=r"training mode has no frame parts; call eval\(\)"):
        frame_parts(build("cs3d"))
