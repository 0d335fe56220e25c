"""Words of payloads, whatever their byte order, address and length."""

import numpy as np
import pytest

from cs3d_ros.events.decoding import MAX_TIME_NS, payload_words, time_base_ns
from cs3d_ros.events.packets import PacketError
from event_helpers import packet

DTYPES = [np.uint16, np.uint32, np.uint64, np.int64]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("offset", range(8))
def test_words_are_aligned_native_and_read_only(dtype, order, offset):
    values = np.arange(1, 6).astype(dtype)
    payload = bytes(offset) + values.astype(values.dtype.newbyteorder(order)).tobytes()
    p = packet(memoryview(payload)[offset:], is_bigendian=order == ">")
    words, truncated = payload_words(p, dtype)
    assert words.tolist() == values.tolist()
    assert words.dtype == np.dtype(dtype)
    assert words.dtype.isnative
    assert words.flags.aligned
    assert not words.flags.writeable
    assert truncated == 0


@pytest.mark.parametrize("dtype", DTYPES)
def test_words_that_need_no_change_are_not_copied(dtype):
    payload = np.zeros(64, np.uint8)
    words, _ = payload_words(packet(payload), dtype)
    assert np.shares_memory(words, payload)


@pytest.mark.parametrize("size", range(20))
def test_bytes_beyond_whole_records_are_left_over(size):
    payload = bytes(range(size))
    words, truncated = payload_words(packet(payload), np.uint32, words_per_record=2)
    assert len(words) == size // 8 * 2
    assert truncated == size % 8
    assert words.tobytes() == payload[: size - truncated]


def test_a_time_base_leaves_room_for_the_packet():
    assert time_base_ns(packet(time_base=0), 5) == 0
    assert time_base_ns(packet(time_base=MAX_TIME_NS - 5), 5) == MAX_TIME_NS - 5
    with pytest.raises(PacketError, match=f"time_base {MAX_TIME_NS - 4} of packet 7, expected 0"):
        time_base_ns(packet(time_base=MAX_TIME_NS - 4, seq=7), 5)
