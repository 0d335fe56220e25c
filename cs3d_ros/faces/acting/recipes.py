"""Which action units make an expression: prototypes and variants of the six basic emotions.

The combinations are those of

- EMFACS and the table of prototypes and major variants in the FACS Investigator's Guide (Ekman,
  Friesen and Hager 2002), * for any strength and B…D for one: "guide" below;
- Du, Tao and Martinez 2014, "Compound facial expressions of emotion" (PNAS 111), table 1, in
  brackets what only some people show: "Du";
- the criteria of Lucey et al. 2010, "The Extended Cohn-Kanade Dataset (CK+)": "CK+".

Strengths and probabilities are our choice, so that somebody who looks at the rendered faces names
the class. Every recipe moves at least two regions of the face, or one in a way that no other class
does, so that it differs from the single units that a face without an expression moves too.
Anger's brows draw together over a wrinkled nose (9), disgust's and sadness's lids are lowered (43
at a third): without these the blendshapes were taken for less. Unit 11
(nasolabial deepener) has no blendshape and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """One action unit of a recipe.

    Attributes:
        unit: Its number.
        low: Least strength at full intensity, from 0 on. Above 1 for units that show little: they
            are at their full already at a lower intensity, and no further.
        high: Greatest strength.
        share: Share of performances that have it at all.
    """

    unit: int
    low: float
    high: float
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to show an expression.

    Attributes:
        name: Unique among all recipes.
        source: Where the combination is from.
        parts: The action units.
    """

    name: str
    source: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Head:
    """Where the head tends to go with an expression, at most.

    Attributes:
        turn_deg: Yaw, pitch, roll in degrees, in `Motion`'s directions; yaw and roll go to either
            side.
        shift_cm: In cm, in `Motion`'s directions; sideways to either side.
    """

    turn_deg: tuple[float, float, float]
    shift_cm: tuple[float, float, float]


HEADS: Mapping[str, Head] = {
    "happy": Head((0.0, -4.0, 3.0), (0.3, 0.0, 0.0)),
    "sad": Head((0.0, 8.0, 3.0), (0.3, -0.3, 0.0)),
    "surprised": Head((0.0, -4.0, 2.0), (0.0, 0.3, -1.0)),
    "scared": Head((6.0, -5.0, 2.0), (0.5, 0.0, -2.0)),
    "disgusted": Head((6.0, -4.0, 3.0), (0.5, 0.0, -1.5)),
    "angry": Head((0.0, 6.0, 1.0), (0.0, 0.0, 1.5)),
}
"""Heads hang in sadness, draw back in fear and disgust, push forward in anger. Our choice."""


def _recipe(name: str, source: str, *parts: tuple[float, ...]) -> Recipe:
    return Recipe(name, source, tuple(Part(int(unit), *rest) for unit, *rest in parts))


RECIPES: Mapping[str, tuple[Recipe, ...]] = {
    "neutral": (),
    "happy": (
        _recipe(
            "happy-felt",
            "guide 6+12; Du 12, 25, (6)",
            (6, 0.7, 1),
            (12, 0.8, 1),
            (25, 0.4, 0.8),
        ),
        _recipe(
            "happy-closed", "guide 6+12; CK+ 12", (6, 0.6, 1), (12, 0.8, 1), (14, 0.1, 0.3, 0.3)
        ),
        _recipe(
            "happy-laughing",
            "guide 6+12 with 25, 26",
            (6, 0.8, 1),
            (12, 0.8, 1),
            (25, 0.5, 0.9),
            (26, 0.3, 0.9),
        ),
        _recipe("happy-social", "guide 12 C/D; CK+ 12", (12, 0.8, 1), (25, 0.2, 0.7, 0.6)),
    ),
    "sad": (
        _recipe(
            "sad-prototype",
            "guide 1+4+15 with or without 54+64; CK+ 1+4+15",
            (1, 1, 1.2),
            (4, 0.45, 0.7),
            (15, 1, 1.3),
            (43, 0.15, 0.4),
            (64, 0.1, 0.5, 0.5),
        ),
        _recipe(
            "sad-chin",
            "guide 1+4+15B+17; Du 4, 15, (1), (17)",
            (1, 1, 1.2),
            (4, 0.45, 0.7),
            (15, 1, 1.3),
            (17, 0.7, 1),
            (43, 0.15, 0.4),
            (64, 0.1, 0.5, 0.5),
        ),
        _recipe(
            "sad-cheeks",
            "guide 6+15*; Du 4, 15, (6)",
            (1, 0.7, 1),
            (4, 0.45, 0.7),
            (6, 0.3, 0.6),
            (15, 1, 1.3),
            (17, 0.4, 0.8),
            (43, 0.15, 0.4),
        ),
        _recipe(
            "sad-weeping",
            "guide 1+4+15+17; lips apart and stretched as in crying: our choice",
            (1, 1, 1.2),
            (4, 0.45, 0.7),
            (6, 0.4, 0.7),
            (15, 1, 1.3),
            (16, 0.2, 0.5),
            (17, 0.3, 0.6),
            (20, 0.1, 0.35),
            (43, 0.15, 0.4),
        ),
    ),
    "surprised": (
        _recipe(
            "surprised-prototype",
            "guide 1+2+5B+26; Du 1, 2, 25, 26, (5); CK+ 1+2",
            (1, 0.8, 1),
            (2, 0.8, 1),
            (5, 0.5, 1),
            (26, 0.8, 1),
        ),
        _recipe(
            "surprised-gaping",
            "guide 1+2+5B+27",
            (1, 0.8, 1),
            (2, 0.8, 1),
            (5, 0.6, 1),
            (27, 0.6, 1),
        ),
        _recipe(
            "surprised-oh",
            "guide 1+2+5B+26; 22 is our choice",
            (1, 0.8, 1),
            (2, 0.8, 1),
            (5, 0.5, 1),
            (26, 0.6, 1),
            (22, 0.3, 0.7),
        ),
        _recipe(
            "surprised-dropped", "guide 1+2+26, 1+2+27", (1, 0.8, 1), (2, 0.8, 1), (26, 0.8, 1)
        ),
        _recipe(
            "surprised-brows",
            "guide 1+2+5B",
            (1, 0.8, 1),
            (2, 0.8, 1),
            (5, 0.8, 1),
            (25, 0.2, 0.6, 0.7),
        ),
    ),
    "scared": (
        _recipe(
            "scared-prototype",
            "guide 1+2+4+5*+20*+25; Du 1, 4, 20, 25, (2), (5)",
            (1, 0.8, 1),
            (2, 0.1, 0.3),
            (4, 0.6, 0.85),
            (5, 1, 1.2),
            (20, 1, 1.2),
            (25, 0.6, 1),
            (16, 0.2, 0.7),
        ),
        _recipe(
            "scared-open",
            "guide 1+2+4+5*+20*+26; Du (26)",
            (1, 0.8, 1),
            (2, 0.1, 0.3),
            (4, 0.6, 0.85),
            (5, 1, 1.2),
            (20, 1, 1.2),
            (16, 0.5, 0.9),
            (25, 0.6, 1),
            (26, 0.2, 0.5),
        ),
        _recipe(
            "scared-mouth",
            "guide 5*+20* with 25, little brow",
            (1, 0.6, 0.9),
            (4, 0.5, 0.8),
            (5, 1, 1.2),
            (20, 1, 1.2),
            (25, 0.6, 1),
            (16, 0.4, 0.9),
        ),
        _recipe(
            "scared-tense",
            "guide 1+2+4+5*+20*, lips closed",
            (1, 0.9, 1),
            (2, 0.05, 0.25),
            (4, 0.6, 0.85),
            (5, 1, 1.2),
            (20, 1, 1.2),
            (24, 0.1, 0.3, 0.5),
        ),
    ),
    "disgusted": (
        _recipe(
            "disgusted-nose",
            "guide 9; CK+ 9 or 10; Du 9, 10, 17",
            (9, 1.1, 1.3),
            (10, 0.4, 0.7),
            (6, 0.5, 0.8),
            (17, 0.3, 0.7),
            (43, 0.15, 0.3),
        ),
        _recipe(
            "disgusted-chin",
            "guide 9+17, 10+17; Du 9, 10, 17",
            (9, 1, 1.2),
            (10, 0.5, 0.8),
            (6, 0.4, 0.7),
            (17, 0.7, 1),
            (43, 0.15, 0.3),
        ),
        _recipe(
            "disgusted-corners",
            "guide 9+16+15; CK+ 9 or 10",
            (9, 1.1, 1.3),
            (15, 0.3, 0.5),
            (10, 0.3, 0.6),
            (16, 0.2, 0.6),
            (6, 0.5, 0.8),
            (17, 0.4, 0.8),
            (43, 0.15, 0.3),
        ),
        _recipe(
            "disgusted-lip",
            "guide 10*+16+25",
            (9, 0.8, 1.1),
            (10, 0.7, 1),
            (6, 0.5, 0.8),
            (14, 0.2, 0.4),
            (16, 0.3, 0.6),
            (43, 0.15, 0.3),
        ),
    ),
    "angry": (
        _recipe(
            "angry-pressed",
            "guide 4+5*+7+24, 4+5*+7+17+24; Du 4, 7, 24, (17); CK+ 23, 24",
            (4, 1.3, 1.6),
            (7, 0.9, 1.2),
            (9, 0.6, 0.85),
            (24, 1, 1.2),
            (17, 0.2, 0.6, 0.5),
        ),
        _recipe(
            "angry-tightened",
            "guide 4+5*+7+23, 4+5*+7+17+23; CK+ 23, 24",
            (4, 1.3, 1.6),
            (5, 0.1, 0.4, 0.5),
            (7, 0.9, 1.2),
            (9, 0.6, 0.85),
            (23, 1, 1.2),
            (28, 0.1, 0.4),
            (17, 0.3, 0.6),
        ),
        _recipe(
            "angry-frowning",
            "guide 4+5*+7+17+23; 15 and 29 are our choice",
            (4, 1.3, 1.6),
            (7, 0.9, 1.2),
            (9, 0.7, 0.95),
            (15, 0.4, 0.7),
            (24, 0.6, 0.9),
            (28, 0.2, 0.5),
            (17, 0.3, 0.5),
            (29, 0.3, 0.6, 0.5),
        ),
        _recipe(
            "angry-shouting",
            "guide 4+5*+7+10*+22+25,26; 9, 15, 16 are our choice",
            (4, 1.3, 1.6),
            (5, 0.1, 0.4, 0.5),
            (7, 0.9, 1.2),
            (9, 0.9, 1.2),
            (15, 0.3, 0.6),
            (16, 0.8, 1),
            (22, 0.1, 0.35),
            (26, 0.1, 0.45),
        ),
        _recipe(
            "angry-teeth",
            "guide 4+5*+7+10*+23+25; 9, 15, 16, 20 are our choice",
            (4, 1.3, 1.6),
            (7, 0.9, 1.2),
            (9, 0.9, 1.2),
            (15, 0.5, 0.8),
            (16, 0.8, 1),
            (20, 0.2, 0.5),
            (29, 0.1, 0.4, 0.5),
        ),
    ),
}
"""The recipes by expression; neutral has none."""

HELD_OUT: Mapping[str, Recipe] = {
    "happy": _recipe(
        "happy-grinning",
        "guide 6+12; narrow lids and bared teeth, 7, 10 and 16, are our choice",
        (6, 0.6, 1),
        (7, 0.3, 0.6),
        (10, 0.15, 0.35),
        (12, 0.9, 1.1),
        (16, 0.4, 0.7),
    ),
    "sad": _recipe(
        "sad-restrained",
        "guide 11+17, 1+4 with 54+64; lips pressed against tears, 24, are our choice",
        (1, 1.1, 1.3),
        (4, 0.55, 0.8),
        (17, 0.9, 1.2),
        (24, 0.4, 0.7),
        (43, 0.25, 0.5),
        (64, 0.3, 0.7),
    ),
    "surprised": _recipe("surprised-lids", "guide 5B+26, 5B+27", (5, 0.9, 1.2), (27, 0.5, 0.9)),
    "scared": _recipe(
        "scared-gasping",
        "guide 1+2+4+5* with 25, 26",
        (1, 1, 1.2),
        (2, 0.1, 0.2),
        (4, 0.7, 0.9),
        (5, 1, 1.2),
        (25, 0.4, 0.8),
        (26, 0.2, 0.4),
    ),
    "disgusted": _recipe(
        "disgusted-upper-lip",
        "guide 10*, 10+17; CK+ 9 or 10; 6 and 43 are our choice",
        (10, 1.1, 1.3),
        (6, 0.5, 0.8),
        (17, 0.6, 1),
        (43, 0.15, 0.3),
    ),
    "angry": _recipe(
        "angry-glaring",
        "guide 4+5*+7+17+24 without 7",
        (4, 1.4, 1.6),
        (5, 0.6, 0.9),
        (17, 0.7, 1),
        (24, 0.9, 1.2),
    ),
}
"""One more recipe of each expression, drawn only when asked for, so that training never sees it.

Each lacks or adds a unit that matters: sadness without the lip corners, surprise without the brows,
fear without the stretched lips, disgust without the wrinkled nose, anger without narrow lids, and a
grin with teeth bared.
"""
