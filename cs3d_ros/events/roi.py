"""Which part of the sensor the network looks at."""

from __future__ import annotations

from dataclasses import dataclass

from cs3d_ros.errors import Cs3dError

MIN_ROI_SIDE = 8


class RoiError(Cs3dError):
    """A region that does not lie on the sensor or is too small."""


@dataclass(frozen=True, slots=True)
class Roi:
    """Region of interest in sensor pixels, columns x…x+width−1 and rows y…y+height−1."""

    x: int
    y: int
    width: int
    height: int

    @staticmethod
    def centred_square(width: int, height: int) -> Roi:
        """The largest square in the middle of a sensor of width × height pixels.

        Raises:
            RoiError: The sensor is smaller than 8×8 pixels.
        """
        side = min(width, height)
        roi = Roi((width - side) // 2, (height - side) // 2, side, side)
        roi.check(width, height)
        return roi

    def clipped(self, width: int, height: int) -> Roi:
        """The part of the region that lies on a sensor of width × height pixels.

        Raises:
            RoiError: That part is smaller than 8×8 pixels.
        """
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.x + self.width, width), min(self.y + self.height, height)
        if min(right - left, bottom - top) < MIN_ROI_SIDE:
            self.check(width, height)
        return Roi(left, top, right - left, bottom - top)

    def check(self, width: int, height: int) -> None:
        """Make sure that the region lies on a sensor of width × height pixels.

        Raises:
            RoiError: It reaches beyond the sensor or is smaller than 8×8 pixels.
        """
        inside = (
            self.x >= 0
            and self.y >= 0
            and self.x + self.width <= width
            and self.y + self.height <= height
        )
        if not inside or min(self.width, self.height) < MIN_ROI_SIDE:
            raise RoiError(
                f"the region of {self.width}x{self.height} pixels at ({self.x}, {self.y}) must be "
                f"at least {MIN_ROI_SIDE}x{MIN_ROI_SIDE} and lie on the sensor of "
                f"{width}x{height}"
            )
