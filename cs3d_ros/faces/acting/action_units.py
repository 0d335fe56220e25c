"""The action units of FACS as blendshapes of the parametric face.

Numbers and names are those of the Facial Action Coding System (Ekman, Friesen and Hager 2002,
"Facial Action Coding System: The Manual"). The blendshapes are those of the ARKit set, which were
modelled after the same units; which of them make up a unit is our choice, judged on rendered faces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cs3d_ros.faces.errors import FaceError

SIDES = ("L", "R")
"""The face's own left and right."""


@dataclass(frozen=True, slots=True)
class ActionUnit:
    """One action unit.

    Attributes:
        number: Its number in FACS.
        name: Its name in FACS.
        muscle: The muscle behind it, as FACS names it.
        blendshapes: Weight of each blendshape at full strength; of pairs the name without side.
    """

    number: int
    name: str
    muscle: str
    blendshapes: Mapping[str, float]


def _units(*rows: tuple[int, str, str, dict[str, float]]) -> dict[int, ActionUnit]:
    return {number: ActionUnit(number, name, muscle, b) for number, name, muscle, b in rows}


ACTION_UNITS: Mapping[int, ActionUnit] = _units(
    (1, "inner brow raiser", "frontalis, pars medialis", {"browInnerUp": 1.0}),
    (2, "outer brow raiser", "frontalis, pars lateralis", {"browOuterUp": 1.0}),
    (4, "brow lowerer", "corrugator, depressor supercilii", {"browDown": 1.0}),
    (5, "upper lid raiser", "levator palpebrae superioris", {"eyeWide": 1.0}),
    (6, "cheek raiser", "orbicularis oculi, orbital", {"cheekSquint": 0.9, "eyeSquint": 0.45}),
    (7, "lid tightener", "orbicularis oculi, palpebral", {"eyeSquint": 0.9}),
    (
        9,
        "nose wrinkler",
        "levator labii superioris alaeque nasi",
        {"noseSneer": 1.0, "browDown": 0.2, "eyeSquint": 0.3},
    ),
    (10, "upper lip raiser", "levator labii superioris", {"mouthUpperUp": 1.0}),
    (12, "lip corner puller", "zygomaticus major", {"mouthSmile": 1.0}),
    (14, "dimpler", "buccinator", {"mouthDimple": 1.0}),
    (15, "lip corner depressor", "depressor anguli oris", {"mouthFrown": 1.0}),
    (16, "lower lip depressor", "depressor labii inferioris", {"mouthLowerDown": 1.0}),
    (17, "chin raiser", "mentalis", {"mouthShrugLower": 0.9, "mouthShrugUpper": 0.25}),
    (18, "lip pucker", "incisivi labii", {"mouthPucker": 0.9}),
    (20, "lip stretcher", "risorius", {"mouthStretch": 1.0, "mouthFrown": 0.4}),
    (22, "lip funneler", "orbicularis oris", {"mouthFunnel": 0.9}),
    (23, "lip tightener", "orbicularis oris", {"mouthPress": 0.6, "mouthRollUpper": 0.2}),
    (24, "lip pressor", "orbicularis oris", {"mouthPress": 1.0, "mouthRollLower": 0.2}),
    (
        25,
        "lips part",
        "depressor labii inferioris",
        {"jawOpen": 0.1, "mouthLowerDown": 0.3, "mouthUpperUp": 0.12},
    ),
    (26, "jaw drop", "masseter relaxed", {"jawOpen": 0.5}),
    (27, "mouth stretch", "pterygoids, digastric", {"jawOpen": 0.9}),
    (28, "lip suck", "orbicularis oris", {"mouthRollLower": 0.8, "mouthRollUpper": 0.6}),
    (29, "jaw thrust", "pterygoids", {"jawForward": 0.7}),
    (34, "cheek puff", "none named", {"cheekPuff": 0.8}),
    (43, "eye closure", "levator palpebrae superioris relaxed", {"eyeBlink": 1.0}),
    (64, "eyes down", "none named", {"eyeLookDown": 1.0}),
)


class Blendshapes:
    """Which column of a row of weights is which blendshape.

    Attributes:
        names: The blendshapes in the order of the columns.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Take the names of a face, `FaceKit.expression_names`.

        Raises:
            FaceError: A name comes twice, or there is none.
        """
        self.names = tuple(str(name) for name in names)
        self._columns = {name: column for column, name in enumerate(self.names)}
        if not self.names or len(self._columns) != len(self.names):
            raise FaceError(
                f"{len(self.names)} names of blendshapes, {len(self._columns)} of them different; "
                "expected the expression_names of a face, each once"
            )

    def __len__(self) -> int:
        return len(self.names)

    def column(self, name: str) -> int:
        """The column of a blendshape.

        Raises:
            FaceError: The face has no such blendshape.
        """
        if name not in self._columns:
            raise FaceError(
                f"the face has no blendshape {name!r} among its {len(self.names)}; expected the "
                "names of the ARKit set, pairs with _L and _R"
            )
        return self._columns[name]

    def columns(self, *stems: str) -> list[int]:
        """The columns of blendshapes named without side: one each, or left and right of pairs."""
        return [self.column(name) for stem in stems for name in self._sided(stem)]

    def row(
        self, weights: Mapping[str, float], left: float = 1.0, right: float = 1.0
    ) -> np.ndarray:
        """A row of weights from weights by name; a pair's name without side stands for both sides.

        Args:
            weights: Weights by name, 0…1.
            left: Factor to what lies on the face's left.
            right: Factor to what lies on its right. What has no side gets the mean of both.

        Returns:
            Shape (number of blendshapes,), float64, 0…1.
        """
        factors = {"_L": left, "_R": right}
        row = np.zeros(len(self.names))
        for stem, weight in weights.items():
            for name in self._sided(stem):
                factor = factors.get(name[-2:], (left + right) / 2)
                row[self.column(name)] = min(1.0, max(0.0, weight * factor))
        return row

    def unit(self, number: int, left: float = 1.0, right: float = 1.0) -> np.ndarray:
        """The row of weights of one action unit, as strong on each side as said.

        Returns:
            Shape (number of blendshapes,), float64, 0…1.

        Raises:
            FaceError: Not one of ACTION_UNITS, or the face lacks a blendshape of it.
        """
        if number not in ACTION_UNITS:
            raise FaceError(
                f"no blendshapes are known for action unit {number}, expected one of "
                f"{', '.join(map(str, ACTION_UNITS))}"
            )
        return self.row(ACTION_UNITS[number].blendshapes, left, right)

    def _sided(self, stem: str) -> tuple[str, ...]:
        if stem + "_L" in self._columns:
            return tuple(f"{stem}_{side}" for side in SIDES)
        return (stem,)
