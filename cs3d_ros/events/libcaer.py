"""The encoding libcaer: polarity events as iniVation's libcaer has them, 8 bytes each.

Layout: `polarity.h` of libcaer. Time rules: `libcaer_driver` and `event_camera_codecs`.
"""

import numpy as np

from cs3d_ros.events.decoding import (
    EVENTS,
    NO_TIME,
    OUTSIDE,
    RESERVED,
    SKIPPED,
    TimeBaseDecoder,
    empty_packet,
    event_arrays,
    payload_words,
    time_base_ns,
)
from cs3d_ros.events.packets import EventPacket, Events, register_decoder
from cs3d_ros.kernels import kernel

ROLLOVER_US = 1 << 31
"""The clock of a word turns over after 35 min 47 s."""

_MAX_COORDINATE = 0x7FFF
_MAX_SPAN_NS = 2 * ROLLOVER_US * 1000


@kernel
def _decode(
    words: np.ndarray,
    base_ns: int,
    width: int,
    height: int,
    tally: np.ndarray,
    events: tuple[np.ndarray, ...],
) -> int:
    """Decode pairs of words, uint32, into (t_ns, x, y, p), and return the newest time."""
    t_ns, xs, ys, ps = events
    newest = NO_TIME
    turn = 0
    last = -1
    skipped = 0
    reserved = 0
    # Unsigned: an index that may be negative costs a check.
    n = np.uintp(0)
    for i in range(0, words.size, 2):
        place = words[i]
        us = words[i + 1]
        if place & 1 == 0:
            skipped += 1
            continue
        if us >= ROLLOVER_US:
            reserved += 1
            continue
        if last >= 0:
            step = us - last
            if step < -(ROLLOVER_US // 2):
                turn = min(turn + 1, 1)
            elif step > ROLLOVER_US // 2:
                turn = max(turn - 1, -1)
        last = us
        t = base_ns + (turn * ROLLOVER_US + us) * 1000
        x = place >> 17
        y = (place >> 2) & _MAX_COORDINATE
        # Every event is written and only those inside advance: nothing to mispredict.
        t_ns[n] = t
        xs[n] = x
        ys[n] = y
        ps[n] = (place >> 1) & 1
        inside = (x < width) & (y < height)
        n += np.uintp(inside)
        newest = max(newest, t if inside else newest)
    tally[:] = 0
    tally[EVENTS] = n
    tally[SKIPPED] = skipped
    tally[RESERVED] = reserved
    tally[OUTSIDE] = words.size // 2 - n - skipped - reserved
    return newest


@register_decoder("libcaer")
class LibcaerDecoder(TimeBaseDecoder):
    """Decodes packets of the encoding libcaer; see `packets.Decoder`.

    The time of an event is the time base plus its 31 bits of µs. Within a packet, a step back by
    more than half of their range is a rollover, and a step ahead by more than half is the way back
    over one; any smaller step is a step. So neither jitter nor one wrong bit counts as a rollover.
    Of several in one direction the first counts. Times below zero are reserved, events that the
    camera has marked as invalid are skipped.
    """

    def decode(self, packet: EventPacket) -> Events:
        """Decode the next packet.

        Raises:
            PacketError: The payload is not a buffer, or the time base is no time.
        """
        words, truncated = payload_words(packet, np.uint32, words_per_record=2)
        base_ns = time_base_ns(packet, _MAX_SPAN_NS)
        events = event_arrays(words.size // 2 + 1)
        self._reach(_decode(words, base_ns, self.width, self.height, self._tally, events))
        return self._hand_out(events, None, truncated)


def warm_up() -> None:
    """Compile the kernel, so that no packet waits for the compiler."""
    LibcaerDecoder(1, 1).decode(empty_packet("libcaer"))
