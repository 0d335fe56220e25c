"""Windows that overlap: frames of the window before are not computed again."""

from __future__ import annotations

import torch
from torch import nn

from cs3d_ros.network.frame_parts import FramePart, FrameParts, Maps

Frames = tuple[Maps, ...]
"""The maps of each frame, each `(H, W, C)`."""

_NONE: tuple[Frames, Frames] = (), ()


class WindowReuse(nn.Module):
    """A network that goes through a window by `FrameParts`, and keeps the frames for the next.

    Zero padding along time has a part in the first and last frame of stage 1, and in the first and
    last two of stage 2. In a window that lies s bins later those are computed anew, and so are
    those that the padding had a part in before, and the s new ones: of 16 frames s + 2 in stage 1,
    s + 4 in stage 2. It holds the frames of one window, whatever comes.
    """

    def __init__(self, parts: FrameParts) -> None:
        super().__init__()
        self._first, self._second, self._rest = parts.first, parts.second, parts.rest
        self._known = _NONE

    def forward(self, windows: torch.Tensor, shift: int | None = None) -> torch.Tensor:
        """Return the logits `(N, num_classes)`.

        Args:
            windows: float32 `(N, C, 16, S, S)`. The next call can build upon one window, and not
                upon several.
            shift: By how many bins the one window lies later than that of the last call, which
                otherwise had the same content; None where that is not known.
        """
        known, bins = self._known, windows.shape[2]
        # What an exception leaves unfinished is not built upon.
        self._known = _NONE
        x = windows.permute(0, 2, 3, 4, 1)
        alone = len(windows) == 1
        if alone and known[0] and shift is not None and 0 <= shift < bins:
            first = _later(self._first, tuple((y,) for y in x[0]), known[0], shift, 1)
            second = _later(self._second, first, known[1], shift, 2)
            maps = tuple(torch.stack(y).unsqueeze(0) for y in zip(*second, strict=True))
        else:
            after_first = self._first.whole(x.contiguous())
            maps = self._second.whole(*after_first)
            first, second = (_frames(after_first), _frames(maps)) if alone else _NONE
        logits: torch.Tensor = self._rest(*maps)
        self._known = first, second
        return logits

    def forget(self) -> None:
        """Give the frames back."""
        self._known = _NONE


def _frames(maps: Maps) -> Frames:
    """Return the frames of one window's maps `(1, T, H, W, C)`."""
    return tuple(zip(*(y[0].unbind() for y in maps), strict=True))


def _later(part: FramePart, given: Frames, known: Frames, shift: int, reach: int) -> Frames:
    """Return a part's frames of a window that lies later than the one before.

    Args:
        part: Which makes a frame from three.
        given: What it is given, one map a frame.
        known: What it has made of the window before.
        shift: By how many frames this window lies later.
        reach: How many frames at either end zero padding has a part in.
    """
    if not shift:
        return known
    t = len(given)
    made = dict(
        zip(range(reach, t - reach - shift), known[reach + shift : t - reach], strict=False)
    )
    missing = [i for i in range(t) if i not in made]
    zeros = torch.zeros_like(given[0][0])
    padded = (zeros, *(y for (y,) in given), zeros)
    maps = part(*(torch.stack([padded[i + offset] for i in missing]) for offset in range(3)))
    # As copies, so that a frame that stays does not hold those that it was computed with.
    for i, *frame in zip(missing, *maps, strict=True):
        made[i] = tuple(y.clone() for y in frame)
    return tuple(made[i] for i in range(t))
