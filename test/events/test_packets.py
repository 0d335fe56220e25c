"""Packets, events and the choice of a decoder."""

import array

import numpy as np
import pytest

from cs3d_ros.errors import Cs3dError
from cs3d_ros.events.evt3 import Evt3Decoder
from cs3d_ros.events.packets import (
    MAX_PAYLOAD_BYTES,
    EventPacket,
    Events,
    PacketError,
    Triggers,
    decoder_for,
)
from event_helpers import packet


@pytest.mark.parametrize(
    "payload",
    [
        b"\x01\x02\x03",
        bytearray(b"\x01\x02\x03"),
        memoryview(b"\x01\x02\x03"),
        array.array("B", [1, 2, 3]),
        np.array([1, 2, 3], np.uint8),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_every_buffer_becomes_the_same_read_only_bytes(payload):
    view = packet(payload).payload_bytes()
    assert view.tolist() == [1, 2, 3]
    assert view.dtype == np.uint8
    assert not view.flags.writeable


def test_reading_the_payload_leaves_the_callers_array_writable():
    payload = np.zeros(4, np.uint8)
    packet(payload).payload_bytes()
    assert payload.flags.writeable


@pytest.mark.parametrize("payload", [[[1]], "text", None, np.zeros(8, np.uint8)[::2]], ids=str)
def test_a_payload_that_is_no_contiguous_buffer_is_refused(payload):
    with pytest.raises(PacketError, match="contiguous buffer"):
        EventPacket(0, "", 1, 1, 5, 0, "evt3", False, payload).payload_bytes()


def test_empty_events_and_triggers_have_the_types_of_full_ones():
    empty = Events.empty()
    assert len(empty) == 0
    assert [c.dtype for c in (empty.t_ns, empty.x, empty.y, empty.p)] == [
        np.int64,
        np.uint16,
        np.uint16,
        np.uint8,
    ]
    assert len(Triggers.empty()) == 0


def test_events_are_put_in_order_and_those_of_equal_times_stay_as_they_are():
    x = np.arange(4, dtype=np.uint16)
    disordered = Events(np.array([7, 3, 7, 3]), x, x + 10, (x % 2).astype(np.uint8))
    found = disordered.in_order()
    assert [c.tolist() for c in (found.t_ns, found.x, found.y, found.p)] == [
        [3, 3, 7, 7], [1, 3, 0, 2], [11, 13, 10, 12], [1, 1, 0, 0],
    ]  # fmt: skip
    assert found.in_order() is found
    assert len(Events.empty().in_order()) == 0


@pytest.mark.parametrize("which", [slice(1, 3), np.array([1, 2]), np.array([False, True, True])])
def test_some_of_the_events_are_taken(which):
    x = np.arange(3, dtype=np.uint16)
    found = Events(np.array([5, 6, 7]), x, x + 10, np.array([0, 0, 1], np.uint8)).take(which)
    assert [c.tolist() for c in (found.t_ns, found.x, found.y, found.p)] == [
        [6, 7], [1, 2], [11, 12], [0, 1],
    ]  # fmt: skip
    assert found.x.dtype == np.uint16


def test_the_registry_finds_evt3():
    decoder = decoder_for("evt3", 1280, 720)
    assert isinstance(decoder, Evt3Decoder)
    assert (decoder.width, decoder.height) == (1280, 720)


def test_an_unknown_encoding_lists_the_known_ones():
    with pytest.raises(PacketError, match=r"unknown encoding 'jpeg'.*evt3") as caught:
        decoder_for("jpeg", 1280, 720)
    assert isinstance(caught.value, Cs3dError)


@pytest.mark.parametrize("size", [(0, 720), (1280, 0), (-1, 720), (4_000_000_000, 720)])
def test_a_size_that_no_sensor_has_is_refused(size):
    with pytest.raises(PacketError, match="sensor of"):
        decoder_for("evt3", *size)


def test_a_payload_that_no_driver_sends_is_refused():
    largest = bytes(MAX_PAYLOAD_BYTES)
    assert packet(largest).payload_bytes().size == MAX_PAYLOAD_BYTES
    with pytest.raises(PacketError, match=r"16777217 bytes.*event_message_size_threshold"):
        packet(largest + b"0").payload_bytes()
