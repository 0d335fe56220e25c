"""What stays the same within a rendered clip: camera, light and background."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.errors import FaceError
from cs3d_ros.faces.rendering.background import KINDS, LEAST_BLUR

LOOK_LIGHTS = ("sufficient", "insufficient")
"""Light conditions that a look is drawn for."""


MEDIUM_SKIN = 0.35
"""Share of the light that skin of a medium tone reflects."""


@dataclass(frozen=True, slots=True)
class Look:
    """What stays the same within a rendered clip; plain numbers, as JSON can hold them.

    Attributes:
        light: One of LOOK_LIGHTS.
        distance_cm: From the camera to the face; perspective bends a near face.
        fill: Height or width of the face, whichever is larger, as a share of the picture's.
        right: Shift of the face in the picture, in widths of the picture.
        down: Likewise.
        yaw: Direction that the person faces at rest, in radians as in `Motion.rotation`.
        pitch: Likewise.
        roll: Likewise.
        key_azimuth: Direction of the key light in radians: 0 in front, positive to the right.
        key_elevation: Likewise, positive above.
        key: Irradiance of the key light; that from all around is 1 − key on average.
        above: Share of the light from all around that comes from above, 0.5…1.
        wrap: How far the key light reaches round an edge, 0…1.
        gray: Mean gray level, 0…255, of a face at rest with skin that reflects MEDIUM_SKIN; a
            camera makes up for half of what other skin differs, in orders of magnitude.
        gamma: Exponent of the encoding of gray levels.
        black: Gray level of no light, 0…1: stray light, which lowers the contrast.
        vignette: Loss of light in the picture's corners, 0…1.
        blur: Gaussian spread of the lens in pixels of a picture with 112 columns.
        skin_gloss: Strength of highlights on the skin.
        eye_gloss: Strength of highlights on the corneas, alike in pictures of dark and fair skin.
        background: One of `background.KINDS`.
        background_seed: What the background is drawn from.
        background_blur: Its defocus in texels.
        background_level: Its mean radiance as a multiple of the face's.
    """

    light: str = "sufficient"
    distance_cm: float = 70.0
    fill: float = 0.8
    right: float = 0.0
    down: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    key_azimuth: float = 0.4
    key_elevation: float = 0.5
    key: float = 0.6
    above: float = 0.65
    wrap: float = 0.15
    gray: float = 120.0
    gamma: float = 2.2
    black: float = 0.01
    vignette: float = 0.1
    blur: float = 0.5
    skin_gloss: float = 0.04
    eye_gloss: float = 0.5
    background: str = "flat"
    background_seed: int = 0
    background_blur: float = 2.0
    background_level: float = 0.5

    def __post_init__(self) -> None:
        for name, (least, most) in _LIMITS.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise FaceError(f"look.{name} is {value!r}, expected {least:g} to {most:g}")
        if self.background not in KINDS:
            raise FaceError(f"look.background is {self.background!r}, expected one of {KINDS}")
        if self.light not in LOOK_LIGHTS:
            raise FaceError(f"look.light is {self.light!r}, expected one of {LOOK_LIGHTS}")


_LIMITS = {
    "distance_cm": (20, 1000),
    "fill": (0.05, 3),
    "right": (-2, 2),
    "down": (-2, 2),
    "yaw": (-math.pi, math.pi),
    "pitch": (-math.pi, math.pi),
    "roll": (-math.pi, math.pi),
    "key_azimuth": (-math.pi, math.pi),
    "key_elevation": (-math.pi / 2, math.pi / 2),
    "key": (0, 1),
    "above": (0, 1),
    "wrap": (0, 1),
    "gray": (1, 250),
    "gamma": (0.5, 4),
    "black": (0, 0.5),
    "vignette": (0, 0.9),
    "blur": (0, 5),
    "skin_gloss": (0, 2),
    "eye_gloss": (0, 10),
    "background_seed": (0, 2**63),
    "background_blur": (LEAST_BLUR, 100),
    "background_level": (0, 20),
}


def draw_look(
    rng: np.random.Generator,
    light: str,
    *,
    gamma: tuple[float, float] = (1.0, 2.4),
    dim_gray: tuple[float, float] = (18, 60),
    dim_stray: float = 0.4,
) -> Look:
    """A look from chance.

    The ranges are:

    - Distance 35–150 cm, evenly in its logarithm: from a phone in the hand to across a table.
    - The face fills 60–95 % of the picture, off its middle by up to 7 % of the width, as after a
      crop by a face detector. The person faces the camera within ±12° of yaw, ±8° of pitch and ±5°
      of roll (twice the standard deviation; 2.5 times at most).
    - Key light from −75° to 75° sideways and −10° to 65° above; its share of the light 0.2–0.8.
      Between half and 90 % of the light from all around comes from above.
    - Mean gray of a face with medium skin 80–175 in sufficient light, with 0–3 % of stray light;
      18–60 in insufficient light, up to 40 % of it by stray light.
    - Gamma 1–2.4: from linear, as the light that an event sensor takes the logarithm of, to that
      of video (about 2.2), which lowers all contrasts. Vignetting up to 35 %, blur of the lens
      0.35–0.8 pixels.
    - Highlights on the skin from none to oily, on the eyes from weak to strong.
    - Each kind of background alike, out of focus by 1–4.5 texels; its radiance is 0.12–2.5 times
      the face's, evenly in its logarithm.

    Args:
        rng: Where all chance comes from.
        light: One of LOOK_LIGHTS.
        gamma: Range of gamma.
        dim_gray: Range of the mean gray in insufficient light.
        dim_stray: Most of it that is stray light.

    Raises:
        FaceError: There is no such light condition.
    """
    if light not in LOOK_LIGHTS:
        raise FaceError(f"light {light!r}, expected one of {LOOK_LIGHTS}")
    sufficient = light == "sufficient"

    def even(least: float, most: float) -> float:
        return float(rng.uniform(least, most))

    def log_even(least: float, most: float) -> float:
        return float(math.exp(rng.uniform(math.log(least), math.log(most))))

    def degrees(deviation: float) -> float:
        return math.radians(float(np.clip(rng.standard_normal(), -2.5, 2.5)) * deviation)

    gray = even(80, 175) if sufficient else even(*dim_gray)
    return Look(
        light=light,
        distance_cm=log_even(35, 150),
        fill=even(0.6, 0.95),
        right=even(-0.07, 0.07),
        down=even(-0.07, 0.07),
        yaw=degrees(6),
        pitch=degrees(4),
        roll=degrees(2.5),
        key_azimuth=math.radians(even(-75, 75)),
        key_elevation=math.radians(even(-10, 65)),
        key=even(0.2, 0.8),
        above=even(0.5, 0.9),
        wrap=even(0.05, 0.3),
        gray=gray,
        gamma=even(*gamma),
        black=even(0, 0.03) if sufficient else even(0, dim_stray) * gray / 255,
        vignette=even(0, 0.35),
        blur=even(0.35, 0.8),
        skin_gloss=even(0, 0.08),
        eye_gloss=even(0.1, 0.8),
        background=str(rng.choice(KINDS)),
        background_seed=int(rng.integers(2**63 - 1)),
        background_blur=even(1, 4.5),
        background_level=log_even(0.12, 2.5),
    )
