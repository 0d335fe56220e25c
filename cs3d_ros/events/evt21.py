"""EVT2.1, Prophesee's 64-bit wire format: decoders.

Layout: Prophesee's EVT 2.1 specification. A record is a word of EVT2 and a mask of 32 bits: events
at x + i for each bit i that is set.
"""

import numpy as np

from cs3d_ros.events.decoding import empty_packet, payload_words
from cs3d_ros.events.evt2 import Evt2Decoder
from cs3d_ros.events.packets import EventPacket, register_decoder


@register_decoder("evt21")
class Evt21Decoder(Evt2Decoder):
    """Decodes EVT2.1 packets, with the mask in the low half; time rules of `Evt2Decoder`."""

    _LAYOUT = 2, 1, 0

    def _words(self, packet: EventPacket) -> tuple[np.ndarray, int]:
        words, truncated = payload_words(packet, np.uint64)
        return words.view(np.uint32), truncated


@register_decoder("evt21_legacy")
class Evt21LegacyDecoder(Evt21Decoder):
    """Decodes EVT2.1 packets with the mask in the high half, as IMX636 cameras write them."""

    _LAYOUT = 2, 0, 1


def warm_up() -> None:
    """Do what a first packet does; the kernels are those of EVT2."""
    for decoder in (Evt21Decoder, Evt21LegacyDecoder):
        decoder(1, 1).decode(empty_packet("evt21"))
